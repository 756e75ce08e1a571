"""Figures of the views: what they draw is what the frames hold."""

from __future__ import annotations

import pandas as pd
import pytest

import tiny
from cqb import experiment, view_figures
from cqb.experiment import view_store
from cqb.experiment.run_store import RunStore
from cqb.house_style import in_order
from made_up import made_up


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> pd.DataFrame:
    table = tiny.table()
    store = RunStore(tmp_path_factory.mktemp("runs"), table)
    experiment.sweep(tiny.SETTINGS, table, store=store, workers=1)
    return view_store.collect(tiny.SETTINGS, table, store)


def words(figure) -> str:
    return figure.get_suptitle()


def test_bars_of_models_fill_every_block_that_has_a_serve(views):
    figure = view_figures.models(views, ["ACQB", "RANDOM"])
    assert words(figure).startswith("Tiny stand-in (generated data): models offered")
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == ["ACQB", "RANDOM"]
    for ax in figure.axes:
        tops = {}
        for bar in ax.patches:
            tops[bar.get_x()] = max(tops.get(bar.get_x(), 0.0), bar.get_y() + bar.get_height())
        assert list(tops.values()) == pytest.approx([100.0] * 10)


def test_models_beyond_the_palette_share_a_colour(views, monkeypatch):
    monkeypatch.setattr(view_figures, "COLOURS", view_figures.COLOURS[:2])
    figure = view_figures.models(views, ["RANDOM"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "other models"
    assert len(labels) == 3
    assert max(bar.get_y() + bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(
        100.0
    )


def test_bars_of_retrials_hold_every_query(views):
    figure = view_figures.retrials(views)
    for K, ax in zip((1, 2), figure.axes, strict=True):
        names = in_order(views.loc[views["K"] == K, "policy"])
        assert [label.get_text() for label in ax.get_yticklabels()] == names
        ends = [bar.get_x() + bar.get_width() for bar in ax.patches[-len(names) :]]
        assert ends == pytest.approx([100.0] * len(names))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "0 retrials",
        "1",
        "2",
        "3 to 4",
        "5 to 9",
        "10 or more",
        "waiting at the end",
    ]


def test_waits_are_the_shares_of_the_frame(views):
    figure = view_figures.waits(views)
    rows = views[(views["view"] == "waits") & (views["policy"] == "ACQB") & (views["K"] == 1)]
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "ACQB"]
    assert list(line.get_xdata()) == list(rows["place"])
    assert list(line.get_ydata()) == pytest.approx(list(100 * rows["share_mean"]), nan_ok=True)
    assert figure.axes[0].get_xscale() == "log"
    assert not figure.axes[0].collections  # two seeds are too few for a band
    many = view_figures.waits(views.assign(seeds=10))
    assert len(many.axes[0].collections) == len(many.axes[0].lines)


def test_dollars_are_means_over_seeds_of_dollars_per_query_served():
    tidy = made_up(cells=[(1, 0.0, 0.5), (2, 0.0, 0.65)], rounds=(20, 40))
    tidy["dollars"] = 0.002 * tidy["t"] * (1 + tidy["seed"])
    tidy["served"] = tidy["t"].where(tidy["t"] > 20, 0)  # nothing served yet: no price, no point
    figure = view_figures.dollars(tidy)
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [40]
    assert line.get_ydata()[0] == pytest.approx(1000 * 0.002 * 2.5)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "ORACLE 5.00" in texts
    assert "ACQB 5.00" in texts
