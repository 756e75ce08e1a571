"""PORT: online routing under token budgets, without training (arXiv 2509.02718).

Arrays are (M, n): M models, n queries. A :class:`~.features.History` gives estimates, a router
chooses by them, a :class:`~.session.Session` admits under hard budgets, :func:`~.metrics.measure`
says what came of it.
"""

from .admission import Ledger
from .features import Estimates, ExactIndex, History, NearestNeighbours
from .metrics import Metrics, measure
from .router import Port, PortSettings
from .session import Outcome, Session, replay

__all__ = [
    "Estimates",
    "ExactIndex",
    "History",
    "Ledger",
    "Metrics",
    "NearestNeighbours",
    "Outcome",
    "Port",
    "PortSettings",
    "Session",
    "measure",
    "replay",
]
