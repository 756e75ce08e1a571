"""The example service: its desk, its crowd, its HTTP side, and the page in a browser."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cqb

pytest.importorskip("fastapi", reason="the extra serve is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
from serve.app import Settings, create  # noqa: E402
from serve.crowd import Crowd  # noqa: E402
from serve.desk import Desk, Refused  # noqa: E402

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NEVER = 1e6  # seconds between rounds, where the test plays them
JSON = {"Content-Type": "application/json"}


def desk(policy: str = "TS-memory", K: int = 1, **about: Any) -> Desk:
    return Desk(cqb.Router(policy, "abcde", 8, K, c1=0.5, seed=1), **about)


def refused(status: int, call: Callable[..., Any], *given: Any) -> None:
    with pytest.raises(Refused) as why:
        call(*given)
    assert why.value.status == status


# --- a desk --------------------------------------------------------------------------------------


def test_a_desk_refuses_what_is_out_of_turn_and_loses_nothing():
    at, x = desk(capacity=2), np.ones(8)
    at.ask("one", x)
    refused(409, at.ask, "one", x)
    refused(409, at.answer, "one", None)
    refused(404, at.answer, "two", None)
    (model,) = at.serve().models
    refused(422, at.answer, "one", next(m for m in "abcde" if m != model))
    refused(409, at.ask, "one", x)
    at.ask("two", x)
    refused(503, at.ask, "three", x)
    at.answer("one", None)  # there is always room to ask again
    assert at.waiting == ["two", "one"]
    refused(409, at.answer, "one", model)
    offer = at.serve()
    at.answer(offer.query, offer.models[0])
    refused(404, at.answer, offer.query, offer.models[0])
    assert (len(at), at.departed, at.refused) == (1, 1, 1)


def test_a_user_who_says_nothing_makes_room():
    at = desk(capacity=1, patience=3)
    at.ask("one", np.ones(8))
    at.serve()
    for _ in range(3):
        assert at.serve() is None
    refused(503, at.ask, "two", np.ones(8))
    at.serve()
    assert (len(at), at.left, at.router._queries) == (0, 1, {})
    at.ask("two", np.ones(8))
    refused(404, at.answer, "one", None)


def test_the_coin_is_solved_for_the_arrival_rate_that_is_asked_for():
    assert Settings(arrival_rate=0.3).c1 == cqb.solve_c1(0.01, 0.3, 5000)
    assert Settings(arrival_rate=0.3, c1=2.0).c1 == 2.0


def test_many_threads_lose_no_query_and_count_none_twice():
    at, answered, rng = desk("ACQB-P", capacity=40), [], np.random.default_rng(2)
    vectors = rng.normal(size=(4, 50, 8))

    def use(worker: int) -> None:
        for n, x in enumerate(vectors[worker]):
            with contextlib.suppress(Refused):
                at.ask(f"{worker}-{n}", x)
            offer = at.serve()
            if offer is not None:
                at.answer(offer.query, offer.models[0] if n % 3 else None)
                answered.append((offer.query, n % 3 > 0))

    threads = [threading.Thread(target=use, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    picked = [query for query, gone in answered if gone]
    assert len(set(picked)) == len(picked) == at.departed
    assert len(at) + at.departed + at.refused == 200


def test_the_crowd_of_two_desks_is_the_same_and_a_learner_regrets_less(linear_world):
    desks = {name: desk(name, capacity=60) for name in ("ACQB-tuned", "RANDOM")}
    crowd = Crowd(linear_world(1), desks, 0.5, seed=4)
    for _ in range(600):
        crowd.play()
    came = {len(at) + at.departed + at.refused for at in desks.values()}
    assert len(came) == 1
    assert came.pop() == pytest.approx(300, abs=50)
    assert 0.0 < crowd.regret["ACQB-tuned"] < 0.6 * crowd.regret["RANDOM"]
    for name, curve in crowd.curves.items():
        assert curve[0] == (0, 0, 0.0)
        assert 200 <= len(curve) <= 401
        assert curve[-1] == (600, len(desks[name]), pytest.approx(crowd.regret[name], abs=1e-3))


def test_regret_is_what_the_best_waiting_query_and_model_would_have_added(
    linear_world, monkeypatch
):
    world, at, served = linear_world(1), desk("RANDOM", capacity=60), []
    serve = at.serve
    monkeypatch.setattr(at, "serve", lambda: served.append((at.waiting, serve())) or served[-1][1])
    crowd = Crowd(world, {"RANDOM": at}, 0.5, seed=4)
    for _ in range(100):
        crowd.play()
    rates, expected = world.odds / (1.0 + world.odds), 0.0
    for waiting, offer in served:
        if offer is not None:
            rows = [int(query.rpartition("-")[2]) for query in waiting]
            row, model = rows[waiting.index(offer.query)], "abcde".index(offer.models[0])
            expected += rates[rows].max() - rates[row, model]
    assert crowd.regret["RANDOM"] == pytest.approx(expected)
    assert max(len(waiting) for waiting, _ in served) > 3


# --- HTTP ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[tuple[str, Any]]:
    """The service on a free port: its address, and what is behind it."""
    app = create(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", app.state.service
    finally:
        server.should_exit = True
        thread.join()


def call(url: str, body: Any = None, headers: dict[str, str] = JSON) -> tuple[int, Any]:
    """Status and JSON of a request: a POST if there is a body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
            return error.code, json.loads(text) if text[:1] == "{" else text


