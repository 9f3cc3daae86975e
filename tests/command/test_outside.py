"""Tasks, models and algorithms from outside the package, by `package.module:Name`."""

import json

import keras
import pytest

from meta_tf.command import build
from meta_tf.command import main as command
from meta_tf.command.made_with import MadeWith
from meta_tf.command.read_flags import read_flags, trained_on
from meta_tf.run.settings import Training
from tests.command_line import one_after_another

MODULE = '''
import dataclasses
import keras
import tensorflow as tf
import meta_tf


@keras.saving.register_keras_serializable("mine")
@dataclasses.dataclass(frozen=True)
class Towards(meta_tf.MAML):
    """MAML whose predictions are shifted."""

    inner_lr: float = 0.02
    shift: float = 0.0

    def predict(self, network, adapted, query_x):
        return super().predict(network, adapted, query_x) + self.shift


@dataclasses.dataclass(frozen=True)
class Unregistered(meta_tf.MAML):
    """Keras does not know it."""


@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


class Lost(keras.layers.Layer):
    """Keras does not know it."""


def waves(shots, noise=0.0, slope=1.0):
    def line(generator):
        return lambda x: slope * x

    return meta_tf.tasks.Sinusoid(shots, amplitude=(slope, 2 * slope + noise))


def network(input_shape, outputs, units=8, noise=0.0, layer=Twice):
    return keras.Sequential(
        [keras.Input(input_shape), keras.layers.Dense(units, "relu"), layer(),
         keras.layers.Dense(outputs, name="head")]
    )


def lost(input_shape, outputs):
    return network(input_shape, outputs, layer=Lost)


def unbuilt(outputs):
    return keras.Sequential([keras.layers.Dense(outputs)])


number = 3
'''.replace(
    """    def line(generator):
        return lambda x: slope * x

""",
    "",
)
OURS = ["--algorithm=mine.own:Towards", "--task=mine.own:waves", "--model=mine.own:network"]
SMALL = ["train", *OURS, "--iterations=4", "--eval_tasks=2", "--workdir=run", "--shots=3"]
SMALL += ["--set", "shift=0.5", "--set=units=6", "--set=task.noise=0.5", "--set=slope=3"]
SMALL += ["--inner_steps=2"]

WRONG = [
    (["--algorithm=mine.own:Unregistered"], ["--algorithm", "register_keras_serializable"]),
    (["--model=mine.own:lost"], ["--model", "register_keras_serializable", "Lost"]),
    (["--model=mine.own:unbuilt"], ["--model", "built"]),
    (["--algorithm=mine.own:network"], ["--algorithm", "meta_tf.Algorithm"]),
    (["--algorithm=mine.own:Nothing"], ["--algorithm", "mine.own", "'Nothing'"]),
    (["--algorithm=not_there:Nothing"], ["--algorithm", "not_there", "No module"]),
    (["--task=mine.own:number"], ["--task", "int"]),
    (["--task=mine.own:network"], ["--task=mine.own:network", "input_shape", "--set task."]),
    (["--task=mine.own:waves", "--ways=3"], ["--ways", "mine.own:waves"]),
    (["--algorithm=mine.own:Towards", "--cg_steps=3"], ["--cg_steps=3", "mine.own:Towards"]),
    ([*OURS, "--set=noise=1"], ["--set", "task.noise=VALUE or model.noise=VALUE"]),
    ([*OURS, "--set=nothing=1"], ["--set=nothing=1", "shift", "slope", "units"]),
    (["--set=amplitude=1"], ["--set=amplitude=1", "amplitude"]),
    (["--set=colour.noise=1"], ["--set=colour.noise=1", "algorithm.name=value"]),
    (["--set=noise"], ["--set=noise"]),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "mine").mkdir()
    (folder / "mine" / "own.py").write_text(MODULE)
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    calls = [
        SMALL,
        [*SMALL, "--iterations=6"],
        [*SMALL, "--set=slope=2"],
        ["train", "--flagfile=run/flags.txt", "--import=mine.own", "--workdir=again"],
        ["export", "--learner=run", "--import=mine.own", "--output=exported"],
        [
            "evaluate",
            "--learner=run/learner.keras",
            "--import=mine.own",
            "--eval_tasks=2",
            "--output=results.json",
        ],
        ["train", "--set=task.x_range=(-1.0,1.0)", "--iterations=2", "--eval_tasks=2"],
    ]
    return one_after_another(calls, cwd=folder)


@pytest.mark.slow
def test_all_three_are_trained_and_gone_on_with(folder, answers):
    assert [code for code, _, _ in answers[:2]] == [0, 0], answers
    assert "Continuing from iteration 4 of 6" in answers[1][1]
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["iterations"] == 6
    assert results["settings"]["shift"] == 0.5  # --set
    assert results["settings"]["inner_steps"] == 2  # an ordinary flag
    assert results["settings"]["inner_lr"] == 0.02  # its own default, not the preset's
    # 1 x 6 + 6, doubled by a layer without weights, 6 x 1 + 1
    assert results["parameters"] == 19
    assert results["shots"] == 3


@pytest.mark.slow
def test_another_set_is_another_run(answers):
    code, _, err = answers[2]
    assert code == 1 and "--set must be" in err and "slope=2" in err


