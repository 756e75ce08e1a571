"""Files that are either complete or absent: atomic writes and content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20  # bytes read at a time when hashing


@contextlib.contextmanager
def atomic_writer(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary file next to `path` that replaces it when the block succeeds.

    If the block raises, is interrupted, or the disk fills up, the temporary file is removed and `path`
    is left unchanged. Missing folders are created.

    Raises
    ------
    OSError
        The folder cannot be created or written to; the message names the folder and the file.
    """
    path = Path(path)
    handle, temporary = _open_temporary(path)
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open_temporary(path: Path) -> tuple[BinaryIO, Path]:
    """Create the temporary file in the folder of `path`, with the permissions of a plain file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
    except OSError as error:
        raise type(error)(
            f"cannot write {path.name}: the folder {path.parent} is not writable "
            f"({error.strerror or error})"
        ) from error
    # mkstemp makes files private to their owner; results are meant to be shared like any other.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(descriptor, 0o666 & ~umask)
    return os.fdopen(descriptor, "wb"), Path(name)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` atomically. Raises OSError as `atomic_writer` does."""
    with atomic_writer(path) as handle:
        handle.write(content)


def write_text(path: Path | str, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with the newlines it has."""
    write_bytes(path, content.encode("utf-8"))


def sha256_file(path: Path | str) -> str:
    """The sha256 of a file's content, as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
