"""A learned policy at work, without what trained it: weights from a file, NumPy to decide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from cqb import paths
from cqb.files import write_bytes
from .decision import Decision
from .encoder import pack
from .networks import NETWORKS, check
from .observe import observe

FORMAT = "cqb qos policy 1"


@dataclass(frozen=True, eq=False)
class LearnedRouter:
    """The action of the highest value; ties go to the lowest expert.

    Attributes
    ----------
    network : a name of :data:`.networks.NETWORKS`. weights : by name, float32.
    """

    network: str
    weights: Mapping[str, np.ndarray]

    def __call__(self, decision: Decision) -> np.ndarray:
        packed = pack(observe(decision))
        return NETWORKS[self.network].values(self.weights, packed).argmax(axis=1)


def store(router: LearnedRouter, path: Path, **about: Any) -> None:
    """Write weights and, in the same file, their record: FORMAT, the network, `about` as JSON.

    OSError if it cannot be written.
    """
    record = {"format": FORMAT, "network": router.network, "about": json.dumps(about)}
    write_bytes(path, save(dict(router.weights), metadata=record))


def load(path: Path, N: int = 3) -> tuple[LearnedRouter, dict[str, Any]]:
    """A stored policy for N experts, and its record.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        The file is damaged, of another format, or of another network's shapes; the message names it.
    """
    try:
        weights = load_file(path)
        with safe_open(path, "numpy") as opened:
            record = opened.metadata() or {}
        if record.get("format") != FORMAT:
            raise ValueError(f"found format {record.get('format')!r}, expected {FORMAT!r}")
        check(record["network"], N, weights)
        return LearnedRouter(record["network"], weights), json.loads(record["about"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def stored(name: str, folder: Path | None = None) -> Path:
    """Where the policy `name` is kept: in `folder`, by default `results` in the data folder."""
    return (folder or paths.data_dir() / "results") / f"qos-policy-{name}.safetensors"
