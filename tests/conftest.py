"""Small worlds that the tests share."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from cqb import backend
from cqb.environment import Environment, pooled_environment


@pytest.fixture
def cupy() -> ModuleType:
    """CuPy, where a GPU answers; the test is skipped elsewhere."""
    if problem := backend.trouble():
        pytest.skip(problem)
    return backend.choose("cupy")


@pytest.fixture
def linear_world() -> Callable[..., Environment]:
    """A world whose utilities are linear in unit contexts, two of which share a vector."""

    def make(seed: int, P: int = 60, d: int = 8, N: int = 5) -> Environment:
        rng = np.random.default_rng(seed)
        contexts = rng.normal(size=(P, d))
        contexts /= np.linalg.norm(contexts, axis=1, keepdims=True)
        contexts[5] = contexts[6]
        theta = 1.5 * rng.normal(size=(N, d))
        return pooled_environment("linear world", True, contexts, np.exp(contexts @ theta.T - 0.7))

    return make
