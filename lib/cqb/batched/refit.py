"""Maximum-likelihood estimates of many runs at once, by conjugate gradients without host decisions.

Of every run the models of one assortment are refitted after a round. Their loss is the one of
:func:`cqb.mnl.penalised_loss`, on counts by context, so that a long history costs no more than the
distinct contexts. A step goes along a conjugate direction (Polak and Ribiere), preconditioned by an
inverse Hessian of each model that grows by one Sherman-Morrison term a round. Its length is the Newton
step along that direction, shortened so that the loss must fall: the loss is self-concordant in the
sense of Bach (2010). All runs take the same number of steps; a run that has converged takes steps of
length 0. So nothing here waits for the host.
"""

from dataclasses import dataclass

from ..arrays import Array, namespace

# Utilities beyond this are cut: odds of e^300 pick and lose as surely.
LARGEST = 300.0


@dataclass(frozen=True)
class Block:
    """The refit of K models in each of R runs, all other parameters fixed.

    Attributes
    ----------
    contexts : (R, C, d). inverse : (R, K, d, d), an approximate inverse Hessian of each model.
    serves : (R, K, C, Q) rounds that offered the block's k-th model on a context beside partner q.
    picks : (R, K, C) how often it was picked there.
    base : (R, 1, C, Q) 1 + the odds of the partners; (1, 1, 1, 1) of 1 where K = 1.
    other : (R, K, 1, Q) bool, whether the partner is the block's other model; read only if K = 2.
    ridge : (R, 1, 1) lambda0.
    """

    contexts: Array
    inverse: Array
    serves: Array
    picks: Array
    base: Array
    other: Array
    ridge: Array

    def pick_rates(self, utilities: Array) -> Array:
        """The chance that the k-th model is picked on a context beside a partner: (R, K, C, Q)."""
        xp = namespace(utilities)
        own, base = odds(utilities)[..., None], self.base
        if utilities.shape[1] == 2:
            base = xp.where(self.other, 1.0 + xp.flip(own, axis=1), base)
        return own / (own + base)

    def gradient(self, theta: Array, expected: Array) -> Array:
        """Of the penalised loss, where (R, K, C, Q) picks are expected: (R, K, d)."""
        xp = namespace(theta)
        residual = xp.sum(expected, axis=-1) - self.picks
        return residual @ self.contexts + self.ridge * theta

    def curvature(self, rates: Array, expected: Array, along: Array, direction: Array) -> Array:
        """Of the penalised loss in a direction (R, K, d) of utilities `along` (R, K, C): (R,)."""
        xp = namespace(rates)
        weight = xp.sum(expected - expected * rates, axis=-1)
        total = xp.sum(weight * along * along, axis=(1, 2))
        if rates.shape[1] == 2:
            together = xp.sum(xp.where(self.other, expected, 0.0)[:, 0, ...], axis=-1)
            theirs = xp.sum(xp.where(self.other, rates, 0.0)[:, 1, ...], axis=-1)
            cross = together * theirs * along[:, 0, :] * along[:, 1, :]
            total = total - 2.0 * xp.sum(cross, axis=-1)
        return total + xp.sum(self.ridge * direction * direction, axis=(1, 2))


def odds(utilities: Array) -> Array:
    """``exp(u)``, cut at :data:`LARGEST`."""
    xp = namespace(utilities)
    return xp.exp(xp.minimum(utilities, LARGEST))


def descend(
    block: Block, theta: Array, utilities: Array, tolerance: Array, steps: int
) -> tuple[Array, Array, Array]:
    """Take `steps` steps towards each run's minimum.

    Parameters
    ----------
    theta : (R, K, d). utilities : (R, K, C), theirs on the contexts.
    tolerance : (R,) gradient norm at which a run has converged; infinite where nothing is to do.

    Returns
    -------
    theta, utilities, and whether a run has still to converge, (R,) bool
    """
    xp = namespace(theta)
    rates = block.pick_rates(utilities)
    expected = block.serves * rates
    slope = block.gradient(theta, expected)
    active = _product(slope, slope) > tolerance * tolerance
    direction, before, gain = xp.zeros_like(theta), slope, None
    for _ in range(steps):
        steepest = xp.squeeze(block.inverse @ slope[..., None], axis=-1)
        gained = _product(steepest, slope)
        if gain is not None:
            turn = xp.maximum((gained - _product(steepest, before)) / gain, 0.0)
            direction = turn[:, None, None] * direction
        direction = direction - steepest
        along = direction @ xp.matrix_transpose(block.contexts)
        bend = block.curvature(rates, expected, along, direction)
        length = _product(slope, direction) / xp.where(active, -bend, 1.0)
        # A utility may change by as much as this, where the loss is not its parabola.
        reach = xp.abs(length) * xp.max(xp.abs(along), axis=(1, 2))
        length = xp.where(active, length / (1.0 + reach), 0.0)[:, None, None]
        theta, utilities = theta + length * direction, utilities + length * along
        before, gain = slope, xp.where(active, gained, 1.0)
        rates = block.pick_rates(utilities)
        expected = block.serves * rates
        slope = block.gradient(theta, expected)
        active = _product(slope, slope) > tolerance * tolerance
    return theta, utilities, active


def _product(one: Array, other: Array) -> Array:
    """Scalar products by run: (R, K, d) and (R, K, d) -> (R,)."""
    return namespace(one).sum(one * other, axis=(1, 2))
