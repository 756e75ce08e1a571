"""A backend is what was asked for, or an error before any work."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import cqb
import tiny
from cqb import backend
from cqb.study import provenance
from cqb.study.cli import main
from cqb.study.study import Study

NO_GPU = pytest.mark.skipif(backend.trouble() is None, reason="a GPU works here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No answer of an earlier test, and no setting of the machine."""
    monkeypatch.delenv(backend.VARIABLE, raising=False)
    for one in (backend.trouble, backend.fall_back):
        one.cache_clear()
    yield
    for one in (backend.trouble, backend.fall_back):
        one.cache_clear()


@pytest.fixture
def entries(monkeypatch):
    """Every entry point that takes a backend, without any work behind it."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("work was done before the backend was looked at")

    monkeypatch.setattr("cqb.experiments.run_tasks", never)
    monkeypatch.setattr("cqb.study.study.run_tasks", never)
    monkeypatch.setattr(Study, "_known", never)
    study = Study("never", 1, None, (1,), run=never)
    return {
        "run": lambda **how: cqb.run(tiny.table(), ["RANDOM"], T=5, **how),
        "table": lambda **how: study.table(**how),
    }


@NO_GPU
@pytest.mark.parametrize(("name", "said"), [("cupy", "CuPy"), ("tpu", "found 'tpu', expected one")])
@pytest.mark.parametrize("entry", ["run", "table"])
def test_no_work_is_done_for_a_backend_that_is_not_there(entries, entry, name, said, monkeypatch):
    with pytest.raises(backend.BackendError, match=said):
        entries[entry](backend=name)
    monkeypatch.setenv(backend.VARIABLE, name)
    with pytest.raises(backend.BackendError, match=said):
        entries[entry]()


@NO_GPU
@pytest.mark.parametrize("name", ["cupy", "tpu"])
def test_the_command_line_and_the_notebooks_refuse_it_too(name, monkeypatch, capsys):
    monkeypatch.setattr("cqb.study.cli.studies", lambda: pytest.fail("work was done"))
    monkeypatch.setenv(backend.VARIABLE, "numpy")  # which the option replaces
    assert main(["run", "routerbench", "--backend", name]) == 1
    assert "backend" in capsys.readouterr().err.lower()
    # Notebooks write their record before the first run.
    monkeypatch.setenv(backend.VARIABLE, name)
    assert main(["verify"]) == 1
    with pytest.raises(backend.BackendError):
        provenance.stamp(notebook="03_routerbench")


def test_auto_falls_back_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(backend, "trouble", lambda: "the card is a toaster")
    monkeypatch.setattr(backend.trouble, "cache_clear", lambda: None, raising=False)
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    assert backend.choose() is np
    assert capsys.readouterr().err == ""  # neither asked for nor installed
    for _ in range(2):
        assert backend.choose("auto") is np
    said = "cqb: backend auto: the card is a toaster; running on the CPU\n"
    assert capsys.readouterr().err == said


def test_numpy_is_taken_without_a_look_at_the_gpu(monkeypatch):
    monkeypatch.setattr(backend, "trouble", lambda: pytest.fail("looked"))
    monkeypatch.setattr(backend.trouble, "cache_clear", lambda: None, raising=False)
    assert backend.choose("numpy") is np


class _Device:
    """A stand-in of CuPy on which arrays can be made and no kernel compiles, or a wrong one."""

    def __init__(self, kernel):
        self.linalg = SimpleNamespace(cholesky=kernel)

    arange, eye = staticmethod(np.arange), staticmethod(np.eye)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            RuntimeError("nvrtc: cannot open cuda_fp16.h\nand more"),
            "RuntimeError: nvrtc: cannot open",
        ),
        (np.zeros((1, 2, 2)), "the GPU computes"),
    ],
)
def test_a_driver_without_a_working_kernel_is_no_gpu(answer, said, monkeypatch):
    def kernel(matrix):
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(get=lambda: answer)

    monkeypatch.setitem(sys.modules, "cupy", _Device(kernel))
    monkeypatch.setattr(backend, "find_spec", lambda name: object())
    with pytest.raises(backend.BackendError, match=said) as error:
        backend.choose("cupy")
    assert "and more" not in str(error.value)


def test_a_kernel_that_works_makes_the_gpu_usable(monkeypatch):
    cupy = _Device(lambda matrix: SimpleNamespace(get=lambda: np.linalg.cholesky(matrix)))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(backend, "find_spec", lambda name: object())
    assert backend.choose() is cupy
