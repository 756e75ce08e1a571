"""Generated tables that resemble the real sets, so that everything runs without a download.

A recipe in `data/standin/` holds the numbers and the seed, `generate` turns them into a table, and
`python -m cqb.datasets.standin` writes the file that is committed next to the recipe. The recipe and
`data/README.md` list what is taken from the real set; all else is made up, and says so.

To generate a row, its family and topic, a difficulty and a point in a small content space are drawn. A
model's skill on it is its level, plus its taste for family, topic and content, minus the difficulty,
plus noise that sibling models share in part. The score is 1 if the skill is positive, or a grade in
families that are graded. The embedding carries family, topic, content and a blurred difficulty among
much nuisance, so a linear model can recover part of the skill.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from cqb import paths
from cqb.datasets.reading import read_committed, read_json
from cqb.files import content_hash, write_arrays
from cqb.routing_table import RoutingTable

FILES = {  # data set -> the file of its stand-in and the recipe of that file
    "routerbench": ("routerbench_standin.npz", "recipe.json"),
    "sprout": ("sprout_standin.npz", "sprout_recipe.json"),
    "embedllm": ("embedllm_standin.npz", "embedllm_recipe.json"),
}
FORMAT = "cqb stand-in recipe 1"
SCORE_UNIT = 100  # scores are stored as whole hundredths
COST_UNIT = 10**8  # costs are stored as whole hundred-millionths of a dollar
CODE_LIMIT = 127  # embeddings are stored as whole numbers from -127 to 127, scaled to length 1

Arrays = dict[str, np.ndarray]
Recipe = dict[str, Any]


def load(folder: Path | str | None = None, dataset: str = "routerbench") -> RoutingTable:
    """The committed stand-in of a data set as a table with embeddings, verified by its own hash.

    Whole numbers are stored, and the unit rows follow from them by one exact norm and one
    division, so every platform gets the same bits.

    Raises FileNotFoundError if the file or the recipe is not there, ValueError if one is damaged.
    """
    folder = paths.data_dir() / "standin" if folder is None else Path(folder)
    file, recipe_file = FILES[dataset]
    arrays = read_committed(folder / file, "cqb.datasets.standin")
    recipe = read_json(folder / recipe_file, FORMAT)
    names = [family["name"] for family in recipe["families"]]
    families = [names[index] for index in arrays["family"]]
    items = arrays["item"]
    codes = arrays["embedding"].astype(np.float64)
    real = recipe["name"].removesuffix(" stand-in")
    return RoutingTable(
        name=recipe["name"],
        stand_in=True,
        ids=[f"{family}.{item}" for family, item in zip(families, items, strict=True)],
        prompts=[
            f"[stand-in] {family}, topic {topic}, item {item}"
            for family, topic, item in zip(families, arrays["topic"], items, strict=True)
        ],
        families=families,
        models=[model["name"] for model in recipe["models"]],
        scores=arrays["score"] / SCORE_UNIT,
        costs=arrays["cost"] / COST_UNIT,
        embeddings=codes / np.sqrt((codes**2).sum(axis=1, keepdims=True)),
        report={
            "generated": f"recipe with seed {recipe['seed']}; not {real} data",
            "rows_read": len(items),
            "rows_dropped": {},
            "truncated_share": 0.0,
            "distinct_vectors": len(np.unique(arrays["embedding"], axis=0)),
        },
    )


def generate(recipe: Recipe) -> Arrays:
    """The whole numbers of the stand-in: family, topic, item, score, cost and embedding.

    n rows, N models, d dimensions: `family`, `topic` uint8 and `item` uint16 of shape (n,),
    `score` uint8 (n, N) in hundredths, `cost` int32 (n, N) in 1e-8 dollars, `embedding` int8
    (n, d) up to a factor for each row.
    """
    rows = _draw_rows(recipe)
    return {
        "family": rows["family"].astype(np.uint8),
        "topic": rows["topic"].astype(np.uint8),
        "item": rows["item"].astype(np.uint16),
        "score": _scores(recipe, rows).astype(np.uint8),
        "cost": _costs(recipe, rows).astype(np.int32),
        "embedding": _embeddings(recipe, rows).astype(np.int8),
    }


def _stream(recipe: Recipe, name: str) -> np.random.Generator:
    """A separate random stream for every ingredient, so that changing one changes no other."""
    seeds = np.random.SeedSequence([recipe["seed"], zlib.crc32(name.encode())])
    return np.random.Generator(np.random.Philox(seeds))


def _draw_rows(recipe: Recipe) -> Arrays:
    """Family, topic (numbered within the family), place of the topic, item, difficulty, content."""
    rows, families = recipe["rows"], recipe["families"]
    bounds = np.round(np.cumsum([family["share"] for family in families]) * rows).astype(int)
    family = np.searchsorted(bounds, np.arange(rows), side="right")
    counts = np.array([entry["topics"] for entry in families])
    draw = _stream(recipe, "topic").random(rows)
    topic = (draw**1.5 * counts[family]).astype(int)  # low numbers are the common topics
    place = (np.cumsum(counts) - counts)[family] + topic
    content = (rows, recipe["embedding"]["content_dimensions"])
    return {
        "family": family,
        "topic": topic,
        "place": place,
        "item": np.arange(rows) - np.concatenate([[0], bounds])[family],
        "difficulty": _stream(recipe, "difficulty").standard_normal(rows),
        "content": _stream(recipe, "content").standard_normal(content),
    }


def _scores(recipe: Recipe, rows: Arrays) -> np.ndarray:
    """Scores in hundredths, shape (n, N), with the recipe's mean for every model."""
    skill = _skill(recipe, rows)
    levels = np.array([family["levels"] for family in recipe["families"]])[rows["family"]]
    wanted = np.array([model["score"] for model in recipe["models"]])
    low, high = np.full(len(wanted), -20.0), np.full(len(wanted), 20.0)
    for _ in range(60):  # bisection: the mean grows with the level of the model
        level = (low + high) / 2
        short = _grade(skill + level, levels).mean(axis=0) < wanted
        low, high = np.where(short, level, low), np.where(short, high, level)
    return np.round(_grade(skill + high, levels) * SCORE_UNIT)


