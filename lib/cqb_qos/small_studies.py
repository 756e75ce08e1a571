"""Small experiments on one idea each: an expert's knee, interference, the impact estimate at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cqb.experiment.summary import half_width
from .decision import Decision
from .episodes import Episodes, serve
from .evaluate import batch_of, play
from .impact import delays, made_late, published_delays, published_late
from .metrics import latency
from .policies import POLICIES
from .simulator import Running
from .synthetic import Load, workload
from .system import Expert, System
from .workload import Batch, Workload, stack

Form = Callable[[Decision, Running, np.ndarray], np.ndarray]


def lone_latency(prompts: np.ndarray, lengths: np.ndarray, expert: Expert) -> np.ndarray:
    """Seconds per token of requests that have the expert to themselves: one prefill, d - 1 decodes."""
    held = (lengths - 1) * prompts + lengths * (lengths - 1) // 2
    return expert.c0 + (expert.k1 * prompts + expert.k2 * held) / lengths


def largest_rate(prompts: np.ndarray, lengths: np.ndarray, expert: Expert) -> float:
    """Requests per second that no batch size can exceed.

    A request costs its own tokens' time however it is batched; only c0 is shared by a batch.
    """
    held = (lengths - 1) * prompts + lengths * (lengths - 1) // 2
    return float(1.0 / np.mean(expert.k1 * prompts + expert.k2 * held))


def knee(
    expert: Expert, limit: float, rates: Sequence[float], seeds: Sequence[int], T: int
) -> pd.DataFrame:
    """One expert at several Poisson rates: latency, QoS and utilisation, means with 95% intervals."""
    system = System((expert,), limit)
    loads = [Load("Poisson", rate) for rate in rates]
    rows = play("BR", 0.0, loads, seeds, T, system)
    groups = rows.groupby("rate")
    table = pd.DataFrame({"seeds": groups["seed"].nunique()})
    for metric in ("latency", "qos", "utilisation"):
        half = half_width(groups[metric].std(), table["seeds"])
        table[metric] = groups[metric].mean()
        table[f"{metric}_low"], table[f"{metric}_high"] = table[metric] - half, table[metric] + half
    return table.reset_index()


def interference(expert: Expert, sizes: Sequence[int], prompt: int, length: int) -> pd.DataFrame:
    """Equal requests that start together: simulated latency and its closed form, by how many they are.

    With b requests, ``c0 + b (k1 p + k2 sum_{i=1}^{d-1} (p + i)) / d`` seconds per token.
    """
    most = max(sizes)
    flat = np.full((1, most), 1.0)
    lengths = np.full((1, most), length)
    one = Workload(np.zeros(most), np.full(most, prompt), lengths, flat, flat, lengths)
    batch = stack([one] * len(sizes))
    episodes = Episodes(batch, System((expert,)))
    for k in range(most):
        episodes.step(np.where(k < np.array(sizes), 0, 1))
    shared = lone_latency(np.array(prompt), np.array(length), expert) - expert.c0
    return pd.DataFrame(
        {
            "requests": sizes,
            "simulated": np.nanmax(latency(episodes.outcome()), axis=1),
            "closed form": expert.c0 + np.array(sizes) * shared,
        }
    )


def frozen_delays(expert: Expert, seeds: Sequence[int], running: int) -> pd.DataFrame:
    """Delays by one more request in a frozen system: simulated with less without, and both estimates.

    Each seed starts `running` requests and a second later one more, after which nothing arrives; a
    row per request that still runs then, in seconds per token.
    """
    batch, system = _frozen(seeds, running), System((expert,))
    episodes = Episodes(batch, system)
    for _ in range(running):
        episodes.step(np.zeros(len(seeds), np.int64))
    decision = episodes.decision
    slots = decision.experts.running_requests(truth=True)
    lengths = batch.lengths[:, :, -1]
    estimates = {
        "ours": delays(decision, slots, lengths),
        "published": published_delays(decision, slots, lengths),
    }
    B, N, S = slots.here.shape
    number = decision.experts.request[:, :S].reshape(B, N, S).copy()  # it changes in place
    episodes.step(np.zeros(len(seeds), np.int64))
    with_it = latency(episodes.outcome())
    without = latency(serve(batch, system, _all_but_last))
    gap = np.take_along_axis((with_it - without)[:, None, :], np.maximum(number, 0), axis=2)
    here = slots.here
    return pd.DataFrame({"simulated": gap[here], **{k: v[here] for k, v in estimates.items()}})


def _frozen(seeds: Sequence[int], running: int) -> Batch:
    """Requests of one expert that arrive within a tenth of a second, and the last a second later."""
    workloads = []
    for seed in seeds:
        one = workload(Load("Poisson", 1.0), seed, running + 1, 1)
        times = np.linspace(0.0, 0.1, running + 1)
        times[-1] += 1.0
        workloads.append(replace(one, arrivals=times))
    return stack(workloads)


def _all_but_last(decision: Decision) -> np.ndarray:
    B, _, T = decision.experts.batch.shape
    return np.full(B, int(decision.index == T - 1))


def flags(load: Load, seeds: Sequence[int], T: int, system: System) -> pd.DataFrame:
    """Running requests that a decision makes late, against those that estimators flag.

    Decisions are Feasible+drop's, which reads no estimate. What is right is the frozen system with true
    lengths and scores, in which our estimate is exact; the rows are our estimate on predictions,
    and the published form on true and on predicted lengths.
    """
    batch = batch_of([load], seeds, T, system)
    router = POLICIES["Feasible+drop"](tuple(seeds), T, 0.0)
    episodes = Episodes(batch, system)
    forms = {
        "ours, predicted lengths": (made_late, False),
        "published form, true lengths": (published_late, True),
        "published form, predicted lengths": (published_late, False),
    }
    counts = np.zeros((len(forms), 3), np.int64)
    decision = episodes.decision
    while decision is not None:
        actions = router(decision)
        right = _flagged(decision, actions, made_late, True)
        for count, (form, truth) in zip(counts, forms.values(), strict=True):
            flagged = _flagged(decision, actions, form, truth)
            count += [(flagged & right).sum(), (flagged & ~right).sum(), (right & ~flagged).sum()]
        decision, _ = episodes.step(actions)
    return pd.DataFrame(counts, index=list(forms), columns=["right", "false", "missed"])


def _flagged(decision: Decision, actions: np.ndarray, form: Form, truth: bool) -> np.ndarray:
    """Requests that a form flags at the chosen expert, (B, S) bool; none for a dropped request."""
    running = decision.experts.running_requests(truth=truth)
    batch = decision.experts.batch
    lengths = batch.lengths[:, :, decision.index] if truth else decision.lengths
    late = form(decision, running, lengths)
    N = late.shape[1]
    chosen = np.minimum(actions, N - 1)
    return late[np.arange(len(late)), chosen] & (actions < N)[:, None]
