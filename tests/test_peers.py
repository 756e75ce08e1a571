"""The adapters of other bandit packages (extra `peers`): they learn, and they serve what they score."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
import peers

from cqb.environment import draw, pooled_environment
from cqb.simulate import Waiting, simulate
from cqb.streams import Streams

EXPLORE = {"LinTS": 0.5, "LinUCB": 0.5, "ParetoBandit": 0.5, "logistic TS": 1.0}


@pytest.fixture(scope="module")
def opposites():
    """Three kinds of query, each answered by one model of its own and hardly by the others."""
    odds = np.full((30, 3), 0.05)
    kinds = np.arange(30) % 3
    odds[np.arange(30), (kinds + 1) % 3] = 20.0
    return pooled_environment("opposites", True, np.eye(3)[kinds], odds)


@pytest.mark.parametrize("policy", peers.PEERS)
def test_a_package_learns_which_model_answers_which_kind(opposites, policy):
    package, kind = peers.PEERS[policy]
    if not find_spec(package.replace("paretobandit", "pareto_bandit")):
        pytest.skip("the extra peers is not installed")
    form = peers.Form(policy, EXPLORE[policy])
    policy = kind(opposites.contexts, form, 3, seed=5)
    run = simulate(opposites, policy, 1, draw(Streams(7), 30, 0.6, 300))
    late = run.assortment[200:, 0][run.row[200:] >= 0]
    kinds = run.row[200:][run.row[200:] >= 0] % 3
    assert late.size > 50
    assert np.mean(late == (kinds + 1) % 3) > 0.8


@pytest.mark.parametrize(("head", "place"), [(False, 2), (True, 0)])
def test_the_query_of_largest_score_or_the_head_is_served(monkeypatch, head, place):
    scores = np.array([[0.1, 0.3, 0.2], [0.0, 0.0, 0.4], [0.9, 0.1, 0.2]])
    monkeypatch.setattr(peers.Peer, "_build", lambda self, d, seed: None)
    policy = peers.Peer(np.ones((3, 2)), peers.Form("LinUCB", 0.1, head=head), 3, seed=0)
    monkeypatch.setattr(peers.Peer, "_scores", lambda self, rows: scores[: len(rows)])
    arm = int(np.argmax(scores[place]))
    decision = policy.choose(1, Waiting([4, 5, 6], [0, 1, 2], [0, 1, 2], False))
    assert decision == (place, (policy._model_of[arm],), False)


def test_the_order_of_the_arms_depends_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr(peers.Peer, "_build", lambda self, d, seed: None)
    orders = {
        tuple(peers.Peer(np.ones((1, 2)), peers.FORMS[0], 3, seed)._model_of) for seed in range(20)
    }
    assert len(orders) == 6
