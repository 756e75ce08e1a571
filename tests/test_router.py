"""The router: the simulator's decisions on vectors that come one by one, saved and loaded."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save, save_file

from cqb import Router, solve_c1
from cqb.environment import draw
from cqb.files import content_hash
from cqb.policies import POLICIES, LearnerSettings, Service
from cqb.simulate import simulate
from cqb.streams import Streams
from serve.driven import Driven

T, RATE, SEED = 300, 0.5, 3
LEARNER = LearnerSettings(exploration_rate=0.1, alpha_coef=0.02)
C1 = solve_c1(0.1, RATE, T)
HELD = (
    *("ACQB", "ACQB-online", "ACQB-tuned", "ACQB-P", "ACQB-P-tuned-prompt", "CQB-Opt", "RANDOM"),
    *("TS-memory", "TS-memory-prompt", "CYCLE", "ACQB-recall", "Q-UCB", "Q-ThS"),
)
NAMES = tuple("abcde")


def router_for(policy: str, K: int = 1, d: int = 8) -> Router:
    return Router(policy, NAMES, d, K, c1=C1, seed=SEED, learner=LEARNER)


CASES = [(p, K) for p in HELD for K in (1, 2) if K == 1 or not POLICIES[p].k1_only]


@pytest.mark.parametrize(("policy", "K"), CASES)
def test_it_takes_the_decisions_of_the_simulator(linear_world, tmp_path, policy, K):
    """In pieces, too: a saved and loaded router goes on as the one that was saved."""
    world, streams = linear_world(1), Streams(SEED)
    draws = draw(streams, world.pool_size, RATE, T)
    service = Service(world.contexts, 5, K, T, RATE, LEARNER)
    alone = simulate(world, POLICIES[policy].make(service, streams, world), K, draws)

    driven = Driven(router_for(policy, K), world.contexts, tmp_path / "router", 71)
    live = simulate(world, driven, K, draws)
    if policy == "ACQB" and K == 2:
        assert driven.router._policy._estimator._joint  # inverses that come to be while it works
    assert (alone.retrial & (alone.pick >= 0)).any()
    assert len({tuple(s) for s in alone.assortment}) > 3
    for name in ("query", "assortment", "pick", "queue"):
        np.testing.assert_array_equal(getattr(live, name), getattr(alone, name), name)


def test_policies_that_a_service_cannot_hold_are_refused_and_all_others_are_held():
    for name, entry in POLICIES.items():
        if entry.from_truth or entry.needs_table or entry.needs_horizon:
            with pytest.raises(
                ValueError, match=f"policy: {name} needs .* a service does not have"
            ):
                router_for(name)
        else:
            router_for(name)
    with pytest.raises(ValueError, match="policy: found 'ACBQ', expected one of"):
        router_for("ACBQ")


@pytest.mark.parametrize("policy", [n for n, e in POLICIES.items() if not e.needs_table])
def test_only_policies_marked_so_read_the_horizon(linear_world, policy):
    entry, world = POLICIES[policy], linear_world(1)
    runs = []
    draws = draw(Streams(SEED), world.pool_size, RATE, 120)
    for horizon in (T, 4 * T):
        service = Service(world.contexts, 5, 1, horizon, RATE, LEARNER, c1=C1)
        runs.append(simulate(world, entry.make(service, Streams(SEED), world), 1, draws))
    agree = all(np.array_equal(getattr(runs[0], n), getattr(runs[1], n)) for n in ("query", "pick"))
    assert agree != entry.needs_horizon


def test_settings_are_checked():
    for given, message in (
        ({"models": ("a", "a")}, "models: found .*'a', 'a'.*, expected distinct names"),
        ({"K": 5}, "K: found 5, expected at least 1 and fewer than the 5 models"),
        ({"d": 0}, "d: found 0"),
        ({"c1": float("nan")}, "c1: found nan"),
        ({"c1": None}, "c1: found None and no horizon, expected a number"),
    ):
        settings = {"policy": "ACQB", "models": NAMES, "d": 2, "c1": 0.5} | given
        with pytest.raises(ValueError, match=message):
            Router(**settings)
    Router("TS-memory", NAMES, 2)  # tosses no coin


@pytest.mark.parametrize("bad", [[1.0], [1.0, float("inf")], "text", None, [[1.0, 2.0]]])
def test_a_bad_vector_names_its_query_and_changes_nothing(bad):
    router, clean = router_for("ACQB", d=2), router_for("ACQB", d=2)
    with pytest.raises(ValueError, match=r"query 'two': found .*expected a vector of 2 finite"):
        router.choose({"one": np.ones(2), "two": bad})
    both = {"one": np.ones(2), "two": np.zeros(2)}
    assert router.choose(both) == clean.choose(both)
    assert router._round == 1


def test_answers_that_no_offer_asked_for_are_refused():
    router = router_for("ACQB", d=2)
    with pytest.raises(KeyError, match="query 'x': found no open offer"):
        router.observe("x", None)
    offer = router.choose({"x": np.ones(2)})
    assert router.choose({"x": None}) is None  # its user has not answered
    other = next(name for name in NAMES if name not in offer.models)
    with pytest.raises(ValueError, match=f"query 'x': found '{other}', expected one of"):
        router.observe("x", other)
    router.observe("x", offer.models[0])
    with pytest.raises(KeyError, match="query 'x': found no open offer"):
        router.observe("x", offer.models[0])


def test_a_departed_query_leaves_nothing_but_its_vector():
    router = router_for("ACQB", d=2)
    for _ in range(3):
        offer = router.choose({"x": np.ones(2)})
        router.observe("x", offer.models[0])
    assert (router._queries, router._open, len(router._context_of)) == ({}, {}, 1)


def test_a_query_that_left_is_forgotten_and_its_id_is_free():
    router = router_for("ACQB", d=2)
    with pytest.raises(KeyError, match="query 'x': found no such query"):
        router.forget("x")
    router.choose({"x": np.ones(2)})
    with pytest.raises(KeyError, match="query 'x': found an open offer"):
        router.forget("x")
    router.observe("x", None)
    router.forget("x")
    assert router._queries == {}
    offer = router.choose({"x": np.array([1.0, 0.0])})  # another user, another vector
    assert router._queries["x"] == (1, 1)
    router.observe("x", offer.models[0])


def test_threads_share_one_router():
    """Four users at a time; every offer is answered once, and the counts add up."""
    router, failures = router_for("ACQB-P", d=4), []
    vectors = np.random.default_rng(0).normal(size=(4, 30, 4))

    def use(worker: int) -> None:
        try:
            for n, x in enumerate(vectors[worker]):
                query = (worker, n)
                for outcome in (None, "pick"):
                    offer = router.choose({str(query): x})
                    assert offer.query == str(query)
                    router.observe(offer.query, outcome and offer.models[0])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (router._round, router._arrived, len(router._context_of)) == (240, 120, 120)
    assert sum(router._policy._estimator._serves) == 240


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """The file of a router at work."""
    router, path = router_for("ACQB", d=2), tmp_path / "router.safetensors"
    router.notes = {"queue": ["y"]}
    for pick in (0, None):
        offer = router.choose({"x": np.ones(2), "y": np.zeros(2)})
        router.observe(offer.query, None if pick is None else offer.models[pick])
    router.save(path)
    return path


def test_notes_and_ids_are_saved_and_a_save_of_what_was_loaded_is_the_same(written):
    before = content_hash(load(written.read_bytes()))
    router = Router.load(written)
    assert router.notes == {"queue": ["y"]}
    router.save(written)
    assert content_hash(load(written.read_bytes())) == before


def test_every_damaged_byte_is_noticed(written):
    content = written.read_bytes()
    at = np.random.default_rng(1).integers(0, len(content), 40).tolist()
    for place in (*at, 0, 8, 9, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        written.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{written.name}: "):
            Router.load(written)
    for length in (0, 7, 100, len(content) // 2, len(content) - 1):
        written.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{written.name}: "):
            Router.load(written)


def test_foreign_and_older_files_are_named(written, tmp_path):
    arrays = load(written.read_bytes())

    def rewritten(arrays, form="cqb router 2"):
        about = {"format": form, "sha256": content_hash(arrays)}
        written.write_bytes(save(arrays, about))

    save_file({"x": np.ones(2)}, written)
    with pytest.raises(ValueError, match="found format None, expected 'cqb router 2'"):
        Router.load(written)
    rewritten(arrays, "cqb router 1")
    with pytest.raises(ValueError, match="found format 'cqb router 1', expected 'cqb router 2'"):
        Router.load(written)
    record = json.loads(arrays["record"].tobytes())
    del record["policy"]["object"]["_deviation"]
    older = arrays | {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)}
    rewritten(older)
    with pytest.raises(ValueError, match=r"a router of another version of cqb .*ThompsonLearner"):
        Router.load(written)
    rewritten(arrays | {"policy.coins": arrays["policy.coins"].astype(np.float32)})
    with pytest.raises(ValueError, match=r"another version of cqb .*float32.*expected float64"):
        Router.load(written)
    rewritten(arrays)
    Router.load(written)
    with pytest.raises(FileNotFoundError):
        Router.load(tmp_path / "nothing")


def test_a_state_that_cannot_be_seen_is_not_lost_silently(tmp_path):
    router = router_for("RANDOM")
    router._policy.generator = np.random.default_rng(0)
    with pytest.raises(TypeError, match=r"policy\.generator: a Generator has a state"):
        router.save(tmp_path / "router")


SERVICE = """
import sys
import numpy as np
from cqb import Router
router, path, n = Router("ACQB-P", "abc", 3, c1=0.5), sys.argv[1], 0
while True:
    offer = router.choose({n: np.random.default_rng(n).normal(size=3)})
    router.observe(offer.query, offer.models[0])
    n += 1
    router.notes = n
    router.save(path)
    print(n, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_save(tmp_path):
    path = tmp_path / "router"
    for wait in (0.0, 0.003, 0.011):
        path.unlink(missing_ok=True)
        command = [sys.executable, "-c", SERVICE, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            for _ in range(5):
                said = int(service.stdout.readline())
            time.sleep(wait)
            os.kill(service.pid, signal.SIGKILL)
            said = int((service.stdout.read().split() or [said])[-1])
        router = Router.load(path)
        assert router.notes in (said, said + 1)
        assert router._round == router.notes
        offer = router.choose({"next": np.ones(3)})
        router.observe(offer.query, offer.models[0])


def test_the_settings_come_back(tmp_path):
    learner = replace(LEARNER, rotation="balanced")
    router = Router("ACQB", NAMES, 3, 2, c1=0.25, seed=9, learner=learner)
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router")
    assert json.dumps(loaded.settings) == json.dumps(router.settings)
    assert loaded.models == NAMES
