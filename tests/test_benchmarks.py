"""The measuring commands run: a few rounds each, wherever their figures may be worth nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.mark.parametrize(
    ("script", "options", "wrote"),
    [
        ("gpu.py", ["bench", "--backend", "numpy"], "speed_gpu.json"),
        ("scale.py", [], "scale.json"),
        ("router.py", [], "router.json"),
        ("peers.py", [], "peers.json"),
    ],
)
def test_a_short_measurement(script, options, wrote, tmp_path):
    if script == "router.py":
        pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    if script == "peers.py":
        for package in ("bayesianbandits", "mabwiser", "pareto_bandit"):
            pytest.importorskip(package, reason="the extra peers is not installed")
    command = [sys.executable, BENCHMARKS / script, "--short", "--figures", tmp_path, *options]
    subprocess.run(command, check=True, env=dict(os.environ), timeout=300)
    if script == "gpu.py":
        again = [sys.executable, BENCHMARKS / script, "check", "--short", "--backend", "numpy"]
        done = subprocess.run(again, check=True, capture_output=True, text=True, timeout=300)
        assert done.stdout.count("equal in every round") == 16
    found = json.loads((tmp_path / wrote).read_text("utf-8"))
    assert found["record"]["git"]
    assert found["rows"]
    assert all(row.get("same_decisions", True) for row in found["rows"])
