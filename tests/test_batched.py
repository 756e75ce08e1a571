"""Runs side by side take the decisions of single runs, and ask the host at most twice a round."""

import re
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest

import cqb
import tiny
from cqb import arrays, backend, mnl
from cqb.batched import knows, play_together, together
from cqb.batched.refit import Block, descend
from cqb.policies import LearnerSettings
from cqb.runs import Cell, Task, play

SETTINGS = LearnerSettings(alpha_coef=0.1, exploration_rate=0.1)
DEVICE = array_api_strict.Device("device1")
ELSEWHERE = array_api_strict.zeros(1, device=DEVICE)
K1 = ("ORACLE", "ACQB", "ACQB-T", "CQB-eps", "ACQB-tuned", "RANDOM", "Q-UCB", "Q-ThS")
GIB = 2**30
README = Path(__file__).parents[1] / "README.md"
OURS = str(Path(cqb.__file__).parent)
STRICT = str(Path(array_api_strict.__file__).parent)
# Calls that look at an array, or at its numbers in another order, and compute nothing.
VIEWS = {"shape", "dtype", "device", "ndim", "__getattr__", "__getitem__", "reshape", "squeeze"}
VIEWS |= {"matrix_transpose", "permute_dims", "broadcast_to"}


def _tasks(policies, K, rate, T, seeds=(1, 2), size=40, lam=0.0) -> dict[str, Task]:
    tasks = (
        Task(Cell(K, lam, rate), policy, seed, T, size, SETTINGS)
        for policy in policies
        for seed in seeds
    )
    return {str(task): task for task in tasks}


def _assert_same(one, other, what):
    for name, values in vars(one).items():
        there = getattr(other, name)
        assert values.dtype == there.dtype, (what, name)
        np.testing.assert_array_equal(values, there, err_msg=f"{what}: {name}")


@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 250), (2, 0.7, 150), (1, 0.12, 60)])
def test_every_number_of_a_run_is_that_of_the_single_run(linear_world, K, rate, T):
    """The queue grows past d = 8, vectors wait twice, and at .12 it is often empty."""
    world = linear_world(4)
    tasks = _tasks(K1 if K == 1 else K1[:-2], K, rate, T, size=world.pool_size)
    found = dict(play_together(tasks, world, np.zeros(1), GIB))
    assert found.keys() == tasks.keys()
    for key, task in tasks.items():
        _assert_same(play(task, world).trajectory, found[key].trajectory, key)
    longest = max(run.trajectory.queue.max() for run in found.values())
    assert longest > 8 or rate < 0.2


def test_runs_of_several_pools_prices_and_rates_advance_together():
    """Pools and refined vectors differ by seed, the number of distinct contexts too."""
    table = tiny.table()
    tasks = _tasks(("ACQB", "ACQB-CL"), 2, 0.5, 60, lam=5.0) | _tasks(("ACQB",), 2, 0.3, 60)
    found = dict(play_together(tasks, table, np.zeros(1), GIB))
    for key, task in tasks.items():
        _assert_same(play(task, table).trajectory, found[key].trajectory, key)


def test_prompts_that_come_once(linear_world):
    world = linear_world(4)
    tasks = _tasks(("ACQB",), 1, 0.4, 60, size=world.pool_size)
    for key, run in play_together(tasks, world, np.zeros(1), GIB, once=True):
        _assert_same(play(tasks[key], world, once=True).trajectory, run.trajectory, key)


@pytest.fixture
def answers(monkeypatch) -> Counter:
    """Counts how often the host asks arrays on a device: by conversion, or by copying."""
    found = Counter()

    def counted(name):
        plain = getattr(array_api_strict._array_object.Array, name)

        def method(self, *arguments, **options):
            found[name] += self.device == DEVICE
            return plain(self, *arguments, **options)

        monkeypatch.setattr(array_api_strict._array_object.Array, name, method)

    for name in ("__bool__", "__int__", "__float__", "__index__", "to_device"):
        counted(name)
    return found


@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 60), (2, 0.7, 40)])
def test_the_host_asks_at_most_twice_a_round(linear_world, answers, K, rate, T):
    """Without ties, and on a device whose arrays refuse to be converted without a word."""
    world = linear_world(4, d=30)
    for policy in ("ACQB", "ORACLE", "RANDOM", *(("Q-UCB",) if K == 1 else ())):
        tasks = _tasks((policy,), K, rate, T, size=world.pool_size)
        answers.clear()
        found = dict(play_together(tasks, world, ELSEWHERE, GIB))
        assert T <= answers.total() <= 2 * T + 20, policy
        for key, task in tasks.items():
            _assert_same(play(task, world).trajectory, found[key].trajectory, key)


