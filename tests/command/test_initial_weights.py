"""`--initial_weights`: a run that begins with what another one has learned."""

import json

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.command.initial_weights import take_weights
from tests.command_line import one_after_another

STILL = ["--iterations=1", "--meta_lr=1e-12", "--eval_tasks=20", "--hidden=8,8", "--eval_steps=2"]


def learner_of(outputs, hidden, seed):
    keras.utils.set_random_seed(seed)
    model = meta_tf.models.mlp(inputs=2, outputs=outputs, hidden=hidden)
    return meta_tf.MetaLearner(model, meta_tf.MetaSGD(), loss="mse")


def test_a_last_layer_for_other_classes_begins_anew(tmp_path, capsys):
    trained, begun = learner_of(5, [8, 4], seed=0), learner_of(3, [8, 4], seed=1)
    trained.save(tmp_path / "learner.keras")
    before = begun.get_weights()
    take_weights(begun, str(tmp_path))
    anew = []
    for old, new, theirs in zip(before, begun.weights, trained.get_weights(), strict=True):
        same = theirs.shape == new.shape
        np.testing.assert_array_equal(new.numpy(), theirs if same else old)
        if not same:
            anew.append(new.path.removeprefix("mlp/").removeprefix(f"{begun.name}/"))
    assert anew == ["inner_lr_head_kernel", "inner_lr_head_bias", "head/kernel", "head/bias"]
    told = capsys.readouterr().out
    assert told == f"Starting from the weights of {tmp_path}; not copied: {', '.join(anew)}.\n"


def test_a_layer_that_is_called_as_its_model(tmp_path, capsys):
    """`conv4` has a layer of its own name, and after loading, paths begin without the model's."""
    learners = []
    for seed in 0, 1:
        keras.utils.set_random_seed(seed)
        model = meta_tf.models.conv4(ways=3, filters=4)
        learners.append(meta_tf.MetaLearner(model, meta_tf.MAML(), loss="mse"))
    learners[0].save(tmp_path / "learner.keras")
    take_weights(learners[1], str(tmp_path))
    for theirs, own in zip(learners[0].get_weights(), learners[1].get_weights(), strict=True):
        np.testing.assert_array_equal(own, theirs)
    assert "not copied" not in capsys.readouterr().out


def test_a_line_names_some_of_many_weights(tmp_path, capsys):
    """Of nine layers and a head, all begins anew but the first two and the head."""
    learner_of(5, [8, 4], seed=0).save(tmp_path / "learner.keras")
    begun = learner_of(5, [8, *[4] * 8], seed=1)
    paths = [w.path.removeprefix("mlp/").removeprefix(f"{begun.name}/") for w in begun.weights]
    fits = {"dense1", "dense2", "head"}
    anew = [path for path in paths if not any(name in path for name in fits)]
    take_weights(begun, str(tmp_path))
    told = capsys.readouterr().out.strip().split("; not copied: ")[1]
    assert told == f"{', '.join(anew[:6])} and {len(anew) - 6} more."


def test_a_learner_of_which_nothing_fits(tmp_path):
    learner_of(5, [8, 4], seed=0).save(tmp_path / "learner.keras")
    with pytest.raises(ValueError, match=r"--initial_weights must be .* Received: .*\[2, 8\]"):
        take_weights(learner_of(3, [6, 7], seed=1), str(tmp_path))


@pytest.mark.slow
def test_a_run_that_begins_with_another(tmp_path):
    """With a rate of nothing it ends as the other did, whatever its seed."""
    first = ["train", *STILL, "--meta_lr=0.01", "--workdir=first"]
    again = ["train", *STILL, "--initial_weights=first", "--workdir=again"]
    other = ["train", *STILL, "--workdir=other"]
    answers = one_after_another(
        [
            first,
            again,
            other,
            again,
            [*again, "--initial_weights=omniglot"],
            ["train", *STILL, "--initial_weights=nowhere", "--workdir=none"],
            ["train", *STILL, "--initial_weights=omniglot", "--workdir=none"],
        ],
        cwd=tmp_path,
    )
    assert [code for code, *_ in answers] == [0, 0, 0, 0, 1, 1, 1], answers
    found = {
        name: json.loads((tmp_path / name / "results.json").read_text())["mean"]
        for name in ("first", "again", "other")
    }
    np.testing.assert_allclose(found["again"], found["first"], rtol=1e-6)
    assert abs(found["other"][0] - found["first"][0]) > 1e-3
    assert "Starting from the weights of first.\n" in answers[1][1]
    assert "Starting from the weights" not in answers[3][1]  # only evaluated
    assert "--initial_weights must be 'first'" in answers[4][2]
    assert "--initial_weights must be a .keras file" in answers[5][2]
    assert "conv1/kernel [3, 3, 1, 64]" in answers[6][2]
    assert not (tmp_path / "none").exists()
