"""The router at work: ``python tests/benchmarks/router.py [--short]``, which `make bench` runs.

Milliseconds a decision by policy, models and queue; kills that a saving process survives; requests a
second that the example service answers. Vectors are those of ParetoBandit's prompts, or random where it
says so, and users linear. Writes router.json to the figures folder.
"""

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from cqb import Router, paths
from cqb.files import write_text
from cqb.study import data, provenance

D, PORT = 384, 8765
POLICIES = ("ACQB", "ACQB-P-tuned", "ACQB-recall", "TS-memory")
SAVING = """
import sys, numpy as np
from cqb import Router
rng = np.random.default_rng(0)
path, router = sys.argv[1], Router("ACQB", "abcdefghijklmn", 384, c1=0.5)
while True:
    offer = router.choose({router._arrived: rng.normal(size=384)})
    router.observe(offer.query, offer.models[0])
    router.save(path)
    print(router._round, flush=True)
"""


def decisions(policy: str, N: int, waiting: int, rounds: int, vectors: str) -> dict[str, Any]:
    """CPU milliseconds of `choose` and `observe` together, over the second half of the rounds.

    A departure is followed by an arrival, so that the queue has always its length. Random vectors lie
    far from one another and none comes twice: nothing about one is learned from others.
    """
    rng, queue, spent = np.random.default_rng(1), {}, []
    prompts = data.load("paretobandit").embeddings
    router = Router(policy, [f"m{j}" for j in range(N)], D, c1=0.5)
    theta = 1.5 * rng.normal(size=(N, D))
    for _ in range(rounds):
        while len(queue) < waiting:
            x = rng.normal(size=D) if vectors == "random" else prompts[rng.integers(len(prompts))]
            queue[f"q{rng.integers(2**62)}"] = x / np.linalg.norm(x)
        luck = rng.random()
        began = time.thread_time()
        query, (model,) = router.choose(queue)
        middle = time.thread_time()
        x = queue.pop(query)
        picked = luck < 1.0 / (1.0 + np.exp(-x @ theta[int(model[1:])]))
        resumed = time.thread_time()
        router.observe(query, model if picked else None)
        spent.append(1e3 * (middle - began + time.thread_time() - resumed))
        if not picked:
            queue[query] = x
    late = np.array(spent[rounds // 2 :])
    median, tail = np.quantile(late, [0.5, 0.95])
    found = {
        "median_ms": round(median, 2),
        "p95_ms": round(tail, 2),
        "mean_ms": round(late.mean(), 2),
    }
    about = {"case": "decision", "policy": policy, "N": N, "waiting": waiting, "vectors": vectors}
    return about | found


def kills(count: int) -> dict[str, Any]:
    """How many of `count` killed processes left a file that goes on, at the round last reported."""
    rng, good, seconds = np.random.default_rng(2), 0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "router"
        for _ in range(count):
            command = [sys.executable, "-c", SAVING, path]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                said = int(process.stdout.readline())
                time.sleep(rng.random())
                os.kill(process.pid, signal.SIGKILL)
                said = int((process.stdout.read().split() or [said])[-1])
            began = time.perf_counter()
            router = Router.load(path)
            seconds.append(time.perf_counter() - began)
            good += router._round in (said, said + 1)
            router.choose({"next": np.ones(D)})
        size = path.stat().st_size / 1e6
        began = time.perf_counter()
        router.save(path)
        took = {
            "save_s": time.perf_counter() - began,
            "load_s": float(np.median(seconds)),
            "mb": size,
        }
    rounded = {name: round(value, 3) for name, value in took.items()}
    return {"case": "kills", "kills": count, "survived": good, **rounded}


def requests(seconds: float, users: int = 4) -> dict[str, Any]:
    """Answers a second of the service while its crowd plays: each user asks, and looks every time."""
    place = paths.root() / "notebooks"
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(PORT), "--folder", folder, "--capacity", "100000"]
        command = [sys.executable, "-m", "serve", "ACQB-recall", "ACQB", *options]
        with subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL) as service:
            try:
                _answers()
                with ThreadPoolExecutor(users) as pool:
                    found = list(pool.map(_use, range(users), [seconds] * users))
            finally:
                service.kill()
    answers = sorted(each for one in found for each in one)
    tail = answers[int(0.95 * len(answers))]
    rate = {"per_second": round(len(answers) / seconds), "p95_ms": round(1e3 * tail, 1)}
    return {"case": "requests", "users": users, **rate}


def _answers() -> None:
    for _ in range(1200):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            connection.request("GET", "/api/state")
            connection.getresponse().read()
            return
        except ConnectionError:
            time.sleep(0.1)
    raise TimeoutError("the service does not answer")


def _use(user: int, seconds: float) -> list[float]:
    """Seconds of each request of one user."""
    connection, spent, n = http.client.HTTPConnection("127.0.0.1", PORT), [], 0
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        name = f"bench-{user}-{n // 2}"
        if n % 2 == 0:
            body = json.dumps({"query": name, "row": n % 1000})
            connection.request("POST", "/api/ACQB/ask", body, {"Content-Type": "application/json"})
        else:
            connection.request("GET", f"/api/ACQB/queries/{name}")
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{name}: found status {answer.status}, expected 200 or 201")
        spent.append(time.perf_counter() - began)
        n += 1
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few rounds: does it run?")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    short = options.short
    rows = []
    for policy in POLICIES:
        decisions(policy, 3, 2, 30, "prompts")  # compiles
        cases = [*product((3, 14, 35), (1, 10, 100), ("prompts",)), (14, 100, "random")]
        for N, waiting, vectors in [(3, 5, "prompts")] if short else cases:
            rows.append(decisions(policy, N, waiting, 40 if short else 1000, vectors))
            print(json.dumps(rows[-1]), flush=True)
    rows += [kills(1 if short else 30), requests(1.0 if short else 10.0)]
    print(json.dumps(rows[-2:], indent=1), flush=True)
    about = {"command": "make bench", "data": "linear users", "seed": 1}
    record = provenance.stamp(**about, load_average=os.getloadavg())
    place = options.figures or paths.figures_dir()
    write_text(place / "router.json", json.dumps({"record": record, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
