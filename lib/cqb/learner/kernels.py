"""The inner loops of a refit, compiled by Numba: products with an inverse, and the descent itself.

A round does little work in many small steps, so calls would cost more than arithmetic. The functions
work on the arrays of :class:`.history.Part` and :class:`.lazy_inverse.Sum`, which their callers own and
grow, and allocate nothing that outlives a call.

Numba's cache on disk notices a change in a function's own file only, not in functions it calls in
other files. So no compiled function calls one of another module: what belongs to one loop is in one
file (:mod:`.lazy_inverse` and :mod:`.draw_kernels` hold the others).

Symbols: K offered models, d coordinates of a context, H an approximate inverse Hessian.
"""

from __future__ import annotations

import math

import numba
import numpy as np

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
def append(inverse, term, sign):
    """``H += sign * term term^T``; the caller provides the room."""
    inverse.terms[inverse.used[0]] = term
    inverse.signs[inverse.used[0]] = sign
    inverse.used[0] += 1


@compiled
def update_scores(part, odds, step):
    """Move a model's scores by a step (d,) of its parameters, and its odds with them.

    The error of a score is about ``ROUNDING |x| |step| / sqrt(d)``, with random signs, and enters the
    gradient with at most a quarter of its context; the change of the rates multiplied in
    :func:`update_gradient` adds as much again.
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
    """Update a model's pick rates and gradient to the current odds."""
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
def base_dot(inverses, slope):
    """The inverse times a joint gradient (K, d): one joint inverse, or one per model."""
    K, d = slope.shape
    if len(inverses) == 1:
        flat = slope.astype(np.float32).reshape(-1)
        return dot(inverses[0], flat).astype(np.float64).reshape(K, d)
    result = np.empty((K, d))
    for k in range(K):
        result[k] = dot(inverses[k], slope[k].astype(np.float32))
    return result


@compiled
def learn_secant(inverse, full, share, before, after, ahead):
    """Learn from a `share` of the step ``full = -H before``, which led to gradient `after`; ``H after``.

    The symmetric rank-one secant: its term is the residual ``r = step - H y``, y the change of the
    gradient. After a full step r equals ``-H after`` (`ahead`), and the term only scales the next step.
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
    """Store a secant pair (step, change of gradient), unless it shows no curvature.

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

    Positive definite whenever the base inverse is: the pairs are true secants of a Hessian that has only
    grown since.
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
    """Shorten a step that went too far, so that the slope along it changed its sign.

    The objective is convex, so the slope along a step rises and has a root between the ends. It is found
    by regula falsi, in which an end that stays counts half (Illinois). `after`, the gradient, moves too.

    Returns
    -------
    (the share of the step that is taken, gradient evaluations)
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
    overshoot : a step is undone if it makes the gradient longer than this multiple of its length
        before. most : largest number of gradient evaluations.

    Returns
    -------
    (CONVERGED, OVERSHOT or STALLED, gradient evaluations). After OVERSHOT theta is the one before the
    step, and scores, odds and gradients must be recomputed.
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
