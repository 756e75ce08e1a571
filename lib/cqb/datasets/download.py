"""Fetch what the experiments need from the network, pinned and verified.

    python -m cqb.datasets.download                 # the data sets
    python -m cqb.datasets.download NAME [NAME...]  # some entries only
    python -m cqb.datasets.download --pin FILE      # the line that pins a file at hand

The entries are those of `pins.toml`. A file gets its own name only once its sha256 is that of its entry,
and one that is already there is verified before it is trusted.
"""

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cqb import paths
from cqb.files import sha256_file

HOST = "https://huggingface.co"
GITHUB = "https://github.com"


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not the pinned one; nothing of it was stored."""


@dataclass(frozen=True)
class Entry:
    """Files of one repository at one revision.

    Attributes
    ----------
    repository : path on the host. revision : full commit hash, "" if it has not been pinned.
    files : sha256 (64 hex digits) by path in the repository, "" if it has not been pinned.
    by_default : whether it is fetched when no name is given.
    github : address on GitHub below which repository and revision lie; without one the files are on
        the Hugging Face hub.
    """

    repository: str
    files: Mapping[str, str]
    revision: str = ""
    by_default: bool = True
    github: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the revision and every checksum are known."""
        return all((self.revision, *self.files.values()))

    @property
    def page(self) -> str:
        """The address of the repository, for people."""
        return f"{GITHUB if self.github else HOST}/{self.repository}"

    def url(self, file: str) -> str:
        """The address of `file` at the pinned revision."""
        below = f"{self.github}/{self.repository}" if self.github else f"{self.page}/resolve"
        return f"{below}/{self.revision}/{file}"


PINNED = tomllib.loads(Path(__file__).with_name("pins.toml").read_text("utf-8"))
ENTRIES = {name: Entry(**fields) for name, fields in PINNED.items()}


def fetch(name: str, folder: Path | str | None = None) -> list[Path]:
    """Make sure that every file of entry `name` lies in `folder`, verified; return their paths.

    By default the folder is `raw/NAME` in the data folder.

    Raises
    ------
    DownloadError
        Unknown or unpinned entry, host out of reach, download cut short, or another content.
    OSError
        The folder cannot be written to.
    """
    if name not in ENTRIES:
        raise DownloadError(f"no entry {name!r}; expected one of {', '.join(ENTRIES)}")
    entry = ENTRIES[name]
    if not entry.pinned:
        raise DownloadError(_how_to_pin(name, entry))
    folder = paths.raw_dir() / name if folder is None else Path(folder)
    return [_fetch_file(entry.url(of), sha256, folder / of) for of, sha256 in entry.files.items()]


def _fetch_file(url: str, sha256: str, target: Path) -> Path:
    """Fetch `url` to `target` unless the pinned file is already there."""
    import pooch  # with the HTTP client, slow to import
    import requests

    bar = sys.stderr.isatty()
    try:
        pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent, progressbar=bar)
    except ValueError as error:
        raise DownloadError(f"{url}: {error} Nothing was stored.") from error
    except requests.RequestException as error:
        raise DownloadError(
            f"could not fetch {url} ({error}).\nMissing: {target}\n"
            "Without a network, fetch that address on another machine, put the file at that "
            "path, and run this command again: it will be verified."
        ) from error
    print(f"{target}: there, verified")
    return target


def _how_to_pin(name: str, entry: Entry) -> str:
    commit = f"take commit {entry.revision}" if entry.revision else "choose a commit"
    return (
        f"{name}: nobody has pinned its revision and checksums yet, so it is not fetched.\n"
        f"To pin it: {commit} of {entry.page} and fetch "
        f"{', '.join(entry.files)} at that commit by hand; run\n"
        "    python -m cqb.datasets.download --pin FILE\n"
        f"on each file, and put the commit hash and the printed line into the entry {name!r} "
        "of lib/cqb/datasets/pins.toml. To use the files without pinning them, name their folder "
        "in the variable that data/README.md lists."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
    says = "Fetch pinned files and verify them."
    parser = argparse.ArgumentParser("python -m cqb.datasets.download", description=says)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ENTRIES)}; default: the data sets")
    parser.add_argument("--pin", metavar="FILE", help="print the line that pins FILE, and stop")
    options = parser.parse_args(arguments)
    try:
        if options.pin:
            print(f'"{Path(options.pin).name}" = "{sha256_file(options.pin)}"')
            return 0
        for name in options.names or [name for name in ENTRIES if ENTRIES[name].by_default]:
            if options.names or ENTRIES[name].pinned:
                fetch(name)
            else:
                print(f"left out: {_how_to_pin(name, ENTRIES[name])}", file=sys.stderr)
    except (DownloadError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
