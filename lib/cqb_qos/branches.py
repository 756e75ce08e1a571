"""Training episodes with every action tried, as a vector environment (the optional extra `rl`).

In each of B episodes the request is dropped in one branch and sent to each expert in the others; all
branches meet the same next arrival. One of them is then followed, and the others start from it at the
next request. So the effect of an action is separated from the luck of the arrivals.

Rewards are changes of a :func:`~.forecast.potential`. A router that is paid when a request *finishes*
learns little about its decision seconds earlier. The potential is the QoS earned plus the QoS that all
present requests would earn in the frozen system. Its change is the value of a decision by itself, own
QoS less the harm to others, and the changes still add up to the QoS of all requests (Ng, Harada and
Russell, ICML 1999, on shaping by potentials). What is left to learn is the harm to later requests: they
are shaped once more by ``- price x work left`` (:func:`~.forecast.work_left`), so the delay to later
requests is charged when it is caused and paid back as it passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from .forecast import potential, true_impacts, work_left
from .networks import pack, size
from .observe import observe
from .simulator import Decision, Experts
from .system import System
from .workloads import KINDS, Batch, Load, stack, workload

FIRST_SEED = 10**6  # workloads to train on; those to choose and to report on lie below


@dataclass(frozen=True)
class EpisodeSettings:
    """Settings of training episodes.

    Attributes
    ----------
    environments : their number. decisions : of an episode. rates : the lowest and highest, per second.
    beta : weight of the impact. price : QoS per second of work left. gamma : the learner's discount.
    centre : is taken from each reward, so that values lie around 0; no choice depends on it.
    """

    environments: int = 32
    decisions: int = 400
    rates: tuple[float, float] = (2.0, 5.0)
    beta: float = 0.0
    price: float = 0.5
    gamma: float = 0.95
    centre: float = 0.7

    def __post_init__(self) -> None:
        if not self.beta >= 0.0:
            raise ValueError(f"beta: found {self.beta}, expected at least 0")


class BranchEnv(VecEnv):
    """Packed observations in, an action for each environment out.

    Environments are in lock-step: all episodes start and end together. Each is a generated workload
    whose kind, rate and seed are drawn for it; they depend on the training seed and the episode's number
    alone, so a resumed training meets the same workloads.

    The info of an environment holds the results of its actions, `next` (N + 1, size(N)) and `rewards`
    (N + 1,). Episodes are truncated, not terminated: the last state is valued as any other.
    """

    def __init__(self, episodes: EpisodeSettings, system: System, seed: int) -> None:
        box = spaces.Box(-np.inf, np.inf, (size(system.N),), np.float32)
        self.render_mode = None  # read by the next line
        super().__init__(episodes.environments, box, spaces.Discrete(system.N + 1))
        self.episodes, self.system, self.root = episodes, system, seed
        self.choices = system.N + 1
        self.episode = 0  # how many have been started

    def reset(self) -> np.ndarray:
        """Start the next episodes."""
        entropy = np.random.SeedSequence(self.root, spawn_key=(self.episode,))
        random, how = np.random.default_rng(entropy), self.episodes
        self.episode += 1
        loads = [
            Load(KINDS[random.integers(len(KINDS))], float(random.uniform(*how.rates)))
            for _ in range(self.num_envs)
        ]
        seeds = random.integers(FIRST_SEED, 2**31, size=self.num_envs).tolist()
        about = how.decisions + 1, self.system.N
        pairs = zip(loads, seeds, strict=True)
        return self.begin(stack([workload(load, seed, *about) for load, seed in pairs]))

    def begin(self, batch: Batch) -> np.ndarray:
        """Start episodes on given workloads, whose last request only ends them."""
        branches = Batch(*(np.repeat(a, self.choices, axis=0) for a in vars(batch).values()))
        self.experts, self.index = Experts(branches, self.system), 0
        self.experts.advance(branches.arrivals[:, 0])
        self._potential, self._work = np.zeros((2, self.num_envs))
        return pack(observe(self.decision))[:: self.choices]

    @property
    def decision(self) -> Decision:
        """The current decision in all B (N + 1) branches: between steps those of an episode agree."""
        return self.experts.decision(self.index)

    @property
    def ended(self) -> bool:
        """There is no further arrival."""
        return self.index == self.experts.batch.T - 1

    def attempt(self) -> np.ndarray:
        """Take every action and advance to the next arrival; returns the rewards (B, N + 1).

        The reward is the change of the shaped potential, less beta times the action's true impact.
        """
        shape, how = (self.num_envs, self.choices), self.episodes
        harm = true_impacts(self.decision, how.beta)[:: self.choices]
        self.experts.add(self.index, np.tile(np.arange(self.choices), self.num_envs))
        self._after = potential(self.experts).reshape(shape)
        reward = self._after - self._potential[:, None] - harm
        self.index += 1
        self.experts.advance(self.experts.batch.arrivals[:, self.index])
        self._left = work_left(self.experts).reshape(shape)
        return reward + how.price * (self._work[:, None] - how.gamma * self._left)

    def follow(self, actions: np.ndarray) -> None:
        """Continue all branches from those of these actions, (B,)."""
        each, N = np.arange(self.num_envs), self.system.N
        source = np.repeat(each * self.choices + actions, self.choices)
        rows = (source[:, None] * N + np.arange(N)).ravel()
        for values in vars(self.experts).values():
            if isinstance(values, np.ndarray):
                values[:] = values[rows if len(values) == len(rows) else source]
        self._potential, self._work = self._after[each, actions], self._left[each, actions]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = np.asarray(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        actions, each = self._actions, np.arange(self.num_envs)
        rewards = (self.attempt() - self.episodes.centre).astype(np.float32)
        shown = pack(observe(self.decision)).reshape(*rewards.shape, -1)
        self.follow(actions)
        infos = [{"next": shown[e], "rewards": rewards[e]} for e in each]
        followed, ended = shown[each, actions], self.ended
        if ended:
            for e in each:
                infos[e] |= {"terminal_observation": followed[e], "TimeLimit.truncated": True}
            followed = self.reset()
        return followed, rewards[each, actions], np.full(self.num_envs, ended), infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *arguments: Any, **named: Any) -> list[Any]:
        raise AttributeError(f"{method_name}: no environment is an object of its own")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * len(list(self._get_indices(indices)))
