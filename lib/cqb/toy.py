"""A queue small enough to follow by eye: three kinds of queries, four models, a dozen rounds.

The service and the learner are those of the real experiments; only the world is tiny. A query is
nothing but its kind, so a context has one entry per kind, and the learner's belief about a model
is one number per kind.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .environment import Environment, draw
from .policies import POLICIES, LearnerSettings, Service
from .simulate import IDLE, RETRY, Trajectory, simulate
from .streams import Streams

KINDS = ("maths", "code", "letter")
MODELS = ("Ada", "Bo", "Cy", "Dee")
# Chance that the user picks the model when it alone is offered: rows are kinds, columns models.
# Three specialists, and one model that is fair at everything.
RATES = np.array(
    [[0.85, 0.30, 0.20, 0.55], [0.20, 0.85, 0.25, 0.50], [0.25, 0.15, 0.85, 0.55]],
)
# A dozen rounds are too few for the settings of the experiments: a weaker ridge lets a single
# answer count, and more exploration lets one be seen.
QUICK = LearnerSettings(lambda0=0.25, alpha_coef=0.05, exploration_rate=0.15)


@dataclass(frozen=True)
class Play:
    """One run on the toy world.

    Attributes
    ----------
    trajectory : what happened to the learner's queue. oracle : and to the oracle's.
    kinds : the kind of every query, in the order of arrival.
    theta : (N, kinds) float64, the learner's estimates after the last round; 0 before the first.
    """

    trajectory: Trajectory
    oracle: Trajectory
    kinds: tuple[str, ...]
    theta: np.ndarray

    @property
    def T(self) -> int:
        """Rounds played."""
        return self.trajectory.pick.size


def world() -> Environment:
    """The toy world: as many pool entries as kinds, each a context of its own."""
    kinds = len(KINDS)
    return Environment(np.eye(kinds), np.arange(kinds), RATES / (1.0 - RATES), "toy", True)


def play(
    *, seed: int, T: int, K: int, arrival_rate: float, learner: LearnerSettings = QUICK
) -> Play:
    """ACQB and the oracle for T rounds on the same arrivals and the same outcome draws.

    Raises
    ------
    ValueError
        A setting is out of range.
    """
    here, streams = world(), Streams(seed)
    draws = draw(streams, here.pool_size, arrival_rate, T)
    service = Service(here.contexts, here.n_models, K, T, arrival_rate, learner)
    acqb, oracle = (POLICIES[name].make(service, streams, here) for name in ("ACQB", "ORACLE"))
    return Play(
        trajectory=simulate(here, acqb, K, draws),
        oracle=simulate(here, oracle, K, draws),
        kinds=tuple(KINDS[row] for row in draws.row[draws.arrives]),
        theta=acqb.theta.copy(),
    )


def diary(played: Play) -> pd.DataFrame:
    """The run round by round: who waits, who is served, what is offered, what the user does.

    One row per round, all columns text. Queries are numbered in the order of their arrival.
    """
    run = played.trajectory
    arrival = {int(t): query for query, t in enumerate(run.arrived)}
    queue: list[int] = []
    rows = []
    for t in range(1, played.T + 1):
        i, query = t - 1, int(run.query[t - 1])
        row = {"round": str(t), "waiting": " ".join(f"q{q + 1}" for q in queue)}
        if run.pick[i] != IDLE:
            queue.remove(query)
            retries = run.pick[i] == RETRY
            queue += [query] if retries else []
            row["served"] = f"q{query + 1} ({played.kinds[query]})"
            row["offered"] = offer(run, i) + (" (exploring)" if run.forced[i] else "")
            row["the user"] = "retries" if retries else f"picks {MODELS[run.pick[i]]}"
        if t in arrival:
            queue.append(arrival[t])
            row["arrives"] = f"q{arrival[t] + 1}"
        rows.append(row)
    columns = ["round", "waiting", "served", "offered", "the user", "arrives"]
    return pd.DataFrame(rows, columns=columns).replace("", "-").fillna("-")


def offer(run: Trajectory, i: int) -> str:
    """The models offered in round i + 1, as the text "Ada + Bo"."""
    return " + ".join(MODELS[j] for j in run.assortment[i])


def belief(theta: np.ndarray) -> pd.DataFrame:
    """What the learner believes, in percent: the chance that a lone offer is picked.

    `theta` is (N, kinds); the result has a row per kind and a column per model.
    """
    percent = 100.0 / (1.0 + np.exp(-theta.T))
    return pd.DataFrame(percent.round().astype(int), index=list(KINDS), columns=list(MODELS))


def truth() -> pd.DataFrame:
    """The same table as :func:`belief`, as it really is."""
    return belief(np.log(RATES / (1.0 - RATES)).T)


def before() -> pd.DataFrame:
    """The belief of a learner that has seen nothing."""
    return belief(np.zeros((len(MODELS), len(KINDS))))


def account(played: Play) -> str:
    """How the run went, in three lines: departures and retrials, who still waits, and the regrets."""
    run = played.trajectory
    served, retried = int((run.pick >= 0).sum()), int((run.pick == RETRY).sum())
    waits = [
        f"q{query + 1} ({played.kinds[query]}, in round {run.arrived[query]})"
        for query in np.flatnonzero(run.departed == 0)
    ]
    first, last = run.queue[-1], played.oracle.queue[-1]
    return (
        f"{run.arrived.size} queries in {played.T} rounds: {served} picks, {retried} retrials\n"
        f"still waiting (and since when): {', '.join(waits) or 'nobody'}\n"
        f"routing regret {run.regret.sum():.1f} departures; queue {first}, the oracle's {last}"
    )
