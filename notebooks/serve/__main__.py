"""``python -m serve``: two policies on this machine, at http://127.0.0.1:8000."""

import argparse
import sys
from pathlib import Path

import uvicorn

from cqb import paths

from .app import Settings, create, path_of


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=list(Settings.policies), help="two names")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--data", default=Settings.data, help="a data set whose rows are the users'"
    )
    parser.add_argument(
        "--rate", type=float, default=Settings.arrival_rate, help="arrivals a round"
    )
    parser.add_argument(
        "--pause", type=float, default=Settings.pause, help="seconds between rounds"
    )
    parser.add_argument("--capacity", type=int, default=Settings.capacity, help="queries at a desk")
    parser.add_argument(
        "--folder", type=Path, default=paths.runs_dir() / "serve", help="of the saves"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was saved")
    given = parser.parse_args()
    if len(set(given.policies)) != 2:
        parser.error(f"policies: found {' '.join(given.policies)}, expected two names")
    settings = Settings(
        policies=tuple(given.policies),
        data=given.data,
        arrival_rate=given.rate,
        folder=given.folder,
        pause=given.pause,
        capacity=given.capacity,
    )
    if given.fresh:
        for policy in settings.policies:
            path_of(given.folder, given.data, policy).unlink(missing_ok=True)
    try:
        app = create(settings)
    except ValueError as error:
        print(f"serve: {error}", file=sys.stderr)
        return 1
    print(f"The page is at http://127.0.0.1:{given.port} (control-C ends and saves).", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
