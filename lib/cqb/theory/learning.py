"""Checks of what learners do: information (R8), coverage (R9), the plateau (R10), the radius (R11)."""

from functools import partial

import numpy as np
import pandas as pd

from ..policies import LearnerSettings, Service
from ..policies.cqb_opt import cqb_epsilon_ucb
from ..posterior import confidence_radius
from ..simulate import Assortment, Decision, Policy, Waiting
from ..stats import interval
from ..streams import Streams
from ..synthetic import Scenario, linear_world, predecessor
from . import OUT_OF_REACH, Check, Row, Task, at_most, decided, resamples
from .worlds import TUNED, D, N, anytime_acqb, play, rate_world, run, service_of, tau

RADII = (0.003, 0.03, 0.3, 1.0)
R8_C1 = 8.0  # large, to have many exploration samples
SLACKS = (0.05, 0.1, 0.15)
PUBLISHED = "published"  # the case of R10 with the published arrival rate
EPSILONS = (*map(str, SLACKS), PUBLISHED)
PLATEAU_CONSTANT = 0.05  # c of R10's tau: long enough to be seen, and below T/5 at epsilon = .05
PLATEAU_LEARNER = LearnerSettings(kappa=10.0, alpha_coef=0.01, rotation="balanced")
FEWEST = 5  # instances of R10; a bootstrap over fewer says nothing


def information(task: Task) -> pd.DataFrame:
    """R8: after n exploration samples, V_j's smallest eigenvalue against its bound, a row per model.

    The contexts are uniform on the sphere, so sigma0^2 = 1/d. The matrix Chernoff bound on the chance
    of a shortfall is ``d exp(-n sigma0^2 / 8)``.
    """
    world = rate_world(task.seed)
    policy = anytime_acqb(service_of(world, task.T), Streams(task.seed), R8_C1)
    found = run(world, policy, task.seed, task.T)
    vectors = world.environment.contexts[world.environment.context_of]
    d, lambda0 = vectors.shape[1], TUNED.lambda0
    mine = [found.forced & (found.assortment == j).any(axis=1) for j in range(N)]
    samples = [vectors[found.row[rounds]] for rounds in mine]
    n = np.array([len(x) for x in samples])
    columns = {
        "n": n,
        "smallest eigenvalue": [np.linalg.eigvalsh(x.T @ x)[0] + lambda0 for x in samples],
        "bound": lambda0 + n / (2.0 * d),
        "mean": lambda0 + n / d,
        "chernoff": d * np.exp(-n / (8.0 * d)),
    }
    return pd.DataFrame(columns)


def judge_information(rows: pd.DataFrame) -> Check:
    """R8: V_j's smallest eigenvalue is at least lambda0 plus half its mean growth."""
    table = rows[["n", "smallest eigenvalue", "bound", "mean", "chernoff"]]
    share, low, high, _ = interval(table["smallest eigenvalue"] < table["bound"])
    chernoff = min(float(table["chernoff"].mean()), 1.0)
    return Check(
        "V_j's smallest eigenvalue is at least lambda0 + sigma0^2 n_j / 2 with high probability",
        table,
        *(share, max(low, 0.0), high),
        f"share of shortfalls at most the matrix Chernoff bound, {chernoff:.2g}",
        at_most(max(low, 0.0), high, chernoff, 0.2),
        f"{len(table)} models; n_j from {table['n'].min()} to {table['n'].max()}",
    )


class Watched:
    """A learner whose distance from the truth is recorded after every round.

    ratios : (rounds served,) largest ``|theta_j - theta_j*|_{V_j}`` over the theoretical radius, over
    the models offered in that round.
    """

    def __init__(self, policy: Policy, world: Scenario, service: Service) -> None:
        self._policy, self._world, self._service = policy, world, service
        d, N = service.contexts.shape[1], service.n_models
        self._precision = np.tile(service.learner.lambda0 * np.eye(d), (N, 1, 1))
        self.ratios: list[float] = []

    def choose(self, t: int, waiting: Waiting) -> Decision:
        return self._policy.choose(t, waiting)

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._policy.observe(t, query, context, assortment, pick)
        s, x = self._service.learner, self._service.contexts[context]
        radius = confidence_radius(t, x.size, self._service.K, s.lambda0, s.kappa, 1.0)
        distances = []
        for j in assortment:
            self._precision[j] += np.outer(x, x)
            off = self._policy.theta[j] - self._world.theta[j]
            distances.append(float(np.sqrt(off @ self._precision[j] @ off)))
        self.ratios.append(max(distances) / radius)


