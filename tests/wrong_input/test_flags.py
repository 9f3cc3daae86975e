"""Wrong flags: each is told in one line that names the flag and what came."""

import dataclasses
import re

import pytest

from meta_tf.runs import algorithm_flags, build, flags_file, kinds
from meta_tf.runs.command import COMMANDS, main, parser_of
from meta_tf.runs.flag import Flag
from meta_tf.runs.meaning import check_meaning
from meta_tf.runs.parser import Parser
from meta_tf.runs.read_flags import read_flags


def build_all(command, words):
    """Does what a command does before anything is computed."""
    flags = read_flags(parser_of(command), words)
    if "task" in flags:
        check_meaning(flags)
    if command == "train":
        ways = build.ways_of(flags, None)
        algorithm = build.build_algorithm(flags, ways)
        tasks = build.build_tasks(flags)
        build.build_learner(flags, tasks, ways if tasks.ways else None, algorithm)


def complaint(command, *words):
    with pytest.raises((ValueError, OSError)) as raised:
        build_all(command, words)
    text = str(raised.value)
    assert "\n" not in text and len(text) < 700, text
    return text


def wrong_texts(flag):
    """Texts that are nothing for a flag, by its kind."""
    expected = flag.kind.expected
    if expected.startswith("an integer"):
        least = re.search(r"at least (\d+)", expected)
        below = [str(int(least[1]) - 1)] if least else []
        ranges = ["9-3", "3-", "3-²", "3-5-7", f"{below[0]}-9"] if "a range" in expected else []
        return ["many", "1.5", "²", *below, *ranges]
    if expected.startswith("a finite number"):
        return ["much", "nan", "1e999"]
    if expected.startswith("one of"):
        return ["nonsense", ""]
    if flag.kind.is_switch:
        return ["maybe"]
    if flag.kind is kinds.PATH:
        return ["", "caf\udce9"]
    if flag.kind in (kinds.WORDS, kinds.WIDTHS):
        return ["40,,40", ","]
    return []


OF_ANY_FLAG = [
    (command, flag.name, text)
    for command in COMMANDS
    for flag in parser_of(command).flags.values()
    for text in wrong_texts(flag)
]


@pytest.mark.parametrize(("command", "name", "text"), OF_ANY_FLAG)
def test_a_text_that_is_nothing_for_a_flag(command, name, text):
    told = complaint(command, f"--{name}={text}")
    assert told.startswith(f"--{name} must be ") and f"Received: {text!r}" in told


