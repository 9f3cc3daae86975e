"""Wrong flags: each is told in one line that names the flag and what came."""

import re

import pytest
from absl import flags

from meta_tf.command import build, define, registry
from meta_tf.command.flag_types import Integer, Name, Number, OrNone, Path, Sizes, Words
from meta_tf.command.made_with import made_with
from meta_tf.command.main import COMMANDS, main, module_of, read


def build_all(command, words):
    """Does what a command does before anything is computed."""
    settings = read(command, words)
    if command == "train":
        tasks = build.build_tasks(settings.task, settings.sizes)
        algorithm = build.build_algorithm(settings, tasks)
        build.build_learner(settings, tasks, algorithm)
    if command == "evaluate":
        build.build_tasks(settings[1])


def complaint(command, *words):
    with pytest.raises((flags.Error, ValueError, OSError)) as raised:
        build_all(command, words)
    text = str(raised.value)
    assert "\n" not in text and len(text) < 700, text
    return text


def wrong_texts(flag):
    """Texts that a flag cannot read, by its parser."""
    parser = flag.parser.inner if isinstance(flag.parser, OrNone) else flag.parser
    if isinstance(parser, Integer):
        below = [] if parser.lower_bound is None else [str(parser.lower_bound - 1)]
        return ["many", "1.5", "²", "٣", "1_0", *below]
    if isinstance(parser, Sizes):
        return ["many", "1.5", "²", "0", "9-3", "3-", "3-²", "3-5-7", "0-9"]
    if isinstance(parser, Number):
        return ["much", "nan", "1e999"]
    if isinstance(parser, flags.EnumParser | Name):
        return ["nonsense", ""]
    if flag.boolean:
        return ["maybe"]
    if isinstance(parser, Path):
        return ["", "caf\udce9"]
    if isinstance(parser, Words):
        return ["40,,40", ","]
    return []


OF_ANY_FLAG = [
    (command, name, text)
    for command in COMMANDS
    for values in [define.flags_of(module_of(command).GROUPS)]
    for name in values
    for text in wrong_texts(values[name])
]


@pytest.mark.parametrize(("command", "name", "text"), OF_ANY_FLAG)
def test_a_text_that_a_flag_cannot_read(command, name, text):
    told = complaint(command, f"--{name}={text}")
    assert told.startswith(f"flag --{name}={text}: ")
    # What is expected: a kind of value, a bound, or the choices.
    expected = r"must be|value should be one of <|is not (a|an) |is not integer|Non-boolean"
    assert re.search(expected, told), told


WRONG = [
    ("train", ["--hidden=²"], ["--hidden=²", "widths"]),
    ("train", ["--hidden=40,0"], ["--hidden", "40,0"]),
    ("train", ["--hidden=40,-1"], ["--hidden", "40,-1"]),
    ("train", ["--hidden=4.5"], ["--hidden", "4.5"]),
    ("train", ["--shots=1_0"], ["--shots", "1_0"]),
    ("train", ["--shots=٣"], ["--shots", "٣"]),
    ("train", ["--shots"], ["--shots", "Missing value"]),
    ("train", ["--shot=3"], ["'shot'", "Did you mean: shots"]),
    ("train", ["-s"], ["Unknown command line flag 's'"]),
    ("train", ["shots=3"], ["shots=3", "takes only flags"]),
    ("train", ["sinusoid"], ["sinusoid", "takes only flags"]),
    ("evaluate", ["learner.keras"], ["learner.keras", "takes only flags"]),
    ("adapt", ["a", "b", "c"], ["2 words", "'c'"]),
    ("export", ["--format=lite"], ["--format", "lite"]),
    ("export", ["--seed=1"], ["Unknown command line flag 'seed'"]),
    ("adapt", ["--task=omniglot"], ["Unknown command line flag 'task'"]),
    ("demo", ["--format=onnx"], ["Unknown command line flag 'format'"]),
    ("demo", ["page"], ["page", "takes only flags"]),
    ("evaluate", ["--iterations=1"], ["Unknown command line flag 'iterations'"]),
    ("train", ["--preset=sinusoid"], ["--preset", "sinusoid_10shot"]),
    ("train", ["--flagfile=/nowhere/flags.txt"], ["/nowhere", "No such file"]),
    ("train", ["--flagfile=/"], ["flagfile", "'/'", "Is a directory"]),
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
    ("train", ["--shots=1-5"], ["--shots=1-5", "one number", "sinusoid", "omniglot and images"]),
    ("train", ["--queries=1-5"], ["--queries=1-5", "one number", "sinusoid"]),
    ("train", ["--train_shots=1-5"], ["--train_shots=1-5", "one number", "sinusoid"]),
    ("train", ["--task=table", "--shots=1-5"], ["--shots=1-5", "one number", "table"]),
    ("train", ["--task=hidden_teacher", "--shots=1-5"], ["--shots=1-5", "hidden_teacher"]),
    ("evaluate", ["--shots=1-5"], ["--shots=1-5", "one number", "sinusoid"]),
    ("evaluate", ["--ways=2 - 5"], ["--ways=2 - 5", "a range such as 2-20"]),
    ("export", ["--ways=2-5"], ["--ways=2-5", "a positive integer"]),
    ("export", ["--shots=1-5"], ["--shots=1-5", "a positive integer"]),
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
    ("train", ["--set=task.amplitude=5"], ["--amplitude", "5"]),
    ("train", ["--set=task.phase=(0,1e400)"], ["--phase", "inf"]),
    ("train", ["--task=nowhere.at:all"], ["--task", "nowhere"]),
    ("train", ["--task=math:nothing"], ["--task", "math has no 'nothing'"]),
    ("train", ["--task=math:pi"], ["--task", "math:pi", "float"]),
    ("train", ["--model=math:nothing"], ["--model", "math has no 'nothing'"]),
    ("train", ["--algorithm=math:nothing"], ["--algorithm", "math has no 'nothing'"]),
    ("train", ["--algorithm=math:sqrt"], ["--algorithm", "math:sqrt"]),
    ("train", ["--algorithm=builtins:dict"], ["--algorithm", "builtins:dict"]),
    ("train", ["--model=builtins:dict"], ["--model", "with a signature", "dict"]),
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
        ["--steps_per_execution", "mirrored", "3", "several replicas"],
    ),
    ("train", ["--flagfile"], ["--flagfile", "Received: nothing"]),
    ("train", ["--flagfile="], ["--flagfile", "Received: nothing"]),
    ("train", ["--task=builtins:dict"], ["--task", "with a signature", "dict"]),
]


