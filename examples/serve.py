"""Serves an exported classifier over HTTP: it learns tasks, keeps them in memory, and predicts.

    pip install tensorflow==2.21.* fastapi uvicorn
    python serve.py saved_model

`saved_model` is what `meta-tf export --learner=LEARNER --output=saved_model` writes; meta_tf is
not needed here. A SavedModel is a program: serve only those that you trust. docs/serving.md shows
requests and responses, and how much memory the service needs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictInt
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_BYTES, MAX_EXAMPLES = 4_000_000, 200  # per request
MAX_CONNECTIONS = 64  # further connections get 503
IDLE_SECONDS = 5  # of a connection that waits for its next request
SEND_SECONDS = 20  # in which a client must send a request
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Support(BaseModel):
    support_x: list = Field(min_length=1, max_length=MAX_EXAMPLES)
    support_y: list[StrictInt] = Field(max_length=MAX_EXAMPLES)
    classes: list[Name] = Field([], description="the names of the classes; default: their numbers")


class Query(BaseModel):
    query_x: list = Field(min_length=1, max_length=MAX_EXAMPLES)


class Task(NamedTuple):
    """A learned task: adapted weights by name, and names of classes.

    Of a calibrated learner also the temperature, and the strangeness above which an example is
    none of the classes.
    """

    weights: dict[str, tf.Tensor]
    classes: list[str]
    temperature: float | None
    threshold: float | None


class Learner:
    """An exported learner, which learns tasks and predicts with them."""

    def __init__(self, folder: str):
        self._loaded = tf.saved_model.load(folder)  # owns the variables
        self._adapt, self._predict = (self._loaded.signatures[n] for n in ("adapt", "predict"))
        inputs = self._adapt.structured_input_signature[1]
        if set(inputs) != {"support_x", "support_y"} or not inputs["support_y"].dtype.is_integer:
            raise ValueError("it does not learn class numbers from one input")
        self._x, self._y = inputs["support_x"], inputs["support_y"]
        self.ways = self._predict.structured_outputs["predictions"].shape[-1]
        self._about = description_in(folder)
        self._turns = threading.Semaphore(os.cpu_count() or 1)  # limits concurrent computations

    @property
    def judges(self) -> bool:
        """Whether answers say which examples are none of the classes.

        A transductive learner normalises all examples of a request together, but its thresholds
        hold for one beside the support set.
        """
        thresholds = self._about.get("thresholds")
        return thresholds is not None and thresholds["batch_with"] is None

    @property
    def bytes(self) -> int:
        """The largest size of a task's adapted weights."""
        weights = self._adapt.structured_outputs.values()
        return sum(
            w.dtype.size * int(np.prod([n or MAX_EXAMPLES for n in w.shape])) for w in weights
        )

    @property
    def parts(self) -> int:
        """The largest number of lists and numbers in a request."""
        sizes = [size or MAX_EXAMPLES for size in self._x.shape[1:]]
        of_an_example = 2 + sum(np.cumprod(sizes, dtype=int).tolist())
        return MAX_EXAMPLES * of_an_example + 1000

    def learn(self, given: Support) -> Task:
        """Learns a task."""
        x, y = self._inputs("support_x", given.support_x), given.support_y
        known = sorted(set(y))
        classes = given.classes or [str(label) for label in known]
        if len(x) != len(y):
            raise wrong(f"`support_x` has {len(x)} examples, and `support_y` {len(y)} numbers.")
        if len(classes) > self.ways or len(set(classes)) < len(classes):
            raise wrong(
                f"`classes` must be at most {self.ways} different ones. They are: {classes}."
            )
        if known != list(range(len(classes))):
            raise wrong(
                f"`support_y` must hold every number from 0 to {len(classes) - 1}, as there are "
                f"{len(classes)} classes, and no other. Received: {known}."
            )
        weights = self._run(self._adapt, support_x=x, support_y=tf.constant(y, self._y.dtype))
        size = len(classes), len(y) / len(classes)
        return Task(weights, classes, self._temperature(*size), self._threshold(*size))

    def predict(self, given: Query, task: Task) -> Any:
        x, classes = self._inputs("query_x", given.query_x), task.classes
        outputs = self._run(self._predict, query_x=x, **task.weights)
        found = outputs["predictions"].numpy()
        found = found[:, : len(classes)]  # a task may have fewer classes than the learner
        strange = outputs["strangeness"].numpy() if task.threshold is not None else 0.0
        if not (np.isfinite(found).all() and np.isfinite(strange).all()):
            raise wrong("The predictions are not finite: some number is probably far too large.")
        answers = [classes[number] for number in found.argmax(-1)]
        told = {"answers": answers, "classes": classes, "predictions": found.tolist()}
        if task.temperature is not None:
            powers = np.exp((found - found.max(-1, keepdims=True)) / task.temperature)
            told["probabilities"] = (powers / powers.sum(-1, keepdims=True)).tolist()
        if task.threshold is not None:
            told["strangeness"] = strange.tolist()
            told["none_of_these"] = (strange > task.threshold).tolist()
        return told

    def _inputs(self, name: str, given: list) -> np.ndarray:
        """Examples as an array; an error for pixels of another range than in training."""
        x, largest = array_of(name, given, self._x), self._about.get("largest_input")
        if largest is None or x.min() < 0:
            return x
        whole = bool((x == np.floor(x)).all())
        unscaled = whole and 8 * largest < x.max() <= 255
        if unscaled or (largest == 255 and not whole and x.max() <= 1):
            raise wrong(
                f"`{name}` must have the range of the training, 0 to {largest:g}. Received: "
                f"numbers from {x.min():g} to {x.max():g}."
            )
        return x

    def _temperature(self, ways: int, shots: float) -> float | None:
        """What logits are divided by; None if the learner was not calibrated."""
        f = self._about.get("temperature")
        if f is None:
            return None
        sizes = [np.log(np.clip(n, *f[name])) for n, name in ((ways, "ways"), (shots, "shots"))]
        return float(np.exp(f["constant"] + f["log_ways"] * sizes[0] + f["log_shots"] * sizes[1]))

    def _threshold(self, ways: int, shots: float) -> float | None:
        """Above which strangeness an example is none of the classes; None if it is not known."""
        if not self.judges:
            return None
        t = self._about["thresholds"]
        sizes = np.log([t["ways"], t["shots"]]).T
        size = np.clip(np.log([ways, shots]), sizes.min(0), sizes.max(0))
        square = np.maximum(np.square(sizes - size).sum(1), 1e-12)
        return float(np.average(t["threshold"], weights=square**-2))

    def _run(self, signature: Any, **inputs: Any) -> dict[str, tf.Tensor]:
        try:
            with self._turns:
                return signature(**{name: tf.constant(t) for name, t in inputs.items()})
        except tf.errors.InvalidArgumentError as error:  # such as an index outside an embedding
            raise wrong(f"The learner cannot take this: {str(error).splitlines()[0]}") from error


