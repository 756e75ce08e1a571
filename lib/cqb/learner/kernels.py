"""The inner loops of the learner, compiled by Numba.

What a round does is little work in many small steps, so calls cost more than arithmetic: compiled, a
pass over a history takes about as long as its products. The functions work on the arrays of
:class:`.history.Part` and :class:`.lazy_inverse.Sum`, which their callers own and grow; they allocate
nothing that outlives a call. All of them stand in this one module because Numba's cache on disk
notices a change of a function's own file, not of what it calls in others.

Symbols: K offered models, d coordinates of a context, H an approximate inverse Hessian.
"""

from __future__ import annotations

import math

import numba
import numpy as np

CONVERGED, OVERSHOT, STALLED = 0, 1, 2
TAKEN, FULL, SPOILT = 0, 1, 2

# A secant term is learned if it turns the next step by less than this; a wild one would be undone.
WILD = 100.0
# A step may overshoot its line's minimum by this share of the slope that it began with.
ENOUGH = 0.5
# A root is sought at least this share of its bracket away from the ends.
MARGIN = 0.05
# Gradient evaluations spent on shortening one step.
SHORTER = 8
# A floor under the weight of a round, where float64 has rounded a pick rate to 0 or 1.
LEAST = 1e-12
# exp of a score stays finite: a step that overshoots is noticed by its gradient.
HIGHEST = 300.0
ROUNDING = 2.0**-24
# Contexts whose scores are one matrix product.
ROWS = 256
# Secant pairs that sharpen one inverse per model within a refit.
MEMORY = 5

compiled = numba.njit(cache=True, error_model="numpy")


@compiled
def dot(inverse, x):
    """``H x`` for `x` (n,), in the precision of the inverse."""
    result = np.dot(inverse.base, x) if inverse.base.shape[0] else inverse.scale[0] * x
    used = inverse.used[0]
    if used:
        terms = inverse.terms[:used]
        result += np.dot(np.dot(terms, x) * inverse.signs[:used], terms)
    return result


@compiled
def dot_part(inverse, x, start):
    """``H x`` for an `x` given from coordinate `start` on, and zero elsewhere: shape (n,)."""
    stop = start + x.shape[0]
    if inverse.base.shape[0]:
        result = np.dot(x, inverse.base[start:stop])
    else:
        result = np.zeros(inverse.terms.shape[1], inverse.terms.dtype)
        result[start:stop] = inverse.scale[0] * x
    used = inverse.used[0]
    if used:
        terms = inverse.terms[:used]
        seen = np.empty(used, terms.dtype)
        for i in range(used):
            seen[i] = inverse.signs[i] * np.dot(terms[i, start:stop], x)
        result += np.dot(seen, terms)
    return result


@compiled
def append(inverse, term, sign):
    """``H += sign * term term^T``; the caller sees to it that there is room."""
    inverse.terms[inverse.used[0]] = term
    inverse.signs[inverse.used[0]] = sign
    inverse.used[0] += 1


@compiled
def update_scores(part, odds, step):
    """Move a model's scores by a step (d,) of its parameters, and its odds with them.

    A score is then off by about ``ROUNDING |x| |step| / sqrt(d)``, the signs at random, and each
    bears on the gradient with at most a quarter of its context; the change of the rates
    multiplied in :func:`update_gradient` has as much again.
    """
    rows, entries = part.size
    change = np.dot(part.contexts[:rows], step.astype(np.float32))
    value = np.empty(rows)
    for row in range(rows):
        part.scores[row] += change[row]
        value[row] = math.exp(min(part.scores[row], HIGHEST))
    flat = odds.reshape(-1)
    for place in range(entries):
        flat[part.cell[place]] = value[part.entry_row[place]]
    spread = 0.5 * part.longest[0] * math.sqrt(rows / step.size)
    part.blur[0] += ROUNDING * spread * math.sqrt(np.dot(step, step))


@compiled
def update_gradient(part, odds):
    """Move a model's pick rates and gradient to where the odds now are."""
    rows, entries = part.size
    flat = odds.reshape(-1)
    change = np.zeros(rows)
    for place in range(entries):
        total = 1.0
        for k in range(odds.shape[1]):
            total += odds[part.entry[place], k]
        rate = flat[part.cell[place]] / total
        change[part.entry_row[place]] += part.serves[place] * (rate - part.rates[place])
        part.rates[place] = rate
    part.slope[:] += np.dot(change.astype(np.float32), part.contexts[:rows])


@compiled
def gradient(parts, odds):
    """Joint gradient over the parameters of the offered models, float64 (K, d)."""
    slope = np.empty((len(parts), parts[0].slope.size))
    for k in range(len(parts)):
        update_gradient(parts[k], odds)
        slope[k] = parts[k].slope
    return slope


