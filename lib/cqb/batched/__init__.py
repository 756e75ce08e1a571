"""Many runs at once in array operations, for a GPU: :func:`play_together`.

On a GPU a launch costs more than arithmetic, so all runs of a kind advance through the same operations:
:mod:`.queue` has the rounds, :mod:`.learner` the Thompson learners with their refits in :mod:`.refit`,
and :mod:`.rules` the policies without contexts. The code takes its array library from its inputs
(:mod:`cqb.arrays`). On a CPU single runs are faster, each in a process of its own (:mod:`cqb.learner`):
NumPy runs this code only to test it.

The decisions are those of the single run: the same random numbers, the same law, estimates to the same
tolerance. Sums are added up in another order, so a near-tie may fall the other way.
"""

from .together import knows, play_together

__all__ = ["knows", "play_together"]
