"""``python -m cqb.beyond``: make the runs of the comparison that are not stored yet, and print it."""

from __future__ import annotations

import argparse

from .. import paths
from ..experiment import load_table
from ..experiment.findings import side_table
from ..experiment.provenance import cores
from ..experiment.run_store import RunStore
from ..experiment.task import Cell
from .runner import CELLS, POLICIES_COMPARED, comparison, make_runs, ratios, tidy_table

AGAINST = ("ACQB", "ACQB-tuned", "ACQB-P", "ACQB-P-tuned", "TS-memory", "INFORMED", "RANDOM")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="routerbench or routerbench-standin")
    parser.add_argument("--policies", default=",".join(POLICIES_COMPARED))
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 42 on")
    parser.add_argument("--workers", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--cells", default="", help="K:lam:rate, separated by commas; all if empty")
    asked = parser.parse_args()
    cells = tuple(_cell(text) for text in asked.cells.split(",") if text) or CELLS
    policies = tuple(asked.policies.split(","))
    seeds = tuple(range(42, 42 + asked.seeds))
    table = load_table(asked.dataset)
    settings = comparison(asked.dataset, cells=cells, policies=policies, seeds=seeds)
    store = RunStore(paths.runs_dir(), table)
    made = make_runs(settings, table, store, workers=asked.workers)
    print(f"{made} runs made, in {store.folder}")
    tidy = tidy_table(settings, table, store)
    final = tidy[tidy["t"] == tidy["t"].max()]
    regret = final.groupby(["K", "arrival_rate", "lam", "policy"])["regret"].agg(
        ["mean", "std", "count"]
    )
    print(regret.round(1).to_string())
    for K in sorted(set(final["K"])):
        print(side_table(tidy, K=K))
    for policy in ("ACQB-M", "ACQB-MW"):
        others = [name for name in AGAINST if name in policies]
        if policy in policies and others:
            print(ratios(tidy, policy, others).round(3).to_string(index=False))


def _cell(text: str) -> Cell:
    K, lam, rate = text.split(":")
    return Cell(int(K), float(lam), float(rate))


if __name__ == "__main__":
    main()