def test_ask_pick_and_retry_over_http(tmp_path):
    settings = Settings(("ACQB-recall", "ACQB"), pause=NEVER, arrival_rate=0.0, folder=tmp_path)
    with running(settings) as (url, service):
        at = f"{url}/api/ACQB"
        row = service.crowd.vector(5).tolist()
        assert call(f"{at}/ask", {"query": "me", "vector": row}) == (
            201,
            {"query": "me", "waiting": 1},
        )
        assert call(f"{at}/ask", {"query": "me", "row": 5})[0] == 409
        assert call(f"{at}/queries/me") == (200, {"query": "me", "state": "waiting", "models": []})
        assert call(f"{at}/pick", {"query": "me", "model": "x"})[0] == 409
        service.crowd.play()
        status, found = call(f"{at}/queries/me")
        assert (status, found["state"], len(found["models"])) == (200, "offered", 1)
        assert call(f"{at}/pick", {"query": "me", "model": "x"})[0] == 422
        assert call(f"{at}/retry", {"query": "me"}) == (200, {"query": "me", "state": "waiting"})
        service.crowd.play()
        (model,) = call(f"{at}/queries/me")[1]["models"]
        assert call(f"{at}/pick", {"query": "me", "model": model})[0] == 200
        for again in (
            call(f"{at}/pick", {"query": "me", "model": model}),
            call(f"{at}/queries/me"),
        ):
            assert (again[0], "not here" in again[1]["detail"]) == (404, True)
        assert call(f"{url}/api/ACBQ/ask", {"query": "me", "row": 5})[0] == 404
        sides = call(f"{url}/api/state")[1]["policies"]
        assert {name: side["departed"] for name, side in sides.items()} == {
            "ACQB-recall": 0,
            "ACQB": 1,
        }
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_no_query_is_refused_and_a_full_queue_says_so():
    settings = Settings(("CYCLE", "RANDOM"), pause=NEVER, capacity=2)
    with running(settings) as (url, service):
        ask, d = f"{url}/api/CYCLE/ask", service.world.contexts.shape[1]
        for body in (
            {"query": "me"},
            {"query": "me", "row": -1},
            {"query": "me", "row": 1000},
            {"query": "me", "row": 1, "vector": [0.0] * d},
            {"query": "me", "vector": [0.0] * (d - 1)},
            {"query": "me", "vector": [float("nan")] * d},
            {"query": "me", "row": 1, "more": 1},
            {"query": "", "row": 1},
            {"query": "\ud800", "row": 1},
            {"query": "user-1-1", "row": 1},
            b"[",
        ):
            assert call(ask, body)[0] == 422, body
        assert call(f"{url}/api/state", headers={"Host": "elsewhere.example"})[0] == 400
        assert [call(ask, {"query": f"q{n}", "row": n})[0] for n in range(3)] == [201, 201, 503]
        assert call(ask, {"query": "me", "vector": [float("nan")] * d})[1]["detail"].startswith(
            "vector.0: Input should be a finite number"
        )
        detail = call(ask, {"query": "q3", "row": 1})[1]["detail"]
        assert detail == "the queue is full (2 queries); ask later"