@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 20), (2, 0.7, 15)])
def test_readme_says_how_many_array_operations_a_round_takes(linear_world, K, rate, T):
    """Those that twice as many rounds take more: what is set up once does not count."""
    world, found = linear_world(4, d=30), []

    def count(frame, event, _):
        here = frame.f_code
        if event == "call" and here.co_filename.startswith(STRICT) and here.co_name not in VIEWS:
            found[-1] += frame.f_back.f_code.co_filename.startswith(OURS)

    for rounds in (T, 2 * T):
        tasks = _tasks(("ACQB",), K, rate, rounds, size=world.pool_size)
        found.append(0)
        sys.setprofile(count)
        try:
            dict(play_together(tasks, world, ELSEWHERE, GIB))
        finally:
            sys.setprofile(None)
    (row,) = re.findall(
        r"^\| array operations a round \|(.*)\|(.*)\|.*\|$", README.read_text(), re.M
    )
    said = int(row[K - 1].replace(",", ""))
    assert found[1] - found[0] == pytest.approx(said * T, rel=0.03)


def test_a_refit_that_needs_more_steps_gets_them_before_the_next_round(linear_world, monkeypatch):
    monkeypatch.setattr("cqb.batched.learner.STEPS", {1: 1})
    world = linear_world(4)
    tasks = _tasks(("ACQB",), 1, 0.45, 60, size=world.pool_size)
    for key, run in play_together(tasks, world, np.zeros(1), GIB):
        _assert_same(play(tasks[key], world).trajectory, run.trajectory, key)


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("start", [0.0, 30.0])
def test_steps_lead_to_the_minimum_from_anywhere(K, start):
    """Three problems at once, one from saturated pick rates, and with a poor inverse Hessian."""
    rng = np.random.default_rng(5)
    R, C, d, N, ridge = 3, 25, 4, 3, 0.05
    x = rng.normal(size=(R, C, d))
    theta = rng.normal(size=(R, N, d))
    other = np.array([[[1]], [[0]]]) == np.arange(N) if K == 2 else np.zeros((1, 1, 1), bool)
    serves = rng.integers(0, 4, size=(R, C, N, N)).astype(float)
    serves = np.triu(serves, 1) + np.swapaxes(np.triu(serves, 1), -1, -2)  # of pairs, symmetric
    of_block = (
        np.moveaxis(serves[:, :, :2], 1, 2) if K == 2 else serves[:, :, :1, 1:2].swapaxes(1, 2)
    )
    utilities = x @ np.swapaxes(theta, 1, 2)
    base = 1.0 + np.exp(utilities[:, None]) if K == 2 else np.ones((1, 1, 1, 1))
    most = of_block.sum(axis=-1) / 2
    picks = np.floor(rng.uniform(size=most.shape) * most)
    block = Block(
        contexts=x,
        inverse=np.broadcast_to(np.eye(d) / (1.0 + ridge), (R, K, d, d)),
        serves=of_block,
        picks=picks,
        base=base,
        other=other[None],
        ridge=np.full((R, 1, 1), ridge),
    )
    begin = theta[:, :K].copy()
    begin[0] += start
    along = begin @ np.swapaxes(x, 1, 2)
    found, scores, unfinished = descend(block, begin, along, np.full(R, 1e-9), 400)
    assert not unfinished.any()
    np.testing.assert_allclose(scores, found @ np.swapaxes(x, 1, 2), atol=1e-9)
    for r in range(R):
        wanted = mnl.ridge_mle(begin[r] * 0.0, _as_history(block, r), ridge)
        np.testing.assert_allclose(found[r], wanted, atol=1e-7)


def _as_history(block: Block, r: int) -> mnl.BlockHistory:
    """The block's counts as one row for each context and partner, a pair within the block once."""
    K, C, Q = block.serves.shape[1:]
    rows = []
    for k in range(K):
        for c in range(C):
            for q in range(Q):
                pair = K == 2 and bool(block.other[0, k, 0, q])
                if block.serves[r, k, c, q] and not (pair and k == 1):
                    offered = np.ones(K) if pair else np.eye(K)[k]
                    base = 1.0 if pair or K == 1 else block.base[r, 0, c, q]
                    rows.append((block.contexts[r, c], offered, block.serves[r, k, c, q], base))
    contexts, offered, serves, base = map(np.array, zip(*rows, strict=True))
    # Where a context's picks lie among its rows changes nothing: they enter the loss linearly.
    picks = np.zeros_like(offered)
    for k in range(K):
        for c in range(C):
            here = (contexts == block.contexts[r, c]).all(axis=1) & (offered[:, k] > 0)
            if here.any():
                picks[np.flatnonzero(here)[0], k] = block.picks[r, k, c]
    return mnl.BlockHistory(contexts, offered, picks, serves, np.log(base))


def test_chunks_to_the_memory_there_is(linear_world, monkeypatch):
    world = linear_world(4)
    tasks = _tasks(("ACQB", "ACQB-T"), 1, 0.45, 30, size=world.pool_size)
    sizes, advance = [], together.advance
    monkeypatch.setattr(
        together, "advance", lambda ready, like: sizes.append(len(ready)) or advance(ready, like)
    )
    whole = dict(play_together(tasks, world, np.zeros(1), GIB))
    each = together.bytes_of(together.prepare(next(iter(tasks.values())), world))
    parts = dict(play_together(tasks, world, np.zeros(1), round(3.5 * each / together.SHARE)))
    assert sizes == [4, 3, 1]
    for key, run in whole.items():
        _assert_same(run.trajectory, parts[key].trajectory, key)
    with pytest.raises(MemoryError, match=r"ACQB, K = 1.*one run takes about .* GiB"):
        next(play_together(tasks, world, np.zeros(1), each))


