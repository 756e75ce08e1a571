"""Checkpoints of a training: taken, validated, the best one stored, and resumed from.

A checkpoint is taken where episodes begin, and holds everything that decides the rest of the training:
network, target, optimiser, replay buffer, generators and the number of the next episode. A training that
was interrupted continues from the last one exactly.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from cqb.study.provenance import plain
from cqb.table_file import read_arrays, write_arrays

from ..system import System
from ..trained_models import LearnedRouter, validate
from .ddqn import DoubleDQN
from .vector import BranchEnv

if TYPE_CHECKING:
    from .training import Training

BEST = "best "  # before the names of the best checkpoint's weights


class Checkpoints(BaseCallback):
    """Takes the checkpoints, validates them and remembers the best."""

    def __init__(
        self,
        training: Training,
        path: Path,
        system: System,
        say: Callable[[str], None],
        stop_after: int | None,
    ) -> None:
        super().__init__()
        self.training, self.path, self.system, self.say = training, path, system, say
        self.stop_after = stop_after
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, np.ndarray] = {}
        self.start = time.perf_counter()

    @property
    def stopped(self) -> bool:
        """The wanted number of checkpoints has been taken."""
        return self.stop_after is not None and len(self.history) >= self.stop_after

    def _on_step(self) -> bool:
        return not self.stopped

    def _on_rollout_start(self) -> None:
        """The transition of the last step is stored and learned from: a state to resume from."""
        due = (len(self.history) + 1) * self.training.frames // self.training.checkpoints
        if self.num_timesteps >= due:
            self._take()

    def _on_training_end(self) -> None:
        if not self.stopped:
            self._take()

    def _take(self) -> None:
        weights = {
            name: values.detach().numpy().copy()
            for name, values in self.model.q_net_target.q_net.by_name().items()
        }
        router = LearnedRouter(self.training.network, weights)
        found = validate(router, self.training.validation, self.system)
        mean = float(np.mean(list(found.values())))
        if not self.history or mean > max(row["mean"] for row in self.history):
            self.best = weights
        before = self.history[-1]["seconds"] if self.history else 0.0
        now = time.perf_counter()
        row = {"frames": self.num_timesteps, "seconds": before + now - self.start, "mean": mean}
        self.start = now
        logged = self.model.logger.name_to_value
        errors = {name: float(logged[f"train/{name}"]) for name in ("mean_error", "contrast")}
        self.history.append(row | {"validation": found} | errors)
        self.model.logger.dump(self.num_timesteps)
        self._write()
        self._report()

    def _write(self) -> None:
        model, buffer = io.BytesIO(), io.BytesIO()
        self.model.save(model)
        self.model.save_replay_buffer(buffer)
        state = {"episode": self.training_env.episode, "history": self.history}
        arrays = {
            "model": np.frombuffer(model.getvalue(), np.uint8),
            "buffer": np.frombuffer(buffer.getvalue(), np.uint8),
            "state": np.array(json.dumps(plain(state))),
        }
        write_arrays(self.path, arrays | {f"{BEST}{k}": v for k, v in self.best.items()}, False)

    def _report(self) -> None:
        row, total = self.history[-1], self.training.frames
        by_load = ", ".join(f"{load} {value:.4f}" for load, value in row["validation"].items())
        left = row["seconds"] * (total - row["frames"]) / row["frames"]
        self.say(
            f"{self.training.model.policy}: {row['frames']} of {total} frames, {row['seconds']:.0f} s, "
            f"about {left:.0f} s to go; validation {by_load}, mean {row['mean']:.4f}; errors: mean "
            f"{row['mean_error']:.3f}, contrasts {row['contrast']:.3f}"
        )


def resumed(path: Path, env: BranchEnv, checkpoints: Checkpoints) -> DoubleDQN | None:
    """The model of a checkpoint; None if there is none or (with a line that says so) it is damaged."""
    if not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        state = json.loads(str(arrays["state"]))
        model = DoubleDQN.load(io.BytesIO(arrays["model"].tobytes()), env, device="cpu")
        model.load_replay_buffer(io.BytesIO(arrays["buffer"].tobytes()))
    except (ValueError, KeyError, OSError) as error:
        checkpoints.say(f"{path.name}: damaged ({error}); the training starts over")
        return None
    env.episode = state["episode"] - 1  # learning starts with a reset
    checkpoints.history = state["history"]
    checkpoints.best = {
        name.removeprefix(BEST): values for name, values in arrays.items() if name.startswith(BEST)
    }
    checkpoints.say(
        f"{checkpoints.training.model.policy}: continues at {model.num_timesteps} frames"
    )
    return model
