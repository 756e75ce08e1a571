"""One round of the estimator in a single call, compiled by Numba.

The round is counted, the inverses that steer the refit take in what is new, and the descent follows.
"""

import math

from .absorb_kernels import TAKEN, absorb
from .compiling import compiled
from .kernels import CONVERGED, descend, inner

BLURRED = 20


@compiled
def learn(models, which, entry, pick, x, ridge, tolerance, blur, overshoot, most, *arrays):
    """Count a round and move theta of the offered models to the new minimum.

    Parameters
    ----------
    models : (K,) int64, the assortment. which : int64, of the inverses: one over the joint parameters,
        or one per model.
    entry : the round's, in the history; negative if there is no round to count. pick : the model picked,
        or negative. x : (d,), the context.
    ridge, tolerance, overshoot, most : as in :func:`.kernels.descend`.
    blur : largest estimated rounding error of a gradient.
    arrays : `taken` (of all inverses), `members`, `places`, as in :func:`.absorb_kernels.absorb`; those
        of :meth:`.history.History.tables`; and those of :class:`.lazy_inverse.Inverses`. Numba takes
        arrays several times faster than named tuples.

    Returns
    -------
    (end, gradient evaluations, norm of the first model's gradient with its rounding error). The end is
    what :func:`.kernels.descend` returns; or BLURRED: it has converged, with too large a rounding error;
    or, before the descent, FULL: fold the terms, and call again; or SPOILT: rebuild the inverses.
    """
    taken, members, places = arrays[:3]
    _, slopes, errors, row_spans, contexts, _, spans, links, counts, _ = arrays[3:13]
    base, scale, terms, signs, used = arrays[13:]
    for k in range(models.size if entry >= 0 else 0):
        j, picked = models[k], 1.0 if models[k] == pick else 0.0
        cell = spans[j, 0] + places[entry, k]
        counts[cell, 0] += 1.0
        counts[cell, 1] += picked
        for i in range(x.size):
            slopes[j, i] += (counts[cell, 2] - picked) * x[i]
    n = models.size // which.size
    for k in range(which.size):
        s, its = which[k], models[k * n : (k + 1) * n]
        inverse = base[s], scale[s], terms[s], signs[s], used[s]
        end = absorb(
            its, taken[s], members, places, row_spans, contexts, spans, links, counts, *inverse
        )
        if end != TAKEN:
            return end, 0, 0.0
    end, passes = descend(models, which, ridge, tolerance, overshoot, most, *arrays[3:])
    for j in models:
        if end == CONVERGED and errors[j, 0] > blur:
            end = BLURRED
    first = slopes[models[0]]
    return end, passes, math.sqrt(inner(first, first)) + errors[models[0], 0]