WRONG = [
    ("train", ["--hidden=²"], ["--hidden", "widths", "'²'"]),
    ("train", ["--hidden=40,0"], ["--hidden", "40,0"]),
    ("train", ["--hidden=40,-1"], ["--hidden", "40,-1"]),
    ("train", ["--hidden=4.5"], ["--hidden", "4.5"]),
    ("train", ["--shots=1_0"], ["--shots", "1_0"]),
    ("train", ["--shots=٣"], ["--shots", "٣"]),
    ("train", ["--shots"], ["--shots", "expected one argument"]),
    ("train", ["--shot=3"], ["--shot=3", "--help"]),
    ("train", ["-s"], ["-s", "--help"]),
    ("train", ["shots=3"], ["shots=3", "flags alone"]),
    ("train", ["sinusoid"], ["sinusoid", "flags alone"]),
    ("evaluate", ["learner.keras"], ["learner.keras", "flags alone"]),
    ("adapt", ["a", "b", "c"], ["2 words", "'c'"]),
    ("export", ["--format=lite"], ["--format", "lite"]),
    ("export", ["--seed=1"], ["no flag --seed"]),
    ("adapt", ["--task=omniglot"], ["no flag --task"]),
    ("demo", ["--format=onnx"], ["no flag --format"]),
    ("demo", ["page"], ["page", "flags alone"]),
    ("evaluate", ["--iterations=1"], ["no flag --iterations"]),
    ("train", ["--preset=sinusoid"], ["--preset", "sinusoid_10shot"]),
    ("train", ["--flagfile=/nowhere/flags.txt"], ["--flagfile", "/nowhere", "No such file"]),
    ("train", ["--flagfile=/"], ["--flagfile", "'/'", "Is a directory"]),
    ("train", ["--task=omniglot"], ["--data_dir", "omniglot"]),
    ("train", ["--task=images"], ["--data_dir", "images"]),
    ("train", ["--task=omniglot", "--data_dir=/nowhere"], ["/nowhere", "download"]),
    ("train", ["--task=images", "--data_dir=/nowhere"], ["/nowhere"]),
    ("train", ["--model=conv4"], ["--model=conv4", "sinusoid"]),
    ("train", ["--algorithm=in_context", "--answer=maybe"], ["--answer", "votes", "maybe"]),
    ("train", ["--algorithm=in_context", "--answer=votes"], ["--answer", "regression"]),
    ("train", ["--adapt=nothing"], ["nothing", "head"]),
    ("train", ["--ways=5"], ["--ways", "sinusoid"]),
    ("train", ["--train_ways=5"], ["--train_ways", "sinusoid"]),
    ("train", ["--ways=2-5"], ["--ways=2-5", "sinusoid"]),
    ("train", ["--shots=1-5"], ["--shots=1-5", "one number", "sinusoid", "omniglot, images"]),
    ("train", ["--queries=1-5"], ["--queries=1-5", "one number", "sinusoid"]),
    ("train", ["--train_shots=1-5"], ["--train_shots=1-5", "one number", "sinusoid"]),
    ("train", ["--task=table", "--shots=1-5"], ["--shots=1-5", "one number", "table"]),
    ("train", ["--task=hidden_teacher", "--shots=1-5"], ["--shots=1-5", "hidden_teacher"]),
    ("evaluate", ["--shots=1-5"], ["--shots=1-5", "one number", "sinusoid"]),
    ("evaluate", ["--ways=2 - 5"], ["--ways", "'2 - 5'", "a range such as 2-20"]),
    ("export", ["--ways=2-5"], ["--ways", "an integer", "'2-5'"]),
    ("export", ["--shots=1-5"], ["--shots", "an integer", "'1-5'"]),
    ("train", ["--rotations=task"], ["--rotations", "sinusoid"]),
    ("train", ["--image_size=14"], ["--image_size", "sinusoid"]),
    ("train", ["--channels=3"], ["--channels", "sinusoid"]),
    ("train", ["--data_dir=x"], ["--data_dir", "sinusoid"]),
    ("train", ["--split=lake"], ["--split", "sinusoid"]),
    ("train", ["--download"], ["--download", "sinusoid"]),
    ("train", ["--filters=8"], ["--filters", "mlp"]),
    ("train", ["--downsample=stride"], ["--downsample", "mlp"]),
    ("train", ["--head=mean"], ["--head", "mlp"]),
    ("train", ["--batch_norm=support"], ["--batch_norm", "mlp"]),
    ("train", ["--scale=2"], ["--scale=2.0", "maml"]),
    ("train", ["--cg_steps=3"], ["--cg_steps=3", "maml"]),
    ("train", ["--algorithm=reptile", "--first_order"], ["--first_order", "reptile"]),
    ("train", ["--algorithm=fomaml", "--first_order"], ["--first_order", "fomaml"]),
    ("train", ["--algorithm=protonet"], ["protonet", "needs classes"]),
    ("train", ["--algorithm=protomaml"], ["protomaml", "needs classes"]),
    ("train", ["--algorithm=r2d2", "--task=hidden_teacher"], ["r2d2", "needs classes"]),
    ("train", ["--meta_lr=0"], ["--meta_lr", "0"]),
    ("train", ["--meta_lr=-1"], ["--meta_lr", "-1"]),
    ("train", ["--clip_norm=0"], ["--clip_norm", "0"]),
    ("train", ["--inner_lr=0"], ["--inner_lr", "0"]),
    ("train", ["--inner_lr=-0.1"], ["--inner_lr", "-0.1"]),
    ("train", ["--inner_steps=-1"], ["--inner_steps", "-1"]),
    ("train", ["--eval_steps=-2"], ["--eval_steps", "-2"]),
    ("train", ["--unroll=-1"], ["--unroll", "-1"]),
    ("train", ["--set=noise"], ["--set", "noise", "name=value"]),
    ("train", ["--set=noise=1"], ["--set", "noise=1"]),
    ("train", ["--set=task.noise=1"], ["--set", "noise", "sinusoid"]),
    ("train", ["--set=modle.units=1"], ["--set", "modle"]),
    ("train", ["--set=task.amplitude=5"], ["`amplitude`", "5"]),
    ("train", ["--set=task.phase=(0,1e400)"], ["`phase`", "inf"]),
    ("train", ["--task=nowhere.at:all"], ["--task", "nowhere"]),
    ("train", ["--task=math:nothing"], ["--task", "math has no 'nothing'"]),
    ("train", ["--task=math:pi"], ["--task", "math:pi", "float"]),
    ("train", ["--model=math:nothing"], ["--model", "math has no 'nothing'"]),
    ("train", ["--algorithm=math:nothing"], ["--algorithm", "math has no 'nothing'"]),
    ("train", ["--algorithm=math:sqrt"], ["--algorithm", "math:sqrt"]),
    ("train", ["--algorithm=builtins:dict"], ["--algorithm", "builtins:dict"]),
    ("train", ["--model=builtins:dict"], ["--model", "whose arguments", "dict"]),
    ("train", ["--strategy=parameter_server"], ["--strategy", "multi_worker", "parameter_server"]),
    ("train", ["--logical_devices=2"], ["--logical_devices", "--strategy=none"]),
    (
        "train",
        ["--strategy=multi_worker", "--logical_devices=2"],
        ["--logical_devices", "--strategy=multi_worker"],
    ),
    ("train", ["--worker_timeout=60"], ["--worker_timeout", "--strategy=none"]),
    (
        "train",
        ["--strategy=mirrored", "--worker_timeout=60"],
        ["--worker_timeout", "--strategy=mirrored"],
    ),
    (
        "train",
        ["--strategy=mirrored", "--steps_per_execution=3"],
        ["--steps_per_execution", "mirrored", "3", "placeholder"],
    ),
    ("train", ["--task=builtins:dict"], ["--task", "whose arguments", "dict"]),
]


