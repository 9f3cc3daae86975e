"""How many requests does examples/serve.py answer, how fast, and does its memory stay constant?

    python -m benchmarks.serving [--seconds 10] [--rounds 3] [--minutes 10]

The example serves the exported learner `omniglot_5way_1shot` in its own process. Clients are
threads of this process, on the same cores: each has one connection, and sends its next request
after the last answer. *learn* has five drawings, *predict* five others. Then, for `--minutes`,
eight clients repeatedly learn once and predict nine times, while the service keeps only 200
tasks, so that most are dropped; resident memory is read every second.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import meta_tf
from benchmarks.harness import results
from benchmarks.harness.workers import ROOT

CLIENTS = (1, 2, 4, 8, 16)
KEEP, STEADY_CLIENTS, PREDICTIONS = 200, 8, 9
DRAWINGS = np.random.default_rng(0).random([5, 28, 28, 1]).round(3).tolist()
LEARN = json.dumps({"support_x": DRAWINGS, "support_y": [0, 1, 2, 3, 4]})
PREDICT = json.dumps({"query_x": DRAWINGS})


class Client:
    """One connection to the service."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def learn(self) -> str:
        return self._post("/learn", LEARN)["id"]

    def predict(self, task: str) -> None:
        self._post(f"/predict/{task}", PREDICT)

    def _post(self, path: str, body: str) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status}: {text.decode()}")
        return json.loads(text)


def main() -> None:
    parser = results.parser(__doc__, seconds=10, rounds=3)
    parser.add_argument("--minutes", type=float, default=10, help="of the memory test")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        meta_tf.pretrained("omniglot_5way_1shot").export(f"{folder}/saved_model")
        with service(f"{folder}/saved_model", options.limit) as (port, process):
            load = measure(port, options)
            memory = steady(port, process, 60 * options.minutes)
    results.save(options.results, "serving", {"load": load, "memory": memory})


@contextlib.contextmanager
def service(saved_model: str, limit: float) -> Iterator[tuple[int, psutil.Process]]:
    """Runs the example; yields its port and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, str(ROOT / "examples" / "serve.py"), saved_model]
    flags = [f"--port={port}", f"--keep={KEEP}"]
    log = Path(saved_model).with_name("service.log")
    with log.open("w") as file:
        process = subprocess.Popen([*program, *flags], stdout=file, stderr=file)
    try:
        _wait(port, process, log, limit)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait(port: int, process: subprocess.Popen, log: Path, limit: float) -> None:
    """Waits until the service answers."""
    end = time.monotonic() + limit
    while True:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"The service does not start: {log.read_text()[-2000:]}")
        time.sleep(0.2)


def measure(port: int, options: Any) -> dict[str, dict[str, dict[str, float]]]:
    """`{kind: {clients: {"requests_s", "p50_ms", "p99_ms"}}}`."""
    task = Client(port).learn()
    kinds: dict[str, Callable[[Client], object]] = {
        "predict": lambda client: client.predict(task),
        "learn": lambda client: client.learn(),
    }
    for work in kinds.values():
        together(port, 1, min(2.0, options.seconds), work)  # warm up
    found: dict[str, dict[str, dict[str, float]]] = {kind: {} for kind in kinds}
    for clients in CLIENTS:
        for kind, work in kinds.items():
            task = Client(port).learn()  # the last one may have been dropped
            seen = [together(port, clients, options.seconds, work) for _ in range(options.rounds)]
            times = sorted(1000 * t for round_ in seen for t in round_)
            found[kind][str(clients)] = one = {
                "requests_s": statistics.median(len(round_) / options.seconds for round_ in seen),
                "p50_ms": float(np.percentile(times, 50)),
                "p99_ms": float(np.percentile(times, 99)),
            }
            print(f"{kind:8} {clients:3} clients: " + ", ".join(
                f"{name} {value:.1f}" for name, value in one.items()), flush=True)  # fmt: skip
    return found


def together(port: int, clients: int, seconds: float, work: Callable[[Client], object]) -> list:
    """The seconds of each request, with several clients at the same time."""
    end = time.monotonic() + seconds

    def one() -> list[float]:
        client, times = Client(port), []
        while time.monotonic() < end:
            start = time.perf_counter()
            work(client)
            times.append(time.perf_counter() - start)
        return times

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        waiting = [pool.submit(one) for _ in range(clients)]
        return [t for future in waiting for t in future.result()]


def steady(port: int, process: psutil.Process, seconds: float) -> dict[str, Any]:
    """Resident megabytes of the service while tasks come and go: `early` in the first tenth."""

    def learn_and_predict(client: Client) -> None:
        task = client.learn()
        for _ in range(PREDICTIONS):
            client.predict(task)

    samples: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1):
            samples.append(process.memory_info().rss / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        tasks = len(together(port, STEADY_CLIENTS, seconds, learn_and_predict))
    finally:
        done.set()
        watcher.join()
    tenth = max(1, len(samples) // 10)
    early, late = statistics.median(samples[:tenth]), statistics.median(samples[-tenth:])
    print(f"{tasks} tasks in {seconds:.0f} s: {early:.1f} MB, then {late:.1f} MB")
    each_minute = samples[59::60]
    return {
        "seconds": seconds,
        "tasks": tasks,
        "early": early,
        "late": late,
        "each_minute": each_minute,
    }


if __name__ == "__main__":
    main()
