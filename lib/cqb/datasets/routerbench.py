"""RouterBench: one row per prompt, one score and one cost column per model.

Source: Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", arXiv 2403.12031; the
table `routerbench_0shot.pkl` of the Hugging Face data set withmartian/routerbench. CSV files of
the same columns are read as well.
"""

from pathlib import Path

from cqb.datasets import reading, table
from cqb.routing_table import RoutingTable

NAME = "RouterBench"
PICKLE = "routerbench_0shot.pkl"


def load(folder: Path | str) -> RoutingTable:
    """Read the published pickle, or else every CSV file, in `folder`; nothing is encoded.

    Rows without a score or a cost for some model are dropped and counted in the report. The few-shot
    preamble that all prompts of a family share is removed (:func:`.reading.strip_preambles`). CSV
    files are a selection of the set, so the table is then named by its number of families.

    Raises
    ------
    FileNotFoundError
        The folder is missing or holds neither the pickle nor a CSV file.
    ValueError
        A column is missing, files disagree about the models, a value is out of range, or two
        complete rows carry one id. The message names file, row and column.
    """
    folder, lacking = Path(folder), f"neither {PICKLE} nor a .csv file in it"
    files = reading.find_files(folder, NAME, (PICKLE, "*.csv"), lacking)
    frames = {path.name: table.read_frame(path) for path in files}
    found = {file: table.models_of(file, of, table.TEXT_COLUMNS) for file, of in frames.items()}
    models = reading.same_models(found)
    rows, counts = table.complete(frames, models, folder, table.DOLLARS)
    families = rows["text"]["family"].nunique()
    selection = f"{NAME}, {families} {'family' if families == 1 else 'families'}"
    name = NAME if files[0].name == PICKLE else selection
    return reading.routing_table(name, models, files, rows, rows["cost"], counts)
