"""The figures of notebook 01, one function each, from the tables of the checks."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from ..house_style import FAINT, INK, WIDTH, error_line, looks, style
from .rates import by_instance

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
SHADES = ("#0072B2", "#009E73", "#CC79A7", "#D55E00")


def queues(law: pd.DataFrame, orders: pd.DataFrame) -> Figure:
    """E3 and E4: simulated shares with intervals against closed forms, and the orders' queues."""
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9), layout="constrained")
        _against(axes[0], law.iloc[:3], "E3: one departure rate")
        axes[0].set_xlabel("share of rounds (upright mark: closed form)")
        _against(axes[1], orders, "E4: P(Q = 0), six orders of service")
        axes[1].set_xlim(0.0, 2.0 * orders["predicted"].iloc[0])
        axes[1].set_xlabel("share of rounds")
        axes[2].barh(orders["quantity"], orders["mean queue"], color=BLUE, height=0.6)
        axes[2].invert_yaxis()
        axes[2].set_title("E4: mean queue (queries)", loc="left")
    return figure


def memory(table: pd.DataFrame) -> Figure:
    """E10: mean serves per query under three rules, simulated against the recursions."""
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.7), layout="constrained")
        for ax, (N, rows) in zip(axes, table.groupby("N"), strict=True):
            _against(ax, rows.rename(columns={"rule": "quantity"}), f"N = {N} models")
            ax.set_xlim(0.0, None)
            ax.set_xlabel("serves per query (upright mark: recursion)")
    return figure


def divergence(table: pd.DataFrame) -> Figure:
    """E7 and R7: psi against its bound, and the two factors of the bound, by round."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), layout="constrained")
        left.fill_between(table["t"], table["low"], table["high"], color=BLUE, alpha=0.2, lw=0)
        left.plot(table["t"], table["psi"], color=BLUE, label="E[psi(t, T)] with its 95% interval")
        left.plot(table["t"], table["m delta"], color=ORANGE, label="bound m delta")
        left.set_title("E7: what a round's decision adds to the queue at T", loc="left")
        right.plot(table["t"], table["m"], color=GREEN, label="m, departure-rate gap")
        right.plot(table["t"], table["delta"], color=INK, label="delta, survival of a divergence")
        right.set_title("R7: the two factors", loc="left")
        for ax in (left, right):
            ax.set_xlabel("round t")
            ax.legend(frameon=False, fontsize=7.5)
    return figure


def rates(frame: pd.DataFrame) -> Figure:
    """R1 to R4: mean regret and queue-length regret against the horizon, on log-log axes."""
    panels = (
        ("regret", "cumulative routing regret (departures)", 0.5, "slope 1/2"),
        ("gap", "queue-length regret at T (queries)", -0.25, "slope -1/4"),
    )
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
        for ax, (value, label, exponent, name) in zip(axes, panels, strict=True):
            tops = [
                _policy_line(ax, frame, policy, value) for policy in looks(list(frame["policy"]))
            ]
            T = np.array([frame["T"].min(), frame["T"].max()], float)
            guide = 1.2 * np.nanmax(tops) * (T / T[0]) ** exponent
            ax.plot(T, guide, color=FAINT, lw=0.9, ls=":", label=name)
            ax.set(xscale="log", yscale="log", xlabel="horizon T (rounds)")
            ax.set_title(label, loc="left")
            ticks = sorted(frame["T"].unique())
            ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
            ax.minorticks_off()
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.yaxis.set_major_formatter("{x:g}")
        axes[0].legend(frameon=False, fontsize=7.5)
        axes[1].legend(handles=axes[1].lines[-1:], frameon=False, fontsize=7.5)
    return figure


def _policy_line(ax: Axes, frame: pd.DataFrame, policy: str, value: str) -> float:
    """Draw one policy's means with their standard errors; returns the first mean."""
    look = looks([policy])[policy]
    T, values = by_instance(frame, policy, value)
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    shown = mean > 0.0
    low = np.minimum(error, 0.9 * mean)
    bars = np.array([low[shown], error[shown]])
    error_line(ax, T[shown], mean[shown], bars, look, policy)
    return float(mean[0]) if mean[0] > 0.0 else np.nan


