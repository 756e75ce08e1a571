"""Run the drills and print one table of counts and outcomes (``make drills``, under 15 minutes).

Every case is a test. Those of this folder try what takes too long for ``make test``; the others are
tests of the suite, run here again for the table.

    NBVAL=2 make drills    how often the first notebook is compared with its committed outputs (20)
"""

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
DRILLS = {
    "kills of a running study": ["drills/test_kills.py"],
    "full disk": [
        "drills/test_disk.py::test_a_full_disk",
        "test_files.py::test_a_full_disk_is_an_error_that_names_the_file_and_changes_nothing",
    ],
    "read-only checkout": [
        "drills/test_disk.py::test_a_read_only_checkout",
        "learner/test_compiling.py::test_without_a_writable_folder",
    ],
    "damaged cache": [
        "test_encoder.py::test_a_damaged_cache_file_is_named_and_made_again",
        "test_files.py::test_a_damaged_file_of_arrays_is_named_or_harmless",
    ],
    "damaged table": ["study/test_study.py::test_a_damaged_"],
    "damaged record": [
        "test_figures.py::test_damaged_records_of_figures_are_named",
        "study/test_replay.py::test_one_edited_number_is_damage",
    ],
    "damaged compile cache": ["learner/test_compiling.py::test_a_first_run_says"],
    "truncated download": ["datasets/test_download.py::test_a_connection_that_breaks"],
    "wrong checksum": [
        "datasets/test_download.py::test_a_wrong_download",
        "test_encoder.py::test_other_weights_are_refused_by_name",
    ],
    "malformed tables": ["drills/test_tables.py"],
    "fuzzed pickles": ["drills/test_pickles.py", "datasets/test_safe_pickle.py"],
    "notebook compared again": ["drills/test_kernels.py::test_a_notebook_compares_equal"],
    "eight kernels at once": ["drills/test_kernels.py::test_eight_kernels"],
}


class Counts:
    """A pytest plugin that selects the cases of the drills and counts how they end."""

    def __init__(self) -> None:
        self.ends = {name: Counter() for name in DRILLS}
        self.outcomes = {name: Counter() for name in DRILLS}
        self.seconds = Counter()

    def pytest_collection_modifyitems(self, config, items):
        unwanted = [item for item in items if drill_of(item.nodeid) is None]
        items[:] = [item for item in items if drill_of(item.nodeid) is not None]
        config.hook.pytest_deselected(items=unwanted)

    def pytest_runtest_logreport(self, report):
        name = drill_of(report.nodeid)
        self.seconds[name] += report.duration
        if report.when == "call" or report.outcome != "passed":
            self.ends[name][report.outcome] += 1
            self.outcomes[name].update(str(v) for k, v in report.user_properties if k == "outcome")

    def table(self) -> str:
        """A line for each drill: cases, how they ended, seconds, what was found how often."""
        lines = [
            f"{'drill':26}{'cases':>7}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}  found"
        ]
        for name, ends in self.ends.items():
            numbers = (sum(ends.values()), ends["passed"], ends["failed"], ends["skipped"])
            cells = "".join(f"{n:{w}}" for n, w in zip(numbers, (7, 8, 8, 8), strict=True))
            found = ", ".join(f"{n} {what}" for what, n in self.outcomes[name].most_common())
            lines.append(f"{name:26}{cells}{self.seconds[name]:9.0f}  {found}")
        return "\n".join(lines)


def drill_of(nodeid: str) -> str | None:
    """The drill that a case belongs to."""
    test = nodeid.removeprefix("tests/")
    for name, starts in DRILLS.items():
        if test.startswith(tuple(starts)):
            return name
    return None


def main() -> int:
    """Run every drill; returns the exit status of pytest, or 1 if a drill has no case."""
    began, counts = time.monotonic(), Counts()
    files = dict.fromkeys(str(TESTS / s.split("::")[0]) for ss in DRILLS.values() for s in ss)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(TESTS.parent)]
    status = pytest.main([*options, *files], plugins=[counts])
    empty = [name for name, ends in counts.ends.items() if not ends]
    print(f"\n{counts.table()}\ndrills: {time.monotonic() - began:.0f} s in all")
    if empty:
        print(f"drills: no case of {', '.join(empty)}", file=sys.stderr)
    return int(status) or int(bool(empty))


if __name__ == "__main__":
    sys.exit(main())
