"""Persistence: how the past rounds of a query bear on its next attempt, as a Bayesian filter.

This module states hypotheses; :mod:`.filter` learns their probabilities while serving.

Whether model j can answer query q is a latent number ``f = <x_q, theta_j> + b_qj + e`` above or below
zero. The effect b stays with the query and e is redrawn on every attempt: ``b_q ~ N(0, share R)`` over
the models, ``e ~ N(0, 1 - share)``. The probability of success on the FIRST attempt,
``Phi(<x_q, theta_j>)``, is the same in every hypothesis; only later attempts distinguish them. With
share 0 attempts are independent given the context (the paper's assumption, theory A2; ACQB's b = 0),
with share 1 an answer never changes. R has the same correlation between any two models (a query hard
for one is hard for the others), or is estimated from scored rows. A capable model departs the query at
rate `high`, another at rate `low`, as in item response models with guessing and slipping (Barton and
Lord, 1981; the probit form with correlated effects is the multivariate probit of Chib and Greenberg,
1998).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

UNITS = ("query", "prompt")


@dataclass(frozen=True)
class Persistence:
    """One hypothesis.

    Attributes
    ----------
    unit : to what the effect belongs: one arrival ("query"), or every arrival with the very same
        context vector ("prompt").
    share : of the latent variance that persists, in [0, 1).
    agreement : correlation of the effect between two models, in [0, 1).
    low, high : departure rates of an incapable and of a capable model, 0 < low < high < 1.

    Raises
    ------
    ValueError
        A value is outside its range.
    """

    unit: str = "query"
    share: float = 0.0
    agreement: float = 0.0
    low: float = 0.001
    high: float = 0.999

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit: found {self.unit!r}, expected one of {', '.join(UNITS)}")
        for name in ("share", "agreement"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected in [0, 1)")
        if not 0.0 < self.low < self.high < 1.0:
            raise ValueError(
                f"low, high: found {self.low}, {self.high}, expected 0 < low < high < 1"
            )

    def correlation(self, n_models: int) -> np.ndarray:
        """R, (N, N): `agreement` off the diagonal."""
        return np.where(np.eye(n_models, dtype=bool), 1.0, self.agreement)


FRESH = Persistence()

# Nothing persists, or half or most of a query's or prompt's difficulty does; incapable models succeed in
# a tenth or in two fifths of the attempts.
HYPOTHESES = (
    FRESH,
    *(
        Persistence(unit, share, 0.3, low, 0.98)
        for unit, share, low in product(UNITS, (0.5, 0.9), (0.1, 0.4))
    ),
)


@dataclass(frozen=True)
class Prior:
    """Standard deviations of the latent utilities' parts, in units of an attempt's total noise.

    Attributes
    ----------
    context : of a model's own part at a unit context: how far the text is trusted. intercept : of its
        intercept.
    hypotheses : of persistence, with equal prior weights.
    """

    context: float = 0.1
    intercept: float = 0.5
    hypotheses: tuple[Persistence, ...] = HYPOTHESES
