"""A decision as arrays: what they hold, and that the order of experts is only an order."""

from dataclasses import replace

import numpy as np
import pytest

from cqb_qos import Episodes, Load, System, default_system, stack, workload
from cqb_qos.forecast import (
    Frozen,
    delays,
    final_latency,
    frozen_own_latency,
    impact,
    own_latency,
)
from cqb_qos.observe import SHOWN, observe
from cqb_qos.policies import best_or_drop, rollout, soft_gain, toll


def decision_of(one, system, actions):
    episodes = Episodes(stack([one]), system)
    for action in actions:
        episodes.step(np.array([action]))
    return episodes.decision


def crowded(memory: int = 900):
    """A workload and actions that leave many requests running and waiting, some of them evicted."""
    one = workload(Load("Poisson", 8.0), 3, 120)
    one = replace(
        one,
        prompts=np.minimum(one.prompts, 200),
        lengths=np.minimum(one.lengths, 300),
        predicted_lengths=np.minimum(one.predicted_lengths, 300),
    )
    return one, default_system().with_(memory=memory), (np.arange(100) % 5 % 3).tolist()


@pytest.mark.parametrize("memory", [900, 14_000])
def test_features_are_those_of_the_requests(memory):
    one, system, actions = crowded(memory)
    decision = decision_of(one, system, actions)
    seen, experts = observe(decision), decision.experts
    running = experts.running_requests(truth=False)
    if memory == 900:
        assert experts.waiting.max() > SHOWN
        assert experts.evictions.sum() > 0
        assert seen.waiting[..., 4].max() > 0.0
    else:
        assert experts.running.max() > SHOWN
    for n in range(3):
        count = min(SHOWN, int(experts.running[n]))
        assert seen.running_mask[0, n].sum() == count
        rows = seen.running[0, n, :count]
        assert rows[:, 0] == pytest.approx(running.prompt[0, n, :count] / 100)
        assert rows[:, 1] == pytest.approx(running.score[0, n, :count])
        assert rows[:, 2] == pytest.approx(running.length[0, n, :count] / 150)
        assert rows[:, 4] == pytest.approx(running.emitted[0, n, :count] / 150)
        so_far = (experts.clock[n] - running.arrival[0, n, :count]) / running.emitted[0, n, :count]
        assert rows[:, 5] == pytest.approx(np.minimum(so_far / 0.03, 10))
        assert not seen.running[0, n, count:].any()
        waiting = experts.queue[n, experts.head[n] : experts.tail[n]][:SHOWN]
        assert seen.waiting_mask[0, n].sum() == waiting.size
        assert seen.waiting[0, n, : waiting.size, 0] == pytest.approx(one.prompts[waiting] / 100)
        emitted = experts.size[n, waiting] - one.prompts[waiting]
        assert seen.waiting[0, n, : waiting.size, 4] == pytest.approx(emitted / 150)
    assert seen.experts[0, :, 1] == pytest.approx(experts.running / 10)
    assert seen.experts[0, :, 0] == pytest.approx(experts.context * 2.5e-5 / 0.03)
    assert seen.arrived[0, :, 4] == pytest.approx(np.minimum(own_latency(decision)[0] / 0.03, 10))
    assert seen.rate[0] == pytest.approx(
        [n / (one.arrivals[100] - one.arrivals[100 - n]) / 10 for n in (20, 100)]
    )


def test_forecasts_shown_are_those_that_the_rules_read():
    one, system, actions = crowded(14_000)
    decision = decision_of(one, system, actions)
    seen = observe(decision)
    now = decision.experts.running_requests(truth=False)
    final, added = final_latency(decision, now), delays(decision, now, decision.lengths)
    own = frozen_own_latency(decision, now)
    gain = soft_gain(decision, Frozen(now, final, added, own))
    assert seen.arrived[0, :, 8] == pytest.approx(toll(decision)[0])
    assert seen.arrived[0, :, 6] == pytest.approx(impact(decision, truth=False)[0])
    assert seen.arrived[0, :, 7] == pytest.approx(gain[0])
    worth = seen.arrived[..., 7] - 0.4 * seen.arrived[..., 8]
    assert (best_or_drop(worth) == rollout(decision, 0.4)).all()
    pooled = np.exp(np.log(one.predicted_lengths[:, 100]).mean()) / 150
    assert seen.arrived[0, :, 3] == pytest.approx([pooled] * 3)
    for n in range(3):
        count = min(SHOWN, int(decision.experts.running[n]))
        shown = seen.running[0, n, :count, 6:]
        assert shown[:, 0] == pytest.approx(np.minimum(final[0, n, :count] / 0.03, 10))
        assert shown[:, 1] == pytest.approx(added[0, n, :count] / 0.03)
        assert (shown > 0.0).all()
    assert decision.experts.running.max() > SHOWN


def test_a_burst_at_the_start_has_a_bounded_rate():
    one = workload(Load("Poisson", 3.0), 0, 5)
    tied = replace(one, arrivals=np.zeros(5))
    assert observe(decision_of(tied, default_system(), [3, 3])).rate.tolist() == [[2.0, 2.0]]


def test_an_empty_system_shows_only_the_arrival():
    seen = observe(decision_of(workload(Load("Poisson", 1.0), 0, 5), default_system(), []))
    assert not seen.running.any()
    assert not seen.running_mask.any()
    assert not seen.waiting_mask.any()
    assert not seen.experts.any()
    assert np.delete(seen.arrived, 6, axis=2).all()
    assert not seen.arrived[..., 6].any()  # nobody to have an impact on
    assert seen.rate.tolist() == [[0.0, 0.0]]


def test_permuted_experts_are_permuted_on_their_axis():
    one, system, actions = crowded()
    order = np.array([2, 0, 1])
    moved = replace(
        one,
        **{
            name: getattr(one, name)[order]
            for name in ("lengths", "scores", "predicted_scores", "predicted_lengths")
        },
    )
    experts = System(tuple(system.experts[n] for n in order))
    place = np.argsort(order)
    seen = observe(decision_of(one, system, actions))
    other = observe(decision_of(moved, experts, place[actions].tolist()))
    for name in seen._fields[:-1]:
        # A mean over experts is rounded in their order.
        assert getattr(other, name) == pytest.approx(getattr(seen, name)[:, order], rel=1e-12), name
    assert (other.rate == seen.rate).all()


def test_environments_side_by_side_look_as_they_do_alone():
    system = default_system()
    workloads = [workload(Load("Poisson", 4.0), seed, 40) for seed in (0, 1)]
    episodes = Episodes(stack(workloads), system)
    for k in range(30):
        episodes.step(np.array([k % 3, k % 2]))
    together = observe(episodes.decision)
    for e, one in enumerate(workloads):
        alone = observe(decision_of(one, system, [k % (3 - e) for k in range(30)]))
        for mine, ours in zip(alone, together, strict=True):
            assert (mine[0] == ours[e]).all()
