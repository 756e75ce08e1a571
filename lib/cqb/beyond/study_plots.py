"""The figures of the studies: laws, worlds, beliefs, stability, tuning."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..house_style import FAINT, INK, WIDTH, in_order, looks, style
from ..stats import half_width
from ..studies.beyond.laws import KINDS
from .plots import SIZE, policy_axis

BELIEF_LINES = {
    "fresh": ("nothing persists", "#0072B2", "-"),
    "half": ("half persists", "#009E73", "--"),
    "all": ("all persists", "#882255", "-"),
    "prompt": ("belongs to the prompt", "#E69F00", ":"),
}


def laws(scores: pd.DataFrame, name: str) -> Figure:
    """Mean predictive score of every law, a panel per kind of round: larger is better."""
    kinds = ("all", *KINDS[1:])
    names = list(dict.fromkeys(scores["law"]))
    with style():
        figure, axes = plt.subplots(
            1, len(kinds), figsize=(WIDTH, 3.3), layout="constrained", sharey=True
        )
        for ax, kind in zip(axes, kinds, strict=True):
            rows = scores[scores["kind"] == kind]
            for marker, (log, part) in zip("os", rows.groupby("log", sort=False), strict=False):
                mean = part.groupby("law")["score"].mean().reindex(names)
                ax.plot(mean, range(len(names)), marker, ms=4.5, label=f"rounds of {log}")
            ax.set_title({"all": "all rounds"}.get(kind, f"{kind} after a failure"), loc="left")
            ax.set_yticks(range(len(names)), names, size=SIZE)
            ax.set_ylim(len(names) - 0.5, -0.5)
            ax.set_xlabel("nats per round")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle(f"{name}: how well each law foresees the next answer", color=INK)
    return figure


def worlds(table: pd.DataFrame, name: str, base: str = "ACQB-tuned") -> Figure:
    """Final regret in each world as a share of `base` on the same seed: a panel per world."""
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    kinds, policies = list(dict.fromkeys(last["world"])), in_order(list(last["policy"]))
    with style():
        figure, axes = plt.subplots(
            1, len(kinds), figsize=(WIDTH, 3.6), layout="constrained", sharey=True, squeeze=False
        )
        for ax, kind in zip(axes[0], kinds, strict=True):
            wide = last[last["world"] == kind].pivot(
                index="seed", columns="policy", values="regret"
            )
            share = wide.div(wide[base], axis=0)
            mean, half = share.mean(), half_width(share.std(), share.count())
            for place, (policy, look) in enumerate(looks(policies).items()):
                m, h = mean[policy], np.nan_to_num(half[policy])
                ax.plot([max(m - h, 0.2 * m), m + h], [place, place], color=look.colour, lw=1.5)
                ax.plot(m, place, look.marker, color=look.colour, ms=4.5)
            ax.axvline(1.0, color=FAINT, lw=0.8)
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(plt.FixedLocator([0.3, 0.5, 1.0, 2.0, 4.0, 8.0]))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_locator(plt.NullLocator())
            ax.set_title(kind.replace(", ", ",\n"), loc="left", size=8.5)
            policy_axis(ax, policies)
        figure.suptitle(f"{name}: regret as a share of {base}'s, by world", color=INK)
        figure.supxlabel("mean of seeds, bar: 95% interval, paired by seed", size=8.5, color=INK)
    return figure


def beliefs(table: pd.DataFrame, name: str, policies: tuple[str, ...]) -> Figure:
    """What the policies with memory believe of persistence, by round: a panel per world and policy."""
    kinds = list(dict.fromkeys(table["world"]))
    with style():
        figure, axes = plt.subplots(
            len(policies),
            len(kinds),
            figsize=(WIDTH, 0.8 + 1.6 * len(policies)),
            layout="constrained",
            sharey=True,
            squeeze=False,
        )
        for ax, kind in zip(axes[0], kinds, strict=True):
            ax.set_title(kind.replace(", ", ",\n"), loc="left", size=8.5)
        for line, policy in zip(axes, policies, strict=True):
            for ax, kind in zip(line, kinds, strict=True):
                rows = table[(table["world"] == kind) & (table["policy"] == policy)]
                mean = rows.groupby("t")[list(BELIEF_LINES)].mean()
                for column, (label, colour, dash) in BELIEF_LINES.items():
                    ax.plot(mean.index, mean[column], color=colour, ls=dash, label=label)
                ax.set_ylim(-0.03, 1.03)
            line[0].set_ylabel(f"{policy}\nprobability")
        for ax in axes[-1]:
            ax.set_xlabel("round t")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8
        )
        figure.suptitle(f"{name}: what is believed about persistence (mean of seeds)", color=INK)
    return figure


def stability(table: pd.DataFrame, marks: tuple[float, ...], name: str) -> Figure:
    """The largest rate each policy sustains, with a 95% interval; a cross is the closed form."""
    policies = in_order(list(table["policy"]))
    groups = table.groupby("policy")
    mean, half = groups["rate"].mean(), half_width(groups["rate"].std(), groups["rate"].count())
    with style():
        figure, ax = plt.subplots(
            figsize=(0.75 * WIDTH, 0.9 + 0.24 * len(policies)), layout="constrained"
        )
        for mark in marks:
            ax.axvline(mark, color=FAINT, lw=0.8, ls=":")
        for place, (policy, look) in enumerate(looks(policies).items()):
            m, h = mean[policy], np.nan_to_num(half[policy])
            ax.plot([m - h, m + h], [place, place], color=look.colour, lw=1.6)
            ax.plot(m, place, look.marker, color=look.colour, ms=5)
            closed = groups["closed"].first()[policy]
            if np.isfinite(closed):
                ax.plot(closed, place, "x", color=INK, ms=7, mew=1.4)
        ax.set_xlabel("arrival rate (queries per round); dotted: the rates of the comparison")
        ax.set_title(f"{name}: largest rate sustained (cross: closed form)", loc="left")
        policy_axis(ax, policies)
    return figure


def tuning(scores: pd.DataFrame, name: str) -> Figure:
    """Every candidate's final regret on the tuning rows, a panel per policy and a line per place."""
    policies = list(dict.fromkeys(scores["policy"]))
    with style():
        figure, axes = plt.subplots(
            2, -(-len(policies) // 2), figsize=(WIDTH, 5.0), layout="constrained", squeeze=False
        )
        for ax, policy in zip(axes.flat, policies, strict=False):
            rows = scores[scores["policy"] == policy]
            settings = list(dict.fromkeys(rows["setting"]))
            places = rows.groupby(["world", "K", "lam", "arrival_rate"], sort=False)
            for (world, K, lam, rate), part in places:
                groups = part.groupby("setting")["regret"]
                mean = groups.mean().reindex(settings)
                error = (groups.std() / np.sqrt(groups.count())).reindex(settings)
                label = f"{world}, K = {K}, rate {rate:g}" + (
                    f", lam = {lam:g}" if world == "recorded" else ""
                )
                ax.errorbar(mean, range(len(settings)), xerr=error, fmt="o", ms=3.5, label=label)
            ax.set_yticks(range(len(settings)), [_short(s) for s in settings], size=6.5)
            ax.set_ylim(len(settings) - 0.5, -0.5)
            ax.set(xscale="log", title=policy)
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_major_locator(plt.LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.xaxis.set_minor_locator(plt.NullLocator())
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
        figure.suptitle(
            f"{name}, tuning rows: final regret of every setting (bar: ± 1 s.e.)", color=INK
        )
    return figure


def _short(setting: str) -> str:
    for long, short in (
        ("alpha_coef", "alpha"),
        ("exploration_rate", "expl."),
        ("sampling", "samp."),
    ):
        setting = setting.replace(long, short)
    return setting
