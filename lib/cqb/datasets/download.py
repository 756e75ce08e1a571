"""Fetch what the experiments need from the network, pinned and verified.

    python -m cqb.datasets.download                 # the data sets
    python -m cqb.datasets.download NAME [NAME...]  # some entries only
    python -m cqb.datasets.download --pin FILE      # the line that pins a file at hand

A file is written under its own name only once its size and sha256 are those of its entry, and one
that is already there is verified before it is trusted.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from cqb import paths
from cqb.datasets.pins import ENTRIES, Entry, RemoteFile
from cqb.files import CHUNK, atomic_writer, sha256_file

TIMEOUT = 60.0  # seconds without an answer before a host counts as out of reach

Opener = Callable[[str], BinaryIO]


class DownloadError(RuntimeError):
    """A file could not be fetched, or is not the pinned one; nothing of it was stored."""


def fetch(name: str, folder: Path | str | None = None, opener: Opener | None = None) -> list[Path]:
    """Make sure that every file of entry `name` lies in `folder`, verified; return their paths.

    Parameters
    ----------
    folder : where the files go; default `raw/NAME` in the data folder.
    opener : opens an address for reading; default urllib, honouring the usual proxy variables.

    Raises
    ------
    DownloadError
        Unknown or unpinned entry, host out of reach, download cut short, or another content.
    OSError
        The folder cannot be written to.
    """
    entry = _entry(name)
    folder = paths.raw_dir() / name if folder is None else Path(folder)
    targets = [folder / file.path for file in entry.files]
    for file, target in zip(entry.files, targets, strict=True):
        if target.is_file():
            if (fault := difference(target, file)) is None:
                print(f"{target}: already there, verified")
                continue
            print(f"{target}: {fault}; fetching it again")
        _fetch_file(entry.url(file), file, target, opener or _open)
        print(f"{target}: fetched, verified")
    return targets


def difference(path: Path, file: RemoteFile) -> str | None:
    """How the file at `path` differs from the pinned `file`, in words; None if it does not."""
    size = path.stat().st_size
    if size != file.size:
        return f"it has {size} bytes where {file.size} are expected"
    found = sha256_file(path)
    if found != file.sha256:
        return f"its sha256 is {found} where {file.sha256} is expected"
    return None


def pin_line(path: Path | str) -> str:
    """The line that pins the file at `path`, ready to be pasted into `pins.toml`."""
    path = Path(path)
    size = path.stat().st_size
    return f'{{ path = "{path.name}", sha256 = "{sha256_file(path)}", size = {size:_} }},'


def _entry(name: str) -> Entry:
    if name not in ENTRIES:
        raise DownloadError(f"no entry {name!r}; expected one of {', '.join(ENTRIES)}")
    entry = ENTRIES[name]
    if not entry.pinned:
        raise DownloadError(_how_to_pin(name, entry))
    return entry


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
    """The pinned data sets; of those that are not pinned it says so, and goes on."""
    chosen = [name for name, entry in ENTRIES.items() if entry.by_default]
    for name in chosen:
        if not ENTRIES[name].pinned:
            print(f"left out: {_how_to_pin(name, ENTRIES[name])}", file=sys.stderr)
    return [name for name in chosen if ENTRIES[name].pinned]


def _open(url: str) -> BinaryIO:
    return urllib.request.urlopen(url, timeout=TIMEOUT)


def _fetch_file(url: str, file: RemoteFile, target: Path, opener: Opener) -> None:
    """Stream `url` to a temporary file that becomes `target` only if it is the pinned one."""
    digest, size = hashlib.sha256(), 0
    # disable=None: a bar on a terminal, nothing in a log or a notebook.
    bar = tqdm(total=file.size, unit="B", unit_scale=True, desc=file.path, disable=None)
    with atomic_writer(target) as handle, bar:
        for chunk in _chunks(url, target, opener):
            handle.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            bar.update(len(chunk))
            if size > file.size:
                break  # more than was pinned: no need to read on to refuse it
        if size != file.size:
            at_least = "at least " if size > file.size else ""
            raise DownloadError(
                f"{url}: {at_least}{size} bytes arrived where {file.size} are expected; "
                "nothing was stored"
            )
        if digest.hexdigest() != file.sha256:
            raise DownloadError(
                f"{url}: the sha256 of what arrived is {digest.hexdigest()} where {file.sha256} "
                "is expected; nothing was stored"
            )


def _chunks(url: str, target: Path, opener: Opener) -> Iterator[bytes]:
    """The content of `url` piece by piece; whatever the network does wrong is a DownloadError."""
    try:
        with opener(url) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"could not fetch {url} ({error}).\nMissing: {target}\n"
            "Without a network, fetch that address on another machine, put the file at that "
            "path, and run this command again: it will be verified."
        ) from error


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
