"""Running tasks on a Dask cluster (extra `cluster`), which gets the data of a study once."""

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from .provenance import source_hash
from .running import Run

PATIENCE = "30s"  # for a scheduler to answer


class OtherCodeError(RuntimeError):
    """A worker runs other code than the machine that asks for the tasks."""


class DaskExecutor(Executor):
    """An executor on a Dask cluster that sends the data of a study once.

    Parameters
    ----------
    client : a :class:`distributed.Client`, connected to the scheduler; not closed here.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pool = client.get_executor(pure=False)
        self._sent: dict[int, tuple[Any, Any]] = {}

    def submit(self, function: Run, task: Any, data: Any) -> Future[Any]:
        """``function(task, data)``; a worker with other code raises :class:`OtherCodeError`."""
        if id(data) not in self._sent:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
                # A task itself, so that Dask can make the data again if their worker dies.
                future = self._client.submit(_same, data, pure=False)
            self._sent[id(data)] = future, data  # holds the data, so that their id stays theirs
        return self._pool.submit(checked, source_hash(), function, task, self._sent[id(data)][0])


def _same(data: Any) -> Any:  # a lambda in its place would have the data pickled several times
    return data


def checked(code: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """On a worker: ``function(*arguments)``; OtherCodeError if the code here has not the hash `code`."""
    if source_hash() != code:
        raise OtherCodeError(
            f"a worker has other code ({source_hash()[:12]}) than the study ({code[:12]}); "
            "install the same version of cqb there"
        )
    return function(*arguments)


@contextmanager
def connected(scheduler: str | None) -> Iterator[Executor | None]:
    """An executor on the cluster behind an address, such as ``tcp://host:8786``; None for None.

    Raises ImportError if the extra `cluster` is not installed.
    """
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(
            f'a Dask cluster needs distributed: install it with `pip install "cqb[cluster]"` ({error})'
        ) from error
    with Client(scheduler, timeout=PATIENCE) as client:
        workers = client.scheduler_info()["workers"].values()
        print(f"{scheduler}: {len(workers)} workers", flush=True)
        if any(worker["nthreads"] > 1 for worker in workers):
            print("  a task takes one core: start workers with --nthreads 1", flush=True)
        yield DaskExecutor(client)
