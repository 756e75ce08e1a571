"""A user's alternatives on one stream: ``python tests/benchmarks/peers.py [--short | --tune]``.

MABWiser, ParetoBandit and bayesianbandits (extra `peers`) as policies for K = 1, beside ours and the
plain reference: CPU milliseconds a round, and regret over seeds. All meet the same arrivals, prompts
and outcome draws on the default real rows. A model is an arm with reward 1 for a pick, 0 for a retrial.

None of these packages knows a queue. Each gets its best form out of a grid: which query is served (the
head of the queue, or of all waiting the one whose best model scores highest), which vectors it reads
(all coordinates, or 25 whitened principal components and a bias, as ParetoBandit ships them), and how
much it explores. `--tune` prints the regrets of the grid on seeds that are not reported; FORMS has the
best. (That of logistic TS is the best of a smaller grid, on two seeds, before the arms were mixed.) The
arms are in an order of each seed's own: a package that explores little stays with its first arm, and
would win by the order of the columns. Writes peers.json to the figures folder.
"""

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from speed import Timed  # sets one BLAS thread before NumPy is imported

sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
from scipy import stats

from cqb import datasets, paths
from cqb.environment import Environment, draw, from_table
from cqb.files import write_text
from cqb.policies import POLICIES, Service
from cqb.policies.base import RunSource
from cqb.routing_table import RoutingTable, split_rows
from cqb.simulate import RETRY, Assortment, Decision, Trajectory, Waiting, simulate
from cqb.streams import Streams
from cqb.studies.experiments import PARETOBANDIT
from cqb.study import provenance
from reference_learner import ReferenceLearner

CELL = PARETOBANDIT.cells[0]  # K = 1, lam 0
COMPONENTS = 25
SEEDS, TUNING_SEEDS = (42, 43, 44, 45, 46), (100, 101, 102, 103)
OURS = ("ACQB", "ACQB-recall", "TS-memory", "RANDOM")
ROUNDS = 2000
SLOW_ROUNDS = 100  # of what takes a tenth of a second and more a round
REFERENCE_ROUNDS = 1000


@dataclass(frozen=True)
class Form:
    """How a package is used.

    explore : its own parameter. whole : it reads all coordinates. head : it serves the queue's head.
    """

    policy: str
    explore: float
    whole: bool = False
    head: bool = False


class Peer:
    """A contextual bandit as a policy: it scores (query, model) pairs and learns from 0 and 1.

    Parameters
    ----------
    features : (C, f), the vectors that it reads, by context number. form : how it is used.
    n_models : N. seed : of its own random numbers, and of the order of its arms.
    """

    def __init__(self, features: np.ndarray, form: Form, n_models: int, seed: int) -> None:
        self._features, self._form, self._N = features, form, n_models
        self._model_of = np.random.default_rng(seed).permutation(n_models).tolist()
        self._build(features.shape[1], seed)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        """The pair of largest score; of equal ones the earliest query and the first arm."""
        contexts = waiting.context[:1] if self._form.head else waiting.context
        scores = self._scores(self._features[contexts])
        place, arm = np.unravel_index(np.argmax(scores), scores.shape)
        return Decision(int(place), (self._model_of[arm],))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        arm = self._model_of.index(assortment[0])
        self._learn(self._features[context], arm, float(pick != RETRY))

    def _build(self, d: int, seed: int) -> None:
        """Make the bandit; each package has its own of these three."""

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        """(q, N) scores of rows (q, f)."""

    def _learn(self, x: np.ndarray, arm: int, reward: float) -> None:
        """Learn from the reward of an arm at a vector (f,)."""


class MabWiser(Peer):
    """Ridge regression of the rewards by arm, with LinTS or LinUCB."""

    rule = "LinTS"

    def _build(self, d: int, seed: int) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        rule = getattr(LearningPolicy, self.rule)(alpha=self._form.explore)
        self._mab = MAB(list(range(self._N)), rule, seed=seed)
        # It predicts only once fitted; a zero vector with reward zero teaches nothing.
        self._mab.fit([0], [0.0], np.zeros((1, d)))

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        found = self._mab.predict_expectations(rows)
        found = [found] if isinstance(found, dict) else found
        return np.array([[row[j] for j in range(self._N)] for row in found])

    def _learn(self, x: np.ndarray, arm: int, reward: float) -> None:
        self._mab.partial_fit([arm], [reward], x[None])


class MabWiserUCB(MabWiser):
    rule = "LinUCB"


