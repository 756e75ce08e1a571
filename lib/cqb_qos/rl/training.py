"""One training from beginning to end, and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cqb.study.provenance import digest

from ..system import default_system
from ..trained_models import LearnedRouter, TrainedModel, Validation
from .checkpoints import Checkpoints, resumed
from .ddqn import BranchBuffer, BranchPolicy, DoubleDQN
from .vector import BranchEnv, Episodes

FORMAT = "cqb qos training 1"


@dataclass(frozen=True)
class Training:
    """Settings of a training; a frame is one decision that is followed, with all actions tried.

    Attributes
    ----------
    network : a name of :data:`..networks.NETWORKS`. seed : of everything random in it.
    rate : of learning, falling to 0 with the root of the remaining share. batch : states of an update;
        one update per step of all environments. buffer : states. tau : of the moving average of the
        target, which is also the network that is validated and stored. explore : chance of a random
        action. checkpoints : their number; they must fall where episodes begin.
    """

    network: str = "graph"
    seed: int = 0
    frames: int = 96_000
    N: int = 3
    episodes: Episodes = field(default_factory=lambda: Episodes(decisions=250))
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
                f"frames: found {self.frames}, expected a multiple of {each}: whole episodes between "
                "checkpoints"
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


@dataclass(frozen=True, eq=False)
class Trained:
    """The best checkpoint, and a row per checkpoint: frames, seconds, validation QoS by load, errors."""

    router: LearnedRouter
    history: list[dict[str, Any]]


class RootDecay:
    """The learning rate by the share of the training that is left, from 1 to 0."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, left: float) -> float:
        return self.rate * left**0.5


def _say(line: str) -> None:
    print(line, flush=True)


def train(
    training: Training,
    folder: Path,
    *,
    say: Callable[[str], None] = _say,
    stop_after: int | None = None,
) -> Trained:
    """Train, or continue from the checkpoint in `folder`.

    Parameters
    ----------
    say : called with a line for each checkpoint. stop_after : stop at this many checkpoints (for tests).

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    system = default_system(training.N)
    env = BranchEnv(training.episodes, system, training.seed)
    mark = digest([FORMAT, training, system])[:12]
    path = folder / f"{Path(training.model.file).stem}-{mark}.npz"
    checkpoints = Checkpoints(training, path, system, say, stop_after)
    model = resumed(path, env, checkpoints) or new_model(training, env)
    left = training.frames - model.num_timesteps
    if left > 0 and not checkpoints.stopped:
        model.learn(left, callback=checkpoints, log_interval=None, reset_num_timesteps=False)
    return Trained(LearnedRouter(training.network, checkpoints.best), checkpoints.history)


def new_model(training: Training, env: BranchEnv) -> DoubleDQN:
    """An untrained model."""
    return DoubleDQN(
        BranchPolicy,
        env,
        learning_rate=RootDecay(training.rate),
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
        policy_kwargs={"network": training.network, "seed": training.seed},
        contrast=training.contrast,
        seed=training.seed,
        device="cpu",
    )
