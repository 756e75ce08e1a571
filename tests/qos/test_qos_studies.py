"""The sweep over loads and policies: prices, resumption, tables, the committed rows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cqb import paths
from cqb_qos import (
    POLICIES,
    Expert,
    Load,
    default_system,
    findings,
    learned_study,
    measure,
    serve,
    stack,
    studies,
    tables,
    workload,
)
from cqb_qos.__main__ import main
from cqb_qos.learned_study import Study
from cqb_qos.sweep import (
    COLUMNS,
    DamagedPartWarning,
    Settings,
    best_prices,
    named_system,
    run,
)
from cqb_qos.trainees import MAIN

TINY = Settings(
    requests=60,
    seeds=(200, 201, 202),
    training_seeds=(100, 101),
    policies=("RR", "Feasible+drop", "Priced Feasible+drop"),
    loads={
        "default": (Load("Poisson", 3.0), Load("Gamma", 4.0)),
        "tight memory": (Load("Poisson", 6.0),),
    },
)

PARTS = len(TINY.tuning()) + len(TINY.testing({}))


@pytest.fixture(scope="module")
def tidy(tmp_path_factory) -> pd.DataFrame:
    return run(TINY, folder=tmp_path_factory.mktemp("parts"), say=lambda line: None)


def test_a_row_is_the_run_it_names(tidy):
    """Every row of a policy against a run of its own, alone."""
    assert list(tidy) == COLUMNS
    for part, system, seed in (("test", "default", 201), ("test", "tight memory", 202)):
        for policy in TINY.policies:
            rows = tidy[(tidy["part"] == part) & (tidy["system"] == system)]
            rows = rows[(rows["policy"] == policy) & (rows["seed"] == seed)]
            assert len(rows) == len(TINY.loads[system])
            row = rows.iloc[-1]
            one = workload(Load(row["kind"], row["rate"]), seed, 60)
            router = POLICIES[policy]((seed,), 60, row["price"])
            alone = measure(serve(stack([one]), named_system(system, 3), router)).iloc[0]
            assert row[list(alone.index)].to_numpy(float) == pytest.approx(
                alone.to_numpy(), rel=1e-12, nan_ok=True
            )


def test_prices_are_the_best_of_the_training_seeds(tidy):
    training = tidy[tidy["part"] == "training"]
    assert set(training["seed"]) == set(TINY.training_seeds)
    means = training.groupby("price")["qos"].mean()
    (best,) = best_prices(tidy).values()
    assert means[best] == means.max()
    tested = tidy[(tidy["part"] == "test") & (tidy["policy"] == "Priced Feasible+drop")]
    assert set(tested["price"]) == {best}
    assert set(tested["seed"]) == set(TINY.seeds)


def test_an_interrupted_sweep_goes_on(tidy, tmp_path):
    def stop(line: str) -> None:
        said.append(line)
        if len(said) == 4:
            raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(TINY, folder=tmp_path, say=stop)
    said.clear()
    again = run(TINY, folder=tmp_path, say=said.append)
    assert len(said) == PARTS
    assert ["kept from before" in line for line in said] == [True] * 4 + [False] * (PARTS - 4)
    drawn = [name for name in COLUMNS if name != "decision_ms"]
    pd.testing.assert_frame_equal(again[drawn], tidy[drawn])


def test_a_damaged_part_is_run_again(tidy, tmp_path):
    run(TINY, folder=tmp_path, say=lambda line: None)
    victim = next(iter(sorted(tmp_path.glob("rr-default*"))))
    victim.write_bytes(victim.read_bytes()[:-40])
    said: list[str] = []
    with pytest.warns(DamagedPartWarning, match="rr-default"):
        again = run(TINY, folder=tmp_path, say=said.append)
    assert sum("kept" in line for line in said) == len(said) - 1
    assert again["qos"].tolist() == tidy["qos"].tolist()


def test_means_intervals_and_paired_differences(tidy):
    summary = tables.summarise(tidy)
    assert len(summary) == 3 * 3
    cell = (tidy["part"] == "test") & (tidy["system"] == "default") & (tidy["kind"] == "Gamma")
    a, b = (
        tidy[cell & (tidy["policy"] == name)]["qos"].to_numpy() for name in ("RR", "Feasible+drop")
    )
    row = summary[(summary["kind"] == "Gamma") & (summary["policy"] == "RR")].iloc[0]
    half = (
        4.302653 * a.std(ddof=1) / np.sqrt(3)
    )  # the 97.5% quantile of t with 2 degrees of freedom
    assert row["qos_mean"] == pytest.approx(a.mean())
    assert (row["qos_low"], row["qos_high"]) == pytest.approx((a.mean() - half, a.mean() + half))
    paired = tables.paired(tidy, "RR")
    row = paired[(paired["kind"] == "Gamma") & (paired["policy"] == "Feasible+drop")].iloc[0]
    half = 4.302653 * (b - a).std(ddof=1) / np.sqrt(3)
    assert row["difference"] == pytest.approx((b - a).mean())
    assert row["high"] - row["low"] == pytest.approx(2 * half)
    assert row["higher_share"] == (b > a).mean()
    with pytest.raises(ValueError, match="against: found 'nobody'"):
        tables.paired(tidy, "nobody")


def test_tables_in_words(tidy):
    loads = TINY.loads["default"]
    table = findings.qos_table(tidy, loads)
    assert list(table) == ["Poisson 3", "Gamma 4"]
    assert list(table.index) == list(TINY.policies)
    differences = findings.difference_table(tidy, "RR", loads)
    assert list(differences.index) == list(TINY.policies[1:])
    summary = tables.summarise(tidy).set_index(["system", "kind", "policy"])
    mean = summary.loc[("default", "Poisson", "RR"), "qos_mean"]
    assert table.loc["RR", "Poisson 3"].startswith(f"{mean:.3f} ± ")
    drops = findings.drops_by_length(tidy, Load("Gamma", 4.0))
    assert "RR" not in drops.index
    text = findings.verdict(tidy, "Feasible+drop", "RR", loads)
    assert "of 2 loads" in text


def test_the_stored_rows_are_used_only_as_long_as_they_hold(tidy, tmp_path, capsys, monkeypatch):
    path = tables.store(tidy, TINY, tmp_path)
    pd.testing.assert_frame_equal(tables.results(TINY, folder=tmp_path), tidy)
    assert "from the stored table" in capsys.readouterr().out
    other = TINY.with_(requests=20)
    fresh = tables.results(other, folder=tmp_path, parts=tmp_path / "parts")
    assert set(fresh["requests"]) == {20}
    assert "other settings or code" in capsys.readouterr().out
    monkeypatch.setattr(tables, "code", lambda: "changed")
    assert tables.load(tmp_path)[1]["key"] != tables.key(TINY)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="does not match its sha256"):
        tables.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        tables.load(tmp_path / "empty")


def test_the_command_writes_rows_and_summary(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("cqb_qos.__main__.Settings", lambda: TINY)
    beside = Study.beside
    monkeypatch.setattr(
        Study, "beside", lambda settings: replace(beside(settings), trainees=MAIN[:1])
    )
    arguments = ["--requests", "30", "--seeds", "2"]
    places = ["--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    assert main([*arguments, *places]) == 0
    said = capsys.readouterr().out
    assert f"part {PARTS} of {PARTS}" in said
    summary = pd.read_csv(tmp_path / "figures" / "qos_summary.csv")
    record = json.loads((tmp_path / "figures" / "qos_summary.json").read_text("utf-8"))
    assert list(summary) == record["columns"]
    assert {f"{name}_mean" for name in record["meaning"]} <= set(summary)
    assert set(summary["workload"]) == {"synthetic"} == {record["workload"]}
    assert set(summary["seeds"]) == {2}
    assert set(summary["requests"]) == {30}
    tidy, _ = tables.load(tmp_path / "results")
    assert len(tidy[tidy["part"] == "test"]) == 3 * 3 * 2
    assert (summary["policy"] == MAIN[0].policy).sum() == 2
    assert set(record["key"]) == {"sweep", "learned"}


def test_the_committed_rows_hold_and_the_summary_is_theirs(tmp_path):
    """Rows of the standard settings and of the code as it is; else run the sweep again."""
    tidy, record = tables.load(paths.root() / "data" / "results")
    assert record["key"] == tables.key(Settings())
    both = pd.concat([tidy, learned_study.results(learned_study.Study())], ignore_index=True)
    tables.write_summary(both, tmp_path / "qos_summary.csv")
    committed = paths.root() / "figures" / "qos_summary.csv"
    assert committed.read_text("utf-8") == (tmp_path / "qos_summary.csv").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": ()}, "seeds: found"),
        ({"seeds": (1, 1)}, "seeds: found"),
        ({"seeds": (100,)}, r"seeds: found \[100\] in the training seeds too"),
        ({"policies": ("best",)}, r"policies: found \['best'\]"),
        ({"requests": 0}, "requests: found 0"),
        ({"loads": {"cosy": ()}}, "loads: found"),
    ],
)
def test_bad_settings_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        TINY.with_(**change)


def test_small_studies_say_what_they_should():
    """Exact delays; a neutral router's flags; a knee below the largest rate."""
    expert = Expert("only")
    delays = studies.frozen_delays(expert, range(6), 10)
    assert np.abs(delays["ours"] - delays["simulated"]).max() < 1e-12
    assert 1e-4 < np.abs(delays["published"] - delays["simulated"]).max() < 1e-3
    flags = studies.flags(Load("Poisson", 5.0), (0, 1), 150, default_system())
    made_late = flags["right"] + flags["missed"]
    assert made_late.nunique() == 1
    assert made_late.iloc[0] > 0
    knee = studies.knee(expert, 0.03, (0.05, 3.0), (0, 1), 150)
    one = workload(Load("Poisson", 1.0), 0, 150, 1)
    lone = studies.lone_latency(one.prompts, one.lengths[0], expert).mean()
    assert knee["latency"].iloc[0] == pytest.approx(lone, rel=0.05)
    assert knee["latency"].iloc[1] > 3 * lone