def test_what_cannot_run_together():
    (task,) = _tasks(("ACQB",), 2, 0.5, 10, seeds=(1,)).values()
    assert knows(task)
    assert not knows(task, np.ones(10))
    assert not knows(Task(Cell(3, 0.0, 0.5), *list(vars(task).values())[1:]))
    assert not knows(Task(task.cell, "ACQB-P", *list(vars(task).values())[2:]))


def test_put_and_take_agree_in_every_library():
    for there in (np.zeros(1), ELSEWHERE):
        xp = arrays.namespace(there)
        table = arrays.asarray(np.arange(12.0).reshape(6, 2), there)
        rows = arrays.asarray(np.array([[0, 2], [3, 5]]), there)
        arrays.put(table, rows, -arrays.take(table, rows))
        signs = np.array([-1, 1, -1, -1, 1, -1.0])[:, None]
        wanted = signs * np.arange(12.0).reshape(6, 2)
        np.testing.assert_array_equal(arrays.to_numpy(table), wanted)
        assert arrays.namespace(table) is xp


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e-12])
def test_a_factor_that_cannot_be_trusted_says_so(bad):
    fine, poor = np.diag([1.0, 2.0]), np.diag([1.0, bad])
    poor[0, 1] = poor[1, 0] = 1e-3 * (bad == 0.0)
    lower, trusted = arrays.cholesky(np.stack([fine, fine]), 1e-8)
    assert trusted
    np.testing.assert_allclose(lower @ np.swapaxes(lower, 1, 2), np.stack([fine, fine]))
    poor[1, 1] = bad
    near = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-12]])
    assert not arrays.cholesky(np.stack([fine, poor if bad <= 0.0 else near]), 1e-8)[1]


@pytest.fixture
def as_gpu(monkeypatch):
    """The strict library takes the place of CuPy."""
    monkeypatch.setattr(backend, "choose", lambda name=None: array_api_strict)
    monkeypatch.setattr(backend, "free_bytes", lambda xp: GIB)


def test_a_table_from_side_by_side_runs_is_the_same(as_gpu, monkeypatch, capsys):
    world = tiny.table()
    how = {"policies": ["ACQB", "ACQB-P"], "T": 60, "seeds": [1, 2], "arrival_rate": 0.3}
    together_ = cqb.run(world, **how, pool_size=40).drop(columns="seconds")
    said = capsys.readouterr().err
    assert "2 of 6 tasks cannot run on the GPU; the CPU runs them" in said
    monkeypatch.setattr(backend, "choose", lambda name=None: np)
    alone = cqb.run(world, **how, pool_size=40).drop(columns="seconds")
    assert together_.equals(alone)


@pytest.mark.gpu
@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 250), (2, 0.7, 150)])
def test_the_gpu_takes_the_same_decisions(cupy, linear_world, K, rate, T):
    world = linear_world(4, d=30)
    tasks = _tasks(K1 if K == 1 else K1[:-2], K, rate, T, size=world.pool_size)
    for key, run in play_together(tasks, world, cupy.zeros(1), GIB):
        alone = play(tasks[key], world).trajectory
        for name in ("queue", "query", "assortment", "pick", "forced", "repeat"):
            np.testing.assert_array_equal(
                getattr(alone, name), getattr(run.trajectory, name), err_msg=f"{key}: {name}"
            )
        np.testing.assert_allclose(alone.regret, run.trajectory.regret, atol=1e-12)


def test_too_many_models_offered_is_an_error_that_names_the_task(linear_world):
    tasks = _tasks(("ACQB",), 2, 0.5, 5, size=60)
    with pytest.raises(ValueError, match="K: found 2") as error:
        next(play_together(tasks, linear_world(1, N=2), np.zeros(1), GIB))
    assert "in the task ACQB, K = 2" in error.value.__notes__[0]


def test_the_normals_are_those_of_the_single_run():
    from cqb.batched.learner import Normals
    from cqb.streams import Streams

    normals = Normals([7, 3, 7], 2, 3, np.zeros(1))
    for t, q in ((1, 2), (2, 3), (30, 40), (31, 4)):
        found = normals.at(t, q)
        assert found.shape == (3, 2, q, 3)
        for r, seed in enumerate((7, 3, 7)):
            single = Streams(seed).rounds("posterior").at(t).standard_normal((q, 2, 3))
            np.testing.assert_array_equal(found[r], np.moveaxis(single, 0, 1))


def test_memory_that_cupy_holds_back_counts_as_free():
    held, pool = [5], SimpleNamespace(free_all_blocks=lambda: held.clear())
    card = SimpleNamespace(Device=lambda: SimpleNamespace(mem_info=(7 - sum(held), 9)))
    cupy = SimpleNamespace(cuda=card, get_default_memory_pool=lambda: pool)
    assert backend.free_bytes(cupy) == 7
