"""A Dask cluster in the place of this machine's cores (needs the extra `cluster`).

A sweep hands its executor a function, a task and the world for every run. The world is tens of
megabytes and the same for all, so here it goes to each worker once, and to workers that join later
or come back after a death. Dask runs a task again whose worker died (three deaths over one task end
the sweep), and what has ended is in the store of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from distributed import Client, Worker, WorkerPlugin

from ..environment import Environment
from ..policies import POLICIES
from ..routing_table import RoutingTable
from .provenance import data_hash, digest
from .run_store import policy_code

_held: dict[str, Any] = {}


class OtherCodeError(RuntimeError):
    """A worker runs another version of the code than the machine that asks for the runs."""


class Hold(WorkerPlugin):
    """Sent to every worker: keep `world` under `name`, if the worker's code is that of the sender.

    Raises
    ------
    OtherCodeError
        In :meth:`setup`, where the code that decides a run is another.
    """

    def __init__(self, name: str, world: Any, code: str) -> None:
        self.name, self.world, self.code = name, world, code

    def setup(self, worker: Worker) -> None:
        here = run_code()
        if here != self.code:
            raise OtherCodeError(
                f"worker {worker.address} has other code ({here[:12]}) than the sweep "
                f"({self.code[:12]}); install the same version of cqb there"
            )
        _held[self.name] = self.world

    def teardown(self, worker: Worker) -> None:
        _held.pop(self.name, None)


class DaskExecutor(Executor):
    """An executor on a Dask cluster that sends every world to each worker once.

    Parameters
    ----------
    client : connected to the scheduler; not closed here.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pool = client.get_executor(pure=False)
        self._names: dict[int, tuple[str, Any]] = {}

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As of any executor; routing tables and environments among `arguments` are not sent along."""
        slim = [
            Held(self._hold(one)) if isinstance(one, RoutingTable | Environment) else one
            for one in arguments
        ]
        return self._pool.submit(_with_held, function, slim, named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait)

    def _hold(self, world: Any) -> str:
        """The name of a world on the workers, where it is sent if it is not there yet."""
        if id(world) not in self._names:
            name = f"cqb-{data_hash(world)[:16]}"
            self._client.register_plugin(Hold(name, world, run_code()), name=name)
            self._names[id(world)] = name, world  # the world is kept, so its id stays its own
        return self._names[id(world)][0]


class Held:
    """Stands for a world that the worker holds."""

    def __init__(self, name: str) -> None:
        self.name = name


def _with_held(function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> Any:
    whole = [_held[one.name] if isinstance(one, Held) else one for one in arguments]
    return function(*whole, **named)


def run_code() -> str:
    """sha256 (hex) over the code that decides a run, of whatever policy."""
    return digest({name: policy_code(name) for name in POLICIES})
