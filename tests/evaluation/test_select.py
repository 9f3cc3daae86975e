"""`select` by successive halving, and `meta-tf train --algorithm=auto`."""

import json

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.command import auto
from meta_tf.command.main import read
from meta_tf.command.train import GROUPS
from meta_tf.evaluation.select import Round, Selection, select
from meta_tf.run.lock import claimed
from tests.pictures import noise_folder


class Counting:
    """A learner's `fit`, which counts its outer steps."""

    def __init__(self, learner):
        self.steps, self._fit = 0, learner.fit

    def __call__(self, *args, steps_per_epoch, **options):
        self.steps += steps_per_epoch
        return self._fit(*args, steps_per_epoch=steps_per_epoch, **options)


def learner(rate, outer=0.0):
    model = meta_tf.models.mlp(1, 1, (), kernel_initializer="zeros")
    made = meta_tf.MetaLearner(model, meta_tf.MAML(rate), "mse")
    made.compile(keras.optimizers.SGD(outer), jit_compile=False)
    made.fit = Counting(made)
    return made


@pytest.mark.slow
def test_the_better_half_trains_on_by_validation_tasks():
    # The initial weights are 0 and do not change: only the inner rate makes a difference.
    tasks, rates = meta_tf.tasks.Sinusoid(shots=5), (0.03, 0.0001, 0.001)
    learners = {f"rate {rate}": learner(rate) for rate in rates}
    result = select(learners, tasks, iterations=2, meta_batch_size=2, tasks_number=20)
    expected = {
        name: meta_tf.evaluate(made, tasks.valid, 20, baselines=False).mean[-1]
        for name, made in learners.items()
    }
    by_error = sorted(expected, key=expected.get)
    assert result.best == by_error[0]
    assert [made.fit.steps for made in learners.values()] == [
        {0: 4, 1: 4, 2: 2}[by_error.index(name)] for name in learners
    ]
    assert [(r.name, r.steps) for r in result.rounds][:3] == [(name, 2) for name in learners]
    np.testing.assert_allclose([r.mean for r in result.rounds[:3]], list(expected.values()))
    assert str(result).splitlines()[-1] == f"Chosen: {by_error[0]}"


@pytest.mark.slow
def test_a_learner_that_diverges_is_not_chosen():
    learners = {"wild": learner(1e30, 1e30), "calm": learner(0.01)}
    result = select(learners, meta_tf.tasks.Sinusoid(), 2, 2, 5)
    assert result.best == "calm"
    assert "diverged" in str(result)
    with pytest.raises(ValueError, match="`learners` must hold at least one"):
        select({}, meta_tf.tasks.Sinusoid())


def test_the_command_keeps_its_choice(tmp_path, monkeypatch, capsys):
    words = ["--algorithm", "auto", f"--workdir={tmp_path / 'run'}", "--meta_lr=0.002"]
    asked = read("train", words)
    assert isinstance(asked, auto.Auto)
    made = Selection("anil", "mse", (Round("anil", 50, 1.0, 0.1),))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "flags.txt").write_text("--algorithm=maml\n")  # without a step
    monkeypatch.setattr(auto, "select", lambda learners, *_, **options: made)
    train = auto.chosen(asked, GROUPS)
    assert (train.algorithm.name, train.training.meta_lr) == ("anil", 0.002)
    assert train.command == tuple(words)
    assert json.loads((tmp_path / "run" / "selection.json").read_text())["best"] == "anil"
    out = capsys.readouterr().out
    assert "anil, in_context, maml, alpaca" in out
    monkeypatch.setattr(auto, "select", None)
    assert auto.chosen(asked, GROUPS).algorithm.name == "anil"
    with pytest.raises(ValueError, match="--algorithm=auto needs one process"):
        read("train", ["--algorithm=auto", "--strategy=mirrored"])


def test_a_run_of_another_algorithm_is_reported_before_the_choice(tmp_path, monkeypatch):
    (tmp_path / "flags.txt").write_text("--algorithm=maml\n")
    (tmp_path / "metrics.csv").write_text("")
    made = Selection("anil", "mse", ())
    monkeypatch.setattr(auto, "select", lambda learners, *_, **options: made)
    words = ["--algorithm=auto", f"--workdir={tmp_path}"]
    with pytest.raises(ValueError, match=r"must be 'maml', as in .*=auto\. Give another --workdir"):
        auto.chosen(read("train", words), GROUPS)
    asked = read("train", [*words, "--restart"])
    assert auto.chosen(asked, GROUPS).algorithm.name == "anil"


def test_a_folder_that_cannot_keep_the_choice_is_reported_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(auto, "select", None)
    asked = read("train", ["--algorithm=auto", f"--workdir={tmp_path}"])
    with claimed(tmp_path), pytest.raises(ValueError, match="is in use by a run"):
        auto.chosen(asked, GROUPS)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="--workdir must be a folder"):
        auto.chosen(read("train", ["--algorithm=auto", f"--workdir={tmp_path / 'file'}"]), GROUPS)
    for text in ('{"be', "[]", "{}", '{"best": ["anil"]}', '{"best": "another"}'):
        (tmp_path / "selection.json").write_text(text)
        with pytest.raises(ValueError, match=r"selection\.json must name .* Add --restart"):
            auto.chosen(asked, GROUPS)


def test_the_command_chooses_among_learners_of_as_many_classes_as_training_tasks_have(
    tmp_path, monkeypatch
):
    noise_folder(tmp_path / "images", classes=20, each=2, size=4)
    words = ["--algorithm=auto", "--task=images", f"--data_dir={tmp_path / 'images'}"]
    words += ["--ways=2", "--train_ways=3", "--queries=1", "--image_size=4", "--model=mlp"]
    found = {}

    def first(learners, *_, **options):
        found.update(learners)
        return Selection("protonet", "accuracy", ())

    monkeypatch.setattr(auto, "select", first)
    monkeypatch.setattr(auto, "_OF_CLASSES", ("protonet", "anil"))
    auto.chosen(read("train", [*words, "--hidden=2", f"--workdir={tmp_path / 'run'}"]), GROUPS)
    assert found["protonet"].algorithm.ways == 3
    assert found["anil"].model.output_shape == (None, 3)
