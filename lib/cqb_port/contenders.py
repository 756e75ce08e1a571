"""Every router of the comparison by its printed name: how it is made, and what it is told.

The baselines carry the names of arXiv 2509.02718; Predictor-* stand where it has Roberta-*.
"""

from __future__ import annotations

from collections.abc import Callable

from . import baselines, oracles
from .beyond import EVERY, BeyondPort, plus
from .features import Estimates
from .router import Port, PortSettings, Router
from .world import World

Made = tuple[Router, Estimates]
Maker = Callable[[World], Made]


def _port(mode: str) -> Maker:
    def make(world: World) -> Made:
        settings = PortSettings(epsilon=world.task.epsilon, mode=mode)
        random = world.random("first phase")
        return Port(world.budgets, world.horizon, settings, random=random), _nearest(world)

    return make


def port_r(world: World) -> Made:
    """PORT-R: re-solves on a schedule, knows no history's outcomes but through its estimates."""
    random = world.random("first phase")
    return BeyondPort(world.budgets, world.horizon, random=random), _nearest(world)


def _with_history(every: int | None) -> Maker:
    def make(world: World) -> Made:
        known = world.deal.nearest_left_out(world.task.k)
        router = BeyondPort(world.budgets, world.horizon, every=every, history=known)
        return router, _nearest(world)

    return make


def port_rh_plus(world: World) -> Made:
    """PORT-RH+: PORT-RH on the trained predictor, as :func:`.beyond.plus` makes it."""
    known = world.deal.predicted_left_out
    return plus(world.budgets, world.horizon, known), _predicted(world)


def _told(estimates: Callable[[World], Estimates], rule: Callable[[World], Router]) -> Maker:
    def make(world: World) -> Made:
        return rule(world), estimates(world)

    return make


def _nearest(world: World) -> Estimates:
    return world.arriving(world.deal.nearest(world.task.k))


def _approximate(world: World) -> Estimates:
    return world.arriving(world.deal.approximate(world.task.k))


def _predicted(world: World) -> Estimates:
    return world.arriving(world.deal.predicted)


def _truth(world: World) -> Estimates:
    return Estimates(world.scores, world.costs)


def _random(world: World) -> Router:
    return baselines.RandomRouter(world.budgets, world.horizon, random=world.random("baseline"))


def _best_score(world: World) -> Router:
    return baselines.PerfRouter()


def _most_left(world: World) -> Router:
    return baselines.CostRouter(world.budgets)


def _batch_split(world: World) -> Router:
    return baselines.BatchSplit(world.budgets)


def _approx_optimum(world: World) -> Router:
    return oracles.Planned(oracles.optimal_plan(_nearest(world), world.budgets))


def _optimum(world: World) -> Router:
    return oracles.Planned(oracles.optimal_plan(_truth(world), world.budgets))


PUBLISHED: dict[str, Maker] = {"PORT": _port("dual"), "PORT-ref": _port("reference")}
OURS: dict[str, Maker] = {
    "PORT-R": port_r,
    "PORT-H": _with_history(every=None),
    "PORT-RH": _with_history(every=EVERY),
    "PORT-RH+": port_rh_plus,
}
BASELINES: dict[str, Maker] = {
    "Random": _told(_nearest, _random),
    "Greedy-Perf": _told(_approximate, _best_score),
    "Greedy-Cost": _told(_approximate, _most_left),
    "KNN-Perf": _told(_nearest, _best_score),
    "KNN-Cost": _told(_nearest, _most_left),
    "BatchSplit": _told(_nearest, _batch_split),
    "Predictor-Perf": _told(_predicted, _best_score),
    "Predictor-Cost": _told(_predicted, _most_left),
}
YARDSTICKS: dict[str, Maker] = {
    "Approx Optimum": _told(_nearest, _approx_optimum),
    "Optimum": _told(_truth, _optimum),
}
CONTENDERS = {**PUBLISHED, **OURS, **BASELINES, **YARDSTICKS}
