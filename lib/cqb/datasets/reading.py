"""What the loaders of real sets share: the same models everywhere, no row twice, no preamble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def same_models(found: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The models of all files, by file name; ValueError naming two files that differ, and in what."""
    first_file, models = next(iter(found.items()))
    for file, others in found.items():
        if others != models:
            extra = sorted(set(others) ^ set(models))
            raise ValueError(f"{file} and {first_file} differ in their models: {extra}")
    return models


def check_unique(kind: str, names: Sequence[str], places: Sequence[str]) -> None:
    """Raise ValueError, naming both places, if two complete rows have one name (of some kind)."""
    first: dict[str, str] = {}
    for name, place in zip(names, places, strict=True):
        if name in first:
            raise ValueError(f"two complete rows with {kind} {name!r}: {first[name]} and {place}")
        first[name] = place


def strip_preambles(
    prompts: Sequence[str], families: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    """Remove from each family's prompts the opening lines that all of them share.

    A few-shot preamble is the same for a whole family and often fills the encoder's window, so
    that every prompt gets one vector and nothing can be learnt. What is removed is the common
    prefix up to and including its last newline; a family of one row, or whose prefix has no
    newline, keeps its prompts whole.

    Returns
    -------
    The prompts in the given order, and the number of characters removed in each family.
    """
    members: dict[str, list[str]] = {}
    for prompt, family in zip(prompts, families, strict=True):
        members.setdefault(family, []).append(prompt)
    removed = {}
    for family, texts in members.items():
        shared = shared_opening(texts) if len(texts) > 1 else ""
        removed[family] = shared.rfind("\n") + 1
    stripped = [text[removed[family] :] for text, family in zip(prompts, families, strict=True)]
    return stripped, removed


def shared_opening(texts: Sequence[str]) -> str:
    """The longest text that every one of `texts` begins with."""
    first, last = min(texts), max(texts)  # all others lie between them in alphabetical order
    for position, character in enumerate(first):
        if last[position : position + 1] != character:
            return first[:position]
    return first
