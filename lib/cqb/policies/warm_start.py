"""A warm start of an online policy: it observes made-up rounds on scored rows before round 1.

Every model is offered to every row once, in assortments of K models: a permutation of the models, drawn
for the row, is cut into assortments, and the last one is filled up from its beginning. The user's choice
is drawn from the row's odds, as in a run. So a policy learns from the rows exactly what it would learn
from rounds of its own, and needs no code for it. The price is the noise of the draws.

Rows are in no pool, so the contexts of the rows follow the service's, and the numbers of their queries
are negative. Forced exploration is unchanged: it belongs to rounds that are served.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ..mnl import Assortment, sample_choice
from ..simulate import RETRY, Policy
from ..streams import Streams
from .base import PolicyEntry, ScoredRows, Service

Factory = Callable[[Service, Streams], Policy]


class Round(NamedTuple):
    """One served round: arrival number, prompt (context number), assortment and pick."""

    query: int
    context: int
    assortment: Assortment
    pick: int


def rounds_on(rows: ScoredRows, K: int, streams: Streams, first: int = 0) -> Iterator[Round]:
    """Rounds that offer every model at least once on every row, as arrivals -1, -2, ... .

    Parameters
    ----------
    first : context number of the first row.
    """
    generator, (n, N) = streams.generator("rounds on scored rows"), rows.odds.shape
    for row in range(n):
        offered = np.sort(np.resize(generator.permutation(N), (-(-N // K), K)), axis=1)
        weights = np.column_stack([np.ones(len(offered)), rows.odds[row][offered]])
        chances = weights / weights.sum(axis=1, keepdims=True)
        chosen = sample_choice(chances, generator.random(len(offered)))
        for models, k in zip(offered.tolist(), chosen.tolist(), strict=True):
            yield Round(-1 - row, first + row, tuple(models), models[k - 1] if k else RETRY)


def warm_started(factory: Factory, service: Service, streams: Streams, rows: ScoredRows) -> Policy:
    """The policy of a factory, after it has observed :func:`rounds_on` the scored rows in round 0.

    It must be one whose `observe` needs no `choose` before it.
    """
    contexts = np.vstack([service.contexts, rows.contexts])
    policy = factory(replace(service, contexts=contexts), streams)
    for round_ in rounds_on(rows, service.K, streams, len(service.contexts)):
        policy.observe(0, *round_)
    return policy


def with_rows(entry: PolicyEntry, **settings: float) -> PolicyEntry:
    """The entry with the ending "-rows", which starts from the refinement rows.

    Parameters
    ----------
    settings : learner settings that replace the entry's own.
    """
    return replace(
        entry,
        name=f"{entry.name}-rows",
        factory=partial(warm_started, entry.factory),
        rows="refinement",
        settings={**entry.settings, **settings},
    )
