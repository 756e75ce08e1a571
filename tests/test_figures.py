"""Figures: readable, labelled with where their data come from, and kept whole with a record."""

import itertools
import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqb import figures, toy
from cqb.figures import kinds, sketches
from cqb.figures.style import LOOKS, SPARE, STYLE, looks, read_record, style
from cqb.stats import paired, summarise
from made_up import POLICIES, made_up

mpl.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(tidy):
    """Every kind of results figure."""
    summary, differences = summarise(tidy), paired(tidy)
    for value in ("regret", "gap"):
        yield figures.curves(summary, K=1, value=value)
        yield figures.differences(summary, differences, value=value)
    yield figures.waiting(tidy)


@pytest.mark.parametrize("stand_in", [True, False])
def test_every_title_names_the_data_and_says_if_it_was_generated(stand_in):
    for figure in drawn(made_up(stand_in=stand_in)):
        title = figure.get_suptitle()
        assert title.startswith("Made up")
        assert ("(generated data)" in title) is stand_in


def test_results_of_two_data_sets_share_no_figure():
    tidy = made_up()
    other = tidy.assign(dataset="Other")
    with pytest.raises(ValueError, match="one data set, found"):
        figures.waiting(pd.concat([tidy, other]))


def test_figures_say_seeds_rounds_and_units():
    for figure in drawn(made_up()):
        words = " ".join(text.get_text() for text in figure.findobj(mpl.text.Text))
        assert "4 seeds" in words
        assert "40" in words
        assert "95%" in words
        assert any(unit in words for unit in ("(departures)", "(queries)", "(%)"))


def test_curves_have_a_panel_for_each_lam_and_leave_the_oracle_out():
    figure = figures.curves(summarise(made_up()), K=1, value="regret")
    assert [ax.get_title(loc="left").split(",")[1] for ax in figure.axes] == [
        " lam = 0",
        " lam = 5",
    ]
    for ax in figure.axes:
        names = [text.get_text().split()[0] for text in ax.texts]
        assert sorted(names) == sorted(set(POLICIES) - {"ORACLE"})


def test_curves_start_at_zero_and_end_at_the_mean_inside_the_band():
    tidy = made_up(rounds=(10, 20, 40))
    figure = figures.curves(summarise(tidy), K=1, value="regret")
    wanted = tidy[
        (tidy["policy"] == "ACQB") & (tidy["t"] == 40) & (tidy["K"] == 1) & (tidy["lam"] == 0)
    ]
    line = figure.axes[0].lines[0]
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (0, 0)
    assert line.get_ydata()[-1] == pytest.approx(wanted["regret"].mean())
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    at_end = band[band[:, 0] == 40, 1]
    assert at_end.min() < wanted["regret"].mean() < at_end.max()


def test_line_labels_never_overlap_and_stand_in_the_order_of_final_values():
    tidy = made_up(policies=tuple(LOOKS), cells=[(1, lam, 0.5) for lam in (0, 1, 5)])
    tidy.loc[tidy["policy"] != "ORACLE", "regret"] = tidy["t"] + 1e-3 * tidy.index
    summary = summarise(tidy)
    figure = figures.curves(summary, K=1, value="regret")
    figure.draw_without_rendering()
    for ax in figure.axes:
        boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
        assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))
        lam = float(ax.get_title(loc="left").split(",")[1].split("=")[1])
        last = summary[
            (summary["t"] == 40) & (summary["lam"] == lam) & (summary["policy"] != "ORACLE")
        ]
        bottom_up = sorted(ax.texts, key=lambda text: text.get_position()[1])
        names = [text.get_text().split()[0] for text in bottom_up]
        assert names == list(last.sort_values("regret_mean")["policy"])


def test_a_label_starts_at_the_end_of_its_line_on_the_logarithmic_axis_of_queues():
    tidy = made_up(policies=("ORACLE", "ACQB", "RANDOM"), cells=[(1, 0.0, 0.5)])
    tidy["gap"] = tidy["policy"].map({"ORACLE": 0.0, "ACQB": 3.0, "RANDOM": 300.0})
    figure = figures.curves(summarise(tidy), K=1, value="gap")
    figure.draw_without_rendering()
    (ax,) = figure.axes
    starts = [line.get_xydata()[0] for line in ax.lines if line.get_transform() == ax.transAxes]
    found = ax.transData.inverted().transform(ax.transAxes.transform(starts))[:, 1]
    assert sorted(found) == pytest.approx([3.0, 300.0])


def test_no_panel_covers_another_panels_labels():
    figure = figures.curves(summarise(made_up()), K=1, value="regret")
    figure.draw_without_rendering()
    left, right = figure.axes
    assert max(text.get_window_extent().x1 for text in left.texts) < right.get_window_extent().x0
    assert max(text.get_window_extent().x1 for text in right.texts) <= figure.bbox.x1


