"""`Simulation`: a Python function that makes tasks, run by several processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Arrays = list[np.ndarray]
# What each process runs first. As text, because a function of this file would import TensorFlow.
# It leaves Ctrl-C, which reaches all processes of a terminal, to the process that started it, and
# ends with that one, even if that one is killed.
_FIRST = """
import multiprocessing, os, signal, threading

def end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)

signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=end_with_parent, daemon=True).start()
"""


class Simulation:
    """Calls a function of a seed for many seeds, and stacks the arrays that it returns.

    The processes start with the first call. They are new interpreters, which import the module
    of `fn`, so a module that imports only NumPy starts fast. Without `workers`, `fn` runs in this
    process. `specs` describe the arrays that it must return, in the same structure.
    """

    def __init__(self, fn: Callable[[np.ndarray], Any], specs: Any, workers: int):
        self._fn = fn
        flat = tf.nest.flatten(specs)
        self._shapes = [tuple(spec.shape) for spec in flat]
        self._types = [np.dtype(spec.dtype.as_numpy_dtype) for spec in flat]
        self._paths = _paths(specs)
        self._workers = workers
        self._pool: tuple[int, ProcessPoolExecutor] | None = None
        if workers:
            _check_importable(fn)

    def __call__(self, seeds: np.ndarray) -> Arrays:
        """The arrays of the tasks of seeds [T, 2], each [T, ...]."""
        made = zip(seeds, self._made(seeds), strict=True)
        tasks = [self._arrays(seed, task) for seed, task in made]
        return [np.stack(arrays) for arrays in zip(*tasks, strict=True)]

    def _arrays(self, seed: np.ndarray, task: Any) -> Arrays:
        """The arrays of a task, in the types of a batch: float32 and int32."""
        arrays = [np.asarray(value) for value in tf.nest.flatten(task)]
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            raise ValueError(
                "`fn` must return arrays of the same shapes for every seed. Received: "
                f"{self._shapes} for the first seed and {shapes} for {seed}."
            )
        if _paths(task) != self._paths:
            raise ValueError(
                "`fn` must return dicts with the same keys for every seed. Received: "
                f"{self._paths} for the first seed and {_paths(task)} for {seed}."
            )
        for array, dtype in zip(arrays, self._types, strict=True):
            if array.dtype.kind not in ("iu" if dtype == np.int32 else "iuf"):
                raise ValueError(
                    "`fn` must return numbers of the same kind for every seed. Received: "
                    f"{dtype} for the first seed and {array.dtype} for {seed}."
                )
        return [array.astype(dtype) for array, dtype in zip(arrays, self._types, strict=True)]

    def _made(self, seeds: np.ndarray) -> list[Any]:
        if not self._workers:
            return [self._fn(seed) for seed in seeds]
        # Large enough parts that sending them costs little, and a part for each process.
        part = -(-len(seeds) // self._workers)
        try:
            return list(self._processes().map(self._fn, seeds, chunksize=part))
        except BrokenProcessPool as error:
            self._pool = None
            raise ValueError(
                "A process that makes tasks ended. Received: "
                f"workers={self._workers}. Pass workers=0 to run `fn` in this process and see its "
                "error. A script that passes `workers` must begin its work under `if __name__ == "
                '"__main__":`, since each process imports the script.'
            ) from error

    def _processes(self) -> ProcessPoolExecutor:
        if self._pool is None or self._pool[0] != os.getpid():  # a forked process needs its own
            # A forked process would have TensorFlow's locks without its threads.
            spawn = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(self._workers, spawn, exec, (_FIRST, {}))
            weakref.finalize(self, pool.shutdown, wait=False, cancel_futures=True)
            self._pool = os.getpid(), pool
        return self._pool[1]


def _paths(structure: Any) -> list[str]:
    """Where a structure has its values: the keys of dicts and the places in tuples."""
    return sorted(map(str, (path for path, _ in keras.tree.flatten_with_path(structure))))


def _check_importable(fn: Callable[[np.ndarray], Any]) -> None:
    try:
        pickle.dumps(fn)
    except Exception as error:
        raise ValueError(
            "`fn` must be a function at the top of a module, or another object that pickle can "
            f"store, so that other processes can import it. Received: {fn!r}; {error}. Move it "
            "there, or pass workers=0."
        ) from error
