"""The command line: ``python -m cqb list | run | verify | show``.

list    the studies: version, tasks, data, and whether the table is stored
run     run studies and store their tables; without names, those that are run by default
verify  run tasks of the stored tables again, compare every number, and derive every report again
show    print the record of a stored table, a figure or a report
"""

import argparse
import contextlib
import fnmatch
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from itertools import chain
from typing import Any

from .. import backend as backends
from ..datasets import FETCHED
from ..files import write_text
from ..paths import check_names, figures_dir
from ..tables import file_text
from . import data, replay, store
from .cluster import connected
from .comparison import compare
from .provenance import cores
from .study import Study, StudyError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 for a disagreement or an error, 130 if stopped."""
    options = _parser().parse_args(arguments)
    for name, folder in options.data:
        os.environ[f"CQB_{name.upper()}_DIR"] = folder
    if options.backend is not None:
        os.environ[backends.VARIABLE] = options.backend
    try:
        check_names(FETCHED)
        backends.choose()
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("\ncqb: interrupted; finished tasks are kept, run it again to go on", file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        print(f"cqb: {error}{notes}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cqb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(backend=None)
    shared = argparse.ArgumentParser(add_help=False)
    place = {"type": _data, "action": "append", "default": [], "metavar": "SET=FOLDER"}
    says = "where the files of a data set are, for instance routerbench=FOLDER"
    shared.add_argument("--data", "-d", help=says, **place)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    calls = {"list": list_studies, "run": run_studies, "verify": verify_all, "show": show_record}
    for name, call in calls.items():
        about = {"help": call.__doc__, "description": call.__doc__, "parents": [shared]}
        commands.add_parser(name, **about).set_defaults(command=call)
    _, run, verify, show = commands.choices.values()
    show.add_argument("name", metavar="NAME")
    for command in (run, verify):
        command.add_argument("names", nargs="*", metavar="STUDY", help="a name, or a pattern")
        command.add_argument("--workers", type=int, default=cores(), help="processes side by side")
        command.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")
    says = f"{', '.join(backends.NAMES)}: whether runs advance side by side on a GPU"
    run.add_argument("--backend", metavar="NAME", help=says)
    run.add_argument("--fresh", action="store_true", help="run every task, also those stored")
    run.add_argument("--here", action="store_true", help="only studies whose data are here")
    verify.add_argument("--all", action="store_true", help="every task (hours), not a sample")
    verify.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="part I of N")
    return parser


def list_studies(options: argparse.Namespace) -> None:
    """List every study: version, number of tasks, data set, and whether its table is stored."""
    for name, study in studies().items():
        here = "stored" if study.is_stored() else "not stored"
        of = f"on {study.data}" if study.data else "makes its own data"
        print(f"{name:34} v{study.version}  {len(study.tasks):5} tasks  {here:10}  {of}")


def run_studies(options: argparse.Namespace) -> None:
    """Run studies and store their tables; derive the reports again.

    Without names, the default studies whose data are here are run from the start.
    """
    chosen = _chosen(options.names or ["*"])
    fresh = options.fresh or not options.names
    if not options.names:
        chosen = [study for study in chosen if study.default]
    if options.here or not options.names:
        chosen = [study for study in chosen if _is_here(study)]
    with connected(options.scheduler) as executor:
        for study in chosen:
            rows = study.rows(workers=options.workers, executor=executor, fresh=fresh)
            if fresh:
                print(f"  {_agreement(study, rows)}", flush=True)
            study.store(rows)
    for path, report in reports().items():
        with contextlib.suppress(FileNotFoundError):
            write_text(figures_dir() / path, file_text(path, report()))


def _agreement(study: Study, rows: object) -> str:
    """One line on how a new table agrees with the stored one."""
    stored, record = store.read(study.name)
    if record is None:
        return "no table was stored to compare with"
    result = compare(study, record, stored, rows)
    if not result.differ:
        return "every number agrees with the stored table"
    first = next(iter((result.named or result.differ).items()))
    return f"{result}: {len(result.differ)} tasks differ, the first: {': '.join(first)}"


def verify_all(options: argparse.Namespace) -> int:
    """Replay tasks of the stored tables, compare every number, and derive every report again."""
    chosen = _chosen(options.names or ["*"])
    extent = replay.Extent(options.all, *options.shard)
    names: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    with connected(options.scheduler) as executor:
        found = replay.replay_all(chosen, extent, workers=options.workers, executor=executor)
        if not options.names:
            found = chain(found, replay.strays(studies()), replay.rederive(reports()))
        for verdict in found:
            print(verdict, flush=True)
            names[verdict.agrees].append(verdict.name)
    agree, wrong, unchecked = names.values()
    print(f"{len(agree)} agree, {len(wrong)} disagree, {len(unchecked)} could not be checked")
    for name in wrong:
        print(f"DISAGREES: {name}", file=sys.stderr)
    return 1 if wrong else 0


def show_record(options: argparse.Namespace) -> None:
    """Print the record of a stored table, a figure or a report."""
    record = store.place(options.name).with_suffix(".json")
    if record.exists():
        print(record.read_text(encoding="utf-8"), end="")
    else:
        from ..figures.style import read_record  # loads the drawing libraries; nothing else does

        print(json.dumps(read_record(options.name), indent=1))


def _chosen(names: Sequence[str]) -> list[Study]:
    """The studies whose name matches one of the names or patterns; ValueError if one matches none."""
    known = studies()
    for name in names:
        if not fnmatch.filter(known, name):
            raise ValueError(f"no study {name}; `python -m cqb list` names them all")
    return [of for name, of in known.items() if any(fnmatch.fnmatch(name, n) for n in names)]


def _is_here(study: Study) -> bool:
    """Whether a study's data are here; a printed line says so if they are not."""
    if data.identity(study.data) is not None:
        return True
    if not study.default:
        print(f"{study.name}: left out, the data set {study.data} is not here")
    return False


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal()):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected I/N, for instance 1/4")
    return int(part), int(parts)


def _data(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected SET=FOLDER")
    if name not in FETCHED:
        known = ", ".join(FETCHED)
        raise argparse.ArgumentTypeError(f"found the set {name!r}, expected one of {known}")
    return name, folder


@cache
def studies() -> dict[str, Study]:
    """Every installed study by name, in the order of the packages and of their declarations.

    A package adds its studies by an entry point of the group ``cqb.studies``: a module with a dictionary
    ``STUDIES`` (name to :class:`.Study`) and, if it has reports, a dictionary ``REPORTS`` (path in the
    figures folder to a function that derives the table).

    Raises
    ------
    StudyError
        Two packages declare a study of one name.
    """
    found: dict[str, Study] = {}
    for module in _modules():
        if twice := found.keys() & module.STUDIES.keys():
            raise StudyError(f"{min(twice)}: declared twice, once in {module.__name__}")
        found |= module.STUDIES
    return found


@cache
def reports() -> dict[str, replay.Report]:
    """Every report by its path in the figures folder."""
    declared = (getattr(module, "REPORTS", {}) for module in _modules())
    return {path: report for of in declared for path, report in of.items()}


def _modules() -> list[Any]:
    return [point.load() for point in sorted(entry_points(group="cqb.studies"))]