def test_unknown_assortment_size_is_named():
    with pytest.raises(ValueError, match=r"K: found no results for 3, expected one of \[1, 2\]"):
        figures.curves(summarise(made_up()), K=3, value="regret")


def test_differences_show_the_paired_difference_and_its_interval():
    tidy = made_up()
    table = paired(tidy)
    figure = figures.differences(summarise(tidy), table, value="regret")
    wanted = table[(table["K"] == 1) & (table["lam"] == 0)].set_index("policy")
    ax = figure.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    dots = {names[int(y)]: x for x, y in ax.collections[1].get_offsets()}
    assert dots["ACQB"] == 0.0
    for name in set(POLICIES) - {"ORACLE", "ACQB"}:
        assert dots[name] == pytest.approx(wanted.loc[name, "regret_difference"])


def test_one_seed_has_no_interval_but_still_a_figure(tmp_path):
    for number, figure in enumerate(drawn(made_up(seeds=1))):
        figures.save(figure, f"f{number}", {}, tmp_path)


def test_policies_keep_their_looks_and_strangers_get_their_own():
    alone, together = looks(["ACQB"]), looks(["ZEBRA", "ACQB", "APE"])
    assert together["ACQB"] == alone["ACQB"]
    assert list(together) == ["ACQB", "APE", "ZEBRA"]
    assert together["APE"] != together["ZEBRA"]


def test_no_two_policies_look_alike():
    every = [*LOOKS.values(), *SPARE]
    assert len({look.colour for look in every}) == len(every)


@given(
    st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=12).map(sorted),
    st.floats(0.0, 0.08),
)
def test_spread_keeps_order_and_distance_and_moves_nothing_without_need(at, gap):
    moved = kinds.spread(np.array(at), gap)
    assert np.all(np.diff(moved) >= gap - 1e-12)
    assert np.all((moved >= -1e-12) & (moved <= 1 + 1e-12))
    inside = all(0 <= a <= 1 for a in at)
    if inside and np.all(np.diff(at) >= gap):
        assert moved == pytest.approx(np.array(at), abs=1e-9)


def test_spread_centres_a_crowd_where_it_stood():
    assert kinds.spread(np.array([0.5, 0.5, 0.5]), 0.1) == pytest.approx([0.4, 0.5, 0.6])


def test_style_puts_back_what_it_changed():
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["font.size"] == STYLE["font.size"]
    assert dict(mpl.rcParams) == before


def test_save_writes_pictures_and_adds_the_record_to_the_manifest(tmp_path):
    folder = tmp_path / "new" / "folder"
    png = figures.save(figures.waiting(made_up()), "waiting", {"seeds": [1, 2]}, folder)
    assert png == folder / "waiting.png"
    figures.save(plt.figure(), "other", {"seeds": [3]}, folder)
    seen = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert seen == {"manifest.json", "other.pdf", "other.png", "waiting.pdf", "waiting.png"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == {"other": {"seeds": [3]}, "waiting": {"seeds": [1, 2]}}
    assert b"CreationDate" not in (folder / "waiting.pdf").read_bytes()


def test_what_did_not_change_is_not_written_again(tmp_path):
    def stamps():
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    figures.save(plt.figure(), "f", {"seeds": [1], "created": "first"}, tmp_path)
    before = stamps()
    figures.save(plt.figure(), "f", {"seeds": [1], "created": "second"}, tmp_path)
    assert {name: stamp for name, stamp in stamps().items() if not name.endswith(".lock")} == {
        name: stamp for name, stamp in before.items() if not name.endswith(".lock")
    }
    figures.save(plt.figure(figsize=(2, 2)), "f", {"seeds": [2]}, tmp_path)
    assert all(stamps()[name] > before[name] for name in ("f.png", "f.pdf", "manifest.json"))


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        figures.save(figures.waiting(made_up()), "f", {}, tmp_path / folder)
    for kind in ("png", "pdf"):
        assert (tmp_path / "a" / f"f.{kind}").read_bytes() == (
            tmp_path / "b" / f"f.{kind}"
        ).read_bytes()


def test_a_record_that_is_not_json_leaves_nothing_behind(tmp_path):
    with pytest.raises(TypeError):
        figures.save(plt.figure(), "f", {"what": object()}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", '{"curve": {', "\ufeff{}"])
def test_damaged_records_of_figures_are_named(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r"manifest\.json: not the records of figures"):
        read_record("curve", tmp_path)


def test_unwritable_folder_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OSError, match="not writable"):
        figures.save(plt.figure(), "f", {}, blocked)
    assert blocked.read_text() == "in the way"


def test_sketches_draw(tmp_path):
    figures.save(sketches.problem(), "problem", {}, tmp_path)
    figure = sketches.toy_queue(toy.play(seed=2, T=12, K=2, arrival_rate=0.7))
    assert "made-up" in figure.get_suptitle()
    figures.save(figure, "toy", {}, tmp_path)
