"""Named random streams: one seed, independent streams, the same numbers for every policy.

Every stream is a counter-based Philox generator whose key depends only on the run's seed and on the
stream's name. So all policies of a run see the same arrivals and outcome uniforms, a new stream does not
change an existing one, and a longer horizon extends a run's draws without changing the first ones. Draws
are made on the host for every array backend: NumPy and CuPy runs of one seed use the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Streams:
    """The random streams of one run.

    Parameters
    ----------
    seed : int, at least 0
        The run's seed (42 to 51 in the paper's experiments).
    """

    seed: int

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: found {self.seed}, expected a non-negative integer")

    def generator(self, name: str) -> np.random.Generator:
        """A fresh generator at the start of the stream `name`."""
        return np.random.Generator(np.random.Philox(self._sequence(name)))

    def uniforms(self, name: str, size: int) -> np.ndarray:
        """The first `size` uniforms on [0, 1) of the stream `name`, float64, shape (size,)."""
        return self.generator(name).random(size)

    def at_least(self, size: int, name: str, drawn: np.ndarray) -> np.ndarray:
        """`drawn`, the first uniforms of the stream, or twice `size` of them if they are fewer."""
        return drawn if size <= drawn.size else self.uniforms(name, 2 * size)

    def rounds(self, name: str) -> RoundStream:
        """The stream `name` cut into one independent substream per round."""
        return RoundStream(self._sequence(name).generate_state(2, np.uint64))

    def _sequence(self, name: str) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(crc32(name.encode()),))


class RoundStream:
    """Random access by round: the draws of round t never depend on draws of earlier rounds.

    So a policy can skip draws that it does not need, a run can start in the middle, and R runs can
    advance together, all with the numbers of the plain single run.
    """

    def __init__(self, key: np.ndarray) -> None:
        self._bits = np.random.Philox(key=key)
        self._generator = np.random.Generator(self._bits)
        self._start = self._bits.state
        self._counter = self._start["state"]["counter"]

    def at(self, t: int) -> np.random.Generator:
        """The generator, moved to the start of round t's substream (valid until the next call)."""
        # The third 64-bit word counts rounds: 2^128 blocks lie between two of them.
        self._counter[2] = t
        self._bits.state = self._start
        return self._generator
