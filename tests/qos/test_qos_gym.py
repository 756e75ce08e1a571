"""The Gymnasium environment: its checker, and the same episodes as the system's own."""

import warnings

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="the extra rl is not installed")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from cqb_qos import Load, default_system, serve, stack, workload  # noqa: E402
from cqb_qos.gym_env import QosEnv  # noqa: E402

LOADS = (Load("Poisson", 4.0), Load("Gamma", 3.0))


def test_it_passes_the_checker():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what is no fault: unbounded boxes, no spec
        check_env(QosEnv(LOADS, default_system(), 30), skip_render_check=True)


def test_an_episode_is_the_workload_of_its_seed():
    T, env = 60, QosEnv(LOADS, default_system(), 60)
    seen, info = env.reset(seed=205, options={"load": LOADS[1]})
    assert info == {"load": "Gamma 3", "seed": 205}
    actions, total, ended = np.arange(T) % 4, 0.0, False
    for k, action in enumerate(actions):
        assert not ended
        assert env.observation_space.contains(seen)
        assert seen["arrived"][0, 0] == pytest.approx(workload(LOADS[1], 205, T).prompts[k] / 100)
        seen, reward, ended, cut, _ = env.step(action)
        assert not cut
        total += reward
    assert ended
    one = stack([workload(LOADS[1], 205, T)])
    outcome = serve(
        one, default_system(), lambda decision: actions[decision.index : decision.index + 1]
    )
    assert total == pytest.approx(outcome.qos.sum())


def test_a_reset_without_a_seed_brings_another_workload():
    env = QosEnv(LOADS, default_system(), 30)
    env.reset(seed=1)
    first, second = env.reset()[1]["seed"], env.reset()[1]["seed"]
    assert first != second
    env.reset(seed=1)
    assert env.reset()[1]["seed"] == first
    assert {env.reset()[1]["load"] for _ in range(30)} == {"Poisson 4", "Gamma 3"}
    with pytest.raises(ValueError, match="loads: found none"):
        QosEnv((), default_system(), 30)