@pytest.mark.parametrize(("command", "words", "told"), WRONG, ids=str)
def test_flags_that_cannot_be_meant(command, words, told):
    text = complaint(command, *words)
    for part in told:
        assert part in text, text


DAMAGED = [
    (b"\xff\xfe\x00", ["utf-8", "text in UTF-8"]),
    (b"--shots=3\nshots=4\n", ["shots=4"]),
    (b"--shots 3\n", ["--shots 3", "'shots 3'"]),
    (b"\x00\x00", ["line 1", r"\x00\x00"]),
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
        settings = read("train", [f"--workdir={tmp_path}"])
        with pytest.raises(ValueError, match=r"flags\.txt must be a file of lines") as raised:
            made = made_with(settings, build.build_algorithm(settings))
            made.check_same_run()
        text = str(raised.value)
    assert str(path) in text and any(part in text for part in told), text


def test_files_of_flags_may_name_each_other(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text(f"--flagfile={other}\n--shots=3\n")
    other.write_text("--shots=2\n--seed=5\n")
    settings = read("train", [f"--flagfile={one}"])
    assert (settings.task.value("shots"), settings.training.seed) == (3, 5)


@pytest.mark.parametrize("line", ["--shots=x", "--nothing=1", "--hidden=²"])
def test_what_is_wrong_in_a_file_of_flags_is_told_with_the_file(tmp_path, line):
    path = tmp_path / "flags.txt"
    path.write_text(f"--seed=1\n{line}\n")
    assert complaint("train", f"--flagfile={path}").startswith(f"{path}: ")


def test_two_flags_of_one_name_are_told_in_one_line_by_the_help_too(monkeypatch, capsys):
    # As with an algorithm whose dataclass has a field `hidden`.
    real = registry.component_flags

    def flags_of(what):
        taken = real("model")["hidden"]
        return {**real(what), "hidden": taken} if what == "algorithm" else real(what)

    monkeypatch.setattr(registry, "component_flags", flags_of)
    for words in (["train", "--help"], ["train", "--shots=1"]):
        assert main(words) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "The flag 'hidden' is defined twice" in err


@pytest.mark.parametrize("words", [["trane"], ["--shots=3"], ["train.py"], ["TRAIN"]])
def test_a_wrong_first_word_is_named(words, capsys):
    assert main(words) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and repr(words[0]) in err and "train, evaluate" in err


@pytest.mark.parametrize(
    ("task", "given", "rotations"),
    [
        ("omniglot", [], "task"),
        ("images", [], None),
        ("images", ["--rotations=task"], "task"),
        ("omniglot", ["--rotations=none"], None),
    ],
)
def test_photographs_are_turned_only_if_that_is_asked_for(task, given, rotations):
    source = read("train", [f"--task={task}", *given]).task
    found = source.given.get("rotations", source.component.takes["rotations"].default)
    assert found == rotations