class ParetoBandit(Peer):
    """Its router on ready-made vectors, without prior, price or forgetting: the stream has none."""

    def _build(self, d: int, seed: int) -> None:
        from pareto_bandit import BanditRouter, FeatureService

        logging.getLogger("pareto_bandit").setLevel(logging.ERROR)
        price = {"input_cost_per_m": 1.0, "output_cost_per_m": 1.0}
        self._router = BanditRouter.create(
            {str(j): dict(price) for j in range(self._N)},
            priors="none",
            feature_service=FeatureService.for_precomputed(dimension=d),
            alpha=self._form.explore,
            forgetting_factor=1.0,
            cost_penalty=0.0,
            bandit_seed=seed,
        )

    def choose(self, t: int, waiting: Waiting) -> Decision:
        """The query whose best model has the largest score, then routed."""
        contexts = waiting.context[:1] if self._form.head else waiting.context
        scores = [self._router.bandit.select_arm(self._features[c])[1] for c in contexts]
        place = int(np.argmax(scores))
        arm, self._log = self._router.route(self._features[contexts[place]])
        return Decision(place, (self._model_of[int(arm)],))

    def _learn(self, x: np.ndarray, arm: int, reward: float) -> None:
        self._router.process_feedback(self._log.request_id, reward)


class BayesianBandits(Peer):
    """Thompson sampling of a Bayesian logistic regression by arm (its Laplace approximation)."""

    def _build(self, d: int, seed: int) -> None:
        from bayesianbandits import (
            Arm,
            BayesianGLM,
            ContextualAgent,
            LaplaceApproximator,
            ThompsonSampling,
        )

        step = LaplaceApproximator(n_iter=1)  # as its documentation says for fast online updates
        arms = [
            Arm(j, learner=BayesianGLM(alpha=self._form.explore, approximator=step))
            for j in range(self._N)
        ]
        self._agent = ContextualAgent(arms, ThompsonSampling(), random_seed=seed)

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        return np.column_stack([arm.sample(rows)[0] for arm in self._agent.arms])

    def _learn(self, x: np.ndarray, arm: int, reward: float) -> None:
        self._agent.select_for_update(arm).update(x[None], np.array([reward]))


PEERS: dict[str, tuple[str, type[Peer]]] = {
    "LinTS": ("mabwiser", MabWiser),
    "LinUCB": ("mabwiser", MabWiserUCB),
    "ParetoBandit": ("paretobandit", ParetoBandit),
    "logistic TS": ("bayesianbandits", BayesianBandits),
}
# The multiple of a standard deviation; of logistic TS, the precision of the prior.
EXPLORE = {
    "LinTS": (0.01, 0.1, 0.3),
    "LinUCB": (0.01, 0.1, 0.3),
    "ParetoBandit": (0.01, 0.1, 0.3),
    "logistic TS": (0.1, 1.0, 10.0),
}
FORMS = (
    Form("LinTS", 0.1),
    Form("LinUCB", 0.1),
    Form("ParetoBandit", 0.01),
    Form("logistic TS", 10.0, whole=True),
)


@dataclass(frozen=True)
class World:
    """One seed's stream: the environment, where it comes from, and both kinds of vectors."""

    here: Environment
    source: RunSource
    reduced: np.ndarray

    @property
    def seed(self) -> int:
        return self.source.seed


def world(table: RoutingTable, seed: int) -> World:
    """The stream of a seed; the components are those of the vectors outside its pool."""
    here = from_table(table, seed, CELL.lam)
    outside = np.setdiff1d(np.arange(len(table)), split_rows(table, seed).pool)
    vectors = table.embeddings[outside]
    center = vectors.mean(axis=0)
    _, sizes, axes = np.linalg.svd(vectors - center, full_matrices=False)
    scale = np.sqrt(len(vectors) - 1) / sizes[:COMPONENTS]
    reduced = (here.contexts - center) @ axes[:COMPONENTS].T * scale
    source = RunSource(table, seed, CELL.lam, here.pool_size)
    return World(here, source, np.column_stack([reduced, np.ones(len(reduced))]))


def run(at: World, T: int, make: Callable[[Service], Any]) -> tuple[Trajectory, np.ndarray]:
    """The first T rounds of the stream under a policy, and its CPU seconds in each."""
    service = Service(
        at.here.contexts,
        at.here.n_models,
        1,
        PARETOBANDIT.T,
        CELL.arrival_rate,
        PARETOBANDIT.learner,
    )
    policy = Timed(make(service), T)
    draws = draw(Streams(at.seed), at.here.pool_size, CELL.arrival_rate, T)
    return simulate(at.here, policy, 1, draws), policy.seconds