def overload(table: pd.DataFrame) -> Figure:
    """R6: predicted and simulated growth of the queue."""
    names = table["world"] + ", " + table["order"] + ", rho " + table["rho"].round(2).astype(str)
    with style():
        figure, ax = plt.subplots(figsize=(WIDTH, 2.9), layout="constrained")
        _against(ax, table.assign(quantity=names), "R6: growth of the queue (queries per round)")
    return figure


def information(eigenvalues: pd.DataFrame, distances: pd.DataFrame) -> Figure:
    """R8 and R9: eigenvalues against their bound, and distances within the radius."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.9), layout="constrained")
        rows = eigenvalues.sort_values("n")
        left.plot(rows["n"], rows["smallest eigenvalue"], "o", ms=3, color=BLUE, label="simulated")
        left.plot(rows["n"], rows["bound"], color=ORANGE, label="lambda0 + sigma0^2 n / 2")
        left.plot(rows["n"], rows["mean"], color=FAINT, ls=":", label="mean growth")
        left.set_xlabel("exploration samples n_j")
        left.set_title("R8: smallest eigenvalue of V_j", loc="left")
        left.legend(frameon=False, fontsize=7.5)
        right.hist(distances["largest ratio"], bins=np.linspace(0, 1.1, 23), color=BLUE)
        right.axvline(1.0, color=ORANGE)
        right.set_xlabel("largest distance in a run / theoretical radius (line: the radius)")
        right.set_ylabel("runs")
        right.set_title("R9: coverage", loc="left")
    return figure


def plateau(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """R10: mean queue of CQB-eps by round for each slackness, and of the oracle."""
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained")
        for i, (name, rows) in enumerate(curves.groupby("epsilon", sort=False)):
            ax = axes[1] if name == "published" else axes[0]
            text = "CQB-eps" if name == "published" else f"epsilon = {name}"
            ax.plot(rows["t"], rows["learner"], color=SHADES[i], label=text)
            ax.plot(rows["t"], rows["oracle"], color=SHADES[i], ls=":", lw=0.9)
            pure = int(table.loc[table["epsilon"] == name, "tau"].iloc[0])
            ax.axvline(pure, color=SHADES[i], lw=0.6, alpha=0.6)
        axes[0].set_title("R10: stable preset (dotted: oracle; upright: tau)", loc="left")
        axes[1].set_title("the preset as published, lambda = .7", loc="left")
        axes[0].set_ylabel("mean queue (queries)")
        for ax in axes:
            ax.set_xlabel("round t")
            ax.legend(frameon=False, fontsize=7.5)
    return figure


def radius(table: pd.DataFrame) -> Figure:
    """R11: final regret against the factor on the theoretical radius."""
    with style():
        figure, ax = plt.subplots(figsize=(0.6 * WIDTH, 2.9), layout="constrained")
        ax.plot(table["alpha_coef"], table["regret"], "o-", color=BLUE)
        ax.set(xscale="log", xlabel="alpha_coef (1: the theoretical radius)", ylim=(0.0, None))
        ax.set_title("R11: ACQB's cumulative routing regret (departures)", loc="left")
    return figure


def _against(ax: Axes, rows: pd.DataFrame, title: str) -> None:
    """Simulated means with intervals beside predictions (short lines), one row per quantity."""
    at = np.arange(len(rows))[::-1]
    error = [rows["simulated"] - rows["low"], rows["high"] - rows["simulated"]]
    ax.errorbar(rows["simulated"], at, xerr=np.array(error), fmt="o", ms=4, color=BLUE)
    ax.plot(rows["predicted"], at, "|", ms=16, mew=1.6, color=ORANGE)
    ax.set_yticks(at, rows["quantity"])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_title(title, loc="left")