def test_a_service_that_is_started_again_goes_on(tmp_path):
    settings = Settings(("ACQB-recall", "ACQB"), pause=NEVER, folder=tmp_path, capacity=20)
    with running(settings) as (url, service):
        for query in ("first", "second"):
            call(f"{url}/api/ACQB/ask", {"query": query, "row": 3})
        for _ in range(30):
            service.crowd.play()
        _, looking = call(f"{url}/api/ACQB/queries/first")
        before = call(f"{url}/api/state")[1]
    with running(settings) as (url, service):
        after = call(f"{url}/api/state")[1]
        assert after["round"] == before["round"] == 30
        for name, side in after["policies"].items():
            for what in ("waiting", "regret", "departed", "refused"):
                assert side[what] == before["policies"][name][what]
        assert call(f"{url}/api/ACQB/queries/first") == (200, looking)
        assert looking["state"] == "offered"
        picked = {"query": "first", "model": looking["models"][0]}
        assert call(f"{url}/api/ACQB/pick", picked)[0] == 200
        service.crowd.play()


@contextlib.contextmanager
def process(folder: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """``python -m serve`` on a free port, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "serve", "--port", str(port), "--folder", str(folder), *more]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.DEVNULL) as service:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                with contextlib.suppress(urllib.error.URLError):
                    call(f"{url}/api/state")
                    break
                assert service.poll() is None
                time.sleep(0.1)
            yield url, service
        finally:
            service.kill()


@pytest.mark.slow
def test_a_killed_service_goes_on_where_the_last_save_was(tmp_path):
    quick = ("TS-memory", "RANDOM", "--pause", "0")
    with process(tmp_path, *quick) as (url, service):
        while call(f"{url}/api/state")[1]["round"] < 600:
            time.sleep(0.05)
        os.kill(service.pid, signal.SIGKILL)
        service.wait()
    with process(tmp_path, *quick[:2], "--pause", "1000") as (url, service):
        state = call(f"{url}/api/state")[1]
        assert state["round"] >= 500
        assert state["round"] % 500 == 0
        assert all(side["departed"] > 100 for side in state["policies"].values())
        service.send_signal(signal.SIGINT)
        assert service.wait(20) in (0, 130, -signal.SIGINT)


# --- the page ------------------------------------------------------------------------------------


class Browser:
    """Chromium without a window, by the WebDriver protocol of chromedriver."""

    def __init__(self, driver: str, width: int, height: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
        screen = {"width": width, "height": height, "pixelRatio": 1.0, "touch": False}
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options = {"args": arguments, "mobileEmulation": {"deviceMetrics": screen}}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        for _ in range(100):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                found = call(f"http://127.0.0.1:{port}/session", wanted)[1]["value"]
                break
            time.sleep(0.1)
        self._at = f"http://127.0.0.1:{port}/session/{found['sessionId']}"

    def open(self, url: str) -> None:
        call(f"{self._at}/url", {"url": url})

    def run(self, script: str) -> Any:
        return call(f"{self._at}/execute/sync", {"script": script, "args": []})[1]["value"]

    def until(self, script: str, seconds: float = 30.0) -> Any:
        """The value of a script once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"{script}: {self.run('return document.body.innerText')}"
            time.sleep(0.1)
        return value

    def close(self) -> None:
        urllib.request.urlopen(
            urllib.request.Request(self._at, method="DELETE"), timeout=20
        ).close()
        self._process.terminate()
        self._process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_learns_in_a_browser(tmp_path, width):
    driver = shutil.which("chromedriver")
    if not (driver and (shutil.which("chromium") or shutil.which("google-chrome"))):
        pytest.skip("Chromium and chromedriver are not installed")
    with running(Settings(pause=0.005)) as (url, _):
        browser = Browser(driver, width, 900)
        try:
            browser.open(url)
            browser.until("return document.querySelectorAll('#regret path').length === 2")
            assert browser.run("return document.documentElement.scrollWidth") <= width
            names = browser.run(
                "return [...document.querySelectorAll('#sides h2')].map(h => h.innerText)"
            )
            assert [name.split()[-1] for name in names] == ["ACQB-recall", "ACQB"]
            browser.run("document.querySelector('#ask button').click()")
            browser.until("return document.querySelectorAll('#answer button').length === 2")
            browser.run("document.querySelector('#answer button').click()")
            browser.until("return by('said').innerText.startsWith('You picked')")
            browser.until("return by('about').innerText.match(/Round ([0-9,]+)/)[1].length > 2")
            label = browser.run("return by('regret').getAttribute('aria-label')")
            assert all(f"{name}: " in label for name in ("ACQB-recall", "ACQB"))
            assert browser.run("return by('off').hidden")
            outside = "performance.getEntriesByType('resource').map(e => e.name)"
            assert all(name.startswith(url) for name in browser.run(f"return {outside}"))
        finally:
            browser.close()