@pytest.mark.slow
def test_a_run_of_an_earlier_version_can_omit_the_kind_of_an_argument():
    made = MadeWith(Training(), {}, others=("task.range=(1, 2.0)", "task.noise=0.5"))
    assert not made.of_another_run({"set": "noise=0.5, task.range=(1, 2.0)"})
    for other in ("model.noise=0.5, task.range=(1, 2.0)", "noise=0.5, task.range=(1, 0)", ""):
        assert "it is of another run, with --set=" in made.of_another_run({"set": other})


def test_a_flag_file_holds_what_was_set(folder, answers):
    lines = (folder / "run" / "flags.txt").read_text().splitlines()
    names = ("algorithm.shift=0.5", "model.units=6", "task.noise=0.5", "task.slope=3")
    assert {f"--set={name}" for name in names} <= set(lines)
    assert answers[3][0] == 0
    again, first = (json.loads((folder / n / "results.json").read_text()) for n in ("again", "run"))
    assert again["mean"] == first["mean"]


@pytest.mark.slow
def test_it_is_exported_and_evaluated_by_itself(folder, answers):
    assert [code for code, _, _ in answers[4:6]] == [0, 0], answers[4:6]
    assert (folder / "exported" / "saved_model.pb").exists()
    one, other = (
        json.loads((folder / n).read_text()) for n in ("results.json", "run/results.json")
    )
    assert one["mean"] == other["mean"]  # on the same tasks, which the run's flags tell


@pytest.mark.slow
def test_an_argument_of_a_built_in_task_is_set_by_its_full_name(folder, answers):
    assert answers[6][0] == 0, answers[6]
    assert (
        "--set=task.x_range=(-1.0,1.0)"
        in (folder / "runs" / "sinusoid_10shot" / "flags.txt").read_text()
    )


@pytest.fixture(scope="module")
def refusals(folder):
    return one_after_another(
        [["train", "--workdir=wrong", *words] for words, _ in WRONG], cwd=folder
    )


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(w) for w, _ in WRONG])
def test_what_does_not_fit_is_answered_in_one_line(refusals, number):
    code, _, err = refusals[number]
    assert code == 1
    assert len(err.splitlines()) == 1, err
    for word in WRONG[number][1]:
        assert word in err


LETTERS = """
import numpy as np
import meta_tf


def letters():
    x, y = np.zeros([120, 3], np.float32), np.arange(120) % 40
    return meta_tf.tasks.from_arrays(x, y, ways=3, shots=1, queries=1)
"""


def test_a_source_without_a_flag_for_it_knows_the_number_of_classes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "letters.py").write_text(LETTERS)
    settings = command.read("train", ["--task=letters:letters", "--algorithm=protonet"])
    assert build.build_algorithm(settings, build.build_tasks(settings.task)).ways == 3
    with pytest.raises(ValueError, match=r"--set algorithm.ways=VALUE is needed"):
        build.build_algorithm(settings)


FILES = {
    "task": ["--task=harm:run", "--set=task.path=ran"],
    "model": ["--model=harm:run", "--set=model.path=ran"],
    "algorithm": ["--algorithm=harm:run"],
    "a function of the package": ["--task=meta_tf.files:write_text", "--set=task.path=ran"],
    "import": ["--import=harm"],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_flags_runs_no_code_from_outside(name, tmp_path, monkeypatch, capsys):
    """Neither one that the user names nor the one beside a learner."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harm.py").write_text("open('ran', 'w').close()\ndef run(path): pass\n")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "flags.txt").write_text("\n".join(FILES[name]))
    commands = [["train", "--flagfile=theirs/flags.txt", "--workdir=run"]]
    if "task" in FILES[name][0]:  # all that `evaluate` takes from there
        commands.append(["evaluate", "--learner=theirs"])
    for words in commands:
        assert command.main(words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "theirs/flags.txt" in line or "the flags.txt of theirs" in line
        assert "--import" in line
    assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("by_hand", ["--task=theirs.tasks:waves", "--import=theirs.tasks"])
def test_the_command_line_allows_what_a_file_asks_for(by_hand, tmp_path):
    (tmp_path / "flags.txt").write_text("--task=theirs.tasks:waves\n--set=task.noise=1\n")
    words = [f"--flagfile={tmp_path / 'flags.txt'}", by_hand]
    found = read_flags("meta-tf train", command.module_of("train").GROUPS, words)
    assert (found.task, found.set) == ("theirs.tasks:waves", ["task.noise=1"])


def test_the_flags_beside_a_learner_neither_fetch_nor_write(tmp_path):
    lines = ["--task=omniglot", "--data_dir=data", "--download=True", "--mirror=http://theirs"]
    lines += [f"--set=task.{a}=1" for a in ("download", "mirror", "cache_dir", "cache", "size")]
    (tmp_path / "flags.txt").write_text("\n".join(lines))
    assert trained_on(str(tmp_path)) == ["--task=omniglot", "--data_dir=data", "--set=task.size=1"]
    lines = ["--task=mine.own:waves", "--set=slope=3", "--set=model.units=6", "--set=download=1"]
    (tmp_path / "flags.txt").write_text("\n".join(lines))
    assert trained_on(str(tmp_path)) == lines[:2]


@pytest.mark.slow
def test_without_its_module_a_learner_of_its_own_classes_says_what_to_do(folder, answers):
    ((code, _, err),) = one_after_another(
        [["export", "--learner=run/learner.keras", "--output=other"]], cwd=folder
    )
    assert code == 1 and len(err.splitlines()) == 1
    assert "Could not locate class 'Twice'" in err and "--import=" in err
    with pytest.raises(TypeError, match="Could not locate class"):
        keras.models.load_model(folder / "run" / "learner.keras")
