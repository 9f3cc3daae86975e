"""The examples in the docstrings run, and say what comes out."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.network import Network

MODULES = ["meta_tf", *(m.name for m in pkgutil.walk_packages(meta_tf.__path__, "meta_tf."))]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(), loss="mse")
    learner.compile()
    names = {
        **vars(module),
        "keras": keras,
        "meta_tf": meta_tf,
        "np": np,
        "tf": tf,
        "Network": Network,
        "learner": learner,
        "support_x": tf.zeros([3, 1]),
        "support_y": tf.zeros([3, 1]),
    }
    result = doctest.testmod(
        module, extraglobs=names, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
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
