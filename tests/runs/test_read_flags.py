"""What goes over what: defaults, presets, files of flags, the command line."""

import json
from pathlib import Path

import pytest

from meta_tf.runs import preset_files
from meta_tf.runs.build import build_algorithm, ways_of
from meta_tf.runs.command import parser_of
from meta_tf.runs.flags_file import check_same_run
from meta_tf.runs.meaning import check_meaning
from meta_tf.runs.read_flags import read_flags

RESULTS = Path(__file__).resolve().parents[2] / "results"


def read(*words):
    return read_flags(parser_of("train"), words)


def test_a_flag_file_stands_by_itself_without_a_preset(tmp_path):
    (tmp_path / "flags.txt").write_text("--task=omniglot\n--algorithm=imaml\n")
    flags = read(f"--flagfile={tmp_path / 'flags.txt'}", "--iterations=9")
    assert (flags.preset, flags.task, flags.algorithm) == (None, "omniglot", "imaml")
    assert read("--task=omniglot", "--algorithm=imaml").preset == "omniglot_5way_1shot_imaml"


def test_what_is_named_by_hand_goes_over_a_flag_file_wherever_it_stands(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("# a comment\n\n--workdir=old\n--shots=3\n--noprofile\n")
    for file in ([f"--flagfile={path}"], ["--flagfile", str(path)]):
        flags = read("--workdir=new", *file, "--seed=1")
        assert (flags.workdir, flags.shots, flags.seed) == ("new", 3, 1)
        assert flags.by_hand == {"workdir", "flagfile", "seed"}


def test_a_flag_file_goes_over_a_preset_and_that_over_the_defaults(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("--shots=3\n")
    flags = read(f"--flagfile={path}", "--preset=sinusoid_5shot")
    assert (flags.shots, flags.iterations, flags.meta_schedule) == (3, 70000, "constant")


@pytest.mark.parametrize("algorithm", ["reptile", "imaml", "mamlpp"])
def test_an_algorithm_has_the_preset_of_its_name(algorithm):
    assert read(f"--algorithm={algorithm}").preset == f"sinusoid_10shot_{algorithm}"


def test_a_preset_leaves_an_algorithm_from_outside_its_own_settings():
    flags = read("--algorithm=mine:Mine", "--inner_steps=3")
    assert (flags.preset, flags.inner_lr, flags.inner_steps) == ("sinusoid_10shot", None, 3)
    assert flags.meta_batch_size == 25  # of the preset


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
    flags = read("--task=images", *words)
    assert (flags.algorithm, flags.preset, flags.queries) == (algorithm, preset, None)


def test_a_range_is_what_is_trained_on_whatever_a_preset_trains_on():
    preset = "--preset=omniglot_5way_1shot_protonet"  # which trains on 60 ways
    assert (read(preset).train_ways, read(preset, "--ways=9").train_ways) == (60, 60)
    flags = read(preset, "--ways=2-20", "--shots=1-10")
    assert (flags.ways, flags.shots, flags.train_ways) == ((2, 20), (1, 10), None)
    assert ways_of(flags, None) == 20
    by_hand = read(preset, "--ways=2-20", "--train_ways=10-30")
    assert by_hand.train_ways == (10, 30) and ways_of(by_hand, None) == 30


def test_a_range_of_one_number_is_the_number():
    assert read("--task=omniglot", "--ways=5-5").ways == 5


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--profile"], True), (["--noprofile"], False), (["--profile=False"], False), ([], False)],
)
def test_switches(words, value):
    assert read(*words).profile is value


def test_none_is_another_thing_than_unset():
    unset, none = read("--algorithm=mamlpp"), read("--algorithm=mamlpp", "--learned_lr=none")
    assert unset.learned_lr is None and "learned_lr" not in unset.given
    assert none.learned_lr is None and "learned_lr" in none.given


@pytest.mark.parametrize(
    "path",
    [path.with_name("results.json") for path in sorted(RESULTS.glob("*/flags.txt"))],
    ids=lambda path: path.parent.name,
)
def test_the_commands_of_the_published_runs_are_still_understood(path):
    words = json.loads(path.read_text())["command"].split()
    flags = read(*words[2:])
    check_meaning(flags)
    told = json.loads(path.read_text())["flags"]
    for name in ("algorithm", "shots", "iterations", "meta_lr"):
        assert str(getattr(flags, name)) == told[name]
    # And go on with what they left, whose flags were all written down, those without meaning too.
    flags.workdir = path.parent
    algorithm = build_algorithm(flags, ways_of(flags, None))
    check_same_run(flags, algorithm)
    flags.shots = 77
    with pytest.raises(ValueError, match=f"--shots is '{told['shots']}'"):
        check_same_run(flags, algorithm)


@pytest.mark.parametrize("name", preset_files.names())
def test_a_preset_is_told_in_a_sentence_and_means_something_as_a_whole(name):
    assert preset_files.about(name).endswith(".")
    flags = read(f"--preset={name}")
    flags.by_hand = set(parser_of("train").values_in(preset_files.path_of(name)))
    check_meaning(flags)
    assert flags.preset == name