def _grade(skill: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Scores in [0, 1]: a threshold where a family has one level, else equal steps."""
    levels = levels[:, None]
    steps = np.floor(levels / (1 + np.exp(-skill)) + 0.5)
    return np.where(levels == 1, skill > 0, steps / levels)


def _skill(recipe: Recipe, rows: Arrays) -> np.ndarray:
    """Skill of each model on each row before its level is added: shape (n, N)."""
    weight, models = recipe["skill"], recipe["models"]
    n, count = len(rows["family"]), len(models)
    groups = sorted({model["siblings"] for model in models})
    group = np.array([groups.index(model["siblings"]) for model in models])

    def shared(name: str, size: int) -> np.ndarray:
        """Unit-variance taste or noise, shape (size, N), alike among siblings."""
        stream, share = _stream(recipe, name), weight["siblings_share"]
        common = stream.standard_normal((size, len(groups)))[:, group]
        return np.sqrt(share) * common + np.sqrt(1 - share) * stream.standard_normal((size, count))

    of_family = np.array([family["difficulty"] for family in recipe["families"]])
    of_topic = _stream(recipe, "topic difficulty").standard_normal(rows["place"].max() + 1)
    hardness = (
        of_family[rows["family"]]
        + weight["difficulty_of_topic"] * of_topic[rows["place"]]
        + weight["difficulty"] * rows["difficulty"]
    )
    content = rows["content"] @ shared("content taste", rows["content"].shape[1])
    return (
        weight["family"] * shared("family taste", len(of_family))[rows["family"]]
        + weight["topic"] * shared("topic taste", len(of_topic))[rows["place"]]
        + weight["content"] * content / np.sqrt(rows["content"].shape[1])
        - hardness[:, None]
        + weight["noise"] * shared("noise", n)
    )


def _costs(recipe: Recipe, rows: Arrays) -> np.ndarray:
    """Costs in units of 1e-8 dollars, shape (n, N), with the recipe's mean for every model."""
    settings, models = recipe["cost"], recipe["models"]
    n, count = len(rows["family"]), len(models)
    prompt = np.array([family["prompt_tokens"] for family in recipe["families"]])[rows["family"]]
    answer = np.array([family["answer_tokens"] for family in recipe["families"]])[rows["family"]]
    stream = _stream(recipe, "tokens")
    prompt = prompt * np.exp(settings["prompt_spread"] * stream.standard_normal(n))
    spread = settings["answer_spread"] * stream.standard_normal((n, count))
    answer = answer[:, None] * np.exp(np.where(answer[:, None] > 10, spread, 0.0))
    tokens = prompt[:, None] + settings["answer_price"] * answer
    price = np.array([model["cost"] for model in models]) / tokens.mean(axis=0)
    return np.round(price * tokens * COST_UNIT)


def _embeddings(recipe: Recipe, rows: Arrays) -> np.ndarray:
    """Whole numbers from -127 to 127, shape (n, d): the direction of every row."""
    weight, d = recipe["embedding"], recipe["dimension"]
    n, content = len(rows["family"]), rows["content"]

    def directions(name: str, size: int) -> np.ndarray:
        vectors = _stream(recipe, f"{name} direction").standard_normal((size, d))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    blur = _stream(recipe, "difficulty blur").standard_normal(n)
    blurred = rows["difficulty"] + weight["difficulty_noise"] * blur
    # Nuisance falls off over the axes as the spectrum of sentence embeddings does.
    scale = 1 / np.sqrt(1 + np.arange(d) / weight["nuisance_decay"])
    nuisance = _stream(recipe, "nuisance").standard_normal((n, d)) * scale
    nuisance /= np.sqrt((scale**2).sum())
    axes, _ = np.linalg.qr(_stream(recipe, "axes").standard_normal((d, d)))
    vectors = (
        weight["common"] * directions("common", 1)
        + weight["family"] * directions("family", len(recipe["families"]))[rows["family"]]
        + weight["topic"] * directions("topic", rows["place"].max() + 1)[rows["place"]]
        + weight["difficulty"] * blurred[:, None] * directions("difficulty", 1)
        + weight["content"] * content @ directions("content", content.shape[1])
        + weight["nuisance"] * nuisance @ axes
    )
    return np.round(vectors * (CODE_LIMIT / np.abs(vectors).max(axis=1, keepdims=True)))


def main() -> None:
    """Write the stand-ins whose recipes are there, each next to its recipe."""
    folder = paths.data_dir() / "standin"
    for file, recipe in (pair for pair in FILES.values() if (folder / pair[1]).is_file()):
        arrays = generate(read_json(folder / recipe, FORMAT))
        write_arrays(folder / file, arrays)
        print(f"{folder / file}: {len(arrays['item'])} rows, content {content_hash(arrays)}")


if __name__ == "__main__":
    main()