@pytest.mark.parametrize(("command", "words", "told"), WRONG, ids=str)
def test_flags_that_cannot_be_meant(command, words, told):
    text = complaint(command, *words)
    for part in told:
        assert part in text, text


DAMAGED = [
    (b"\xff\xfe\x00", "it is no text in UTF-8"),
    (b"--shots=3\nshots=4\n", "line 2"),
    (b"--shots 3\n", "line 1"),
    (b"--shots=3 --ways=4\n--\n", "line 2"),
    (b"\x00\x00", "line 1"),
]


@pytest.mark.parametrize(("content", "told"), DAMAGED)
@pytest.mark.parametrize("use", ["given", "of a run", "of a learner"])
def test_a_damaged_file_of_flags_is_named(tmp_path, content, told, use):
    path = tmp_path / "flags.txt"
    path.write_bytes(content)
    (tmp_path / "metrics.csv").write_text("iteration,loss\n1,0.5\n")
    if use == "given":
        text = complaint("train", f"--flagfile={path}")
    elif use == "of a learner":
        text = complaint("evaluate", f"--learner={tmp_path}")
    else:
        flags = read_flags(parser_of("train"), [f"--workdir={tmp_path}"])
        check_meaning(flags)
        with pytest.raises(ValueError, match=r"flags\.txt must be a file of lines") as raised:
            flags_file.check_same_run(flags, build.build_algorithm(flags, None))
        text = str(raised.value)
    assert "must be a file of lines --name=value" in text and str(path) in text and told in text


def test_files_of_flags_do_not_name_each_other(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(f"--flagfile={other}\n")
    other.write_text(f"--flagfile={one}\n")
    text = complaint("train", f"--flagfile={one}")
    assert text == f"{one}: a file of flags cannot name another by --flagfile."


@pytest.mark.parametrize("line", ["--shots=x", "--nothing=1", "--hidden=²"])
def test_what_is_wrong_in_a_file_of_flags_is_told_with_the_file(tmp_path, line):
    path = tmp_path / "flags.txt"
    path.write_text(f"--seed=1\n{line}\n")
    assert complaint("train", f"--flagfile={path}").startswith(f"{path}: ")


def test_two_flags_of_one_name_are_told_in_one_line_by_the_help_too(monkeypatch, capsys):
    # As with an algorithm whose dataclass has a field `hidden`.
    taken = Flag("hidden", kinds.integer(), None, "Of an algorithm.")
    with pytest.raises(ValueError, match="--hidden stands in two groups, 'model' and 'algorithm'"):
        Parser("meta-tf", "", {"model": [taken], "algorithm": [dataclasses.replace(taken)]})
    real = algorithm_flags.algorithm_flags()
    monkeypatch.setattr("meta_tf.runs.flags.algorithm_flags", lambda: [*real, taken])
    for words in (["train", "--help"], ["train", "--shots=1"]):
        assert main(words) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "--hidden stands in two groups" in err


@pytest.mark.parametrize("words", [["trane"], ["--shots=3"], ["train.py"], ["TRAIN"]])
def test_a_wrong_first_word_is_named(words, capsys):
    assert main(words) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and repr(words[0]) in err and "train, evaluate" in err


@pytest.mark.parametrize(
    ("task", "given", "rotations"),
    [
        ("omniglot", [], "task"),
        ("images", [], "none"),
        ("images", ["--rotations=task"], "task"),
        ("omniglot", ["--rotations=none"], "none"),
    ],
)
def test_photographs_are_turned_only_if_that_is_asked_for(task, given, rotations):
    flags = read_flags(parser_of("train"), [f"--task={task}", *given])
    assert flags.rotations == rotations