@compiled
def move(theta, models, parts, odds, ridge, step):
    """theta += `step` (K, d) for the offered models, with their scores, odds and penalty."""
    for k in range(models.size):
        theta[models[k]] += step[k]
        part = parts[k]
        part.slope[:] += ridge * step[k]
        update_scores(part, odds, step[k])


@compiled
def absorb(inverse, taken, parts, models, members, places):
    """Take the rounds since the last use into the inverse over the joint parameters of `models`.

    Parameters
    ----------
    taken : per model, the serves taken so far, by entry of its part.
    members, places : (entries, K) the assortment of each entry of the history, and the places that
        its models have given to it.

    Returns
    -------
    TAKEN, FULL (fold the terms, then go on), or SPOILT: rounding has left no inverse.
    """
    n = models.size
    slots, rates = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        part = parts[k]
        for place in range(part.size[1]):
            serves = part.serves[place] - taken[k][place]
            if serves == 0.0:
                continue
            if inverse.used[0] + n > inverse.signs.size:
                return FULL
            entry, m = part.entry[place], 0
            for i in range(n):
                for c in range(members.shape[1]):
                    if members[entry, c] == models[i]:
                        its = places[entry, c]
                        taken[i][its] += serves
                        slots[m], rates[m] = i, parts[i].rates[its]
                        m += 1
            x = part.contexts[part.entry_row[place]]
            if not grow(inverse, x, slots[:m], rates[:m], serves):
                return SPOILT
    return TAKEN


@compiled
def grow(inverse, x, slots, rates, serves):
    """Add ``serves (diag(p) - p p^T)`` times ``x x^T``, in the slots of a joint inverse.

    One Sherman-Morrison step for each column of the root L of the weights, so that ``x`` is
    multiplied but once a slot. False, and no more is added, where the inverse is no longer positive
    definite.
    """
    m, d = slots.size, x.size
    seen = np.empty((m, inverse.terms.shape[1]), np.float32)
    gram = np.empty((m, m))
    for i in range(m):
        seen[i] = dot_part(inverse, x, slots[i] * d)
        for j in range(m):
            gram[i, j] = np.dot(x, seen[i, slots[j] * d : (slots[j] + 1) * d])
    root = weight_root(rates, serves)
    for c in range(m):
        along = np.dot(gram, root[:, c].copy())
        square = np.dot(root[:, c].copy(), along)
        if not (square >= 0.0 and gram[c, c] >= 0.0):
            return False
        shrink = 1.0 / math.sqrt(1.0 + square)
        term = np.zeros(seen.shape[1], np.float32)
        for i in range(c, m):
            term += np.float32(shrink * root[i, c]) * seen[i]
        append(inverse, term, -1.0)
        for i in range(m):
            seen[i] -= np.float32(shrink * along[i]) * term
            for j in range(m):
                gram[i, j] -= shrink * shrink * along[i] * along[j]
    return True


@compiled
def weight_root(rates, serves):
    """Lower Cholesky factor of ``serves (diag(p) - p p^T)``, with a floor under its diagonal."""
    m = rates.size
    root = np.zeros((m, m))
    for j in range(m):
        for i in range(j, m):
            value = -serves * rates[i] * rates[j]
            if i == j:
                value += serves * rates[i] + LEAST
            for c in range(j):
                value -= root[i, c] * root[j, c]
            root[i, j] = math.sqrt(max(value, LEAST)) if i == j else value / root[j, j]
    return root


@compiled
def base_dot(inverses, slope):
    """The inverse times a joint gradient (K, d): one of all models together, or one a model."""
    K, d = slope.shape
    if len(inverses) == 1:
        return (
            dot(inverses[0], slope.astype(np.float32).reshape(-1)).astype(np.float64).reshape(K, d)
        )
    result = np.empty((K, d))
    for k in range(K):
        result[k] = dot(inverses[k], slope[k].astype(np.float32))
    return result


@compiled
def learn_secant(inverse, full, share, before, after, ahead):
    """Learn from a `share` of the step ``full = -H before``, which led to gradient `after`; ``H after``.

    The symmetric rank-one secant: its term is the residual ``r = step - H y``, y the change of the
    gradient. After a full step r is just ``-H after`` (`ahead`), and mending it only scales the next.
    """
    residual = (share - 1.0) * full - ahead
    curve = np.sum(residual * (after - before))
    mended = ahead + residual * (np.sum(residual * after) / curve)
    downhill = np.sum(mended * after)
    if not 0.0 < downhill < WILD * abs(np.sum(ahead * after)):
        return ahead
    append(inverse, residual.reshape(-1) / math.sqrt(abs(curve)), np.sign(curve))
    return mended


