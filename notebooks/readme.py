"""Write the table of claims into the README: the verdicts of figures/claims.json, by paper and data set.

``python notebooks/readme.py``
"""

import sys
from pathlib import Path

import pandas as pd

from cqb import paths
from cqb.files import write_text
from cqb.studies.abstracts import verdicts

BEGIN, END = "<!-- claims: begin -->\n", "<!-- claims: end -->\n"
PAPERS = {
    "arXiv 2602.02061": "ACQB, learning from picks and retrials",
    "arXiv 2509.02718": "PORT, routing under token budgets",
    "arXiv 2508.00234": "QoS, routing to edge experts that batch",
}


class ReadmeError(ValueError):
    """The README lacks the place where the claims go, or a paper has no name here."""


def section(claims: pd.DataFrame) -> str:
    """The claims as Markdown: a table for each paper, each data set with a link to its notebook.

    Parameters
    ----------
    claims : the rows of figures/claims.json.
    """
    parts = []
    for source, wide in verdicts(claims).items():
        if source not in PAPERS:
            raise ReadmeError(f"PAPERS: found no name for {source}, expected one")
        shown = claims[claims["source"] == source].drop_duplicates("data")["notebook"]
        sets = [f"[{name}](notebooks/{at}.ipynb)" for name, at in zip(wide, shown, strict=True)]
        number = source.removeprefix("arXiv ")
        paper = f"**{PAPERS[source]}** ([{number}](https://arxiv.org/abs/{number}))"
        lines = [[paper, *sets], ["---"] * (1 + len(sets))]
        lines += [[claim, *found] for claim, *found in wide.itertuples(name=None)]
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def filled(text: str, claims: pd.DataFrame) -> str:
    """A README with :func:`section` between its two marks; raises ReadmeError if it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ReadmeError(f"README.md: found no lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}\n{section(claims)}\n{end}{after}"


def stored(root: Path) -> pd.DataFrame:
    """The rows of a repository's figures/claims.json."""
    return pd.read_json(root / "figures" / "claims.json")


def main() -> int:
    """The command line; returns the exit status."""
    path = paths.root() / "README.md"
    try:
        write_text(path, filled(path.read_text("utf-8"), stored(paths.root())))
    except (ReadmeError, OSError) as error:
        print(f"readme: {error}", file=sys.stderr)
        return 1
    print(f"{path.name}: the claims of figures/claims.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