def description_in(folder: str) -> dict[str, Any]:
    """What an exported folder says of its learner; empty if it says nothing."""
    path = Path(folder) / "assets.extra" / "meta_tf.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def array_of(name: str, given: list, spec: tf.TensorSpec) -> np.ndarray:
    """A list as an array with the shape and type of a signature's input, or a clear error."""
    shape = ", ".join(str(size or "any") for size in spec.shape[1:])
    wanted = f"`{name}` must hold numbers of shape [examples, {shape}]. Received:"
    try:
        array = np.asarray(given)
    except ValueError:
        raise wrong(f"{wanted} lists of unequal lengths.") from None
    if array.dtype.kind not in "iuf":
        raise wrong(f"{wanted} something that is not a number.")
    if not spec.shape.is_compatible_with(array.shape):
        raise wrong(f"{wanted} the shape {list(array.shape)}.")
    with np.errstate(all="ignore"):
        cast = array.astype(spec.dtype.as_numpy_dtype)
    if not np.isfinite(cast).all() or (spec.dtype.is_integer and (cast != array).any()):
        raise wrong(f"{wanted} some that are nan, infinite, or not of the type {spec.dtype.name}.")
    return cast


def wrong(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)


class Door:
    """Checks a request before the service reads it: its host, its size and its time of arrival.

    It wraps the service, and passes the complete body to it.
    """

    def __init__(self, app: Any, hosts: list[str], parts: int):
        self._app, self._hosts, self._parts = app, hosts, parts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        body = b""
        refusal = self._refusal(scope["method"], headers)
        if refusal is None and scope["method"] == "POST":
            try:
                body = await asyncio.wait_for(_body(receive), SEND_SECONDS)
            except TimeoutError:
                refusal = 408, f"A request must arrive within {SEND_SECONDS} seconds."
            except ConnectionError:  # the client is gone
                return None
            # An empty list is three bytes with its comma, and twenty times as many once parsed.
            if sum(body.count(sign) for sign in (b"[", b"{", b",")) > self._parts:
                refusal = 413, f"A request must have at most {self._parts} lists and numbers."
        if refusal:
            close = {"connection": "close"}  # does not read the rest of the body
            answer = JSONResponse({"detail": refusal[1]}, refusal[0], close)
            return await answer(scope, receive, send)

        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def once() -> Any:
            return next(whole, None) or await receive()

        return await self._app(scope, once, send)

    def _refusal(self, method: str, headers: dict[bytes, str]) -> tuple[int, str] | None:
        """The code and the sentence of the error, if the headers make the request invalid."""
        host = headers.get(b"host", "").rsplit(":", 1)[0] if b"host" in headers else ""
        if "*" not in self._hosts and host not in self._hosts:
            return 421, f"This service answers for {', '.join(self._hosts)}, and not for {host!r}."
        if method != "POST":
            return None
        length = headers.get(b"content-length")
        if length is None:
            return 411, "A request must give its length: send Content-Length."
        if not length.isdecimal() or int(length) > MAX_BYTES:
            return 413, f"A request must have at most {MAX_BYTES} bytes."
        return None


