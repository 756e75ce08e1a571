"""The table of arXiv 2509.02718, to be set beside ours: one unseeded run, without error bars.

Perf is a sum over 10,000 (RouterBench, Leaderboard) or about 13,273 (SPROUT) queries, so only ratios
compare with runs of other sizes. Roberta-* there are Predictor-* here.
"""

from __future__ import annotations

from typing import NamedTuple

DATASETS = ("RouterBench", "SPROUT", "Leaderboard v2")


class Row(NamedTuple):
    """perf : total score. cost : dollars. ppc : score per dollar. throughput : queries served."""

    perf: float
    cost: float
    ppc: float
    throughput: int


TABLE: dict[str, tuple[Row, Row, Row]] = {
    "PORT-ref": (
        Row(2718.6, 0.447, 6075.58, 5195),
        Row(4513.05, 0.815, 5536.74, 7475),
        Row(1465.0, 0.711, 2060.3, 3692),
    ),
    "Random": (
        Row(1384.25, 0.427, 3243.25, 3276),
        Row(2827.6, 0.72, 3927.29, 4742),
        Row(953.0, 0.741, 1284.37, 2877),
    ),
    "Greedy-Perf": (
        Row(1012.1, 0.27, 3742.379, 1687),
        Row(764.9, 0.406, 1881.742, 1083),
        Row(553.0, 0.499, 1107.91, 1189),
    ),
    "Greedy-Cost": (
        Row(1626.25, 0.46, 3534.46, 4061),
        Row(3934.7, 0.849, 4630.41, 6789),
        Row(1051.0, 0.766, 1371.30, 3164),
    ),
    "KNN-Perf": (
        Row(1005.1, 0.27, 3720.58, 1677),
        Row(769.6, 0.407, 1888.46, 1084),
        Row(556.0, 0.498, 1114.29, 1194),
    ),
    "KNN-Cost": (
        Row(1592.05, 0.46, 3454.04, 4027),
        Row(3905.1, 0.85, 4593.37, 6709),
        Row(991.0, 0.766, 1293.07, 3172),
    ),
    "BatchSplit": (
        Row(1838.05, 0.458, 4005.93, 3903),
        Row(3975.5, 0.83, 4784.49, 6221),
        Row(1059.0, 0.76, 1392.07, 3099),
    ),
    "Predictor-Perf": (
        Row(154.5, 0.077, 2019.00, 190),
        Row(458.9, 0.283, 1621.64, 536),
        Row(153.0, 0.207, 738.21, 283),
    ),
    "Predictor-Cost": (
        Row(481.4, 0.129, 3738.88, 1292),
        Row(3996.2, 0.848, 4709.22, 6765),
        Row(1044.0, 0.766, 1362.53, 3173),
    ),
    "Approx Optimum": (
        Row(3211.35, 0.46, 6975.16, 6225),
        Row(5938.99, 0.85, 6986.45, 8781),
        Row(1910.0, 0.765, 2493.66, 4319),
    ),
    "Optimum": (
        Row(6376.9, 0.46, 13865.62, 6436),
        Row(11934.4, 0.848, 14060.34, 12336),
        Row(4688.0, 0.763, 6143.64, 4688),
    ),
}


def relative(policy: str, dataset: str = DATASETS[0], measure: str = "perf") -> float | None:
    """A measure over that of Approx Optimum as published; None for a policy not in the table."""
    if policy not in TABLE:
        return None
    place = DATASETS.index(dataset)
    return getattr(TABLE[policy][place], measure) / getattr(TABLE["Approx Optimum"][place], measure)
