"""Small experiments on one idea each, for notebook 07.

The knee of a single expert, interference in a batch, the impact estimates against simulated delays, and
the effect of the order of the experts on a network.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cqb.stats import intervals

from .episodes import Episodes, measure, serve
from .forecast import Form, delays, flagged, made_late, published_delays, published_late
from .networks import Weights, arrived_readout, graph_values, pack, unpack
from .observe import observe
from .policies import feasible, greedy, highest_score
from .simulator import Decision
from .system import Expert, System
from .workloads import Load, Workload, batch_of, stack, workload


def own_seconds(prompts: np.ndarray, lengths: np.ndarray, expert: Expert) -> np.ndarray:
    """Seconds that the tokens of a request take: its prefill, and d - 1 decode iterations."""
    held = (lengths - 1) * prompts + lengths * (lengths - 1) // 2
    return expert.k1 * prompts + expert.k2 * held


def lone_latency(prompts: np.ndarray, lengths: np.ndarray, expert: Expert) -> np.ndarray:
    """Seconds per token of requests that have the expert to themselves."""
    return expert.c0 + own_seconds(prompts, lengths, expert) / lengths


def largest_rate(prompts: np.ndarray, lengths: np.ndarray, expert: Expert) -> float:
    """Requests per second that no batch size can exceed.

    A request costs its own tokens' time however it is batched; only c0 is shared by a batch.
    """
    return float(1.0 / np.mean(own_seconds(prompts, lengths, expert)))


def knee(
    expert: Expert, limit: float, rates: Sequence[float], seeds: Sequence[int], T: int
) -> pd.DataFrame:
    """One expert at several Poisson rates: latency, QoS and utilisation, means with 95% intervals."""
    system = System((expert,), limit)
    batch = batch_of([Load("Poisson", rate) for rate in rates], seeds, T, 1)
    rows = measure(serve(batch, system, highest_score))
    groups = rows.groupby(np.repeat(rates, len(seeds)))
    table = pd.DataFrame(intervals(groups, ("latency", "qos", "utilisation"), groups.size()))
    return table.rename(columns=lambda name: name.removesuffix("_mean")).reset_index(names="rate")


def interference(expert: Expert, sizes: Sequence[int], prompt: int, length: int) -> pd.DataFrame:
    """Equal requests that start together: simulated latency and its closed form, by their number.

    With b requests, ``c0 + b (k1 p + k2 sum_{i=1}^{d-1} (p + i)) / d`` seconds per token.
    """
    most, of_size = max(sizes), np.array(sizes)
    flat, lengths = np.full((1, most), 1.0), np.full((1, most), length)
    one = Workload(np.zeros(most), np.full(most, prompt), lengths, flat, flat, lengths)
    joins = np.where(np.arange(most) < of_size[:, None], 0, 1)
    outcome = serve(stack([one] * len(sizes)), System((expert,)), lambda d: joins[:, d.index])
    closed = expert.c0 + of_size * own_seconds(prompt, length, expert) / length
    simulated = np.nanmax(outcome.latency, axis=1)
    return pd.DataFrame({"requests": sizes, "simulated": simulated, "closed form": closed})


def frozen_delays(expert: Expert, seeds: Sequence[int], running: int) -> pd.DataFrame:
    """Delays by one more request in a frozen system: simulated with less without, and both estimates.

    Each seed starts `running` requests and a second later one more, after which nothing arrives; a
    row per request that still runs then, in seconds per token.
    """
    times = np.append(np.linspace(0.0, 0.1, running + 1)[:-1], 1.1)
    load, system = Load("Poisson", 1.0), System((expert,))
    batch = stack([replace(workload(load, s, running + 1, 1), arrivals=times) for s in seeds])
    serves, drops = np.zeros(len(seeds), np.int64), np.ones(len(seeds), np.int64)
    episodes = Episodes(batch, system)
    for _ in range(running):
        episodes.step(serves)
    decision = episodes.decision
    slots, lengths = decision.experts.running_requests(truth=True), batch.lengths[:, :, -1]
    episodes.step(serves)
    without = serve(batch, system, lambda decision: drops if decision.index == running else serves)
    gap = (episodes.outcome().latency - without.latency)[:, None, :]
    columns = {
        "simulated": np.take_along_axis(gap, np.maximum(slots.number, 0), axis=2),
        "ours": delays(decision, slots, lengths),
        "published": published_delays(decision, slots, lengths),
    }
    return pd.DataFrame({name: values[slots.here] for name, values in columns.items()})


def flags(load: Load, seeds: Sequence[int], T: int, system: System) -> pd.DataFrame:
    """Running requests that a decision makes late, against those that estimates flag.

    Decisions are those of Feasible+drop, which reads no estimate. The reference is the frozen system
    with true lengths and scores, in which our estimate is exact; the rows are our estimate on
    predictions, and the published form on true and on predicted lengths.
    """
    forms = {
        "ours, predicted lengths": (made_late, False),
        "published form, true lengths": (published_late, True),
        "published form, predicted lengths": (published_late, False),
    }
    counts = np.zeros((len(forms), 3), np.int64)

    def counting(decision: Decision) -> np.ndarray:
        actions = greedy(decision)
        served = np.flatnonzero(actions < system.N)

        def at_chosen(form: Form, truth: bool) -> np.ndarray:
            return flagged(decision, form, truth=truth)[0][served, actions[served]]

        right = at_chosen(made_late, True)
        for count, form in zip(counts, forms.values(), strict=True):
            found = at_chosen(*form)
            count += [(found & right).sum(), (found & ~right).sum(), (right & ~found).sum()]
        return actions

    serve(batch_of([load], seeds, T, system.N), system, counting)
    return pd.DataFrame(counts, index=list(forms), columns=["right", "false", "missed"])


def states(load: Load, seeds: Sequence[int], decisions: int, system: System) -> np.ndarray:
    """Packed observations, (seeds, D), after some decisions of the rule Feasible."""
    episodes = Episodes(batch_of([load], seeds, decisions + 1, system.N), system)
    for _ in range(decisions):
        episodes.step(feasible(episodes.decision))
    return pack(observe(episodes.decision))


def reordered(packed: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """The same states with the experts, and the requests at them, in another order."""
    graph = unpack(packed)
    parts = [part[:, list(order)].reshape(len(packed), -1) for part in graph[:-1]]
    return np.concatenate([*parts, graph.rate], axis=1)


def order_effects(weights: Weights, packed: np.ndarray, order: Sequence[int]) -> dict[str, float]:
    """Largest change under another order of the experts.

    Returns
    -------
    `values` : of an action's value, where an action goes with its expert. `experts` : of an expert's
    value at a place, so by how much experts differ. `readout` : of the published readout.
    """
    other = reordered(packed, order)
    before, after = graph_values(weights, packed), graph_values(weights, other)
    moved = np.append(before[:, list(order)], before[:, -1:], axis=1)
    readouts = [arrived_readout(weights, unpack(p)) for p in (packed, other)]
    return {
        "values": float(abs(after - moved).max()),
        "experts": float(abs(after - before).max()),
        "readout": float(abs(readouts[1] - readouts[0]).max()),
    }