def coverage(task: Task) -> Row:
    """R9: with |theta*| = 1, the largest distance from the truth in one run, over the radius."""
    # The logistic slope at utilities up to 1 is at least 1/kappa.
    learner = TUNED.with_(kappa=float((1.0 + np.e) ** 2 / np.e))
    world = linear_world(task.seed, N=N, d=D, scale=1.0)
    service = service_of(world, task.T, learner)
    watched = Watched(anytime_acqb(service, Streams(task.seed)), world, service)
    run(world, watched, task.seed, task.T)
    return {"largest ratio": max(watched.ratios)}


def judge_coverage(rows: pd.DataFrame) -> Check:
    """R9: the truth stays within the theoretical radius, and by how much."""
    largest = rows["largest ratio"].to_numpy()
    quantile = float(np.quantile(largest, 0.95))
    resampled = np.quantile(largest[resamples(largest.size, 1_000)], 0.95, axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    outside = int((largest > 1.0).sum())
    return Check(
        "|theta_j - theta_j*| in the norm of V_j stays under the radius in 1 - 1/T of runs",
        rows[["seed", "largest ratio"]],
        *(quantile, low, high),
        "no run leaves the radius, and the 95% quantile of largest distance / radius is below 1",
        decided(outside == 0 and high < 1.0),
        f"{outside} of {largest.size} runs left it; {3 * rows['T'].iloc[0]:,} runs would certify "
        f"1 - 1/T itself. The radius is about {1 / quantile:.0f} times what these runs needed",
    )


def radius(task: Task) -> Row:
    """R11: ACQB's regret with a multiple of the theoretical radius."""
    (coefficient,) = task.case
    learner = TUNED.with_(alpha_coef=coefficient)
    pair = play(rate_world(task.seed), "ACQB", task.T, task.seed, learner)
    return {"alpha_coef": coefficient, "regret": float(pair.learner.regret.sum())}


def judge_radius(rows: pd.DataFrame) -> Check:
    """R11: regret against alpha_coef is a U: both ends of the grid cost more than its tuned value."""
    regret = rows.pivot(index="seed", columns="alpha_coef", values="regret")
    tuned = TUNED.alpha_coef  # chosen on other instances
    smallest, largest = (
        interval(np.log(regret[end] / regret[tuned])) for end in (RADII[0], RADII[-1])
    )
    ratio, low, high = np.exp(largest[:3]).tolist()
    verdict = decided(low > 2.0 and smallest.low > 0.0, high < 2.0 or smallest.high < 0.0)
    left = np.exp([smallest.mean, smallest.low, smallest.high])
    note = (
        f"T = {rows['T'].iloc[0]}, {len(regret)} instances; alpha_coef {RADII[0]} has "
        f"{left[0]:.2f} times the regret of {tuned} ({left[1]:.2f} to {left[2]:.2f})"
    )
    return Check(
        "regret against alpha_coef is a U, and the theoretical radius is far up its right arm",
        regret.mean().rename("regret").reset_index(),
        *(ratio, low, high),
        f"regret at alpha_coef = 1 over that at {tuned}, interval above 2; at {RADII[0]} over that at "
        f"{tuned}, interval above 1",
        verdict,
        note + ("; would need twice the instances" if verdict == OUT_OF_REACH else ""),
    )


def preset(task: Task) -> Row:
    """R10: the oracle's largest stable arrival rate in an instance of the predecessor, T queries."""
    how = {"law": "cube", "pool_size": task.T, "epsilon": 0.0}
    return {"capacity": linear_world(task.seed, N=5, d=5, **how).capacity}


def plateau(task: Task) -> pd.DataFrame:
    """R10: the queues of CQB-eps and of the oracle in one run, a row for each of t = 0..T."""
    (epsilon,) = task.case
    slack, pure = _plan(epsilon, task.T)
    world = predecessor(task.seed, slack, published=epsilon == PUBLISHED)
    pair = play(world, partial(cqb_epsilon_ucb, tau=pure), task.T, task.seed, PLATEAU_LEARNER)
    queues = {"learner": pair.learner.queue, "oracle": pair.oracle.queue}
    return pd.DataFrame({"epsilon": epsilon, **queues})


def _plan(epsilon: str, T: int) -> tuple[float, int]:
    """The slackness of a case of R10, and CQB-eps' rounds of pure exploration."""
    slack = 0.1 if epsilon == PUBLISHED else float(epsilon)
    return slack, tau(5, T, slack, PLATEAU_CONSTANT)


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean queues of R10 by round: epsilon, t, learner, oracle."""
    groups = _by_round(rows).groupby(["epsilon", "t"], sort=False)
    return groups[["learner", "oracle"]].mean().reset_index()


def _by_round(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of R10's runs with the round `t`, which is not stored: a run's rows are in order."""
    runs = rows.dropna(subset="epsilon")
    return runs.assign(t=runs.groupby(["epsilon", "seed"]).cumcount())


def ends(queues: np.ndarray) -> np.ndarray:
    """The last round in which each of some queues (n, T + 1) is above half its peak: (n,)."""
    above = queues > 0.5 * queues.max(axis=1, keepdims=True)
    return queues.shape[1] - 1 - above[:, ::-1].argmax(axis=1)


def plateau_table(rows: pd.DataFrame) -> pd.DataFrame:
    """R10: peak, last round above half of it, and last queue of the mean queues, by epsilon."""
    mean = curves(rows).pivot(index="epsilon", columns="t")
    queues, T = mean["learner"], mean["learner"].columns[-1]
    columns = {
        "tau": [_plan(epsilon, T)[1] for epsilon in queues.index],
        "peak": queues.max(axis=1),
        "peak at": queues.idxmax(axis=1),
        "last round above half": ends(queues.to_numpy()),
        "queue at T": queues[T],
        "oracle at T": mean["oracle"][T],
    }
    return pd.DataFrame(columns, index=queues.index).reset_index()


def judge_plateau(rows: pd.DataFrame) -> Check:
    """R10: CQB-eps' queue builds up while it explores purely, then drops; and how the preset is."""
    runs = _by_round(rows).pivot(index=["epsilon", "seed"], columns="t", values="learner")
    queues = np.array([runs.loc[str(slack)] for slack in SLACKS])
    return _plateau_check(plateau_table(rows), queues, rows["capacity"].dropna())


def _plateau_check(table: pd.DataFrame, queues: np.ndarray, capacity: pd.Series) -> Check:
    """Judge by a bootstrap over instances: `queues` is (slacknesses, instances, T + 1)."""
    instances = queues.shape[1]
    picks = resamples(instances, 1_000, seed=10)
    # Whole counts: whether a mean queue is above half its peak must not depend on rounding.
    counts = np.array([np.bincount(pick, minlength=instances) for pick in picks], float)
    last = np.array([ends(counts @ queue) for queue in queues])
    # Two gaps and a ratio: intervals that hold jointly.
    cut = 0.025 / 3
    low, high = np.quantile(last[:-1] - last[1:], [cut, 1.0 - cut], axis=1)
    enough = instances >= FEWEST
    ratio = np.quantile(last[0] / last[2], [cut, 1.0 - cut]).tolist() if enough else [np.nan] * 2
    drops = bool((table["queue at T"][:3] < 0.5 * table["peak"][:3]).all())
    verdict = decided(enough and drops and (low > 0).all(), enough and (high < 0).any())
    rounds = table["last round above half"].to_numpy()
    between = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(low, high, strict=True))
    later = f"later by {between} rounds (.05 to .1, .1 to .15)" if enough else "too few instances"
    return Check(
        "CQB-eps' queue builds up during tau, then drops; longer for smaller epsilon",
        table,
        *(float(rounds[0] / rounds[2]), *ratio),
        "the last round above half the peak comes later for each smaller epsilon, by intervals "
        "that leave out 0, and the queue at T is below half the peak (estimate: that round at "
        ".05 over that at .15)",
        verdict,
        f"c = {PLATEAU_CONSTANT}; {later}; the preset as published is unstable: "
        f"capacity {capacity.mean():.3f} +- {capacity.std():.3f} over {len(capacity)} instances, "
        "against lambda = .7",
    )
