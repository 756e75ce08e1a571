"""Many decode iterations in one move, exactly.

While nobody joins or leaves, b running requests with C tokens in memory take
``T(m) = m c0 + k2 (m C + b m (m - 1) / 2)`` seconds for m iterations: each adds b tokens.
"""

from __future__ import annotations

import numpy as np

LONGEST = 1e9  # seconds: any run ends before


def duration(
    m: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """T(m) in seconds, float64; all arguments broadcast."""
    return m * c0 + k2 * (m * context + b * (m * (m - 1) / 2))


def iterations_until(
    seconds: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """The fewest iterations m of at least 1 with T(m) >= seconds, int64.

    The quadratic's root, in the form that does not cancel; then a step for what rounding did.
    """
    wait = np.clip(seconds, 0.0, LONGEST)
    square, linear = 0.5 * k2 * b, c0 + k2 * (context - 0.5 * b)
    root = 2.0 * wait / (linear + np.sqrt(linear * linear + 4.0 * square * wait))
    m = np.maximum(np.ceil(root).astype(np.int64), 1)
    m -= (m > 1) & (duration(m - 1, context, b, c0, k2) >= wait)
    m += duration(m, context, b, c0, k2) < wait
    return m
