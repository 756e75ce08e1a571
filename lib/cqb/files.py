"""Files that are complete or absent: atomic writes, arrays with a hash of the whole, content hashes."""

import contextlib
import glob
import hashlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

ABANDONED = 3600  # seconds after which a temporary file has no writer any more


@contextlib.contextmanager
def atomic_writer(path: Path | str) -> Iterator[BinaryIO]:
    """Open a temporary file next to `path` that replaces it when the block succeeds.

    If the block raises, is interrupted, or the disk fills up, the temporary file is removed and `path`
    is left unchanged. Missing folders are created. What a killed writer of `path` left is removed by
    the next one that comes an hour later.

    Raises
    ------
    OSError
        The folder cannot be created or written to, or the disk is full; the message names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _drop_abandoned(path)
            temporary.touch(exist_ok=False)
        except OSError as error:
            says = f"cannot write {path.name}: the folder {path.parent} is not writable"
            raise type(error)(f"{says} ({error.strerror or error})") from error
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and error.filename is None:  # a write that failed does not say of which file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _drop_abandoned(path: Path) -> None:
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


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


def write_arrays(path: Path | str, arrays: dict[str, np.ndarray], compress: bool = True) -> None:
    """Write `arrays` to the .npz file `path` atomically, with the sha256 of their content."""
    save = np.savez_compressed if compress else np.savez
    with atomic_writer(path) as handle:
        save(handle, **arrays, sha256=np.array(content_hash(arrays)))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays that `write_arrays` wrote to `path`, verified, without their sha256.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is not such a file, or is damaged; the message names it.
    """
    # Read first, so that an error of the system is one, and whatever follows is the content's fault.
    content = io.BytesIO(Path(path).read_bytes())
    try:
        with np.load(content, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # zip, its codecs and array headers fail in too many ways to list
        raise ValueError(f"{path}: not a readable .npz file ({error})") from error
    if "sha256" not in arrays:
        raise ValueError(f"{path}: no sha256 in it; not a file that cqb wrote")
    if str(arrays.pop("sha256")) != content_hash(arrays):
        raise ValueError(f"{path}: the content does not match its own sha256; the file is damaged")
    return arrays


def content_hash(arrays: dict[str, np.ndarray]) -> str:
    """sha256 (hex) over names, dtypes, shapes and bytes, whatever the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{key} {little.dtype.str} {array.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()
