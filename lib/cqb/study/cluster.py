"""A Dask cluster in place of this machine's cores (needs the extra `cluster`).

A study hands its executor a function, a task and the data for every task. The data may be tens of
megabytes and are the same for all, so they go to the cluster once and are named afterwards. Dask runs a
task again if its worker died; three deaths in one task end the study, and finished tasks are kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from distributed import Client

from ..environment import Environment
from ..routing_table import RoutingTable
from .provenance import source_hash

PATIENCE = "30s"  # for a scheduler to answer


class OtherCodeError(RuntimeError):
    """A worker runs other code than the machine that asks for the tasks."""


class DaskExecutor(Executor):
    """An executor on a Dask cluster that sends every table or environment once.

    Parameters
    ----------
    client : connected to the scheduler; not closed here.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pool = client.get_executor(pure=False)
        self._sent: dict[int, tuple[Any, Any]] = {}

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As of any executor; a worker with other code raises :class:`OtherCodeError`."""
        slim = [
            self._name(one) if isinstance(one, RoutingTable | Environment) else one
            for one in arguments
        ]
        return self._pool.submit(checked, source_hash(), function, *slim, **named)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait=wait)

    def _name(self, data: Any) -> Any:
        """A Dask future of the data. It is a task itself, so that Dask can make it again."""
        if id(data) not in self._sent:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                future = self._client.submit(_same, data, pure=False)
            self._sent[id(data)] = future, data  # the data are kept, so that their id stays theirs
        return self._sent[id(data)][0]


def checked(code: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """On a worker: ``function(*arguments, **named)`` if the code here has the hash `code`.

    Raises
    ------
    OtherCodeError
        It has another.
    """
    if source_hash() != code:
        raise OtherCodeError(
            f"a worker has other code ({source_hash()[:12]}) than the study ({code[:12]}); "
            "install the same version of cqb there"
        )
    return function(*arguments, **named)


@contextmanager
def connected(scheduler: str) -> Iterator[DaskExecutor]:
    """An executor on the cluster behind an address, such as ``tcp://host:8786``."""
    with Client(scheduler, timeout=PATIENCE) as client:
        workers = client.scheduler_info()["workers"].values()
        print(f"{scheduler}: {len(workers)} workers", flush=True)
        if any(worker["nthreads"] > 1 for worker in workers):
            print("  a task takes one core: start workers with --nthreads 1", flush=True)
        yield DaskExecutor(client)


def _same(data: Any) -> Any:
    return data
