"""What a run is judged by (arXiv 2509.02718)."""

from __future__ import annotations

from dataclasses import dataclass

from .session import Outcome


@dataclass(frozen=True)
class Metrics:
    """Perf: total score of served queries. cost: dollars. ppc: Perf per dollar, 0 without cost.
    throughput: queries served. declined, lost: queries refused by the router, by admission."""

    perf: float
    cost: float
    ppc: float
    throughput: int
    declined: int
    lost: int


def measure(outcome: Outcome) -> Metrics:
    """The metrics of an outcome."""
    perf, cost = float(outcome.scores.sum()), float(outcome.costs.sum())
    declined = int((outcome.choices < 0).sum())
    served = int(outcome.admitted.sum())
    return Metrics(
        perf=perf,
        cost=cost,
        ppc=perf / cost if cost > 0 else 0.0,
        throughput=served,
        declined=declined,
        lost=outcome.choices.size - served - declined,
    )
