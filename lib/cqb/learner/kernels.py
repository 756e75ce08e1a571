"""The inner loops of a refit, compiled by Numba: products with an inverse, and the descent itself.

A round does little work in many small steps, so calls would cost more than arithmetic. The functions
work on the arrays of :class:`.history.History` and :class:`.lazy_inverse.LazyInverse`, which their
callers own and grow, and allocate nothing that outlives a call: `tables` are those that
:meth:`.history.History.tables` returns, `inverses` those of :class:`.lazy_inverse.Inverses`.

The first run of an installation waits for the compiler, and longer the more types a function meets and
the more array expressions it has. So all K and all inverses share one signature, and sums are loops.

Numba's cache on disk notices a change in a function's own file only, not in functions it calls in
other files. So no compiled function calls one of another module: what belongs to one loop is in one
file (:mod:`.absorb_kernels` and :mod:`.draw_kernels` hold the others).

Symbols: K offered models, d coordinates of a context, n = K d, H an approximate inverse Hessian.
"""

import math

import numpy as np

from .compiling import compiled, inlined, part

CONVERGED, OVERSHOT, STALLED = 0, 1, 2

# A secant term is used if it scales the next step by less than this; a larger step would be undone.
WILD = 100.0
# A step may overshoot the minimum along its line up to this share of its initial slope.
ENOUGH = 0.5
# A root is searched at least this share of its bracket away from the ends.
MARGIN = 0.05
# Gradient evaluations spent on shortening one step.
SHORTER = 8
# Keeps exp of a score finite; a step that overshoots shows in its gradient.
HIGHEST = 300.0
ROUNDING = 2.0**-24
# Secant pairs that sharpen one inverse per model within a refit.
MEMORY = 5


