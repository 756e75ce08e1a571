"""What a policy is given (:class:`Service`), and how it is registered (:class:`PolicyEntry`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from ..environment import Environment, from_table
from ..exploration import ROTATIONS
from ..routing_table import RoutingTable
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
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected a positive number")
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
    """

    contexts: np.ndarray
    n_models: int
    K: int
    T: int
    arrival_rate: float
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    fresh_rate: float | None = None


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

    def table(self, policy: str, purpose: str) -> RoutingTable:
        """The routing table behind the run.

        Raises
        ------
        ValueError
            There is none: an environment has no rows outside its pool. The message names both.
        """
        if isinstance(self.world, Environment):
            raise ValueError(
                f"{policy}: {self.world.name} has no rows outside its pool {purpose}; "
                "expected a routing table"
            )
        return self.world


Factory = Callable[[Service, Streams], Policy]
TruthFactory = Callable[[Environment, int], Policy]


@dataclass(frozen=True)
class PolicyEntry:
    """A policy's printed name, how to build it, and where it applies.

    `factory` takes (service, streams); `from_truth` builds a reference policy from the environment
    itself and K. Exactly one of the two is given. An entry whose policy gets more than its service
    overrides one of the two methods.
    """

    name: str
    factory: Factory | None = None
    from_truth: TruthFactory | None = None
    k1_only: bool = False
    # Whether it needs rows of a routing table outside the pool.
    needs_table: ClassVar[bool] = False

    def environment(self, source: RunSource) -> Environment:
        """The environment that the policy is run on."""
        return source.environment()

    def make(
        self,
        service: Service,
        streams: Streams,
        truth: Environment,
        source: RunSource | None = None,
    ) -> Policy:
        """A fresh policy for one run; only reference policies see `truth`.

        Parameters
        ----------
        source : what the run is made from; read only by policies that need scored rows.

        Raises
        ------
        ValueError
            The policy is defined for K = 1 only and the service offers more.
        """
        if self.k1_only and service.K != 1:
            raise ValueError(f"{self.name}: defined for K = 1 only, found K = {service.K}")
        if self.from_truth is not None:
            return self.from_truth(truth, service.K)
        return self.factory(service, streams)
