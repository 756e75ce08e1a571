"""An example service: a router behind HTTP on this machine, with simulated users and one page.

:mod:`.desk` is a router with its queue, :mod:`.crowd` the users, :mod:`.app` the HTTP side.
"""

from .crowd import Crowd
from .desk import Desk, Refused
from .driven import Driven

__all__ = ["Crowd", "Desk", "Driven", "Refused"]
