"""What the first run of an installation compiles, and what later runs make of a damaged cache."""

import os
import subprocess
import sys

import pytest
from numba.core import caching

from cqb.learner import compiling

# Runs with both kinds of steering inverses at K = 2, several models and a queue.
RUN = """
import numpy as np
from cqb.learner import absorb_kernels, draw_kernels, kernels
from cqb.learner.refit import Estimator

rng = np.random.default_rng(0)
for K in (1, 2, 3):
    estimator = Estimator(4, 5, K, 1.0)
    contexts = rng.normal(size=(6, 5))
    for t in range(60):
        context = int(rng.integers(6))
        models = tuple(range(K)) if t % 4 else tuple(sorted(rng.permutation(4)[:K].tolist()))
        estimator.observe(context, contexts[context], models, models[0] if t % 3 else -1)
    assert K == 1 or estimator._joint, "no assortment has a joint inverse"
    q, M = 3, K * K
    normals = rng.normal(size=(q, 4, M))
    draw_kernels.survivors(rng.normal(size=(q, 4)), np.ones((q, 4)), normals, 0.1, K, 0.0, q)
    draw_kernels.draws(np.eye(q), normals, 1, np.arange(q), 1e-8)
found = {
    name: len(value.signatures)
    for module in (kernels, absorb_kernels, draw_kernels)
    for name, value in vars(module).items()
    if hasattr(value, "signatures") and value.signatures
}
print(sum(found.values()), max(found.values()), estimator.theta.sum())
"""
LINE = "cqb compiles its inner loops, once for this installation (some seconds)\n"


def _run(**environment: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", RUN],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_one_signature_of_few_loops_serves_every_K_and_kind_of_inverse():
    functions, most_of_one, _ = _run()[0]
    assert 4 <= int(functions) <= 8
    assert most_of_one == "1"


@pytest.mark.slow
def test_a_first_run_says_that_it_compiles_and_a_damaged_cache_is_made_again(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    (*_, first), said = _run(**environment)
    assert said == LINE
    # As a kill or a full disk leaves them: the compiled code or the index is cut short or empty.
    for kind, size in (("nbc", 20), ("nbi", 20), ("nbi", 0)):
        files = list(tmp_path.rglob(f"*.{kind}"))
        assert files
        for path in files:
            os.truncate(path, size)
        (*_, found), said = _run(**environment)
        assert found == first
        assert said.count("files of compiled loops are damaged") == 1
        assert said.count(LINE) == 1
    (*_, found), said = _run(**environment)
    assert (found, said) == (first, "")


def test_without_a_writable_folder_loops_are_compiled_and_that_is_said_once(monkeypatch):
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    compiling.warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="no folder to store .*set NUMBA_CACHE_DIR") as heard:
        loops = [compiling.compiled(function) for function in (_double, _half)]
    assert len(heard) == 1
    assert [loop(3) for loop in loops] == [6, 1.5]


def _double(x):
    return 2 * x


def _half(x):
    return x / 2
