"""One training from beginning to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cqb.experiment.provenance import digest
from ..learned import LearnedRouter
from ..system import default_system
from .checkpoints import Keeper, resumed
from .ddqn import BranchBuffer, BranchPolicy, DoubleDQN
from .settings import Trained, Training
from .vector import BranchEnv

FORMAT = "cqb qos training 1"


class RootDecay:
    """The learning rate by the share of the training that is left, from 1 to 0."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, left: float) -> float:
        return self.rate * left**0.5


def train(
    training: Training,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
    stop_after: int | None = None,
) -> Trained:
    """Train, or go on from the checkpoint in `folder`.

    Parameters
    ----------
    say : told of each checkpoint. stop_after : stop at this many checkpoints (to test going on).

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    system = default_system(training.N)
    env = BranchEnv(training.episodes, system, training.seed)
    path = folder / f"{training.name}-{digest([FORMAT, training, system])[:12]}.npz"
    keeper = Keeper(training, path, system, say, stop_after)
    model = resumed(path, env, keeper) or new_model(training, env)
    left = training.frames - model.num_timesteps
    if left > 0 and not keeper.stopped:
        model.learn(left, callback=keeper, log_interval=None, reset_num_timesteps=False)
    return Trained(LearnedRouter(training.network, keeper.best), keeper.history)


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
