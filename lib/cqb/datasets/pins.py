"""The files that are fetched from the network, as `pins.toml` pins them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "https://huggingface.co"
GITHUB = "https://github.com"
PINS = Path(__file__).with_name("pins.toml")


@dataclass(frozen=True)
class RemoteFile:
    """One file: its path in the repository, sha256 (64 hex digits) and size in bytes."""

    path: str
    sha256: str | None = None
    size: int | None = None


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
        """Whether revision, checksums and sizes are all known."""
        return bool(self.revision) and all(file.sha256 and file.size for file in self.files)

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
