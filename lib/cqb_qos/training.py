"""One training by double DQN (the optional extra `rl`): its settings, and checkpoints to resume from.

A checkpoint is taken where episodes begin, and holds everything that decides the rest of the training:
network, target, optimiser, replay buffer, generators and the number of the next episode. A training that
was interrupted continues from the last one exactly. Each checkpoint is validated; the best one counts.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from cqb.files import read_arrays, write_arrays
from cqb.study.provenance import digest, plain

from .branches import BranchEnv, EpisodeSettings
from .ddqn import BranchBuffer, BranchPolicy, DoubleDQN
from .system import default_system
from .trained_models import LearnedRouter, TrainedModel, Validation, validate

FORMAT = "cqb qos training 2"
BEST = "best "  # before the names of the best checkpoint's weights


@dataclass(frozen=True)
class Training:
    """Settings of a training; a frame is one decision that is followed, with all actions tried.

    Attributes
    ----------
    network : a name of :data:`.networks.NETWORKS`. seed : of everything random in it.
    rate : of learning, falling to 0 with the root of the remaining share. batch : states of an update;
        one update per step of all environments. buffer : states. tau : of the moving average of the
        target, which is also the network that is validated and stored. explore : chance of a random
        action. contrast : weight of errors in contrasts. checkpoints : their number; they must fall
        where episodes begin.
    """

    network: str = "graph"
    seed: int = 0
    frames: int = 96_000
    N: int = 3
    episodes: EpisodeSettings = field(default_factory=lambda: EpisodeSettings(decisions=250))
    rate: float = 4e-4
    batch: int = 64
    buffer: int = 24_000
    tau: float = 0.005
    explore: float = 0.03
    contrast: float = 5.0
    checkpoints: int = 6
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        each = self.episodes.environments * self.episodes.decisions * self.checkpoints
        if self.frames % each:
            raise ValueError(
                f"frames: found {self.frames}, expected a multiple of {each} (episodes)"
            )

    @property
    def model(self) -> TrainedModel:
        """The model that it trains."""
        return TrainedModel(self.network, self.episodes.beta, self.seed)

    def with_(self, **changes: Any) -> Training:
        """A copy with some settings changed; `beta` is that of its episodes."""
        if "beta" in changes:
            changes["episodes"] = replace(self.episodes, beta=changes.pop("beta"))
        return replace(self, **changes)


class Checkpoints(BaseCallback):
    """Takes the checkpoints, validates them and remembers the best.

    `history` has a row per checkpoint: frames, seconds, validation QoS by load and its mean, errors.
    """

    def __init__(self, training: Training, folder: Path, say: Callable[[str], None]) -> None:
        super().__init__()
        self.training, self.system, self.say = training, default_system(training.N), say
        mark = digest([FORMAT, training, self.system])[:12]
        self.path = folder / f"{Path(training.model.file).stem}-{mark}.npz"
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, np.ndarray] = {}
        self.start = time.perf_counter()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        """The transition of the last step is stored and learned from: a state to resume from."""
        due = (len(self.history) + 1) * self.training.frames // self.training.checkpoints
        if self.num_timesteps >= due:
            self._take()

    def _on_training_end(self) -> None:
        self._take()

    def _take(self) -> None:
        weights = {
            name: values.detach().numpy().copy()
            for name, values in self.model.q_net_target.q_net.by_name().items()
        }
        router = LearnedRouter(self.training.network, weights)
        found = validate(router, self.training.validation, self.system)
        mean = float(np.mean(list(found.values())))
        if mean > max((row["mean"] for row in self.history), default=-np.inf):
            self.best = weights
        now, before = time.perf_counter(), self.history[-1]["seconds"] if self.history else 0.0
        row = {"frames": self.num_timesteps, "seconds": before + now - self.start, "mean": mean}
        self.start = now
        logged = self.model.logger.name_to_value
        errors = {name: float(logged[f"train/{name}"]) for name in ("mean_error", "contrast")}
        self.history.append(row | {"validation": found} | errors)
        self.model.logger.dump(self.num_timesteps)
        self._store()

    def _store(self) -> None:
        """Write everything to disk, then report."""
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
        row, total = self.history[-1], self.training.frames
        by_load = ", ".join(f"{load} {value:.4f}" for load, value in row["validation"].items())
        left = row["seconds"] * (total - row["frames"]) / row["frames"]
        self.say(
            f"{self.training.model.policy}: {row['frames']} of {total} frames, {row['seconds']:.0f} s, "
            f"about {left:.0f} s to go; validation {by_load}, mean {row['mean']:.4f}; errors: mean "
            f"{row['mean_error']:.3f}, contrasts {row['contrast']:.3f}"
        )

    def resume(self, env: BranchEnv) -> DoubleDQN | None:
        """The model of a checkpoint; None if there is none or (it says so) it is damaged."""
        if not self.path.exists():
            return None
        try:
            arrays = read_arrays(self.path)
            state = json.loads(str(arrays["state"]))
            model = DoubleDQN.load(io.BytesIO(arrays["model"].tobytes()), env, device="cpu")
            model.load_replay_buffer(io.BytesIO(arrays["buffer"].tobytes()))
        except (ValueError, KeyError, OSError) as error:
            self.say(f"{self.path.name}: damaged ({error}); the training starts over")
            return None
        env.episode = state["episode"] - 1  # learning starts with a reset
        self.history = state["history"]
        self.best = {k.removeprefix(BEST): v for k, v in arrays.items() if k.startswith(BEST)}
        self.say(f"{self.training.model.policy}: continues at {model.num_timesteps} frames")
        return model


def train(
    training: Training, folder: Path, say: Callable[[str], None]
) -> tuple[LearnedRouter, list[dict[str, Any]]]:
    """Train, or continue from the checkpoint in `folder`.

    Parameters
    ----------
    say : called with a line for each checkpoint, once it is stored.

    Returns
    -------
    The best checkpoint, and the history of :class:`Checkpoints`.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    checkpoints = Checkpoints(training, folder, say)
    env = BranchEnv(training.episodes, checkpoints.system, training.seed)
    model = checkpoints.resume(env) or new_model(training, env)
    if (left := training.frames - model.num_timesteps) > 0:
        model.learn(left, callback=checkpoints, log_interval=None, reset_num_timesteps=False)
    return LearnedRouter(training.network, checkpoints.best), checkpoints.history


def new_model(training: Training, env: BranchEnv) -> DoubleDQN:
    """An untrained model."""
    return DoubleDQN(
        BranchPolicy,
        env,
        learning_rate=lambda left: training.rate * left**0.5,
        buffer_size=training.buffer,
        learning_starts=2 * training.batch,
        batch_size=training.batch,
        tau=training.tau,
        gamma=training.episodes.gamma,
        train_freq=1,
        gradient_steps=1,
        replay_buffer_class=BranchBuffer,
        replay_buffer_kwargs={"seed": training.seed},
        target_update_interval=env.num_envs,
        exploration_initial_eps=training.explore,
        exploration_final_eps=training.explore,
        max_grad_norm=5.0,
        contrast=training.contrast,
        policy_kwargs={"network": training.network, "seed": training.seed},
        seed=training.seed,
        device="cpu",
    )
