import json
import shutil

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import cqb.datasets
from cqb import paths
from cqb.datasets import prices, standin
from cqb.datasets.reading import read_json
from cqb.files import content_hash, read_arrays

FOLDER = paths.root() / "data" / "standin"

FILE, RECIPE = standin.FILES["routerbench"]
OTHERS = ("sprout", "embedllm")


@pytest.fixture(scope="module")
def recipe():
    return read_json(FOLDER / RECIPE, standin.FORMAT)


@pytest.fixture(scope="module")
def table():
    return cqb.datasets.load("routerbench-standin", FOLDER)


@pytest.fixture(scope="module", params=OTHERS)
def other(request):
    """The stand-in of another set, as (its set, its recipe, its table)."""
    recipe = read_json(FOLDER / standin.FILES[request.param][1], standin.FORMAT)
    return request.param, recipe, cqb.datasets.load(f"{request.param}-standin", FOLDER)


@pytest.mark.parametrize(("file", "recipe_file"), standin.FILES.values(), ids=standin.FILES)
def test_the_recipe_gives_the_committed_file(file, recipe_file):
    generated = standin.generate(read_json(FOLDER / recipe_file, standin.FORMAT))
    assert content_hash(generated) == content_hash(read_arrays(FOLDER / file))


def test_the_committed_files_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3 * 2**20


def test_it_cannot_be_mistaken_for_real_data(table):
    assert table.stand_in
    assert "stand-in" in table.name
    assert all(prompt.startswith("[stand-in] ") for prompt in table.prompts)
    assert all(name.startswith("stand-in-") for name in (*table.ids, *table.families))
    assert "not RouterBench" in table.report["generated"]


def test_means_are_those_of_routerbench(table, recipe):
    assert len(table.models) == 11
    for j, model in enumerate(recipe["models"]):
        assert table.models[j] == model["name"]
        assert table.scores[:, j].mean() == pytest.approx(model["score"], abs=0.01)
        assert table.costs[:, j].mean() == pytest.approx(model["cost"], rel=0.03)


def test_most_rows_have_no_single_best_model(table):
    ties = (table.scores == table.scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert ties.mean() == pytest.approx(0.93, abs=0.02)


def test_scores_are_mostly_right_or_wrong_with_some_grades(table):
    graded = ~np.isin(table.scores, (0, 1))
    families = np.array(table.families)
    assert 0.005 < graded.mean() < 0.1
    assert {family for family, any_ in zip(families, graded.any(axis=1), strict=True) if any_} == {
        "stand-in-gsm",
        "stand-in-mtbench",
    }


def test_hard_prompts_are_hard_for_all_and_siblings_are_alike(table, recipe):
    related = np.corrcoef(table.scores.T)
    siblings = [model["siblings"] for model in recipe["models"]]
    pairs = [(i, j) for i in range(11) for j in range(i)]
    alike = np.mean([related[p] for p in pairs if siblings[p[0]] == siblings[p[1]]])
    others = np.mean([related[p] for p in pairs if siblings[p[0]] != siblings[p[1]]])
    assert 0.1 < others < 0.4
    assert alike > others + 0.1


def test_longer_prompts_cost_more_with_every_model(table):
    assert np.corrcoef(np.log(table.costs.T)).min() > 0.5


def test_embeddings_are_distinct_unit_rows(table):
    assert table.embeddings.shape == (2400, 384)
    assert np.abs(np.linalg.norm(table.embeddings, axis=1) - 1).max() < 1e-12
    assert table.report["distinct_vectors"] == len(table) == 2400


def test_skill_can_be_learnt_from_the_embedding_about_as_well_as_from_real_prompts(table):
    train = np.arange(len(table)) % 2 == 0
    areas = []
    for j in (0, 4, 5, 7, 10):
        right = table.scores[:, j] >= 0.5
        model = LogisticRegression(max_iter=300).fit(table.embeddings[train], right[train])
        guess = model.decision_function(table.embeddings[~train])
        areas.append(roc_auc_score(right[~train], guess))
    assert 0.65 < np.mean(areas) < 0.8


def test_loading_twice_gives_the_same_bits(table):
    assert cqb.datasets.load("routerbench-standin", FOLDER).data_hash() == table.data_hash()


def test_damage_and_absence_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=f"{FILE}: not there; `python -m cqb.datasets.standin`"
    ):
        standin.load(tmp_path)
    for name in (RECIPE, FILE):
        shutil.copy(FOLDER / name, tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match=FILE):
        standin.load(tmp_path)
    (tmp_path / RECIPE).write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        read_json(tmp_path / RECIPE, standin.FORMAT)
    (tmp_path / RECIPE).write_text(json.dumps({"format": "another"}))
    with pytest.raises(ValueError, match="not of format"):
        read_json(tmp_path / RECIPE, standin.FORMAT)


