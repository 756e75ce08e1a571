"""How large the checks are: CI's size, the notebook's quick size, and the full one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Sizes of one setting; every check takes what it needs of it.

    Attributes
    ----------
    name : "ci", "quick" or "full".
    instances : random instances of the exact checks. depth : horizon of the recursion of E2.
    queue_runs, queue_rounds : runs and rounds of the checks on queues without learning.
    draws : samples of the check on optimism.
    switch_runs, switch_rounds : runs and rounds of the policy-switching checks.
    horizons : T of the rate checks, ascending. rate_instances : instances per horizon.
    plateau_instances, coverage_runs, radius_instances : of R10, R9 and R11.
    long_rounds : T of R5, R8, R9, R10 and R11.
    """

    name: str
    instances: int
    depth: int
    queue_runs: int
    queue_rounds: int
    draws: int
    switch_runs: int
    switch_rounds: int
    horizons: tuple[int, ...]
    rate_instances: int
    plateau_instances: int
    coverage_runs: int
    radius_instances: int
    long_rounds: int


CI = Setting(
    name="ci",
    instances=6,
    depth=6,
    queue_runs=10,
    queue_rounds=5_000,
    draws=20_000,
    switch_runs=20,
    switch_rounds=120,
    horizons=(250, 500, 1_000),
    rate_instances=6,
    plateau_instances=1,
    coverage_runs=6,
    radius_instances=3,
    long_rounds=600,
)
QUICK = Setting(
    name="quick",
    instances=20,
    depth=8,
    queue_runs=20,
    queue_rounds=10_000,
    draws=200_000,
    switch_runs=80,
    switch_rounds=200,
    horizons=(250, 500, 1_000, 2_000, 4_000),
    rate_instances=20,
    plateau_instances=4,
    coverage_runs=20,
    radius_instances=4,
    long_rounds=2_500,
)
FULL = Setting(
    name="full",
    instances=20,
    depth=10,
    queue_runs=30,
    queue_rounds=20_000,
    draws=1_000_000,
    switch_runs=300,
    switch_rounds=400,
    horizons=(500, 1_000, 2_000, 4_000, 8_000),
    rate_instances=60,
    plateau_instances=30,
    coverage_runs=60,
    radius_instances=10,
    long_rounds=5_000,
)
SETTINGS = {setting.name: setting for setting in (CI, QUICK, FULL)}
