"""The bridge to ACQB: users who retry, in order of time, and the updates of each router."""

import heapq
from dataclasses import replace

import numpy as np
import pytest
from qos_reference import PlainExpert, Request

from cqb_qos import POLICIES, Expert, Load, System, bridge, default_system, serve, stack
from cqb_qos import workload as generated
from cqb_qos.bridge import PATIENCE, AcqbRouter, Retrials, accepts


def chances(seed: int, T: int) -> np.ndarray:
    return np.random.default_rng(seed).random((T, PATIENCE))


def by_rule(T: int, modulus: int):
    """A policy that needs no state: attempt a of request k is action (k + a) mod `modulus`."""
    return lambda decision: np.array([sum(divmod(decision.index, T)) % modulus])


def plain_retrials(one, system, uniforms, modulus):
    """The same service one iteration at a time, with the reference's experts and the rule above."""
    T, N = one.T, system.N
    experts = [PlainExpert(setting) for setting in system.experts]
    pending, upcoming, requests, slots = [], list(range(T)), [], []
    answers, accepted, dropped = np.zeros(T, int), np.zeros(T, bool), np.zeros(T, bool)
    qos, finish = np.zeros(T), np.full(T, np.nan)

    def route(slot, now):
        attempt, k = divmod(slot, T)
        n = (k + attempt) % modulus
        dropped[k] = n == N
        if n < N:
            # Numbers are of joining, which is what the order of service goes by.
            request = Request(len(slots), now, int(one.prompts[k]), int(one.lengths[n, k]))
            slots.append(slot)
            requests.append((request, n))
            experts[n].add(request)

    while True:
        clocks = [e.clock for e in experts if e.running or e.waiting]
        step = float(np.nextafter(min(clocks), np.inf)) if clocks else np.inf
        arrival = one.arrivals[upcoming[0]] if upcoming else np.inf
        back = pending[0][0] if pending else np.inf
        now = min(step, arrival, back)
        if np.isinf(now):
            return answers, accepted, dropped, qos, finish
        for expert in experts:
            expert.advance(now)
        for request, n in [r for r in requests if r[0].finish is not None]:
            requests.remove((request, n))
            heapq.heappush(pending, (request.finish, slots[request.number], n))
        if arrival <= now:
            route(upcoming.pop(0), now)
        elif back <= now:
            _, slot, n = heapq.heappop(pending)
            attempt, k = divmod(slot, T)
            latency = (now - one.arrivals[k]) / one.lengths[n, k]
            answers[k] += 1
            finish[k] = now
            chance = accepts(one.scores[n, k], latency, system.limit)
            accepted[k] = uniforms[k, attempt] < chance
            if accepted[k] and latency < system.limit:
                qos[k] = one.scores[n, k]
            if not accepted[k] and attempt + 1 < PATIENCE:
                route(slot + T, now)


@pytest.mark.parametrize(("memory", "N", "modulus"), [(14_000, 2, 3), (700, 2, 3), (14_000, 1, 1)])
def test_the_service_is_the_one_played_one_iteration_at_a_time(memory, N, modulus):
    T, two = 60, (Expert("a", memory=memory), Expert("b", k2=4e-5, memory=memory))
    system = System(two[:N])
    one = generated(Load("Poisson", (0.7, 4.0)[N - 1]), 3, T, N)
    if memory < 14_000:
        limits = {"prompts": 150, "lengths": 200, "predicted_lengths": 200}
        one = replace(
            one, **{name: np.minimum(getattr(one, name), m) for name, m in limits.items()}
        )
    uniforms = chances(0, T)
    run = Retrials(one, system, by_rule(T, modulus), uniforms).serve()
    answers, accepted, dropped, qos, finish = plain_retrials(one, system, uniforms, modulus)
    assert run.answers.tolist() == answers.tolist()
    assert run.accepted.tolist() == accepted.tolist()
    assert run.dropped.tolist() == dropped.tolist()
    assert run.qos.tolist() == qos.tolist()
    assert run.finish == pytest.approx(finish, abs=1e-9, nan_ok=True)
    assert answers.max() == PATIENCE or dropped.any()
    assert 0 < accepted.sum() < T