@compiled
def remember(pairs, step, change):
    """Keep a secant pair (step, change of gradient), unless it shows no curvature.

    pairs : float64 (MEMORY + 1, 2, K, d), the newest first; row MEMORY holds the count.
    """
    curve = np.dot(step.reshape(-1), change.reshape(-1))
    lengths = np.sqrt(np.sum(step * step) * np.sum(change * change))
    if not curve > 1e-10 * lengths:
        return
    for i in range(MEMORY - 1, 0, -1):
        pairs[i] = pairs[i - 1]
    pairs[0, 0], pairs[0, 1] = step, change
    pairs[MEMORY, 0, 0, 0] = min(MEMORY, pairs[MEMORY, 0, 0, 0] + 1.0)


@compiled
def sharpened_dot(pairs, inverses, slope):
    """The inverse times a joint gradient, sharpened by secant pairs (two-loop recursion, L-BFGS).

    Positive definite whenever the base inverse is, however old the pairs: they are true secants of a
    Hessian that has only grown since.
    """
    count = int(pairs[MEMORY, 0, 0, 0])
    weights = np.empty(count)
    slope = slope.copy()
    for i in range(count):
        step, change = pairs[i]
        weights[i] = np.sum(step * slope) / np.sum(step * change)
        slope -= weights[i] * change
    result = base_dot(inverses, slope)
    for i in range(count - 1, -1, -1):
        step, change = pairs[i]
        result += (weights[i] - np.sum(change * result) / np.sum(step * change)) * step
    return result


@compiled
def line_search(theta, models, parts, odds, ridge, step, before, after):
    """Shorten a step that has gone too far, where the slope along it has changed its sign.

    The slope along a step rises, the objective being convex, so that a root lies between: regula
    falsi, where an end that stays counts for half (Illinois). `after`, the gradient, is moved along.

    Returns
    -------
    (the share of the step that stands, gradient evaluations)
    """
    low, high = 0.0, 1.0
    at_low, at_high = np.sum(before * step), np.sum(after * step)
    if at_low >= 0.0:
        return 1.0, 0
    enough = -ENOUGH * at_low
    share, slope, tries, side = 1.0, at_high, 0, 0
    while (slope > enough or (tries and slope < -enough)) and tries < SHORTER:
        root = (at_high * low - at_low * high) / (at_high - at_low)
        margin = MARGIN * (high - low)
        root = min(max(root, low + margin), high - margin)
        move(theta, models, parts, odds, ridge, (root - share) * step)
        after[:] = gradient(parts, odds)
        share, tries = root, tries + 1
        slope = np.sum(after * step)
        if slope > 0.0:
            high, at_high = share, slope
            at_low *= 0.5 if side > 0 else 1.0
            side = 1
        else:
            low, at_low = share, slope
            at_high *= 0.5 if side < 0 else 1.0
            side = -1
    return share, tries


@compiled
def descend(theta, models, parts, odds, inverses, ridge, tolerance, overshoot, most):
    """Quasi-Newton steps until the joint gradient is within tolerance.

    Parameters
    ----------
    theta : (N, d), moved in place. models : (K,) int64, the assortment.
    inverses : one over the joint parameters, or one per model.
    overshoot : a step after which the gradient is longer than this multiple of what it was is taken
        back. most : gradient evaluations.

    Returns
    -------
    (CONVERGED, OVERSHOT or STALLED, gradient evaluations). After OVERSHOT theta is where it was before
    the step, and scores, odds and gradients are to be computed afresh.
    """
    K, d = models.size, theta.shape[1]
    pairs = np.zeros((MEMORY + 1, 2, K, d) if len(inverses) > 1 else (0, 2, K, d))
    if K > 1:
        # The other models of their entries have moved since their own last refit.
        gradient(parts, odds)
    slope = np.empty((K, d))
    for k in range(K):
        slope[k] = parts[k].slope
    size, passes = math.sqrt(np.sum(slope * slope)), 1
    if size <= tolerance:
        return CONVERGED, passes
    step = -base_dot(inverses, slope)
    while passes < most:
        here = theta[models]
        move(theta, models, parts, odds, ridge, step)
        after = gradient(parts, odds)
        share, tries = line_search(theta, models, parts, odds, ridge, step, slope, after)
        passes += 1 + tries
        longer = math.sqrt(np.sum(after * after))
        if not longer <= overshoot * size:
            theta[models] = here
            return OVERSHOT, passes
        if K == 1 and longer <= tolerance:
            return CONVERGED, passes
        if len(inverses) == 1:
            ahead = base_dot(inverses, after)
            step = -learn_secant(inverses[0], step, share, slope, after, ahead)
        else:
            remember(pairs, share * step, after - slope)
            step = -sharpened_dot(pairs, inverses, after)
        slope, size = after, longer
        if size <= tolerance:
            return CONVERGED, passes
    return STALLED, passes