class Protocol(H11Protocol):
    """uvicorn's protocol, which also closes a connection whose request does not arrive in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, error: Exception | None) -> None:
        self._expected()
        super().connection_lost(error)

    def _expect(self) -> None:
        """Starts the time limit for the next request, unless one is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._expected()
        elif self._late is None:
            self._late = self.loop.call_later(SEND_SECONDS, self.transport.close)

    def _expected(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None


async def _body(receive: Any) -> bytes:
    """The whole body of a request."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def make_app(learner: Learner, keep: int, hosts: list[str]) -> FastAPI:
    """The service. It keeps the `keep` most recently used tasks, and answers for these hosts."""
    app = FastAPI(title="A learner of new tasks")
    app.add_middleware(Door, hosts=hosts, parts=learner.parts)
    tasks: OrderedDict[str, Task] = OrderedDict()
    lock = threading.Lock()

    @app.post("/learn", status_code=201)
    def learn(given: Support) -> dict[str, Any]:
        number, task = uuid.uuid4().hex, learner.learn(given)
        with lock:
            tasks[number] = task
            if len(tasks) > keep:
                tasks.popitem(last=False)
        return {"id": number, "classes": task.classes}

    @app.post("/predict/{number}")
    def predict(number: str, given: Query) -> dict[str, Any]:
        with lock:
            task = tasks.get(number)
            if task is None:
                raise HTTPException(
                    404,
                    f"No task {number!r} is stored: it was not learned here, or {keep} others were "
                    "used since. Learn it (again) by POST /learn.",
                )
            tasks.move_to_end(number)
        return learner.predict(given, task)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "tasks": len(tasks), "keep": keep, "ways": learner.ways}

    @app.exception_handler(RequestValidationError)
    async def in_a_sentence(request: Any, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return JSONResponse({"detail": f"`{place}`: {first['msg']}."}, 422)

    return app


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model", help="the exported folder")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 also accepts other computers")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--keep", type=int, default=1000, help="the number of tasks to keep")
    parser.add_argument(
        "--allow",
        action="append",
        help="a host name that clients may use, in addition to localhost; * for any",
    )
    options = parser.parse_args()
    # One request per core: tasks are so small that threads within an operation mostly wait.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    try:
        learner = Learner(options.saved_model)
    except (KeyError, OSError, ValueError) as error:
        parser.error(f"{options.saved_model} is not an exported classifier: {error}")
    each = learner.bytes / 1e6
    print(f"{options.keep} tasks are kept, {each:.2f} MB each: {each * options.keep:.0f} MB.")
    if not learner.judges:
        print("Answers do not say what is none of the classes: see docs/serving.md.")
    hosts = ["localhost", "127.0.0.1", "[::1]", options.host, *(options.allow or [])]
    app = make_app(learner, options.keep, list(dict.fromkeys(hosts)))
    gc.freeze()  # or each collection scans all of TensorFlow: a tenth of a second
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        http=Protocol,
    )


if __name__ == "__main__":
    main()
