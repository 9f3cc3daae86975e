"""The examples in the docstrings run, and say what comes out."""

import doctest
import functools
import importlib
import importlib.util
import pkgutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.batch import map_tasks
from meta_tf.network.network import Network

MODULES = ["meta_tf", *(m.name for m in pkgutil.walk_packages(meta_tf.__path__, "meta_tf."))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def source(name):
    return Path(importlib.util.find_spec(name).origin).read_text()


@functools.cache
def learner():
    """One for all examples, which print none of its numbers: it is traced once."""
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(), loss="mse")
    learner.compile(jit_compile=False)
    return learner


@pytest.mark.parametrize("name", [name for name in MODULES if ">>> " in source(name)])
def test_examples(name, monkeypatch):
    monkeypatch.setattr(
        map_tasks, "_MOST_COMPILED", {"auto": 0, "whole": 0}
    )  # XLA takes seconds to compile
    module = importlib.import_module(name)
    names = {
        **vars(module),
        "keras": keras,
        "meta_tf": meta_tf,
        "np": np,
        "tf": tf,
        "Network": Network,
        "support_x": tf.zeros([3, 1]),
        "support_y": tf.zeros([3, 1]),
    }
    if "learner" in source(name):
        names["learner"] = learner()
    result = doctest.testmod(module, extraglobs=names, optionflags=FLAGS)
    assert result.attempted > 0 or "+SKIP" in source(name)
    assert result.failed == 0


def test_every_public_name_is_described():
    for name in meta_tf.__all__:
        thing = getattr(meta_tf, name)
        assert thing.__doc__, name


def test_the_public_names_are_those_that_are_listed():
    listed = set(meta_tf.__all__)
    found = {
        name
        for name, thing in vars(meta_tf).items()
        if not name.startswith("_")
        and getattr(thing, "__module__", "meta_tf.x").startswith("meta_tf")
        and callable(thing)
    }
    assert found <= listed
    assert listed <= set(vars(meta_tf))
