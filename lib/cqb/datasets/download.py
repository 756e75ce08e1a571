"""Fetch what the experiments need from the network, pinned and verified.

    python -m cqb.datasets.download                 # the data sets
    python -m cqb.datasets.download NAME [NAME...]  # some entries only
    python -m cqb.datasets.download --pin FILE      # the line that pins a file at hand

The entries are those of `pins.toml`. A file gets its own name only once its sha256 is that of its entry,
and one that is already there is verified before it is trusted.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cqb import paths
from cqb.files import sha256_file

HOST = "https://huggingface.co"
GITHUB = "https://github.com"
PINS = Path(__file__).with_name("pins.toml")


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not the pinned one; nothing of it was stored."""


@dataclass(frozen=True)
class RemoteFile:
    """One file: its path in the repository and its sha256 (64 hex digits)."""

    path: str
    sha256: str | None = None


@dataclass(frozen=True)
class Entry:
    """Files of one repository at one revision.

    Attributes
    ----------
    repository : path on the host. revision : full commit hash, None if it has not been pinned.
    by_default : whether it is fetched when no name is given.
    github : address on GitHub below which repository and revision lie; without one the files are on
        the Hugging Face hub.
    """

    repository: str
    revision: str | None
    files: tuple[RemoteFile, ...]
    by_default: bool = True
    github: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the revision and every checksum are known."""
        return bool(self.revision) and all(file.sha256 for file in self.files)

    @property
    def page(self) -> str:
        """The address of the repository, for people."""
        return f"{GITHUB if self.github else HOST}/{self.repository}"

    def url(self, file: RemoteFile) -> str:
        """The address of `file` at the pinned revision."""
        if self.github:
            return f"{self.github}/{self.repository}/{self.revision}/{file.path}"
        return f"{self.page}/resolve/{self.revision}/{file.path}"


def _entry(files: list[dict[str, Any]], revision: str | None = None, **fields: Any) -> Entry:
    return Entry(revision=revision, files=tuple(RemoteFile(**file) for file in files), **fields)


ENTRIES: dict[str, Entry] = {
    name: _entry(**fields) for name, fields in tomllib.loads(PINS.read_text("utf-8")).items()
}


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
    return [_fetch_file(entry.url(file), file, folder / file.path) for file in entry.files]


def _fetch_file(url: str, file: RemoteFile, target: Path) -> Path:
    """Fetch `url` to `target` unless the pinned file is already there."""
    import pooch  # with the HTTP client, slow to import
    import requests

    try:
        pooch.retrieve(
            url,
            f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            progressbar=sys.stderr.isatty(),
        )
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


def pin_line(path: Path | str) -> str:
    """The line that pins the file at `path`, ready to be pasted into `pins.toml`."""
    return f'{{ path = "{Path(path).name}", sha256 = "{sha256_file(path)}" }},'


def _how_to_pin(name: str, entry: Entry) -> str:
    commit = f"take commit {entry.revision}" if entry.revision else "choose a commit"
    return (
        f"{name}: nobody has pinned its revision and checksums yet, so it is not fetched.\n"
        f"To pin it: {commit} of {entry.page} and fetch "
        f"{', '.join(file.path for file in entry.files)} at that commit by hand; run\n"
        "    python -m cqb.datasets.download --pin FILE\n"
        f"on each file, and put the commit hash and the printed line into the entry {name!r} "
        "of lib/cqb/datasets/pins.toml. To use the files without pinning them, name their folder "
        "in the variable that data/README.md lists."
    )


def _by_default() -> list[str]:
    """The pinned data sets; a line on stderr names each one that is not pinned."""
    chosen = [name for name, entry in ENTRIES.items() if entry.by_default]
    for name in chosen:
        if not ENTRIES[name].pinned:
            print(f"left out: {_how_to_pin(name, ENTRIES[name])}", file=sys.stderr)
    return [name for name in chosen if ENTRIES[name].pinned]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cqb.datasets.download", description="Fetch pinned files and verify them."
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ENTRIES)}; default: the data sets")
    parser.add_argument("--pin", metavar="FILE", help="print the line that pins FILE, and stop")
    options = parser.parse_args(arguments)
    try:
        if options.pin:
            print(pin_line(options.pin))
            return 0
        for name in options.names or _by_default():
            fetch(name)
    except (DownloadError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
