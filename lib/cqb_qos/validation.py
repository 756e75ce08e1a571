"""Workloads to choose a trained policy by: none to train on, to choose prices by or to report on."""

from __future__ import annotations

from dataclasses import dataclass

from .decision import Policy
from .episodes import serve
from .evaluate import batch_of
from .metrics import qos
from .sweep import JUDGED
from .synthetic import Load
from .system import System


@dataclass(frozen=True)
class Validation:
    """Loads, seeds, and the requests of each workload."""

    loads: tuple[Load, ...] = JUDGED
    seeds: tuple[int, ...] = (120, 121, 122, 123)
    requests: int = 1500


def validate(policy: Policy, validation: Validation, system: System) -> dict[str, float]:
    """A policy's average QoS by load."""
    batch = batch_of(validation.loads, validation.seeds, validation.requests, system)
    paid = qos(serve(batch, system, policy)).mean(axis=1)
    rows = paid.reshape(len(validation.loads), -1).mean(axis=1)
    return {str(load): float(value) for load, value in zip(validation.loads, rows, strict=True)}
