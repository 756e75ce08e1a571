"""What a policy is given (:class:`Service`), and how it is registered (:class:`PolicyEntry`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..checks import number, positive
from ..environment import Environment, from_table
from ..exploration import ROTATIONS
from ..routing_table import RoutingTable, departure_odds, split_rows
from ..simulate import Policy
from ..streams import Streams


@dataclass(frozen=True)
class LearnerSettings:
    """Settings of the ACQB family (defaults: the paper's RouterBench settings).

    Attributes
    ----------
    lambda0 : ridge of the estimate and of the precision. kappa : link-slope constant.
    alpha_coef : factor on the theoretical confidence radius.
    exploration_rate : target share of rounds spent on forced exploration.
    rotation : order of the forced assortments, a name in :data:`cqb.exploration.ROTATIONS`.
    tolerance : gradient norm at which a refit stops.
    """

    lambda0: float = 1.0
    kappa: float = 4.0
    alpha_coef: float = 1e-4
    exploration_rate: float = 0.01
    rotation: str = "lexicographic"
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("lambda0", "kappa", "alpha_coef", "tolerance"):
            positive(name, getattr(self, name))
        # Experiments bound it by the arrival rate, and only for policies that explore.
        number("exploration_rate", self.exploration_rate)
        if self.rotation not in ROTATIONS:
            raise ValueError(
                f"rotation: found {self.rotation!r}, expected one of {', '.join(ROTATIONS)}"
            )

    def with_(self, **changes: float | str) -> LearnerSettings:
        """A copy with some settings changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Service:
    """What a policy knows before the first query.

    Attributes
    ----------
    contexts : (C, d) float64, the table that the context numbers of waiting queries index. A policy
        reads only rows of queries that have arrived.
    n_models : N. K : assortment size. T : horizon (only policies that need it read it).
    arrival_rate : lambda, queries per round.
    learner : settings of the learners.
    fresh_rate : chance that at least one query arrives in a round; by default the arrival rate.
    c1 : constant of the exploration coin; by default solved for the horizon, the chance of an arrival
        and the learner's exploration rate (:func:`cqb.exploration.solve_c1`).
    """

    contexts: np.ndarray
    n_models: int
    K: int
    T: int
    arrival_rate: float
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    fresh_rate: float | None = None
    c1: float | None = None


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Queries on which every model's answer was scored.

    Attributes
    ----------
    contexts : (n, d) float64. odds : (n, N) float64, departure odds of each model offered alone.
    """

    contexts: np.ndarray
    odds: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """(n, N) departure rates of each model offered alone."""
        return self.odds / (1.0 + self.odds)


@dataclass(frozen=True, eq=False)
class RunSource:
    """What the environment of a run is made from; hidden from the policy.

    Attributes
    ----------
    world : a routing table, whose job pool of `pool_size` rows `seed` draws, or an environment.
    lam : weight of a dollar against a point of score (a table's only).
    """

    world: RoutingTable | Environment
    seed: int
    lam: float
    pool_size: int

    def environment(self) -> Environment:
        """The environment with unrefined contexts; raises what :func:`.from_table` raises."""
        if isinstance(self.world, Environment):
            return self.world
        return from_table(self.world, self.seed, self.lam, self.pool_size)

    def table(self, policy: str) -> RoutingTable:
        """The routing table behind the run.

        Raises
        ------
        ValueError
            There is none: an environment has no rows outside its pool. The message names both.
        """
        if isinstance(self.world, Environment):
            raise ValueError(
                f"{policy}: {self.world.name} has no rows outside its pool to learn from; "
                "expected a routing table"
            )
        return self.world

    def scored_rows(self, policy: str, which: str) -> ScoredRows:
        """The rows "refinement" (the 110 after the pool) or "rest" (neither of the two), scored.

        ACQB-CL uses the refinement set too (arXiv 2602.02061). No online policy would have the rest.
        Utilities are stretched over these rows alone.

        Raises
        ------
        ValueError
            `which` is neither of the two, or there is no table (:meth:`table`); the message names it.
        """
        table = self.table(policy)
        split = split_rows(table, self.seed, pool_size=self.pool_size)
        used = np.concatenate([split.pool, split.refinement])
        known = {"refinement": split.refinement, "rest": np.setdiff1d(np.arange(len(table)), used)}
        if which not in known:
            raise ValueError(f"{policy}: rows: found {which!r}, expected {' or '.join(known)}")
        rows = known[which]
        return ScoredRows(table.embeddings[rows], departure_odds(table.utility(self.lam)[rows]))


@dataclass(frozen=True)
class PolicyEntry:
    """A policy's printed name, how to build it, and where it applies.

    Attributes
    ----------
    factory : takes (service, streams), and scored rows if `rows` names some.
    from_truth : in place of a factory, builds a reference policy from the environment itself and K.
    rows : the policy is given the rows "refinement" or "rest" (:meth:`RunSource.scored_rows`).
    settings : learner settings that replace the service's.
    needs_horizon : it reads the horizon T itself; other policies take from it no more than c1.
    """

    name: str
    factory: Callable[..., Policy] | None = None
    from_truth: Callable[[Environment, int], Policy] | None = None
    k1_only: bool = False
    rows: str | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    needs_horizon: bool = False

    @property
    def needs_table(self) -> bool:
        """Whether it needs rows of a routing table outside the pool."""
        return self.rows is not None

    def environment(self, source: RunSource) -> Environment:
        """The environment that the policy is run on."""
        return source.environment()

    def make(
        self,
        service: Service,
        streams: Streams,
        truth: Environment | None = None,
        source: RunSource | None = None,
    ) -> Policy:
        """A fresh policy for one run; only reference policies see `truth`.

        Parameters
        ----------
        source : what the run is made from; read only by policies that need scored rows.

        Raises
        ------
        ValueError
            The policy is defined for K = 1 only and the service offers more; or it needs scored rows
            and there is no source, its world is not a routing table, or too few rows are left.
        """
        if self.k1_only and service.K != 1:
            raise ValueError(f"{self.name}: defined for K = 1 only, found K = {service.K}")
        if self.from_truth is not None:
            return self.from_truth(truth, service.K)
        service = replace(service, learner=service.learner.with_(**self.settings))
        if self.rows is None:
            return self.factory(service, streams)
        if source is None:
            raise ValueError(f"{self.name}: found no source, expected one to take scored rows from")
        return self.factory(service, streams, source.scored_rows(self.name, self.rows))
