"""The HTTP side: Ask, Pick and Retry, the state of the crowd, and the page."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.middleware.trustedhost import TrustedHostMiddleware

import cqb
from cqb.environment import Environment, from_table

from .crowd import NAME, Crowd
from .desk import Desk, Refused

HOSTS = ["127.0.0.1", "localhost"]  # any other name is of a page that wants in
Name = Annotated[str, Field(pattern=r"^[\w./:-]{1,100}$")]


@dataclass(frozen=True)
class Settings:
    """What is served.

    Attributes
    ----------
    policies : two printed names. data : a data set's name, lam and rate: of its environment, and the
        crowd's arrivals. folder : of the saves, one file a policy; None saves nothing.
    c1 : of the exploration coin; by default a hundredth of 5,000 rounds at the arrival rate explores.
    pause : seconds between rounds. between : rounds between saves. capacity, patience : of the desks.
    """

    policies: tuple[str, ...] = ("ACQB-recall", "ACQB")
    data: str = "paretobandit"
    lam: float = 5.0
    arrival_rate: float = 0.85
    K: int = 1
    seed: int = 1
    folder: Path | None = None
    pause: float = 0.02
    between: int = 500
    capacity: int = 200
    patience: float = 5000.0
    c1: float | None = None

    def __post_init__(self) -> None:
        if self.c1 is None:
            share = min(0.01, self.arrival_rate)
            object.__setattr__(self, "c1", cqb.solve_c1(share, self.arrival_rate, 5000))


class Ask(BaseModel):
    """A query: an id, and its vector or the number of a row of the table."""

    model_config = ConfigDict(extra="forbid")
    query: Name
    vector: list[FiniteFloat] | None = None
    row: Annotated[int, Field(ge=0)] | None = None


class Retry(BaseModel):
    """The user of this query asks again."""

    model_config = ConfigDict(extra="forbid")
    query: Name


class Pick(Retry):
    """The user of this query picks the answer of this model."""

    model: Name


def path_of(folder: Path, data: str, policy: str) -> Path:
    """The file of a policy's desk."""
    return folder / f"{data}-{policy}.safetensors"


class Service:
    """Two desks and their crowd, played by a thread of its own and saved every so often."""

    def __init__(self, settings: Settings) -> None:
        self.settings, table = settings, cqb.datasets.load(settings.data)
        self.world: Environment = from_table(table, settings.seed, settings.lam)
        self.models = tuple(map(str, table.models))
        found = {policy: self._desk(policy) for policy in settings.policies}
        self.desks = {policy: desk for policy, (desk, _) in found.items()}
        self.crowd = Crowd(self.world, self.desks, settings.arrival_rate, settings.seed)
        for policy, (_, saved) in found.items():
            # A kill between the saves of two desks leaves one some rounds behind.
            self.crowd.round = max(self.crowd.round, saved["round"])
            self.crowd.regret[policy] = saved["regret"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def _desk(self, policy: str) -> tuple[Desk, dict]:
        s = self.settings
        if s.folder and self._path(policy).exists():
            desk, saved = Desk.load(self._path(policy), s.capacity, s.patience)
            if desk.router.models != self.models:
                raise ValueError(
                    f"{self._path(policy)}: saved with other models; start with --fresh"
                )
            return desk, saved
        d = self.world.contexts.shape[1]
        router = cqb.Router(policy, self.models, d, s.K, c1=s.c1, seed=s.seed)
        return Desk(router, s.capacity, s.patience), {"round": 0, "regret": 0.0}

    def _path(self, policy: str) -> Path:
        return path_of(self.settings.folder, self.settings.data, policy)

    def _play(self) -> None:
        while not self._stop.wait(self.settings.pause):
            self.crowd.play()
            if self.crowd.round % self.settings.between == 0:
                self.save()

    def save(self) -> None:
        """Save both desks, if there is a folder; without room on the disk, say so and go on."""
        if self.settings.folder is None:
            return
        try:
            for policy, desk in self.desks.items():
                done = {"round": self.crowd.round, "regret": self.crowd.regret[policy]}
                desk.save(self._path(policy), done)
        except OSError as error:
            print(f"serve: not saved: {error}", file=sys.stderr, flush=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.save()

    def state(self) -> dict:
        """What the page shows."""
        sides = {
            name: {
                "waiting": len(desk),
                "regret": self.crowd.regret[name],
                "departed": desk.departed,
                "refused": desk.refused,
                "curve": self.crowd.curves[name],
            }
            for name, desk in self.desks.items()
        }
        about = {"round": self.crowd.round, "capacity": self.settings.capacity}
        rows = {"rows": self.world.pool_size, "data": self.world.name, "models": self.models}
        return about | rows | {"arrival_rate": self.settings.arrival_rate, "policies": sides}


def create(settings: Settings) -> FastAPI:
    """The application. Its crowd plays from start-up to shutdown."""
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(title="cqb router", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    app.state.service = service

    @app.exception_handler(Refused)
    def refused(request: Request, why: Refused) -> JSONResponse:
        headers = {"Retry-After": "1"} if why.status == 503 else None
        return JSONResponse({"detail": str(why)}, why.status, headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, why: RequestValidationError) -> JSONResponse:
        # Without the input: it may be long, or hold what JSON does not, such as NaN.
        said = (f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in why.errors()[:5])
        return JSONResponse({"detail": "; ".join(said)}, 422)

    _routes(app, service)
    return app


def _routes(app: FastAPI, service: Service) -> None:
    def desk(policy: str) -> Desk:
        if policy not in service.desks:
            raise Refused(404, f"policy {policy}: expected one of {', '.join(service.desks)}")
        return service.desks[policy]

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(Path(__file__).with_name("page.html"), media_type="text/html")

    @app.get("/api/state")
    def state() -> dict:
        return service.state()

    @app.post("/api/{policy}/ask", status_code=201)
    def ask(policy: str, asked: Ask) -> dict:
        at = desk(policy)
        at.ask(asked.query, vector_of(asked, service))
        return {"query": asked.query, "waiting": len(at)}

    @app.get("/api/{policy}/queries/{query}")
    def query(policy: str, query: str) -> dict:
        models = desk(policy).state(query)
        return {"query": query, "state": "offered" if models else "waiting", "models": models or ()}

    @app.post("/api/{policy}/pick")
    def pick(policy: str, picked: Pick) -> dict:
        desk(policy).answer(picked.query, picked.model)
        return {"query": picked.query, "state": "departed"}

    @app.post("/api/{policy}/retry")
    def retry(policy: str, again: Retry) -> dict:
        desk(policy).answer(again.query, None)
        return {"query": again.query, "state": "waiting"}


def vector_of(asked: Ask, service: Service) -> np.ndarray:
    """The vector that a request gives or names. Refused (422): it is none of this service."""
    d, rows = service.world.contexts.shape[1], service.world.pool_size
    if asked.query.startswith(NAME):
        raise Refused(422, f"query: ids that begin with {NAME} are those of simulated users")
    if (asked.vector is None) == (asked.row is None):
        raise Refused(422, "expected a vector or a row, one of them")
    if asked.row is not None:
        if asked.row >= rows:
            raise Refused(422, f"row: found {asked.row}, expected below {rows}")
        return service.crowd.vector(asked.row)
    if len(asked.vector) != d:
        raise Refused(422, f"vector: found {len(asked.vector)} numbers, expected {d}")
    return np.array(asked.vector)
