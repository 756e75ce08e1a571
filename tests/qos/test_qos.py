"""The testable properties of the QoS system: conservation, fast-forward, impact, rewards, limits."""

from dataclasses import replace

import numpy as np
import pytest
from qos_reference import PlainExpert, Request, reference

from cqb_qos import (
    POLICIES,
    Episodes,
    Expert,
    InvalidAction,
    Load,
    System,
    Workload,
    default_system,
    impact,
    measure,
    published_impact,
    serve,
    stack,
    workload,
)
from cqb_qos.demonstrations import interference, largest_rate, lone_latency
from cqb_qos.forecast import (
    delays,
    final_latency,
    frozen_own_latency,
    own_latency,
    published_delays,
)
from cqb_qos.policies import greedy, highest_score, rollout, softly_met
from cqb_qos.system import duration, iterations_until

CLOSE = 1e-9


def given(actions):
    """A policy with given actions (B, T)."""
    return lambda decision: actions[:, decision.index]


def made_up(seed: int, T: int = 60, N: int = 3, rate: float = 6.0, longest: int = 120) -> Workload:
    """Short requests, some of which arrive together."""
    one = workload(Load("Poisson", rate), seed, T, N)
    return replace(
        one,
        arrivals=np.floor(4.0 * one.arrivals) / 4.0 if seed % 2 else one.arrivals,
        prompts=np.minimum(one.prompts, longest),
        lengths=np.minimum(one.lengths, longest),
    )


def oracle(one: Workload) -> Workload:
    """The same with predictions that are right."""
    return replace(one, predicted_scores=one.scores, predicted_lengths=one.lengths)


def some_actions(seed: int, T: int, N: int) -> np.ndarray:
    """Experts and drops at random, (1, T)."""
    return np.random.default_rng(seed).integers(0, N + 1, size=(1, T))