def test_the_command_writes_where_cqb_data_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    (tmp_path / "standin").mkdir()
    shutil.copy(FOLDER / RECIPE, tmp_path / "standin")
    standin.main()
    assert "2400 rows" in capsys.readouterr().out
    assert cqb.datasets.load("routerbench-standin").stand_in


def test_no_other_stand_in_can_be_mistaken_for_real_data(other):
    dataset, recipe, table = other
    assert table.stand_in
    assert table.name == {"sprout": "SPROUT stand-in", "embedllm": "EmbedLLM stand-in"}[dataset]
    assert all(prompt.startswith("[stand-in] ") for prompt in table.prompts)
    assert all(name.startswith("stand-in-") for name in (*table.ids, *table.families))
    assert f"not {table.name.removesuffix(' stand-in')} data" in table.report["generated"]
    assert "made up" in recipe["about"]


def test_the_others_have_the_size_of_their_sets_and_room_for_a_pool(other):
    dataset, _, table = other
    assert len(table.models) == {"sprout": 14, "embedllm": 112}[dataset]
    assert table.embeddings.shape == (2000, 384)
    assert table.report["distinct_vectors"] == 2000
    assert np.abs(np.linalg.norm(table.embeddings, axis=1) - 1).max() < 1e-12
    assert 2000 - 2000 // 5 >= 1000 + 110  # the tuning fifth, the pool, the refinement set


def test_the_means_of_the_others_are_those_of_their_recipes(other):
    _, recipe, table = other
    for j, model in enumerate(recipe["models"]):
        assert table.models[j] == model["name"]
        assert table.scores[:, j].mean() == pytest.approx(model["score"], abs=0.002)
        assert table.costs[:, j].mean() == pytest.approx(model["cost"], rel=0.01)


def test_sprout_has_the_published_means_and_models_that_have_prices():
    table = cqb.datasets.load("sprout-standin", FOLDER)
    assert sorted(table.models) == sorted(json.loads(prices.SPROUT.read_text())["models"])
    means = dict(zip(table.models, table.scores.mean(axis=0), strict=True))
    assert means["openai-o3-mini"] == pytest.approx(0.9061, abs=0.002)
    assert means["wxai-llama-3-405b-instruct"] == pytest.approx(0.7756, abs=0.002)
    assert means["wxai-llama-3-2-1b-instruct"] == pytest.approx(0.4625, abs=0.002)


def test_embedllm_costs_are_tokens_times_the_price_of_the_size_class():
    table = cqb.datasets.load("embedllm-standin", FOLDER)
    classes = json.loads(prices.EMBEDLLM.read_text())["classes"]
    known = {"stand-in-" + name.lower().replace(" ", "-"): name for name in classes}
    price = np.array([classes[known[model[:-3]]]["price"] for model in table.models])
    tokens = table.costs * 1e6 / price
    # The same tokens for every model, but for the whole hundred-millionths that are kept.
    assert np.abs(tokens / tokens.mean(axis=1, keepdims=True) - 1).max() < 0.01
    assert tokens.mean() == pytest.approx(105, rel=0.01)
    assert np.isin(table.scores, (0, 1)).all()


def test_the_skill_of_the_others_can_be_learnt_from_the_embedding(other):
    _, _, table = other
    train = np.arange(len(table)) % 2 == 0
    areas = []
    for j in np.linspace(0, len(table.models) - 1, 5).astype(int):
        right = table.scores[:, j] >= 0.5
        model = LogisticRegression(max_iter=300).fit(table.embeddings[train], right[train])
        guess = model.decision_function(table.embeddings[~train])
        areas.append(roc_auc_score(right[~train], guess))
    assert 0.6 < np.mean(areas) < 0.8
