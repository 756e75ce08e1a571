"""What scored rows tell a filter before the first query: agreement of models, spread of parameters."""

from __future__ import annotations

import numpy as np
import pytest

from cqb.persistence import Prior
from cqb.persistence.filter import SPREADS, Filter, correlation_of, studied


def test_scored_rows_give_the_correlation_of_effects():
    # 4,000 rows of a known correlation: standard error .02 or less, so .08 is four of them.
    R = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.4], [0.0, -0.4, 1.0]])
    z = np.random.default_rng(2).multivariate_normal(np.zeros(3), R, size=4000)
    np.testing.assert_allclose(correlation_of(1.0 * (z > 0), np.eye(3)), R, atol=0.08)
    constant = np.column_stack([z[:, 0] > 0, np.ones(4000)])
    prior = np.array([[1.0, 0.3], [0.3, 1.0]])
    np.testing.assert_allclose(correlation_of(constant, prior), prior, atol=1e-12)
    assert np.linalg.eigvalsh(correlation_of(1.0 * (z[:4] > 0), np.eye(3))).min() > 0


def _rows(spread, seed, n=110, N=6, d=12):
    """Unit contexts, as queries and rows, and two-valued rates: utilities of this spread, noise of 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    latent = spread * x @ rng.normal(size=(d, N)) + rng.normal(size=(n, N))
    return x, x, np.where(latent > 0, 0.99, 0.1)


@pytest.mark.parametrize("seed", range(3))
def test_rows_tell_how_much_contexts_tell(seed):
    # In all of 40 seeds tried: 1/8 or 1/4 where contexts tell nothing, 2 or 4 where they tell much.
    chosen = {
        spread: studied(*_rows(spread, seed), Prior())._prior.context for spread in (0.0, 4.0)
    }
    assert chosen[0.0] <= 0.25
    assert chosen[4.0] >= 2.0


def test_the_spread_is_the_one_of_largest_probability_of_the_rows_in_order():
    # The probability of the scores, one after another, each before it is learned from.
    x, _, rates = _rows(1.0, 7, n=20, N=3)
    scores = []
    for spread in SPREADS:
        prior = Prior(context=spread)
        correlations = np.array([correlation_of(rates, w.correlation(3)) for w in prior.hypotheses])
        filter_, total = Filter(x, 3, prior, correlations), 0.0
        for row in range(20):
            filter_.arrive([row], [row])
            for j in range(3):
                before = filter_.log_evidence.copy()
                filter_.observe_score(row, j, rates[row, j])
                ahead, behind = (np.logaddexp.reduce(e) for e in (filter_.log_evidence, before))
                total += ahead - behind
        scores.append(total)
        assert Filter(x, 3, prior, correlations).study(x, rates) == pytest.approx(total)
    assert studied(x, x, rates, Prior())._prior.context == SPREADS[int(np.argmax(scores))]
