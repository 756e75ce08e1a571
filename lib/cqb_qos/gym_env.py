"""The router's task as a Gymnasium environment, for any reinforcement-learning library.

``reset(seed=s)`` serves the generated workload of seed s, the one that the sweep runs under that seed; a
reset without a seed draws a new workload. An episode ends with the last request, whose reward
includes the QoS of all requests that are still to finish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .episodes import Episodes
from .observe import Observation, observe
from .system import System
from .workloads import Load, batch_of

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as missing:
    raise ImportError(
        f"the environment needs Gymnasium: install it with `pip install 'cqb[rl]'` ({missing})"
    ) from missing


class QosEnv(gymnasium.Env):
    """Route T requests to N experts; action N drops.

    Observations are those of :mod:`.observe`, float32 and bool without the axis B, as a dict.

    Parameters
    ----------
    loads : each episode has one of them, drawn at reset; ``options={"load": load}`` names one.
    T : requests of an episode. beta : weight of the impact in the reward.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, loads: Sequence[Load], system: System, T: int, beta: float = 0.0) -> None:
        if not loads:
            raise ValueError("loads: found none, expected at least one")
        self._loads, self._system, self._T, self._beta = tuple(loads), system, T, beta
        self.action_space = spaces.Discrete(system.N + 1)
        example = Episodes(batch_of(loads[:1], [0], 1, system.N), system).decision
        shown = _as_dict(observe(example))
        self.observation_space = spaces.Dict({name: _space(v) for name, v in shown.items()})
        self.episodes: Episodes | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        load = (options or {}).get("load")
        if load is None:
            load = self._loads[int(self.np_random.integers(len(self._loads)))]
        chosen = int(self.np_random.integers(2**31)) if seed is None else seed
        batch = batch_of([load], [chosen], self._T, self._system.N)
        self.episodes = Episodes(batch, self._system, self._beta)
        return _as_dict(observe(self.episodes.decision)), {"load": str(load), "seed": chosen}

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        before = self.episodes.decision
        decision, reward = self.episodes.step(np.array([int(action)]))
        # The last observation is that of the last decision: nothing arrives after it.
        shown = _as_dict(observe(decision or before))
        return shown, float(reward[0]), decision is None, False, {}


def _as_dict(seen: Observation) -> dict[str, np.ndarray]:
    """One environment's arrays by name."""
    return {
        name: values[0].astype(np.int8 if values.dtype == bool else np.float32)
        for name, values in seen._asdict().items()
    }


def _space(values: np.ndarray) -> spaces.Space:
    """The space of one of these arrays."""
    if values.dtype == np.int8:
        return spaces.MultiBinary(values.shape)
    return spaces.Box(-np.inf, np.inf, values.shape, np.float32)
