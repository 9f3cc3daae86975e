"""What goes over what: defaults, presets, files of flags, the command line."""

import json
import shlex
from pathlib import Path

import pytest

from meta_tf.command.build import build_algorithm, ways_of
from meta_tf.command.made_with import made_with
from meta_tf.command.main import module_of, read
from meta_tf.command.read_flags import about_preset, presets, read_flags

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "runs"
PRESETS = ROOT / "meta_tf" / "command" / "presets"


def flags(*words):
    return read_flags("meta-tf train", module_of("train").GROUPS, words)


def train(*words):
    return read("train", words)


def test_a_flag_file_stands_by_itself_without_a_preset(tmp_path):
    (tmp_path / "flags.txt").write_text("--task=omniglot\n--algorithm=imaml\n")
    found = flags(f"--flagfile={tmp_path / 'flags.txt'}", "--iterations=9")
    assert (found.preset, found.task, found.algorithm) == (None, "omniglot", "imaml")
    assert flags("--task=omniglot", "--algorithm=imaml").preset == "omniglot_5way_1shot_imaml"


def test_what_is_named_by_hand_goes_over_a_flag_file_wherever_it_stands(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("# a comment\n\n--workdir=old\n--shots=3\n--noprofile\n--set=task.a=1\n")
    for file in ([f"--flagfile={path}"], ["--flagfile", str(path)]):
        found = flags("--workdir=new", *file, "--seed=1", "--set=task.b=2", "--set=task.c=3")
        assert (found.workdir, found.shots, found.seed) == ("new", 3, 1)
        assert found.set == ["task.a=1", "task.b=2", "task.c=3"]
        assert {name for name in found if found[name].present} == {"workdir", "seed", "set"}


def test_a_set_of_a_preset_is_kept_unless_it_is_of_another_component_or_set_again():
    table = ["--task=table", "--data=a.csv", "--target=y", "--group=g"]
    own = ["--set=task.kind=regression", "--set=model.activation=gelu"]
    initial = "model.kernel_initializer=glorot_uniform"
    assert train(*table, *own).set == (initial, "task.kind=regression", "model.activation=gelu")
    again = "--set=model.kernel_initializer=he_normal"
    assert train(*table, again).set == (again.removeprefix("--set="),)
    assert flags(*table, "--model=mine:network").set == []


def test_a_flag_file_goes_over_a_preset_and_that_over_the_defaults(tmp_path):
    path, other = tmp_path / "flags.txt", tmp_path / "other.txt"
    path.write_text("--shots=3\n--queries=2\n")
    other.write_text("--queries=4\n")
    found = train(f"--flagfile={path}", "--preset=sinusoid_5shot", f"--flagfile={other}")
    assert (found.task.value("shots"), found.task.value("queries")) == (3, 4)
    assert (found.training.iterations, found.training.meta_schedule) == (70000, "constant")


def test_the_folder_is_named_after_the_preset_or_the_task(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("--workdir=mine\n")
    assert train().training.workdir == "runs/sinusoid_10shot"
    assert train(f"--flagfile={path}").training.workdir == "mine"
    path.write_text("--shots=2\n")
    assert train(f"--flagfile={path}").training.workdir == "runs/sinusoid"


@pytest.mark.parametrize("algorithm", ["reptile", "imaml", "mamlpp"])
def test_an_algorithm_has_the_preset_of_its_name(algorithm):
    assert flags(f"--algorithm={algorithm}").preset == f"sinusoid_10shot_{algorithm}"


def test_a_preset_leaves_an_algorithm_from_outside_its_own_settings():
    found = flags("--algorithm=mine:Mine", "--inner_steps=3")
    assert (found.preset, found.inner_lr, found.inner_steps) == ("sinusoid_10shot", None, 3)
    assert found.meta_batch_size == 25  # of the preset


@pytest.mark.parametrize(
    ("words", "algorithm", "preset"),
    [
        ([], "protonet", "images_5way_1shot_protonet"),
        (["--algorithm=protonet"], "protonet", "images_5way_1shot_protonet"),
        (["--algorithm=maml"], "maml", "images_5way_1shot"),
    ],
)
def test_own_pictures_are_learned_by_prototypes_unless_an_algorithm_is_named(
    words, algorithm, preset
):
    found = flags("--task=images", *words)
    assert (found.algorithm, found.preset, found.queries) == (algorithm, preset, None)


def test_a_range_is_what_is_trained_on_whatever_a_preset_trains_on():
    preset = "--preset=omniglot_5way_1shot_protonet"  # which trains on 60 ways
    assert (flags(preset).train_ways, flags(preset, "--ways=9").train_ways) == (60, 60)
    found = train(preset, "--ways=2-20", "--shots=1-10")
    sizes = (found.task.value("ways"), found.task.value("shots"), found.sizes.train_ways)
    assert sizes == ((2, 20), (1, 10), None)
    assert ways_of(found, None) == 20
    by_hand = train(preset, "--ways=2-20", "--train_ways=10-30")
    assert by_hand.sizes.train_ways == (10, 30) and ways_of(by_hand, None) == 30


def test_a_range_of_one_number_is_the_number():
    assert train("--task=omniglot", "--ways=5-5").task.value("ways") == 5


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--profile"], True), (["--noprofile"], False), (["--profile=False"], False), ([], False)],
)
def test_switches(words, value):
    assert train(*words).training.profile is value


def test_none_is_another_thing_than_unset():
    unset, none = train("--algorithm=mamlpp"), train("--algorithm=mamlpp", "--learned_lr=none")
    assert "learned_lr" not in unset.algorithm.given
    assert none.algorithm.given["learned_lr"] is None


def test_settings_cannot_be_changed():
    settings = train()
    with pytest.raises(AttributeError):
        settings.training.seed = 3


@pytest.mark.parametrize(
    "path",
    [path.with_name("results.json") for path in sorted(RESULTS.glob("*/flags.txt"))],
    ids=lambda path: path.parent.name,
)
def test_published_runs_are_still_understood(path):
    """By their command and by their file of flags, to the settings that they were made with."""
    results = json.loads(path.read_text())
    told = {name: text for name, text in results["flags"].items() if name != "set"}
    words = shlex.split(results["command"])
    words = words[words.index("train") + 1 :] if "train" in words else words[2:]
    for given in (words, [f"--flagfile={path.with_name('flags.txt')}"]):
        found = train(*given, f"--workdir={path.parent}")
        made = made_with(found, build_algorithm(found))
        # What had no meaning for the run was written down too, at first.
        kept = told.keys() & made.settings.keys() - {"workdir", "data_dir"}
        assert {"seed", "shots", "iterations", "meta_lr", "algorithm"} <= kept
        assert {n: made.settings[n][0] for n in kept} == {n: told[n] for n in kept}
        made.check_same_run()  # it goes on with what they left
    other = train(*words, f"--workdir={path.parent}", "--shots=77")
    made = made_with(other, build_algorithm(other))
    with pytest.raises(ValueError, match=f"--shots must be '{told['shots']}'"):
        made.check_same_run()


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_told_in_a_sentence_and_means_something_as_a_whole(name):
    assert about_preset(name).endswith(".")
    lines = (PRESETS / f"{name}.flags").read_text().splitlines()
    words = [line for line in lines if line.startswith("--")]
    train(f"--preset={name}", *words)  # by hand, so that what has no meaning is refused
    assert flags(f"--preset={name}").preset == name
