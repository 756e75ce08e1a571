"""Retries at measured pass rates and retries that repeat an answer: the same odds of a first attempt."""

import numpy as np
import pandas as pd
import pytest

from cqb import encoder
from cqb.figures import beyond as plots
from cqb.metrics import results_table
from cqb.routing_table import RoutingTable
from cqb.studies import STUDIES, pass_rates
from cqb.studies.beyond import summaries
from cqb.studies.pass_rates import FRESH, KINDS, RECORDED
from cqb.study import data


def table(rows: int = 90) -> RoutingTable:
    """Pass rates of four models, every ninth row without a prompt."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(rows, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prompts = ["" if row % 9 == 0 else f"prompt {row}" for row in range(rows)]
    scores = np.round(rng.beta(0.5, 0.3, size=(rows, 4)), 2)
    ids, models = map(str, range(rows)), [f"m{j}" for j in range(4)]
    return RoutingTable(
        "Tiny", True, ids, prompts, ["f"] * rows, models, scores, embeddings=vectors
    )


def test_recorded_answers_have_the_odds_of_the_first_attempt_and_no_others():
    rates = np.tile([0.0, 0.003, 0.2, 0.9, 1.0], (40_000, 1))
    answers = pass_rates.recorded(rates, seed=1)
    assert set(np.unique(answers)) == {0.0, 1.0}
    assert answers[:, 0].max() == 0
    assert answers[:, 4].min() == 1
    first = np.clip(answers, 0.005, 0.995).mean(axis=0)
    assert first == pytest.approx([0.005, 0.005, 0.2, 0.9, 0.995], abs=0.007)
    assert not np.array_equal(answers, pass_rates.recorded(rates, seed=2))


def test_the_versions_differ_in_their_odds_alone():
    of = table()
    fresh, fixed = (pass_rates.version(kind, of, 42, 40, 10) for kind in KINDS)
    pool = fresh.environment.rows
    assert np.array_equal(pool, fixed.environment.rows)
    assert len(pool) == 40
    assert all(of.prompts[row] for row in map(int, np.array(texts(of))[pool]))
    same = fresh.environment.contexts, fixed.environment.contexts
    assert np.array_equal(*same)
    scores = of.scores[np.array(texts(of))[pool]]
    assert rates_of(fresh.environment.odds) == pytest.approx(np.clip(scores, 0.005, 0.995))
    assert set(np.round(rates_of(fixed.environment.odds), 9).ravel()) == {0.005, 0.995}
    # A pair that always passed has no other answer on record.
    assert rates_of(fixed.environment.odds)[scores == 1] == pytest.approx(0.995)
    assert [len(fixed.rows[name].odds) for name in ("refinement", "rest")] == [10, 16]


ROWS = ("ACQB-tuned-rows", "ACQB-recall-rows")


def texts(of: RoutingTable) -> list[int]:
    return [row for row, prompt in enumerate(of.prompts) if prompt]


def rates_of(odds: np.ndarray) -> np.ndarray:
    return odds / (1.0 + odds)


@pytest.fixture(scope="module")
def found():
    of, policies = table(), ("ORACLE", "ACQB", "ACQB-P", *ROWS, "INFORMED")
    runs = [
        pass_rates.retry(kind, policy, seed, T=120)
        for kind in KINDS
        for policy in policies
        for seed in (42, 43)
    ]
    return results_table(pd.concat([pass_rates.rows(run, of) for run in runs]))


def test_every_kind_of_policy_runs_in_both_versions(found):
    assert list(dict.fromkeys(found["dataset"])) == [f"Tiny, {kind}" for kind in KINDS]
    oracle = found[found["policy"] == "ORACLE"]
    assert (oracle["gap"] == 0).all()
    assert oracle["regret"].max() < 1e-4
    assert (found.loc[found["t"] == 120, "served"] > 0).all()


def test_a_memory_is_compared_with_its_policy_without_one(monkeypatch, found):
    monkeypatch.setattr(pass_rates, "WITHOUT_MEMORY", {"ACQB-P": "ACQB", ROWS[1]: ROWS[0]})
    effect = pass_rates.effect_of_memory(found)
    last = found[found["t"] == 120].set_index(["dataset", "policy", "seed"])["regret"].sort_index()
    expected = (last[f"Tiny, {FRESH}", ROWS[1]] - last[f"Tiny, {FRESH}", ROWS[0]]).mean()
    row = effect[(effect["policy"] == ROWS[1]) & effect["dataset"].str.endswith(FRESH)]
    assert row["regret_difference"].item() == pytest.approx(expected)
    assert [ax.get_title("left") for ax in plots.memory(effect).axes] == list(
        dict.fromkeys(effect["dataset"])
    )


def test_the_sentence_reads_the_intervals():
    ends = {"regret_low": [-3.0, 1.0, -1.0], "regret_high": [-1.0, 2.0, 1.0]}
    effect = pd.DataFrame({"dataset": "A", "t": 7, "policy": ["p", "q", "r"], **ends})
    said = "A, round 7: lower regret: p; higher: q; no clear difference: r"
    assert summaries.memory(effect) == said


def test_the_table_of_versions_has_signed_differences(found):
    shown = summaries.versions(found, ("ACQB",))
    assert list(dict.fromkeys(shown.columns.get_level_values(0))) == [f"Tiny, {k}" for k in KINDS]
    base, other = (shown.loc[name, f"Tiny, {FRESH}"] for name in ("ACQB", "ACQB-P"))
    assert base["less ACQB"] == "-"
    assert "±" in base["regret"]
    assert other["less ACQB"][0] in "+-"


def test_shares_of_attempts_are_read_without_encoding(monkeypatch, tmp_path):
    """Encoding takes seconds and the shares need no vectors."""
    (tmp_path / "rates.csv").write_text("prompt,a,b\nfirst,0.5,1\nsecond,1,0.25\n")
    monkeypatch.setenv("CQB_EVALPERF_DIR", str(tmp_path))
    monkeypatch.setattr(data, "identity", lambda name: "rows of a test")
    monkeypatch.setattr(encoder, "encode_table", lambda table: pytest.fail("encoded"))
    shares = STUDIES["attempts-evalperf"].rows(tmp_path, keep=False)
    assert shares["share"].iloc[0] == pytest.approx((0.5 + 1 + 1 + 0.25) / 4)


def test_the_study_pairs_both_versions_run_by_run():
    tasks = STUDIES["rates-evalperf"].tasks
    sides = [{(t.task.policy, t.task.seed) for t in tasks if t.retries == kind} for kind in KINDS]
    assert sides[0] == sides[1]
    assert len(tasks) == 2 * len(sides[0])
    assert str(pass_rates.retry(RECORDED, "ACQB", 7)) == "ACQB, recorded answers, seed 7"