def maker(at: World, form: Form) -> Callable[[Service], Peer]:
    features = at.here.contexts if form.whole else at.reduced
    return lambda service: PEERS[form.policy][1](features, form, service.n_models, at.seed)


def ours(at: World, name: str) -> Callable[[Service], Any]:
    return lambda service: POLICIES[name].make(service, Streams(at.seed), at.here, at.source)


def milliseconds(trajectory: Trajectory, seconds: np.ndarray) -> np.ndarray:
    """Of each round in which somebody was served."""
    return 1e3 * seconds[trajectory.query >= 0]


def row(
    policy: str, package: str, runs: list[tuple[Trajectory, np.ndarray]], **about: Any
) -> dict[str, Any]:
    """A line of the table: mean regret, its 95% t-interval over the runs, and the time a round."""
    spent = np.concatenate([milliseconds(*one) for one in runs])
    regret = np.array([float(trajectory.regret.sum()) for trajectory, _ in runs])
    half = np.nan
    if len(runs) > 1:
        half = stats.t.ppf(0.975, len(runs) - 1) * stats.sem(regret)
    low, high = regret.mean() - half, regret.mean() + half
    return {
        "policy": policy,
        "package": package,
        "t": runs[0][0].pick.size,
        "seeds": len(runs),
        **about,
        "ms_mean": round(float(spent.mean()), 3),
        "ms_median": round(float(np.median(spent)), 3),
        "regret_mean": round(regret.mean(), 1),
        "regret_low": None if np.isnan(half) else round(low, 1),
        "regret_high": None if np.isnan(half) else round(high, 1),
    }


def version(package: str) -> str:
    return f"{package} {metadata.version(package)}"


def table_of(worlds: list[World], T: int) -> list[dict[str, Any]]:
    """Every line: ours, the plain reference, each package in its best form and with other vectors."""
    rows, d = [], worlds[0].here.contexts.shape[1]
    for name in OURS:
        run(worlds[0], min(T, 300), ours(worlds[0], name))  # compiles what is to be compiled
        rows.append(row(name, "cqb", [run(at, T, ours(at, name)) for at in worlds], d=d))
    few = min(T, REFERENCE_ROUNDS)
    fast = run(worlds[0], few, ours(worlds[0], "ACQB"))[0]
    plain = run(worlds[0], few, lambda service: ReferenceLearner(service, Streams(worlds[0].seed)))
    same = np.array_equal(fast.query, plain[0].query)
    same &= np.array_equal(fast.assortment, plain[0].assortment)
    rows.append(row("plain reference", "tests", [plain], d=d, same_decisions=bool(same)))
    for form in FORMS:
        package = version(PEERS[form.policy][0])
        about = {"d": d if form.whole else COMPONENTS + 1, **dataclasses.asdict(form)}
        runs = [run(at, T, maker(at, form)) for at in worlds]
        rows.append({**row(form.policy, package, runs), **about})
        other = dataclasses.replace(form, whole=not form.whole)
        about = {"d": d if other.whole else COMPONENTS + 1, **dataclasses.asdict(other)}
        few = [run(worlds[0], min(T, SLOW_ROUNDS), maker(worlds[0], other))]
        rows.append({**row(form.policy, package, few), **about})
    return rows


def grid() -> list[Form]:
    """What is tuned: all coordinates only where a round with them takes less than ten milliseconds."""
    forms = []
    for policy, values in EXPLORE.items():
        for value in values:
            forms += [Form(policy, value), Form(policy, value, head=True)]
            if policy in ("ParetoBandit", "logistic TS"):
                forms.append(Form(policy, value, whole=True))
    return forms


def tune(worlds: list[World], T: int) -> None:
    """Print the regret of every form of the grid."""
    for form in grid():
        runs = [run(at, T, maker(at, form)) for at in worlds]
        print(json.dumps({**dataclasses.asdict(form), **row(form.policy, "", runs)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a hundred rounds: does it run?")
    parser.add_argument("--tune", action="store_true", help="print the grid on the tuning seeds")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    table = datasets.load("paretobandit")
    if options.tune:
        tune([world(table, seed) for seed in TUNING_SEEDS], 1000)
        return
    record = provenance.stamp(command="make bench", data=table.name, seeds=SEEDS)
    worlds = [world(table, seed) for seed in (SEEDS[:2] if options.short else SEEDS)]
    rows = table_of(worlds, 40 if options.short else ROUNDS)
    for line in rows:
        print(json.dumps(line), flush=True)
    place = options.figures or paths.figures_dir()
    write_text(place / "peers.json", json.dumps({"record": record, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
