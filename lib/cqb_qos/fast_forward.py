"""Many decode iterations in one step, exactly.

While no request joins or leaves, b running requests with C tokens in memory take
``T(m) = m c0 + k2 (m C + b m (m - 1) / 2)`` seconds for m iterations: each adds b tokens.
"""

from __future__ import annotations

import numpy as np

LONGEST = 1e9  # seconds; every run ends earlier


def duration(
    m: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """T(m) in seconds, float64; all arguments broadcast."""
    return m * c0 + k2 * (m * context + b * (m * (m - 1) / 2))


def iterations_until(
    seconds: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """The fewest iterations m of at least 1 with T(m) >= seconds, int64.

    The root of the quadratic in the form without cancellation, then one correction for rounding.
    """
    wait = np.clip(seconds, 0.0, LONGEST)
    square, linear = 0.5 * k2 * b, c0 + k2 * (context - 0.5 * b)
    root = 2.0 * wait / (linear + np.sqrt(linear * linear + 4.0 * square * wait))
    m = np.maximum(np.ceil(root).astype(np.int64), 1)
    m -= (m > 1) & (duration(m - 1, context, b, c0, k2) >= wait)
    m += duration(m, context, b, c0, k2) < wait
    return m
