"""Figures of the views: what they draw is what the frames hold."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cqb.figures import service
from cqb.figures.style import LOOKS, in_order
from cqb.metrics import AT_LEAST, ROUNDS
from made_up import made_up

NAMES = ["gpt", "claude", "llama"]


@pytest.fixture
def views() -> pd.DataFrame:
    """Made-up shares of two seeds, in two cells and for three policies."""
    rng = np.random.default_rng(3)
    rows = []
    for (K, policy), seeds in itertools.product(
        itertools.product((1, 2), ("ORACLE", "ACQB", "RANDOM")), (2,)
    ):
        about = ["Tiny stand-in", True, K, 0.0, 0.5, policy]
        for place in range(10, 101, 10):
            shares = rng.dirichlet([1.0, 2.0, 3.0])
            rows += [
                [*about, "models", place, *pair, seeds] for pair in zip(NAMES, shares, strict=True)
            ]
        parts = itertools.product(("departed", "waiting"), AT_LEAST)
        shares = rng.dirichlet(np.ones(2 * len(AT_LEAST)))
        rows += [
            [*about, "retrials", place, part, share, seeds]
            for (part, place), share in zip(parts, shares, strict=True)
        ]
        rows += [[*about, "waits", place, "", 1 / (1 + place), seeds] for place in ROUNDS]
    columns = ["dataset", "stand_in", "K", "lam", "arrival_rate", "policy"]
    table = pd.DataFrame(rows, columns=[*columns, "view", "place", "part", "share_mean", "seeds"])
    return table.assign(share_low=table["share_mean"] - 0.05, share_high=table["share_mean"] + 0.05)


def words(figure) -> str:
    return figure.get_suptitle()


def test_bars_of_models_fill_every_block_that_has_a_serve(views):
    figure = service.models(views, ["ACQB", "RANDOM"])
    assert words(figure).startswith("Tiny stand-in (generated data): models offered")
    assert [ax.get_ylabel() for ax in figure.axes[::2]] == ["ACQB", "RANDOM"]
    rows = views[(views["view"] == "models") & (views["policy"] == "ACQB") & (views["K"] == 1)]
    areas = figure.axes[0].collections
    assert max(area.get_paths()[0].vertices[:, 1].max() for area in areas) == pytest.approx(100.0)
    most = views[views["view"] == "models"].groupby("part")["share_mean"].sum().idxmax()
    first = 100 * rows[rows["part"] == most].set_index("place")["share_mean"]
    assert set(first.round(9)) <= {round(y, 9) for _, y in areas[0].get_paths()[0].vertices}


def test_models_beyond_the_palette_share_a_colour(views, monkeypatch):
    monkeypatch.setattr(service, "COLOURS", service.COLOURS[:2])
    figure = service.models(views, ["RANDOM"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-1] == "other models"
    assert len(labels) == 3
    top = max(area.get_paths()[0].vertices[:, 1].max() for area in figure.axes[0].collections)
    assert top == pytest.approx(100.0)


def test_bars_of_retrials_hold_every_query(views):
    figure = service.retrials(views)
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
    figure = service.waits(views)
    rows = views[(views["view"] == "waits") & (views["policy"] == "ACQB") & (views["K"] == 1)]
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == LOOKS["ACQB"].colour]
    assert list(line.get_xdata()) == list(rows["place"])
    assert list(line.get_ydata()) == pytest.approx(list(100 * rows["share_mean"]), nan_ok=True)
    assert figure.axes[0].get_xscale() == "log"
    assert not figure.axes[0].collections  # two seeds are too few for a band
    many = service.waits(views.assign(seeds=10))
    assert len(many.axes[0].collections) == len(many.axes[0].lines)


def test_dollars_are_means_over_seeds_of_dollars_per_query_served():
    tidy = made_up(cells=[(1, 0.0, 0.5), (2, 0.0, 0.65)], rounds=(20, 40))
    tidy["dollars"] = 0.002 * tidy["t"] * (1 + tidy["seed"])
    tidy["served"] = tidy["t"].where(tidy["t"] > 20, 0)  # nothing served yet: no price, no point
    figure = service.dollars(tidy)
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == [40]
    assert line.get_ydata()[0] == pytest.approx(1000 * 0.002 * 2.5)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "ORACLE 5.00" in texts
    assert "ACQB 5.00" in texts