@compiled
def prospects(contexts, ranked, theta, information):
    """Mean scores of the waiting contexts, and bounds of their deviations: two of (q, N).

    Parameters
    ----------
    contexts : (C, d). ranked : (q,) the waiting ones. theta : (N, d).
    information : (C, N), 1 / (an upper bound of the posterior variance of each score at alpha = 1).
    """
    q, N = ranked.size, theta.shape[0]
    mean, deviation = np.empty((q, N)), np.empty((q, N))
    for start in range(0, q, ROWS):
        stop = min(start + ROWS, q)
        mean[start:stop] = np.dot(contexts[ranked[start:stop]], theta.T)
        for i in range(start, stop):
            for j in range(N):
                deviation[i, j] = 1.0 / math.sqrt(information[ranked[i], j])
    return mean, deviation


@compiled
def survivors(mean, deviation, normals, alpha, K, room, rank):
    """Which sampled scores can still be among the K of the best query.

    Score (i, j) lies within ``alpha deviation_ij |z_{<=i,j}|`` of its mean for every draw, and the
    largest of M draws counts. Bounds are compared with a little `room`.

    Parameters
    ----------
    mean, deviation : (q, N). normals : (q, N, M). alpha : confidence radius.
    rank : queries from here on have no normals of their own; q where that is not certain.

    Returns
    -------
    (bool (q, N), the query that is left, with K scores and no other, or -1)
    """
    q, N, M = normals.shape
    squares = np.zeros((N, M))
    lower, upper = np.empty((q, N)), np.empty((q, N))
    kth, query_upper = np.empty(q), np.empty(q)
    floor = -np.inf
    for i in range(q):
        for j in range(N):
            least, most = np.inf, 0.0
            for m in range(M):
                if i < rank:
                    squares[j, m] += normals[i, j, m] ** 2
                least, most = min(least, squares[j, m]), max(most, squares[j, m])
            reach = alpha * deviation[i, j]
            lower[i, j] = mean[i, j] - reach * math.sqrt(least)
            upper[i, j] = mean[i, j] + reach * math.sqrt(most)
        kth[i], query_lower = best(lower[i], K)
        query_upper[i] = best(upper[i], K)[1]
        floor = max(floor, query_lower)
    alive = np.zeros((q, N), np.bool_)
    rows, last, count = 0, -1, 0
    for i in range(q):
        if query_upper[i] >= floor - room:
            rows, last, count = rows + 1, i, 0
            for j in range(N):
                alive[i, j] = upper[i, j] >= kth[i] - room
                count += alive[i, j]
    return alive, last if rows == 1 and count == K else -1


@compiled
def draws(inverse, rows, normals, mine, dependent):
    """``L z`` at the queries `mine`, with ``L L^T = W V^{-1} W^T`` over all rows W.

    Parameters
    ----------
    inverse : of V. rows : W (m, d). normals : (m, M). mine : (n,) int64, ascending, up to m - 1.
    dependent : a pivot below this share of its diagonal is not trusted.

    Returns
    -------
    (whether every pivot could be trusted, (n, M))
    """
    m, M = normals.shape
    factor = gram(inverse, rows)
    drawn = np.zeros((mine.size, M))
    for j in range(m):
        diagonal = factor[j, j]
        for c in range(j):
            factor[j, j] -= factor[j, c] ** 2
        if not factor[j, j] > dependent * diagonal:
            return False, drawn
        factor[j, j] = math.sqrt(factor[j, j])
        for i in range(j + 1, m):
            for c in range(j):
                factor[i, j] -= factor[i, c] * factor[j, c]
            factor[i, j] /= factor[j, j]
    for n in range(mine.size):
        for i in range(mine[n] + 1):
            drawn[n] += factor[mine[n], i] * normals[i]
    return True, drawn


@compiled
def gram(inverse, rows):
    """``W V^{-1} W^T`` for rows W (m, d): shape (m, m)."""
    seen = np.dot(rows, inverse.base) if inverse.base.shape[0] else inverse.scale[0] * rows
    result = np.dot(seen, rows.T)
    used = inverse.used[0]
    if used:
        along = np.dot(rows, inverse.terms[:used].T)
        result += np.dot(along * inverse.signs[:used], along.T)
    return result


@compiled
def best(scores, K):
    """The K-th largest of some scores, and the log of the summed odds of the K largest."""
    largest = np.sort(scores)[scores.size - K :]
    if K == 1:
        return largest[0], largest[0]
    peak = largest[K - 1]
    return largest[0], peak + math.log(np.sum(np.exp(largest - peak)))
