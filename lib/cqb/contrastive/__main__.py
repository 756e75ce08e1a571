"""Run the studies of notebook 02 in full and store their results.

``python -m cqb.contrastive [standin] [planted] [routerbench]``

All three by default. Finished runs are kept, so that an interrupted study goes on with the next call.
"routerbench" needs real rows (CQB_ROUTERBENCH_DIR, or the download).
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence

import threadpoolctl

from ..experiment.sweeps import load_table
from ..routing_table import RoutingTable
from . import studies, study, study_store
from .planted import planted_table
from .rows import FewStrictBestWarning

Tables = Callable[[], list[RoutingTable]]
STUDIES: dict[str, tuple[study.Study, Tables]] = {
    "standin": (studies.STAND_IN, lambda: [load_table("routerbench-standin")]),
    "planted": (studies.PLANTED, lambda: [planted_table(world) for world in studies.WORLDS]),
    "routerbench": (studies.ROUTERBENCH, lambda: [load_table("routerbench")]),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.contrastive", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STUDIES))
    names = parser.parse_args(arguments).names or list(STUDIES)
    if unknown := set(names) - set(STUDIES):
        print(
            f"no study {', '.join(sorted(unknown))}; known: {', '.join(STUDIES)}", file=sys.stderr
        )
        return 1
    # A quota that cannot be met is counted in the record's geometry; once is enough on the screen.
    warnings.simplefilter("once", FewStrictBestWarning)
    for name in names:
        chosen, tables = STUDIES[name]
        here = tables()
        started = time.process_time()
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            path = study_store.store(chosen, here, *study.run(chosen, here))
        print(f"{name}: {time.process_time() - started:.0f} CPU s, {path.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