@part
def inner(a, b):
    """``<a, b>``, added from left to right."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@part
def gradient(tables, models, slope):
    """Update the offered models' pick rates and gradients to the current odds.

    The joint gradient over their parameters is written into `slope` (n,).
    """
    theta, slopes, _, row_spans, contexts, _, cell_spans, links, counts, odds = tables
    K, d = models.size, theta.shape[1]
    added = np.empty(d, np.float32)
    for k in range(K):
        j = models[k]
        start, rows = row_spans[j, 0], row_spans[j, 1]
        change, by_row = np.empty(rows), np.empty(rows, np.float32)
        for row in range(rows):
            change[row] = 0.0
        for cell in range(cell_spans[j, 0], cell_spans[j, 0] + cell_spans[j, 1]):
            entry, total = links[cell, 0], 1.0
            for c in range(K):
                total += odds[entry * K + c]
            rate = odds[links[cell, 2]] / total
            moved = counts[cell, 0] * (rate - counts[cell, 2])
            change[links[cell, 1]] += moved
            counts[cell, 2] = rate
        for row in range(rows):
            by_row[row] = change[row]
        np.dot(by_row, contexts[start : start + rows], added)
        for i in range(d):
            slopes[j, i] += added[i]
            slope[k * d + i] = slopes[j, i]


@inlined
def move(tables, models, ridge, share, step):
    """theta += share * step (n,) for the offered models, with their scores, odds and penalty.

    The error of a score is about ``ROUNDING |x| |step| / sqrt(d)``, with random signs, and enters the
    gradient with at most a quarter of its context; the change of the rates multiplied in
    :func:`gradient` adds as much again.
    """
    theta, slopes, errors, row_spans, contexts, scores, cell_spans, links, _, odds = tables
    d = theta.shape[1]
    single = np.empty(d, np.float32)
    for k in range(models.size):
        j, square = models[k], 0.0
        for i in range(d):
            change = share * step[k * d + i]
            theta[j, i] += change
            slopes[j, i] += ridge * change
            single[i] = change
            square += change * change
        start, rows = row_spans[j, 0], row_spans[j, 1]
        added, value = np.empty(rows, np.float32), np.empty(rows)
        np.dot(contexts[start : start + rows], single, added)
        for row in range(rows):
            scores[start + row] += added[row]
            value[row] = math.exp(min(scores[start + row], HIGHEST))
        for cell in range(cell_spans[j, 0], cell_spans[j, 0] + cell_spans[j, 1]):
            odds[links[cell, 2]] = value[links[cell, 1]]
        spread = 0.5 * errors[j, 1] * math.sqrt(rows / d)
        errors[j, 0] += ROUNDING * spread * math.sqrt(square)


@inlined
def base_dot(inverses, which, slope, result):
    """The inverse times a joint gradient (n,), into `result`: one joint inverse, or one per model."""
    base, scale, all_terms, signs, in_use = inverses
    size = slope.size // which.size
    x, product = np.empty(size, np.float32), np.empty(size, np.float32)
    for k in range(which.size):
        s = which[k]
        used = in_use[s, 0]
        for i in range(size):
            x[i] = slope[k * size + i]
            product[i] = scale[s] * x[i]
        if in_use[s, 1]:
            np.dot(base[s], x, product)
        for i in range(size):
            result[k * size + i] = product[i]
        if used:
            terms, weights = all_terms[s, :used], np.empty(used, np.float32)
            np.dot(terms, x, weights)
            for i in range(used):
                weights[i] *= signs[s, i]
            np.dot(weights, terms, product)
            for i in range(size):
                result[k * size + i] = np.float32(result[k * size + i]) + product[i]


@inlined
def learn_secant(inverses, s, full, share, before, after, ahead):
    """Learn from a `share` of the step ``full = -H before``, which led to gradient `after`.

    The symmetric rank-one secant: its term is the residual ``r = step - H y``, y the change of the
    gradient. After a full step r equals ``-H after``, and the term only scales the next step. `ahead`,
    ``H after`` (n,), becomes that of the new H.
    """
    _, _, terms, signs, used = inverses
    residual = np.empty(full.size)
    curve = onward = plain = downhill = 0.0
    for i in range(full.size):
        residual[i] = (share - 1.0) * full[i] - ahead[i]
        curve += residual[i] * (after[i] - before[i])
        onward += residual[i] * after[i]
        plain += ahead[i] * after[i]
    for i in range(full.size):
        downhill += (ahead[i] + residual[i] * (onward / curve)) * after[i]
    if 0.0 < downhill < WILD * abs(plain):
        length = math.sqrt(abs(curve))
        for i in range(full.size):
            terms[s, used[s, 0], i] = residual[i] / length
            ahead[i] += residual[i] * (onward / curve)
        signs[s, used[s, 0]] = 1.0 if curve > 0.0 else -1.0
        used[s, 0] += 1


@inlined
def remember(pairs, curves, learned, step, share, before, after):
    """Store a secant pair (step, change of gradient), unless it shows no curvature.

    Parameters
    ----------
    pairs, curves : float64 (MEMORY + 1, 2, n), inner products; pair i has row ``i % (MEMORY + 1)``.
    learned : pairs so far.
    share : of the step (n,) that was taken from gradient `before` to `after`.

    Returns
    -------
    Pairs so far.
    """
    p = learned % (MEMORY + 1)
    along = moved = changed = 0.0
    for i in range(step.size):
        a, b = pairs[p, 0, i], pairs[p, 1, i] = share * step[i], after[i] - before[i]
        along, moved, changed = along + a * b, moved + a * a, changed + b * b
    curves[p] = along
    return learned + (along > 1e-10 * math.sqrt(moved * changed))


@inlined
def sharpened_dot(pairs, curves, learned, inverses, which, slope, result):
    """The inverse times a joint gradient, into `result`, sharpened by secant pairs (L-BFGS).

    The two-loop recursion. Positive definite whenever the base inverse is: the pairs are true secants of
    a Hessian that has only grown since.
    """
    oldest = max(0, learned - MEMORY)
    weights, rest = np.empty(MEMORY + 1), slope.copy()
    for pair in range(learned - 1, oldest - 1, -1):
        p = pair % (MEMORY + 1)
        weight = weights[p] = inner(pairs[p, 0], rest) / curves[p]
        for i in range(rest.size):
            rest[i] -= weight * pairs[p, 1, i]
    base_dot(inverses, which, rest, result)
    for pair in range(oldest, learned):
        p = pair % (MEMORY + 1)
        weight = weights[p] - inner(pairs[p, 1], result) / curves[p]
        for i in range(rest.size):
            result[i] += weight * pairs[p, 0, i]


@inlined
def take_step(tables, models, ridge, step, before, after):
    """Move by a step, or by less where it goes too far, so that the slope along it changes its sign.

    The objective is convex, so the slope along a step rises and has a root between the ends. It is found
    by regula falsi, in which an end that stays counts half (Illinois). `before` is the gradient (n,),
    `after` the place for the new one.

    Returns
    -------
    (the share of the step that is taken, gradient evaluations)
    """
    low, high, at_low, at_high = 0.0, 1.0, inner(before, step), 0.0
    enough = -ENOUGH * at_low
    root, share, tries, side = 1.0, 0.0, np.int64(0), np.int64(0)
    while True:
        move(tables, models, ridge, root - share, step)
        gradient(tables, models, after)
        share, slope = root, inner(after, step)
        if tries == 0:
            at_high = slope
        elif slope > 0.0:
            high, at_high = share, slope
            at_low *= 0.5 if side > 0 else 1.0
            side = 1
        else:
            low, at_low = share, slope
            at_high *= 0.5 if side < 0 else 1.0
            side = -1
        tries += 1
        far = slope > enough or (tries > 1 and slope < -enough)
        if not far or tries > SHORTER or enough <= 0.0:
            return share, tries
        margin = MARGIN * (high - low)
        root = (at_high * low - at_low * high) / (at_high - at_low)
        root = min(max(root, low + margin), high - margin)


@compiled
def descend(models, which, ridge, tolerance, overshoot, most, *arrays):
    """Quasi-Newton steps until the joint gradient is within tolerance.

    Parameters
    ----------
    models : (K,) int64, the assortment. which : int64, of the inverses: one over the joint parameters,
        or one per model.
    overshoot : a step is undone if it makes the gradient longer than this multiple of its length
        before. most : largest number of gradient evaluations.
    arrays : the tables, then the inverses; Numba takes arrays several times faster than named tuples.

    Returns
    -------
    (CONVERGED, OVERSHOT or STALLED, gradient evaluations). After OVERSHOT theta is the one before the
    step, and scores, odds and gradients must be recomputed.
    """
    tables, inverses, theta, slopes = arrays[:10], arrays[10:], arrays[0], arrays[1]
    K, d, joint = models.size, theta.shape[1], which.size == 1
    here, before, slope, step = np.empty((K, d)), np.empty(K * d), np.empty(K * d), np.empty(K * d)
    ahead, share, size, learned, passes = np.empty(K * d), 0.0, np.inf, np.int64(0), np.int64(1)
    pairs, curves = np.empty((MEMORY + 1, 2, 0 if joint else K * d)), np.empty(MEMORY + 1)
    if K > 1:
        # The other models of their entries have moved since their own last refit.
        gradient(tables, models, slope)
    else:
        for i in range(d):
            slope[i] = slopes[models[0], i]
    while True:
        longer = math.sqrt(inner(slope, slope))
        if passes > 1 and not longer <= overshoot * size:
            for i in range(K * d):
                theta[models[i // d], i % d] = here[i // d, i % d]
            return OVERSHOT, passes
        size = longer
        if size <= tolerance and (K == 1 or passes == 1):
            return CONVERGED, passes
        if not joint and passes > 1:
            learned = remember(pairs, curves, learned, step, share, before, slope)
        sharpened_dot(pairs, curves, learned, inverses, which, slope, ahead)
        if joint and passes > 1:
            learn_secant(inverses, which[0], step, share, before, slope, ahead)
        if size <= tolerance or passes >= most:
            return CONVERGED if size <= tolerance else STALLED, passes
        for k in range(K):
            for i in range(d):
                here[k, i], step[k * d + i] = theta[models[k], i], -ahead[k * d + i]
        before, slope = slope, before
        share, tries = take_step(tables, models, ridge, step, before, slope)
        passes += tries
