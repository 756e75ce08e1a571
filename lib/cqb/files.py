"""Files that are either complete or absent: atomic writes and content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
        except OSError as error:
            raise type(error)(
                f"cannot write {path.name}: the folder {path.parent} is not writable "
                f"({error.strerror or error})"
            ) from error
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write `content` to `path` atomically. Raises OSError as `atomic_writer` does."""
    with atomic_writer(path) as handle:
        handle.write(content)


def write_text(path: Path | str, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8 with the newlines it has."""
    write_bytes(path, content.encode("utf-8"))


def sha256_file(path: Path | str) -> str:
    """The sha256 of a file's content, as 64 hex digits."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