SYSTEMS = {
    "default": default_system(),
    "memory binds": default_system().with_(memory=400),
    "small batches": default_system().with_(batch=3, memory=700),
    "unlike experts": System(
        (
            Expert("a", c0=0.02, k2=0.0),
            Expert("b", k1=0.0, memory=260),
            Expert("c", k2=2e-4, batch=1),
        )
    ),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", SYSTEMS)
def test_fast_forward_is_the_token_by_token_simulation(name, seed):
    system, one = SYSTEMS[name], made_up(seed)
    actions = some_actions(seed, one.T, system.N)
    outcome = serve(stack([one]), system, given(actions))
    requests, experts = reference(one, system, actions[0].tolist())
    kept = np.array([request is not None for request in requests])
    for field in ("first", "finish"):
        plain = np.array([getattr(request, field) for request in requests if request])
        assert np.abs(getattr(outcome, field)[0, kept] - plain).max() < CLOSE
        assert np.isnan(getattr(outcome, field)[0, ~kept]).all()
    assert outcome.evictions[0].tolist() == [expert.evictions for expert in experts]
    assert outcome.busy[0] == pytest.approx([expert.busy for expert in experts], abs=CLOSE)
    if name == "memory binds":
        assert outcome.evictions.sum() > 5


def test_fast_forward_takes_the_fewest_iterations_that_reach_a_time():
    rng = np.random.default_rng(0)
    context, b = rng.integers(1, 14_000, 500), rng.integers(1, 256, 500)
    c0, k2 = rng.uniform(1e-3, 2e-2, 500), rng.choice([0.0, 5e-7, 2.5e-5], 500)
    exact = duration(rng.integers(1, 400, 500), context, b, c0, k2)
    for wait in (exact, exact * rng.uniform(0.9, 1.1, 500), np.zeros(500)):
        m = iterations_until(wait, context, b, c0, k2)
        assert (duration(m, context, b, c0, k2) >= wait).all()
        assert ((m == 1) | (duration(m - 1, context, b, c0, k2) < wait)).all()
    steps = [sum(c0[0] + k2[0] * (context[0] + b[0] * i) for i in range(n)) for n in (1, 7, 30)]
    assert duration(np.array([1, 7, 30]), context[0], b[0], c0[0], k2[0]) == pytest.approx(steps)


@pytest.mark.parametrize("policy", ["RANDOM", "RR", "SQF", "BR", "Feasible"])
def test_nothing_is_lost_when_memory_binds(policy):
    system, seeds, T = default_system().with_(memory=1500), (1, 2), 300
    batch = stack([workload(Load("Poisson", 6.0), seed, T) for seed in seeds])
    outcome = serve(batch, system, POLICIES[policy](seeds, T, 0.0))
    assert np.isfinite(outcome.finish).all()
    assert (outcome.peak <= 1500).all()
    assert outcome.evictions.sum() > 0
    assert (outcome.first >= batch.arrivals).all()
    assert (outcome.finish >= outcome.first).all()


def test_arrivals_are_served_or_dropped():
    seeds, T = (3, 4), 400
    batch = stack([workload(Load("Poisson", 5.0), seed, T) for seed in seeds])
    for name in ("Feasible+drop", "Priced rollout"):
        outcome = serve(batch, default_system(), POLICIES[name](seeds, T, 0.5))
        dropped = outcome.actions == 3
        assert (np.isnan(outcome.finish) == dropped).all()
        assert 0 < dropped.sum() < dropped.size


def test_an_environment_does_not_see_its_neighbours():
    seeds, T, loads = (5, 6), 250, (Load("Poisson", 3.0), Load("Gamma", 5.0))
    workloads = [workload(load, seed, T) for load in loads for seed in seeds]
    maker, system = POLICIES["Priced rollout"], default_system()
    together = serve(stack(workloads), system, maker(seeds * 2, T, 0.5))
    for e, one in enumerate(workloads):
        alone = serve(stack([one]), system, maker(seeds[e % 2 : e % 2 + 1], T, 0.5))
        assert (alone.actions[0] == together.actions[e]).all()
        assert np.array_equal(alone.finish[0], together.finish[e], equal_nan=True)


def plain_states(one: Workload, system: System, actions: list[int], upto: int) -> list[PlainExpert]:
    """The reference's experts when request `upto` arrives."""
    experts = [PlainExpert(setting) for setting in system.experts]
    for k in range(upto + 1):
        now = float(one.arrivals[k])
        for expert in experts:
            expert.advance(now)
        if k < upto and actions[k] < system.N:
            d = int(one.lengths[actions[k], k])
            experts[actions[k]].add(Request(k, now, int(one.prompts[k]), d))
    return experts


@pytest.mark.parametrize("name", ["default", "memory binds"])
def test_a_decision_shows_the_state_of_the_experts(name):
    system, one, upto = SYSTEMS[name], made_up(1), 45
    actions = some_actions(1, one.T, 3)
    episodes = Episodes(stack([one]), system)
    for k in range(upto):
        episodes.step(actions[:, k])
    decision = episodes.decision
    state, running = decision.experts, decision.experts.running_requests(truth=True)
    predicted = decision.experts.running_requests(truth=False)
    plain = plain_states(one, system, actions[0].tolist(), upto)
    assert sum(len(expert.running) for expert in plain) > 5
    for n, expert in enumerate(plain):
        numbers = [r.number for r in expert.running]
        here = running.here[0, n]
        assert running.prompt[0, n][here].tolist() == one.prompts[numbers].tolist()
        assert running.emitted[0, n][here].tolist() == [r.emitted for r in expert.running]
        assert running.length[0, n][here].tolist() == one.lengths[n, numbers].tolist()
        assert predicted.length[0, n][here].tolist() == one.predicted_lengths[n, numbers].tolist()
        assert running.arrival[0, n][here].tolist() == one.arrivals[numbers].tolist()
        assert state.context[n] == expert.used
        assert state.waiting[n] == len(expert.waiting)
        assert state.waiting_tokens[n] == sum(r.tokens for r in expert.waiting)
        assert state.clock[n] == pytest.approx(expert.clock, abs=CLOSE)
        w, p, d = state.waiting_tokens[n], one.prompts[upto], one.predicted_lengths[n, upto]
        e, wait = system.experts[n], max(0.0, expert.clock - one.arrivals[upto])
        quick = e.c0 + e.k2 * (expert.used + w + p + d / 2) + (wait + e.k1 * (p + w) + e.c0) / d
        assert own_latency(decision)[0, n] == pytest.approx(quick, abs=CLOSE)


def frozen(seed: int, size: int = 9) -> Workload:
    """A few requests close together, then one more after a second, and nobody after that."""
    one = workload(Load("Poisson", 1.0), seed, size, 2)
    times = np.append(np.linspace(0.0, 0.3, size - 1), 1.2)
    return oracle(replace(one, arrivals=times))


def latencies(one: Workload, system: System, actions: list[int]) -> np.ndarray:
    """By the reference simulator, seconds per token; NaN where dropped."""
    requests, _ = reference(one, system, actions)
    return np.array([np.nan if r is None else (r.finish - r.arrival) / r.length for r in requests])


@pytest.mark.parametrize("limit", [0.018, 0.022, 0.026])
def test_the_impact_is_exact_in_a_frozen_system(limit):
    """Delays, flags and QoS lost, against the token-by-token simulation with and without the request."""
    lost_somewhere = 0
    for seed in range(12):
        one, system = frozen(seed), default_system(2).with_(limit=limit)
        before = [k % 2 for k in range(one.T - 1)]
        episodes = Episodes(stack([one]), system)
        for action in before:
            episodes.step(np.array([action]))
        decision = episodes.decision
        running = decision.experts.running_requests(truth=True)
        assert decision.experts.waiting.sum() == 0
        added = delays(decision, running, one.lengths[None, :, -1])
        own = frozen_own_latency(decision, running)
        without = latencies(one, system, [*before, 2])
        for n in range(2):
            with_it = latencies(one, system, [*before, n])
            numbers = decision.experts.request[n][: running.here[0, n].sum()]
            shift = (with_it - without)[numbers]
            assert np.abs(added[0, n][running.here[0, n]] - shift).max(initial=0.0) < CLOSE
            assert own[0, n] == pytest.approx(with_it[-1], abs=CLOSE)
            score = one.scores[n, numbers]
            lost = (score * ((without < limit)[numbers] & ~(with_it < limit)[numbers])).sum()
            assert impact(decision, truth=True)[0, n] == pytest.approx(lost, abs=1e-12)
            lost_somewhere += lost > 0.0
    assert lost_somewhere >= 3


def busy_decision(seed: int, limit: float = 0.03, upto: int = 150):
    """A decision in the midst of a run at Poisson 5."""
    episodes = Episodes(
        stack([workload(Load("Poisson", 5.0), seed, 200)]), default_system().with_(limit=limit)
    )
    for _ in range(upto):
        episodes.step(POLICIES["SQF"]((seed,), 200, 0.0)(episodes.decision))
    return episodes.decision


def test_impact_is_never_negative_and_nothing_on_an_empty_expert():
    first = Episodes(stack([workload(Load("Poisson", 1.0), 0, 5)]), default_system()).decision
    for form in (impact, published_impact):
        assert (form(first, truth=False) == 0.0).all()
        found = [form(busy_decision(seed), truth=truth) for seed in range(5) for truth in (0, 1)]
        assert (np.concatenate(found) >= 0.0).all()
        assert np.concatenate(found).max() > 0.0


def test_the_published_form_is_monotone():
    """Not rising in L; not falling in the request's prompt and length."""
    grows = 0
    for seed in range(6):
        tight = [published_impact(busy_decision(seed, L), truth=False) for L in (0.02, 0.03, 0.05)]
        assert (np.diff(np.stack(tight), axis=0) <= 0.0).all()
        decision = busy_decision(seed)
        running = decision.experts.running_requests(truth=False)
        for change in ("prompt", "lengths"):
            factors = (1, 2, 5, 20)
            more = [replace(decision, **{change: getattr(decision, change) * f}) for f in factors]
            values = np.stack([published_impact(m, truth=False) for m in more])
            assert (np.diff(values, axis=0) >= 0.0).all()
            grows += values[-1].sum() > values[0].sum()
            by = np.stack([published_delays(m, running, m.lengths) for m in more])
            assert (np.diff(by, axis=0)[:, running.here] >= 0.0).all()
    assert grows > 0


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_rewards_add_up_to_what_was_earned(beta):
    """With beta = 0 the sum is requests x average QoS; beta takes off the true impact of each action."""
    seeds, T = (7, 8), 400
    batch = stack([workload(Load("Poisson", 4.0), seed, T) for seed in seeds])
    episodes = Episodes(batch, default_system(), beta)
    taken, total, decision = np.zeros(2), np.zeros(2), episodes.decision
    while decision is not None:
        actions = highest_score(decision) if decision.index % 5 else np.array([3, 1])
        every = np.pad(impact(decision, truth=True), ((0, 0), (0, 1)))
        taken += every[[0, 1], actions]
        decision, reward = episodes.step(actions)
        total += reward
    outcome = episodes.outcome()
    earned = T * outcome.qos.mean(axis=1)
    assert taken.min() > 0.0
    assert total == pytest.approx(earned - beta * taken, abs=CLOSE)
    assert (outcome.reward == total).all()


def test_a_reward_is_paid_to_the_decision_before_it():
    """Request 0 is done before 1 arrives; 1 and 2 are paid when the last decision is flushed."""
    d = np.full((1, 3), 10)
    s = np.array([[0.5, 0.25, 0.125]])
    one = Workload(np.array([0.0, 5.0, 5.0]), np.full(3, 20), d, s, s, d)
    episodes = Episodes(stack([one]), System((Expert("only"),)))
    rewards = [episodes.step(np.array([0]))[1][0] for _ in range(3)]
    assert rewards == [0.5, 0.0, 0.375]
    assert episodes.decision is None


def test_without_a_limit_nobody_is_late_and_impact_greedy_is_br():
    seeds, T, system = (9,), 300, default_system().with_(limit=np.inf)
    batch = stack([workload(Load("Poisson", 5.0), 9, T)])
    outcomes = {
        name: serve(batch, system, POLICIES[name](seeds, T, 0.0), beta=1.0)
        for name in ("BR", "Impact-greedy", "Impact-greedy-R", "Priced rollout")
    }
    for outcome in outcomes.values():
        assert measure(outcome).loc[0, "late"] == 0.0
        assert (outcome.actions == outcomes["BR"].actions).all()
        assert outcome.reward[0] == pytest.approx(outcome.qos.sum(), abs=CLOSE)


def test_the_shape_of_qos_against_the_load():
    """On every seed RR falls with the rate, and BR is better than RR at rate 1 and worse at 3."""
    rates, seeds, T = (1.0, 2.0, 3.0, 4.0, 5.0), tuple(range(5)), 800
    batch = stack([workload(Load("Poisson", rate), seed, T) for rate in rates for seed in seeds])
    qos = {
        name: serve(batch, default_system(), POLICIES[name](seeds * 5, T, 0.0))
        .qos.mean(axis=1)
        .reshape(len(rates), len(seeds))
        for name in ("RR", "BR")
    }
    assert (np.diff(qos["RR"][1:], axis=0) < 0.0).all()
    assert (qos["BR"][0] > qos["RR"][0]).all()
    assert (qos["BR"][2] < qos["RR"][2]).all()


def test_simple_rules_choose_as_they_say():
    decision = busy_decision(0)
    experts = decision.experts
    assert POLICIES["BR"]((), 0, 0)(decision)[0] == decision.scores[0].argmax()
    assert POLICIES["RR"]((), 0, 0)(decision)[0] == decision.index % 3
    assert POLICIES["SQF"]((), 0, 0)(decision)[0] == (experts.running + experts.waiting).argmin()
    chosen = np.array(
        [POLICIES["RANDOM"]((1, 2), 999, 0)(replace(decision, index=k)) for k in range(999)]
    )
    counts = np.bincount(chosen[:, 0], minlength=3)
    assert abs(counts - 333).max() < 4 * np.sqrt(999 * 2 / 9)  # a fair router strays once in 16,000
    assert (chosen[:, 0] != chosen[:, 1]).any()


def test_greedy_rules_keep_to_feasible_experts_and_know_when_to_drop():
    """Against the rule written out, over many decisions; the three cases all occur."""
    cases, declined = set(), 0
    for seed in range(25):
        decision = busy_decision(seed, limit=0.026, upto=20 + 4 * seed)
        able = own_latency(decision)[0] < 0.026
        worth = {
            "Feasible+drop": decision.scores[0],
            "Impact-greedy": decision.scores[0] - impact(decision, truth=False)[0],
            "Priced Feasible+drop": decision.scores[0] - 0.6 * decision.lengths[0] / 100,
        }
        for name, values in worth.items():
            best = max(np.flatnonzero(able & (values > 0)), key=lambda n: values[n], default=3)
            assert POLICIES[name]((), 0, 0.6)(decision)[0] == best
            cases.add((name, best == 3))
            declined += best == 3 and able.any() and values[able].max() > -0.5
        best = max(np.flatnonzero(able), key=lambda n: decision.scores[0, n], default=0)
        assert POLICIES["Feasible"]((), 0, 0.0)(decision)[0] == best
    assert len(cases) == 6
    assert declined > 0  # an expert was able, but not worth it


def test_a_higher_price_drops_no_fewer_requests():
    decisions = [busy_decision(seed, upto=60 + seed) for seed in range(12)]
    for rule in (greedy, rollout):
        dropped = [
            sum(int(rule(d, price=price)[0] == 3) for d in decisions) for price in (0, 0.3, 1, 100)
        ]
        assert dropped == sorted(dropped)
        assert dropped[-1] == len(decisions)
        assert dropped[0] < dropped[-1]


def test_the_rollout_is_the_sum_written_out():
    """Gain of the request, loss of each running one, price of the room; some are dropped."""
    chosen = set()
    for seed in range(12):
        decision = busy_decision(seed, limit=0.027, upto=40 + 10 * seed)
        running, L = decision.experts.running_requests(truth=False), 0.027
        alone, more = final_latency(decision, running), delays(decision, running, decision.lengths)
        own = frozen_own_latency(decision, running)
        p, values = decision.prompt[0], []
        for n in range(3):
            d = decision.lengths[0, n]
            worth = decision.scores[0, n] / (1 + np.exp((own[0, n] - 0.9 * L) / (0.1 * L)))
            for j in np.flatnonzero(running.here[0, n]):
                at = (alone[0, n, j], alone[0, n, j] + more[0, n, j])
                met = [1 / (1 + np.exp((x - 0.9 * L) / (0.1 * L))) for x in at]
                worth -= running.score[0, n, j] * (met[0] - met[1])
            values.append((worth, 2.5e-5 * (p + d / 2) * d))
        for price in np.linspace(0.0, 6.0, 25):
            net = [worth - price * room for worth, room in values]
            best = int(np.argmax(net)) if max(net) > 0 else 3
            assert rollout(decision, price)[0] == best
            chosen.add(best)
    assert {3} < chosen


def test_the_softened_limit_is_a_logistic():
    L = 0.03
    met = softly_met(np.array([0.0, 0.9 * L, L, 1.1 * L, 100.0]), L)
    logistic = [1 / (1 + np.exp(-9)), 0.5, 1 / (1 + np.e), 1 / (1 + np.e**2), 0.0]
    assert met == pytest.approx(logistic, abs=1e-12)


def test_a_lone_request_and_equal_requests_take_the_time_of_the_closed_form():
    expert, one = Expert("only", c0=0.01, k1=1e-4, k2=3e-5), made_up(0, N=1)
    apart = replace(one, arrivals=60.0 * np.arange(one.T))
    outcome = serve(stack([apart]), System((expert,)), given(np.zeros((1, one.T), int)))
    lone = lone_latency(one.prompts, one.lengths[0], expert)
    assert outcome.latency[0] == pytest.approx(lone, abs=1e-9)
    table = interference(expert, (1, 3, 17, 40), prompt=33, length=71)
    assert table["simulated"].to_numpy() == pytest.approx(table["closed form"].to_numpy())


def test_no_batch_serves_more_than_the_largest_rate():
    expert = Expert("only", memory=10**6, batch=10**4)
    one = workload(Load("Poisson", 50.0), 0, 1500, 1)
    outcome = serve(stack([one]), System((expert,)), given(np.zeros((1, 1500), int)))
    rate = 1500 / outcome.finish.max()
    most = largest_rate(one.prompts, one.lengths[0], expert)
    assert 0.9 * most < rate < most


def test_metrics_are_those_of_a_run_by_hand():
    """Three requests of 10 tokens: one in time, one late, one dropped."""
    d, s = np.full((1, 3), 10), np.array([[0.5, 0.7, 0.9]])
    expert = Expert("only", c0=0.02, k1=0.0, k2=0.0)
    one = Workload(np.array([0.0, 0.01, 1.0]), np.full(3, 20), d, s, s, d)
    outcome = serve(stack([one]), System((expert,), 0.0215), given(np.array([[0, 0, 1]])))
    row = measure(outcome).iloc[0]
    # The second waits 10 ms for the first one's prefill; its own then stops the first for 20 ms.
    assert outcome.first[0] == pytest.approx([0.02, 0.04, np.nan], nan_ok=True)
    assert outcome.finish[0] == pytest.approx([0.22, 0.22, np.nan], nan_ok=True)
    assert row["latency"] == pytest.approx((0.022 + 0.021) / 2)
    assert row["qos"] == pytest.approx(0.7 / 3)
    assert row["late"] == row["dropped"] == pytest.approx(1 / 3)
    assert row["score"] == pytest.approx(0.6)
    assert row["first_token"] == pytest.approx((0.02 + 0.03) / 2)
    assert row["token_time"] == pytest.approx((0.2 / 9 + 0.18 / 9) / 2)
    assert row["qos_per_busy_second"] == pytest.approx(0.7 / 0.22)
    assert row["utilisation"] == pytest.approx(0.22)
    assert row["dropped_up_to_60"] == pytest.approx(1 / 3)
    assert np.isnan(row["dropped_over_150"])


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([0, -1], "environment 1, request 0: found action -1, expected an expert 0 to 2, or 3"),
        ([4, 0], "environment 0, request 0: found action 4"),
        ([0.0, 1.0], "found float64 actions"),
        ([0], r"of shape \(1,\), expected whole numbers of shape \(2,\)"),
        ([True, False], "found bool actions"),
    ],
)
def test_an_invalid_action_is_named(actions, words):
    batch = stack([workload(Load("Poisson", 1.0), seed, 5) for seed in (0, 1)])
    with pytest.raises(InvalidAction, match=words):
        Episodes(batch, default_system()).step(np.array(actions))
    with pytest.raises(ValueError, match="beta: found -1"):
        Episodes(batch, default_system(), beta=-1)
