"""The public surface, and the examples of its manual pages."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import tensorflow as tf

import meta_tf.tasks

MODULES = [m.name for m in pkgutil.iter_modules(meta_tf.tasks.__path__, "meta_tf.tasks.")]


def test_public_names():
    assert sorted(meta_tf.tasks.__all__) == [
        "ClassPart",
        "GroupPart",
        "HiddenTeacher",
        "ImageFolder",
        "Omniglot",
        "Part",
        "Sinusoid",
        "Source",
        "from_arrays",
        "from_function",
        "from_groups",
        "from_pairs",
        "from_table",
    ]
    for name in meta_tf.tasks.__all__:
        assert getattr(meta_tf.tasks, name).__doc__


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    known = {"meta_tf": meta_tf, "np": np, "tf": tf}
    failed, _ = doctest.testmod(importlib.import_module(module), extraglobs=known)
    assert not failed
