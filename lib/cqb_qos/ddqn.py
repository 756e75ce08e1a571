"""Double DQN on Stable-Baselines3 (the extra `rl`), from transitions that hold every action's result.

Differences to its DQN: the network is one of ours; targets are double (van Hasselt, Guez and Silver,
AAAI 2016); a transition carries all N + 1 actions, whose next states share one arrival, so that the
loss can weigh errors in the *contrasts* between actions, which decide, above those in the mean, which do
not; and each environment explores by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn
from torch.nn.functional import smooth_l1_loss

from .networks import NETWORKS, initial

MEAN_FIRST = 0.1  # share of the training in which values of the initial rule are learned
RAMP = 0.05  # share over which contrasts are then given their full weight


class Tried(NamedTuple):
    """Sampled transitions: states (b, D), next states (b, N + 1, D), rewards (b, N + 1)."""

    observations: torch.Tensor
    next_observations: torch.Tensor
    rewards: torch.Tensor


class BranchBuffer(ReplayBuffer):
    """The last states with the results of every action; draws from a generator of its own."""

    def __init__(self, *arguments: Any, seed: int = 0, **named: Any) -> None:
        super().__init__(*arguments, **named)
        places = (self.buffer_size, self.n_envs, int(self.action_space.n))
        self.next_observations = np.zeros((*places, *self.obs_shape), np.float32)
        self.rewards = np.zeros(places, np.float32)
        self.random = np.random.default_rng(seed)

    def add(self, obs: np.ndarray, *followed: Any) -> None:
        """Store states and the results in the last argument, the infos of the environment."""
        infos = followed[-1]
        self.observations[self.pos] = obs
        self.next_observations[self.pos] = np.stack([info["next"] for info in infos])
        self.rewards[self.pos] = np.stack([info["rewards"] for info in infos])
        self.pos = (self.pos + 1) % self.buffer_size
        self.full |= self.pos == 0

    def sample(self, batch_size: int, env: Any = None) -> Tried:
        places = self.random.integers(self.size(), size=batch_size)
        environments = self.random.integers(self.n_envs, size=batch_size)
        arrays = (self.observations, self.next_observations, self.rewards)
        return Tried(*(self.to_torch(a[places, environments]) for a in arrays))


class Values(nn.Module):
    """A network of :data:`.networks.NETWORKS` with weights that can be trained."""

    def __init__(self, network: str, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(weights)
        self.weights = nn.ParameterList(nn.Parameter(torch.tensor(w)) for w in weights.values())

    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        return NETWORKS[self.network].values(self.by_name(), packed)

    def by_name(self) -> dict[str, torch.Tensor]:
        """The weights by name."""
        return dict(zip(self.names, self.weights, strict=True))


class BranchPolicy(DQNPolicy):
    """DQN's policy with one of our networks, the same in all copies at first."""

    def __init__(self, *arguments: Any, network: str, seed: int, **named: Any) -> None:
        self.network, self.seed = network, seed
        super().__init__(*arguments, net_arch=[], **named)

    def make_q_net(self) -> QNetwork:
        net = super().make_q_net()
        N = int(self.action_space.n) - 1
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(2**32 - 1,)))
        net.q_net = Values(self.network, initial(self.network, N, random))
        return net.to(self.device)


class DoubleDQN(DQN):
    """DQN with double targets for all actions. `contrast` : weight of contrasts in the loss."""

    def __init__(self, *arguments: Any, contrast: float = 5.0, **named: Any) -> None:
        self.contrast = contrast
        super().__init__(*arguments, **named)
        self.random = np.random.default_rng(self.seed)

    def _sample_action(self, *_: Any) -> tuple[np.ndarray, np.ndarray]:
        """The best action, or with the chance of the exploration rate any, in each environment."""
        actions, _ = self.policy.predict(self._last_obs, deterministic=True)
        any_action = self.random.integers(self.action_space.n, size=self.n_envs)
        explores = self.random.random(self.n_envs) < self.exploration_rate
        actions = np.where(explores, any_action, actions)
        return actions, actions

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            error = self.q_net(batch.observations) - self._targets(batch)
            mean = error.mean(dim=1, keepdim=True)
            contrast = error - mean
            loss = _huber(mean) + self._contrast_weight() * _huber(contrast)
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.q_net.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps
        self.logger.record_mean("train/mean_error", float(mean.detach().square().mean().sqrt()))
        self.logger.record_mean("train/contrast", float(contrast.detach().square().mean().sqrt()))

    def _targets(self, batch: Tried) -> torch.Tensor:
        """Rewards and discounted next values, (b, N + 1): the target's, of the network's choices."""
        with torch.no_grad():
            states = batch.next_observations.flatten(0, 1)
            best = self.q_net(states).argmax(dim=1, keepdim=True)
            following = self.q_net_target(states).gather(1, best)
            return batch.rewards + self.gamma * following.reshape(batch.rewards.shape)

    def _contrast_weight(self) -> float:
        past = 1.0 - self._current_progress_remaining
        return self.contrast * min(1.0, max(0.0, (past - MEAN_FIRST) / RAMP))


def _huber(error: torch.Tensor) -> torch.Tensor:
    return smooth_l1_loss(error, torch.zeros_like(error))
