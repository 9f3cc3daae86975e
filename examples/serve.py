"""Serves an exported classifier over HTTP: it learns tasks, keeps them in memory, and predicts.

    pip install tensorflow==2.21.* fastapi uvicorn
    python serve.py saved_model

`meta-tf export --learner=LEARNER --output=saved_model` writes `saved_model`; the service does not
need meta_tf. docs/serving.md shows requests and answers, and how much memory it takes.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
import uuid
from collections import OrderedDict
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictInt

MAX_BYTES, MAX_EXAMPLES = 4_000_000, 200  # per request
MAX_CONNECTIONS = 64  # further connections get 503
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Support(BaseModel):
    support_x: list = Field(min_length=1, max_length=MAX_EXAMPLES)
    support_y: list[StrictInt] = Field(max_length=MAX_EXAMPLES)
    classes: list[Name] = Field([], description="the classes' names; their numbers if left out")


class Query(BaseModel):
    query_x: list = Field(min_length=1, max_length=MAX_EXAMPLES)


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
        self._turns = threading.Semaphore(os.cpu_count() or 1)  # limits concurrent computations

    @property
    def bytes(self) -> int:
        """The largest size of a task's adapted weights."""
        weights = self._adapt.structured_outputs.values()
        return sum(
            w.dtype.size * int(np.prod([n or MAX_EXAMPLES for n in w.shape])) for w in weights
        )

    def learn(self, given: Support) -> tuple[dict[str, tf.Tensor], list[str]]:
        """The adapted weights by name, and the names of the classes."""
        x, y = array_of("support_x", given.support_x, self._x), given.support_y
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
        return self._run(self._adapt, support_x=x, support_y=tf.constant(y, self._y.dtype)), classes

    def predict(self, given: Query, weights: dict[str, tf.Tensor], classes: list[str]) -> Any:
        x = array_of("query_x", given.query_x, self._x)
        found = self._run(self._predict, query_x=x, **weights)["predictions"].numpy()
        found = found[:, : len(classes)]  # a task may have fewer classes than the learner
        if not np.isfinite(found).all():
            raise wrong("The predictions are not finite: some number must be far too large.")
        answers = [classes[number] for number in found.argmax(-1)]
        return {"answers": answers, "classes": classes, "predictions": found.tolist()}

    def _run(self, signature: Any, **inputs: Any) -> dict[str, tf.Tensor]:
        try:
            with self._turns:
                return signature(**{name: tf.constant(t) for name, t in inputs.items()})
        except tf.errors.InvalidArgumentError as error:  # e.g. an index that an embedding lacks
            raise wrong(f"The learner cannot take this: {str(error).splitlines()[0]}") from error


def array_of(name: str, given: list, spec: tf.TensorSpec) -> np.ndarray:
    """A list as an array with the shape and type of a signature's input, or a clear error."""
    shape = ", ".join(str(size or "any") for size in spec.shape[1:])
    wanted = f"`{name}` must hold numbers of shape [examples, {shape}]. Received:"
    try:
        array = np.asarray(given)
    except ValueError:
        raise wrong(f"{wanted} lists of unequal lengths.") from None
    if array.dtype.kind not in "iuf":
        raise wrong(f"{wanted} something that is no number.")
    if not spec.shape.is_compatible_with(array.shape):
        raise wrong(f"{wanted} the shape {list(array.shape)}.")
    with np.errstate(all="ignore"):
        cast = array.astype(spec.dtype.as_numpy_dtype)
    if not np.isfinite(cast).all() or (spec.dtype.is_integer and (cast != array).any()):
        raise wrong(f"{wanted} some that are nan, infinite, or not of the type {spec.dtype.name}.")
    return cast


def wrong(sentence: str) -> HTTPException:
    return HTTPException(422, sentence)


def make_app(learner: Learner, keep: int) -> FastAPI:
    """The service; it keeps the `keep` most recently used tasks."""
    app = FastAPI(title="A learner of new tasks")
    tasks: OrderedDict[str, tuple[dict[str, tf.Tensor], list[str]]] = OrderedDict()
    lock = threading.Lock()

    @app.post("/learn", status_code=201)
    def learn(given: Support) -> dict[str, Any]:
        number, task = uuid.uuid4().hex, learner.learn(given)
        with lock:
            tasks[number] = task
            if len(tasks) > keep:
                tasks.popitem(last=False)
        return {"id": number, "classes": task[1]}

    @app.post("/predict/{number}")
    def predict(number: str, given: Query) -> dict[str, Any]:
        with lock:
            task = tasks.get(number)
            if task is None:
                raise HTTPException(
                    404,
                    f"No task {number!r} is kept: it was not learned here, or {keep} others were "
                    "used since. Learn it (again) by POST /learn.",
                )
            tasks.move_to_end(number)
        return learner.predict(given, *task)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "tasks": len(tasks), "keep": keep, "ways": learner.ways}

    @app.middleware("http")
    async def refuse_large(request: Any, answer: Any) -> Any:
        length = request.headers.get("content-length")
        if request.method == "POST" and not (length and int(length) <= MAX_BYTES):
            sentence = f"A request must tell its length, and have at most {MAX_BYTES} bytes."
            return JSONResponse({"detail": sentence}, 422)
        return await answer(request)

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
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: other computers too")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--keep", type=int, default=1000, help="how many tasks are kept")
    options = parser.parse_args()
    try:
        learner = Learner(options.saved_model)
    except (KeyError, OSError, ValueError) as error:
        parser.error(f"{options.saved_model} is no exported classifier: {error}")
    each = learner.bytes / 1e6
    print(f"{options.keep} tasks are kept, {each:.2f} MB each: {each * options.keep:.0f} MB.")
    app = make_app(learner, options.keep)
    gc.freeze()  # excludes TensorFlow from garbage collections, which would take 0.1 s each
    uvicorn.run(app, host=options.host, port=options.port, limit_concurrency=MAX_CONNECTIONS)


if __name__ == "__main__":
    main()
