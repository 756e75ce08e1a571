"""Trained routers without the library that trained them: weights from a file, NumPy to decide."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from cqb import paths
from cqb.files import write_bytes

from .episodes import serve
from .networks import NETWORKS, check, pack
from .observe import observe
from .simulator import Decision, Policy
from .system import System
from .workloads import Load, batch_of

FORMAT = "cqb qos policy 1"
JUDGED = (Load("Poisson", 3.0), Load("Poisson", 4.0), Load("Gamma", 3.0))


class TrainedModel(NamedTuple):
    """A trained policy: its network, the impact's weight in its rewards, and the training seed."""

    network: str
    beta: float
    seed: int

    @property
    def file(self) -> str:
        """The file of its weights in the results folder."""
        return f"qos-policy-{self.network}-beta{self.beta:g}-seed{self.seed}.safetensors"

    @property
    def policy(self) -> str:
        """Its name in tables."""
        return f"{self.kind} #{self.seed}"

    @property
    def kind(self) -> str:
        """Its name without the seed: "DDQN" with the graph encoder and without impact."""
        network = "" if self.network == "graph" else f" {self.network}"
        impact = f" impact {self.beta:g}" if self.beta else ""
        return f"DDQN{network}{impact}"


MAIN = tuple(TrainedModel("graph", 0.0, seed) for seed in range(3))
CONTROLS = (
    *(TrainedModel("graph", 1.0, seed) for seed in range(3)),
    *(TrainedModel("flat", 0.0, seed) for seed in range(3)),
    TrainedModel("arrived", 0.0, 0),
)
MODELS = {model.policy: model for model in MAIN + CONTROLS}


@dataclass(frozen=True, eq=False)
class LearnedRouter:
    """The action of the highest value; ties go to the lowest expert.

    Values are computed in double precision. In single precision, near-ties would fall to an action that
    depends on the processor and on how many environments are served side by side.

    Attributes
    ----------
    network : a name of :data:`.networks.NETWORKS`. weights : by name, float32.
    """

    network: str
    weights: Mapping[str, np.ndarray]

    def __call__(self, decision: Decision) -> np.ndarray:
        packed = pack(observe(decision)).astype(np.float64)
        return NETWORKS[self.network].values(self.weights, packed).argmax(axis=1)


def store(router: LearnedRouter, path: Path, **about: Any) -> None:
    """Write weights with FORMAT, the network and `about` (as JSON); OSError if that cannot be done."""
    record = {"format": FORMAT, "network": router.network, "about": json.dumps(about)}
    write_bytes(path, save(dict(router.weights), metadata=record))


def load(
    model: TrainedModel, folder: Path | None = None, N: int = 3
) -> tuple[LearnedRouter, dict[str, Any]]:
    """A stored policy for N experts, and its record.

    Parameters
    ----------
    folder : of the weights; by default ``results`` in the data folder.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        The file is damaged, of another format, or of another network's shapes; the message names it.
    """
    path = (folder or paths.results_dir()) / model.file
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


def histories(models: Sequence[TrainedModel], folder: Path | None = None) -> pd.DataFrame:
    """A row per policy and checkpoint of its training: `policy`, `frames`, `seconds`, `validation`."""
    parts = (
        pd.DataFrame(load(model, folder)[1]["history"]).assign(policy=model.policy)
        for model in models
    )
    table = pd.concat(parts, ignore_index=True)[["policy", "frames", "seconds", "mean"]]
    return table.rename(columns={"mean": "validation"})


@dataclass(frozen=True)
class Validation:
    """Workloads for choosing the best checkpoint of a training; they are used for nothing else."""

    loads: tuple[Load, ...] = JUDGED
    seeds: tuple[int, ...] = (120, 121, 122, 123)
    requests: int = 1500


def validate(policy: Policy, validation: Validation, system: System) -> dict[str, float]:
    """A policy's average QoS by load."""
    batch = batch_of(validation.loads, validation.seeds, validation.requests, system.N)
    paid = serve(batch, system, policy).qos.mean(axis=1)
    rows = paid.reshape(len(validation.loads), -1).mean(axis=1)
    return {str(load): float(value) for load, value in zip(validation.loads, rows, strict=True)}
