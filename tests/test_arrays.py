"""Choosing a backend, and moving arrays."""

from __future__ import annotations

import logging
import subprocess
import sys

import array_api_strict
import numpy as np
import pytest

from cqb import arrays


def _has_gpu() -> bool:
    try:
        arrays.backend("cupy")
    except arrays.BackendError:
        return False
    return True


def test_numpy_is_numpy(monkeypatch):
    monkeypatch.setenv("CQB_BACKEND", "numpy")
    assert arrays.backend() is np


@pytest.mark.skipif(_has_gpu(), reason="a GPU is present")
def test_cupy_without_a_gpu_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("CQB_BACKEND", "cupy")
    with pytest.raises(arrays.BackendError, match=r"backend cupy: .*CQB_BACKEND=numpy"):
        arrays.backend()


@pytest.mark.skipif(_has_gpu(), reason="a GPU is present")
def test_auto_falls_back_and_says_so_once(caplog):
    arrays._automatic.cache_clear()
    with caplog.at_level(logging.WARNING, logger="cqb"):
        assert arrays.backend("auto") is np
        assert arrays.backend("auto") is np
    assert [r.message.split("(")[0] for r in caplog.records] == ["backend auto: using NumPy "]


def test_an_unknown_backend_is_named():
    with pytest.raises(arrays.BackendError, match="found 'jax', expected one of auto, numpy, cupy"):
        arrays.backend("jax")


def test_arrays_move_there_and_back():
    device = array_api_strict.Device("device1")
    there = arrays.asarray(np.arange(3.0), array_api_strict.asarray([0.0], device=device))
    assert there.device == device
    np.testing.assert_array_equal(arrays.to_numpy(there), [0.0, 1.0, 2.0])


def test_the_backend_in_use_is_described():
    assert arrays.describe(np) == f"numpy {np.__version__}"


def test_importing_the_package_imports_no_optional_library():
    code = (
        "import sys, cqb; "
        "print(*[m for m in ('cupy', 'torch', 'sentence_transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""