def test_users_who_always_accept_make_a_plain_run():
    T, system = 200, default_system()
    one = generated(Load("Poisson", 4.0), 1, T)
    for name in ("SQF", "Feasible+drop", "Priced rollout"):
        rule = POLICIES[name]((1,), T, 0.5)
        run = Retrials(one, system, rule, np.zeros((T, PATIENCE))).serve()
        plain = serve(stack([one]), system, rule)
        assert (run.dropped == (plain.actions[0] == 3)).all()
        assert run.answers.tolist() == (~run.dropped).astype(int).tolist()
        assert run.qos == pytest.approx(plain.qos[0])


def test_users_who_never_accept_give_up():
    T = 40
    one = generated(Load("Poisson", 0.5), 1, T)
    run = Retrials(
        one, default_system(), POLICIES["RR"]((1,), T, 0.0), np.ones((T, PATIENCE))
    ).serve()
    assert set(run.answers) == {PATIENCE}
    assert not run.accepted.any()
    assert run.qos.sum() == 0.0


def test_a_retry_keeps_its_arrival_time():
    """With L at 20 ms, and at least 12 ms for a token, a second answer of the same expert is late."""
    T, system = 30, System((Expert("only"),), 0.02)
    one = generated(Load("Poisson", 0.05), 2, T, 1)
    one = replace(one, predicted_scores=one.scores, predicted_lengths=one.lengths)
    run = Retrials(
        one, system, POLICIES["Feasible+drop"]((2,), T, 0.0), np.ones((T, PATIENCE))
    ).serve()
    assert run.dropped.all()
    assert run.answers.max() == 1
    assert run.answers.mean() > 0.8


def test_acceptance_grows_with_a_score_in_time():
    assert accepts(1.0, 0.01, 0.03) == pytest.approx(0.99)
    assert accepts(0.5, 0.01, 0.03) == pytest.approx(0.545)
    assert accepts(1.0, 0.03, 0.03) == accepts(0.0, 0.01, 0.03) == pytest.approx(0.1)


def test_acqb_learns_from_retrials_who_is_good_at_what():
    """Three experts, each useful on some topics only; at a low load. A blind router gets 1/3 right.

    With 600 requests chance alone would put a blind router above .5 with probability below 1e-15.
    """
    T, seed = 600, 4
    one = generated(Load("Poisson", 0.05), seed, T)
    topic = bridge.topics(T, bridge.Streams(seed))
    able = np.arange(3)[:, None] == topic % 3
    scores = np.where(able, 0.95, 0.0)
    one = replace(one, scores=scores)
    first = np.zeros(T, int)
    router = AcqbRouter(seed, T, 3)

    def noted(decision):
        action = router(decision)
        if decision.index < T:
            first[decision.index] = action[0]
        return action

    system = default_system().with_(limit=1.0)
    run = Retrials(one, system, noted, chances(1, T), router.update).serve()
    assert (first == topic % 3)[T // 2 :].mean() > 0.8
    assert run.answers.mean() < 1.6


def test_rows_of_the_comparison_are_means_of_runs():
    rows = bridge.compare(
        {"RR": 0.0, "ACQB": 0.0}, [Load("Poisson", 1.0)], (0, 1), 40, default_system()
    )
    assert len(rows) == 4
    run = bridge.play("ACQB", 0.0, Load("Poisson", 1.0), 1, 40, default_system())
    row = rows[(rows["policy"] == "ACQB") & (rows["seed"] == 1)].iloc[0]
    assert row["qos"] == run.qos.mean()
    assert row["answers"] == run.answers.mean()
    assert row[["accepted", "dropped", "gave_up"]].sum() == pytest.approx(1.0)
