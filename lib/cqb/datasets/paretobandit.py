"""ParetoBandit: real rows of three strong models, committed as numbers so that every machine has them.

Source: 1,785 prompts of public benchmarks, each with a graded reward and the measured dollars of every
model; `val.jsonl` in the PyPI package paretobandit 0.1.1 (Apache-2.0, ParetoBandit Authors). The file
that is committed has scores, costs, families and vectors in half precision, and no prompts.

    python -m cqb.datasets.paretobandit     # makes the file; needs `pip install "cqb[encode,real]"`
"""

import importlib.util
import json
from pathlib import Path

import numpy as np

from cqb import paths
from cqb.datasets import reading
from cqb.files import sha256_file, write_arrays
from cqb.routing_table import RoutingTable

NAME = "ParetoBandit"
FILE = "paretobandit.npz"
SOURCE = Path("data") / "examples" / "val.jsonl"
SHA256 = "9590556ee832bb8e27b0e838eb4fd6b656e69e39c99ef067fc6379abc7f168ef"


def load(folder: Path | str | None = None) -> RoutingTable:
    """The committed table with embeddings, from `folder` or the data folder.

    Raises FileNotFoundError if the file is not there, ValueError if it is damaged.
    """
    path = Path(folder or paths.data_dir() / "paretobandit") / FILE
    arrays = reading.read_committed(path, "cqb.datasets.paretobandit")
    text = json.loads(arrays["text"].tobytes())
    vectors = arrays["embedding"].astype(np.float64)
    families = [text["families"][code] for code in arrays["family"]]
    return RoutingTable(
        name=NAME,
        stand_in=False,
        ids=[f"val.{row}" for row in range(len(families))],
        prompts=[f"[{family}, not included]" for family in families],
        families=families,
        models=text["models"],
        scores=arrays["score"],
        costs=arrays["cost"],
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        report=text["report"],
    )


def read_package(path: Path | str | None = None) -> RoutingTable:
    """The rows of the installed package, or of a copy of its file, with prompts and not encoded.

    Raises
    ------
    ImportError
        The extra `real` is not installed.
    ValueError
        The file is not the pinned one.
    """
    if path is None:
        package = importlib.util.find_spec("pareto_bandit")
        if package is None:
            raise ImportError('ParetoBandit\'s rows: install them with `pip install "cqb[real]"`')
        path = Path(package.origin).parent / SOURCE
    path = Path(path)
    if (found := sha256_file(path)) != SHA256:
        raise ValueError(f"{path}: its sha256 is {found}, expected {SHA256}")
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    models = sorted(rows[0]["arms"])
    score, cost = (
        np.array([[row["arms"][model][field] for model in models] for row in rows], dtype=float)
        for field in ("reward", "cost")
    )
    families, prompts = ([row[field] for row in rows] for field in ("source", "prompt"))
    ids = [f"val.{row}" for row in range(len(rows))]
    found = reading.rows(path.name, {"score": score}, id=ids, family=families, prompt=prompts)
    return reading.routing_table(NAME, models, [path], found, cost, {"rows_read": len(rows)})


def arrays_of(table: RoutingTable) -> dict[str, np.ndarray]:
    """The content of the committed file: an encoded table in numbers, vectors in half precision."""
    families = sorted(set(table.families))
    report = {**table.report, "vectors": "half precision"}
    # Here the vectors are data: the table's hash counts their bits, not the encoder they come from.
    report["encoded_with"] = report.pop("encoder")
    text = {"families": families, "models": table.models, "report": report}
    return {
        "family": np.array([families.index(family) for family in table.families], dtype=np.uint8),
        "score": table.scores,
        "cost": table.costs,
        "embedding": table.embeddings.astype(np.float16),
        "text": np.frombuffer(json.dumps(text).encode(), dtype=np.uint8),
    }


def main() -> None:
    """Write the committed file from the rows of the installed package."""
    from cqb.encoder import encode_table

    path = paths.data_dir() / "paretobandit" / FILE
    write_arrays(path, arrays_of(encode_table(read_package())))
    print(f"{path}: {len(load())} rows")


if __name__ == "__main__":
    main()
