"""The figures of the learned policies in notebook 07."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from cqb.house_style import DASHED, DOTTED, INK, SOLID, WIDTH, Look, style

from . import plots
from .synthetic import Load
from .trained_models import CONTROLS, MAIN, TrainedModel

KIND_LOOKS = {
    "DDQN": Look("#000000", SOLID, "*"),
    "DDQN impact 1": Look("#0072B2", SOLID, "o"),
    "DDQN flat": Look("#D55E00", DASHED, "s"),
    "DDQN arrived": Look("#777777", DOTTED, "v"),
}
LOOKS = {trainee.policy: KIND_LOOKS[trainee.kind] for trainee in MAIN + CONTROLS}


def training(histories: pd.DataFrame, rule: str, level: float) -> Figure:
    """Validation QoS of each training against the frames it has seen, and that of a rule."""
    with style():
        figure, ax = plt.subplots(figsize=(0.75 * WIDTH, 3.3), layout="constrained")
        told: set[str] = set()
        for trainee in _in_figure(histories):
            rows, look = histories[histories["policy"] == trainee.policy], KIND_LOOKS[trainee.kind]
            about = {"color": look.colour, "ls": look.dash, "marker": look.marker}
            label = None if trainee.kind in told else f"{trainee.kind}, by training seed"
            ax.plot(rows["frames"] / 1000.0, rows["validation"], ms=4, label=label, **about)
            told.add(trainee.kind)
        ax.axhline(level, color=plots.LOOKS[rule].colour, lw=1.2, ls="--", label=rule)
        ax.set_xlabel("decisions trained on (thousands)")
        ax.set_ylabel("average QoS, validation workloads")
        ax.legend(frameon=False, fontsize=plots.SMALL)
        figure.suptitle("Synthetic workload: training, mean of three loads", color=INK)
    return figure


def differences(paired: pd.DataFrame, against: str, loads: Sequence[Load]) -> Figure:
    """Differences of all learned policies but the blind one to a rule on the same seeds."""
    shown = {trainee.policy: LOOKS[trainee.policy] for trainee in _in_figure(paired)}
    return plots.differences(paired, against, loads, shown)


def _in_figure(rows: pd.DataFrame) -> list[TrainedModel]:
    """Those with rows; the one that cannot tell experts apart lies far below the rest."""
    some = set(rows["policy"])
    return [t for t in MAIN + CONTROLS if t.policy in some and t.network != "arrived"]
