"""Studies: what is run, the stored table of it, and the replay that checks the table.

A :class:`Study` declares independent tasks and how to turn one into rows. Its table is stored once, as
one Parquet file and one JSON record. :mod:`.replay` runs tasks of stored tables again and compares them
to the digit, and :mod:`.cli` is the command line ``python -m cqb``.
"""

from .study import Study

__all__ = ["Study"]
