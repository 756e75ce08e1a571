"""Figures of single topics: every series is drawn, at the numbers of its table."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

import cqb_port.figures as port
import cqb_qos.figures as qos
from cqb.figures import beyond, refinement, theory

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def names(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def dots(ax) -> dict[str, float]:
    """The means of a forest, by name: its second collection, after the intervals."""
    rows = names(ax.figure.axes[0])  # the other panels of a row share them
    return {rows[round(y)]: x for x, y in ax.collections[1].get_offsets()}


def texts(owner) -> list[str]:
    return [text.get_text() for text in owner.get_texts()]


def test_our_regret_is_set_against_the_best_rule_in_every_setting():
    rows = [
        (known, "Tiny", K, "once", "ours", 10.0 * K, 10.0 * K - 3.0, 10.0 * K + 3.0)
        for known in ("nothing", "rows")
        for K in (1, 2)
    ]
    names = ["knowledge", "dataset", "K", "regime", "ours", "difference", "low", "high"]
    axes = beyond.standings(pd.DataFrame(rows, columns=names)).axes
    assert [ax.get_title("left") for ax in axes] == ["ours: nothing", "ours: rows"]
    assert dots(axes[1]) == {"Tiny, once, K = 1": 10.0, "Tiny, once, K = 2": 20.0}


def test_differences_of_refinement_are_those_of_the_table():
    rows = [
        (policy, lam, 0.5, 3.0 * lam + place, -9.0, 9.0, 100.0)
        for lam in (0.0, 5.0)
        for place, policy in enumerate(("refined", "refined x4"))
    ]
    columns = ["policy", "lam", "arrival_rate", "difference", "low", "high", "raw"]
    left, right = refinement.differences(pd.DataFrame(rows, columns=columns), "Tiny").axes
    assert left.get_title("left").startswith("lam = 5")
    assert dots(left) == {"refined": 15.0, "refined x4": 16.0}
    assert [text.get_text() for text in right.texts] == ["100", "100"]


def test_planted_worlds_are_called_stand_ins():
    worlds = [
        SimpleNamespace(name=f"{q} {size}", nuisance=q, size=size)
        for q in (2, 5)
        for size in (1, 2)
    ]
    geometry = pd.DataFrame(
        [(w.name, arm, 0.5) for w in worlds for arm in ("raw", "long")],
        columns=["dataset", "policy", "agreement"],
    )
    table = pd.DataFrame([(w.name, "long", 3, 0.1, 0.0, 0.2) for w in worlds])
    table.columns = ["dataset", "policy", "seeds", "difference_share", "low_share", "high_share"]
    figure = refinement.planted(worlds, geometry, table)
    assert "stand-in" in figure.get_suptitle()
    assert texts(figure.axes[0].get_legend()) == ["raw", "refined, long"]
    assert sum(set(line.get_ydata()) == {10.0} for line in figure.axes[2].lines) == 1


def test_predictions_lie_next_to_what_was_simulated():
    table = pd.DataFrame(
        {
            "N": [4, 4, 11],
            "rule": ["same", "random", "same"],
            "simulated": [3.0, 2.0, 5.0],
            "low": [2.5, 1.5, 4.5],
            "high": [3.5, 2.5, 5.5],
            "predicted": [3.1, 2.1, 5.1],
        }
    )
    left, right = theory.memory(table).axes
    assert dots(left) == {"same": 3.0, "random": 2.0}
    marks = [line for line in left.lines if line.get_marker() == "|"]
    assert list(marks[0].get_xdata()) == [3.1, 2.1]
    assert right.get_title("left") == "N = 11 models"


def test_systems_of_the_queue_have_a_dot_in_every_panel():
    table = pd.DataFrame({"policy": ["PORT", "ACQB"]})
    for place, measure in enumerate(port.MEASURES):
        table[f"{measure}_mean"] = [place + 1.0, place + 2.0]
        table[f"{measure}_low"], table[f"{measure}_high"] = 0.5, 9.0
    axes = port.queue(table, "made up").axes
    assert names(axes[0]) == ["PORT", "ACQB"]
    drawn = [ax.collections[1].get_offsets()[:, 0].tolist() for ax in axes]
    assert drawn == [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0]]


def test_learned_policies_leave_the_blind_one_out():
    policies = ["DDQN #0", "DDQN flat #1", "DDQN arrived #0", "DDQN impact 1 #2"]
    paired = pd.DataFrame({"policy": policies, "difference": [0.1, 0.2, 0.3, 0.4]})
    paired = paired.assign(system="default", kind="Poisson", rate=3.0, low=0.0, high=0.5, seeds=4)
    figure = qos.differences(paired, "Priced rollout", ["Poisson 3"])
    wanted = {"DDQN #0": 0.1, "DDQN impact 1 #2": 0.4, "DDQN flat #1": 0.2}
    assert dots(figure.axes[0]) == wanted
    assert names(figure.axes[0]) == list(wanted)
