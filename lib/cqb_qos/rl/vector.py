"""Training episodes as a vector environment of Stable-Baselines3, with every action tried.

Environments are in lock-step: all episodes start and end together. Each is a generated workload whose
kind, rate and seed are drawn for it; they depend on the training seed and the episode's number alone, so
a resumed training meets the same workloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from ..branches import Branches
from ..networks import pack, size
from ..observe import observe
from ..synthetic import KINDS, Load, workload
from ..system import System
from ..workload import stack

FIRST_SEED = 10**6  # workloads to train on; those to choose and to report on lie below


@dataclass(frozen=True)
class Episodes:
    """Settings of training episodes.

    Attributes
    ----------
    environments : their number. decisions : of an episode. rates : the lowest and highest, per second.
    beta : weight of the impact. price, gamma : of the shaping, see :class:`..branches.Branches`.
    centre : is taken from each reward, so that values lie around 0; no choice depends on it.
    """

    environments: int = 32
    decisions: int = 400
    rates: tuple[float, float] = (2.0, 5.0)
    beta: float = 0.0
    price: float = 0.5
    gamma: float = 0.95
    centre: float = 0.7


class BranchEnv(VecEnv):
    """Packed observations in, an action for each environment out.

    The info of an environment holds the results of its actions, `next` (N + 1, size(N)) and `rewards`
    (N + 1,). Episodes are truncated, not terminated: the last state is valued as any other.
    """

    def __init__(self, episodes: Episodes, system: System, seed: int) -> None:
        N = system.N
        box = spaces.Box(-np.inf, np.inf, (size(N),), np.float32)
        self.render_mode = None  # read by the next line
        super().__init__(episodes.environments, box, spaces.Discrete(N + 1))
        self.episodes, self.system, self.root = episodes, system, seed
        self.episode = 0  # how many have been started

    def reset(self) -> np.ndarray:
        """Start the next episodes."""
        entropy = np.random.SeedSequence(self.root, spawn_key=(self.episode,))
        random = np.random.default_rng(entropy)
        self.episode += 1
        how = self.episodes
        loads = [
            Load(KINDS[random.integers(len(KINDS))], float(random.uniform(*how.rates)))
            for _ in range(self.num_envs)
        ]
        seeds = random.integers(FIRST_SEED, 2**31, size=self.num_envs).tolist()
        workloads = [
            workload(load, seed, how.decisions + 1, self.system.N)
            for load, seed in zip(loads, seeds, strict=True)
        ]
        for one in workloads:
            one.check_fits(self.system)
        self._branches = Branches(stack(workloads), self.system, how.beta, how.price, how.gamma)
        return pack(observe(self._branches.decision))[:: self._branches.actions]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.asarray(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        B, actions = self.num_envs, self._actions
        tried = self._branches.attempt()
        shown = pack(observe(tried.decision)).reshape(B, self._branches.actions, -1)
        rewards = (tried.reward - self.episodes.centre).astype(np.float32)
        self._branches.follow(actions)
        each = np.arange(B)
        infos = [{"next": shown[e], "rewards": rewards[e]} for e in each]
        followed, ended = shown[each, actions], self._branches.ended
        if ended:
            for e in each:
                infos[e] |= {"terminal_observation": followed[e], "TimeLimit.truncated": True}
            followed = self.reset()
        return followed, rewards[each, actions], np.full(B, ended), infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *arguments: Any, indices: Any = None, **named: Any
    ) -> list[Any]:
        found = getattr(self, method_name)(*arguments, **named)
        return [found] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[np.ndarray | None]:
        return [None] * self.num_envs
