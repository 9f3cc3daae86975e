"""The documentation says what is so: its programs run, its links lead somewhere.

The blocks of Python of a page are run one after another, as one program. Numbers of steps
and tasks are made small first. `<!-- not run: why -->` in front of a block leaves it out.
"""

import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.command.main import COMMANDS, read
from tests import command_line
from tests.marks import few_slow

ROOT = Path(__file__).resolve().parents[2]
FRONT = [
    ROOT / name for name in ("README.md", "README.zh-CN.md", "CHANGELOG.md", "CONTRIBUTING.md")
]
PAGES = [*FRONT, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?P<skipped><!-- not run: .+ -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SMALL = {
    r"\bsteps_per_epoch=[\d_]+": "steps_per_epoch=1",
    r"\bvalidation_steps=\d+": "validation_steps=1",
    r"\bsteps_per_execution=\d+": "steps_per_execution=1",
    r"\bepochs=\d+": "epochs=1",
    r"\btasks_number=\d+": "tasks_number=2",
    r"\.batches\((?:25|32)\b": ".batches(2",
    r"\bqueries=15\b": "queries=2",
    r"\binner_steps=5, adapted": "inner_steps=1, adapted",  # a large network
    r'weights="imagenet"': "weights=None",  # which would be downloaded
    r"done // 100\b": "done // 1",
}


def named(path):
    return str(path.relative_to(ROOT))


def program(path):
    """The program of a page, small enough to run; empty if it has none."""
    blocks = BLOCK.finditer(path.read_text())
    text = "\n".join(b["code"] for b in blocks if not b["skipped"] and "--8<--" not in b["code"])
    for pattern, small in SMALL.items():
        text = re.sub(pattern, small, text)
    return text


RUN = [path for path in PAGES if path.parent != ROOT and program(path)]


def write_pictures(folder, classes, each):
    """Folders of pictures that differ from class to class."""
    rng = np.random.default_rng(0)
    for c in range(classes):
        path = folder / f"class_{c:02d}"
        path.mkdir(parents=True)
        for i in range(each):
            picture = rng.integers(0, 255, [28, 28, 1], dtype=np.uint8)
            (path / f"{i}.png").write_bytes(tf.io.encode_png(picture).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN, ids=named)
def test_its_program_runs(path, tmp_path):
    if '"my_images"' in program(path):
        write_pictures(tmp_path / "my_images", classes=32, each=6)
    if "runs/{name}" in program(path):
        for name, run in {"omniglot_5way_1shot": "", "mine": "_protonet"}.items():
            (tmp_path / "runs" / name).mkdir(parents=True)
            text = (ROOT / f"benchmarks/runs/omniglot_5way_1shot{run}/results.json").read_text()
            (tmp_path / "runs" / name / "results.json").write_text(text)
    run_program(program(path), tmp_path)


@pytest.mark.slow
def test_the_program_of_the_readme_runs(tmp_path):
    """On drawings of Omniglot's layout, few and small ones."""
    first = block_of(ROOT / "README.md", '"data/omniglot"')
    assert len(first.splitlines()) <= 22
    text = first
    for pattern, small in SMALL.items():
        text = re.sub(pattern, small, text)
    for half, classes in {"images_background": 30, "images_evaluation": 70}.items():
        write_pictures(tmp_path / "data" / "omniglot" / half / "Alphabet", classes, each=3)
    run_program(text, tmp_path)
    assert (tmp_path / "learner.keras").exists()
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()


@pytest.mark.slow
def test_the_five_lines_on_photographs_run(tmp_path):
    write_pictures(tmp_path / "my_photos", classes=3, each=2)
    (tmp_path / "my_photos" / "class_00" / "1.png").rename(tmp_path / "new.jpg")
    run_program(block_of(ROOT / "README.md", '"my_photos"'), tmp_path)
    assert (tmp_path / "mine.keras").exists()


def run_program(text, folder):
    """Runs a program in a process of its own, as a reader would."""
    without_xla = "from meta_tf.batch import map_tasks\n"
    without_xla += "map_tasks._MOST_COMPILED = {'auto': 0, 'whole': 0}\n"
    (folder / "program.py").write_text(without_xla + text)
    code, _, err = command_line.run_program(
        folder / "program.py", cwd=folder, env={"XDG_CACHE_HOME": str(folder / "cache")}
    )
    assert code == 0, err[-3000:]


def block_of(path, words):
    """The first program of a page that contains these words."""
    return next(b["code"] for b in BLOCK.finditer(path.read_text()) if words in b["code"])


@pytest.mark.parametrize("words", ['"data/omniglot"', '"my_photos"'])
def test_both_front_pages_show_the_same_program(words):
    english, chinese = (block_of(path, words) for path in FRONT[:2])

    def without_remarks(code):
        return [line.split("#")[0].rstrip() for line in code.splitlines()]

    assert without_remarks(english) == without_remarks(chinese)
    assert to_run(FRONT[0]) == to_run(FRONT[1])


def test_the_front_page_fits_on_a_page():
    for path in FRONT[:2]:
        assert len(path.read_bytes()) <= 8192


def test_ci_runs_the_tests_by_the_command_of_the_readme():
    lines = (ROOT / "README.md").read_text().splitlines()
    (command,) = [line for line in lines if line.endswith("-m pytest")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()
    assert command in FRONT[1].read_text().splitlines()


LINK = re.compile(r"\]\((?!https?://)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def anchors(text):
    """The names of a page's headings, as the site and code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower())) for title in titles}


@pytest.mark.parametrize("path", [*PAGES, ROOT / "benchmarks/runs/README.md"], ids=named)
def test_its_links_lead_somewhere(path):
    for link in LINK.finditer(re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)):
        target = path.parent / link["file"] if link["file"] else path
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in anchors(target.read_text()), link[0]


def test_the_site_has_every_page():
    """And nothing outside: a link from the site leads to a page of the site."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in (ROOT / "docs").rglob("*.md"):
        assert f": {path.relative_to(ROOT / 'docs')}" in navigation
        for link in LINK.finditer(path.read_text()):
            inside = (path.parent / link["file"]).resolve().is_relative_to(ROOT / "docs")
            assert inside, f"{path}: {link[0]}"


# What a reader types into a shell: in the pages and in the programs that say how to start them.
TYPED = [
    *(p for p in PAGES if p.name != "CHANGELOG.md"),
    *ROOT.glob("examples/*.py"),
    *ROOT.glob("*/README.md"),
]
COMMAND = re.compile(r"^\s*(?:\S+/bin/)?((?:meta-tf|python3?|pip) (?:.*\\\n)*.*)$", re.MULTILINE)
INLINE = re.compile(r"`((?:meta-tf|python3?|pip) [^`]+)`")


def commands_in(path, inline=True):
    """The commands of a page, as words; those with a gap for the reader to fill are left out.

    `inline` ones stand within a sentence.
    """
    text = path.read_text()
    blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if path.suffix == ".py":
        blocks = [text.split('"""')[1]]
    found = [c for block in blocks for c in COMMAND.findall(block)]
    found += INLINE.findall(text) if inline else []
    words = [part for c in found for part in split_at_ends(c)]
    return [w for w in words if not any(re.search(r"…|\.\.\.|=[A-Z]$", word) for word in w)]


def split_at_ends(line):
    """The words of each command of a line."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    commands = [[]]
    for word in lexer:
        if set(word) <= set(";&|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]


@pytest.mark.parametrize("path", TYPED, ids=named)
def test_its_commands_are_understood(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for program, *words in commands_in(path):
        program = program.rpartition("/")[2]
        if words[:1] == ["train.py"] or words[:2] == ["-m", "meta_tf.command"]:
            words = ["train", *words[1:]] if words[0] == "train.py" else words[2:]
            program = "meta-tf"
        if program == "meta-tf" and words[0] in COMMANDS and "--help" not in words:
            understand(*words)
        elif program == "meta-tf":
            assert words[0] in ("train", "COMMAND", "--version"), words
        elif program == "pip":
            check_install(words)
        elif words[0] == "-m":
            assert importlib.util.find_spec(words[1]), words
        elif words[0].endswith(".py"):
            assert (ROOT / words[0]).exists() or (ROOT / "examples" / words[0]).exists(), words


# Commands of `meta-tf` that are only read here, and why.
NOT_RUN = {
    r"^demo( --learner|$)": "serves until it is interrupted; tests/demo",
    r"--strategy=mirrored$": "needs several GPUs",
    r"multi_worker": "needs several processes; tests/run/test_workers.py",
    r"my_project|--restart_from": "names the reader's own code or run",
    r"benchmarks\.|--preset=(?!omniglot)|chinese_ch": "needs data that benchmarks.data makes",
}
# What takes minutes as it is written ends with these words; all else runs as it is written.
SHORT = "--iterations=2 --checkpoint_every=1 --steps_per_execution=1 --meta_batch_size=2"
SHORT = {"train": [*SHORT.split(), "--eval_tasks=2"], "evaluate": ["--eval_tasks=2"]}
# The choice trains four algorithms, for two minutes; tests/evaluation/test_select.py runs it.
INSTEAD = ("--algorithm=auto", "--algorithm=alpaca")


def to_run(path):
    """The commands of `meta-tf` in a page that a test can run, in the order of the page."""
    found = []
    for program, *words in commands_in(path, inline=False):
        if words[:1] == ["train.py"]:
            program, words = "meta-tf", ["train", *words[1:]]
        if program == "meta-tf" and not any(re.search(why, " ".join(words)) for why in NOT_RUN):
            words = [w.replace(*INSTEAD) for w in words]
            found.append(words + SHORT.get(words[0], []) * ("--help" not in words))
    return found


WITH_COMMANDS = [p for p in PAGES if p != FRONT[1] and to_run(p)]


@pytest.mark.parametrize(
    "path",
    few_slow(WITH_COMMANDS, FRONT[0], ROOT / "docs/saving.md"),
    ids=named,
)
def test_its_commands_run(path, tmp_path):
    """One after another in a fresh folder, in which only the reader's own data lies."""
    commands = to_run(path)
    write_data_of_a_reader(tmp_path, large=any("--ways=2-20" in words for words in commands))
    answers = command_line.one_after_another(commands, cwd=tmp_path)
    failed = {
        " ".join(words): err
        for words, (code, _, err) in zip(commands, answers, strict=True)
        if code
    }
    assert not failed


FEW_DRAWINGS = {"classes": 90, "each": 3}


def write_data_of_a_reader(folder, large):
    """Everything that commands of the pages name, small."""
    write_pictures(folder / "my_images", classes=32, each=6)
    for name in ("my_characters", "my_pictures", "my_photos"):
        write_pictures(folder / name, classes=5, each=2)
    for name in ("new_drawings", "new_pictures", "new_photos", "other_pictures", "other_photos"):
        write_pictures(folder, classes=1, each=6)
        (folder / "class_00").rename(folder / name)
    for half in ("images_background", "images_evaluation"):
        alphabet = folder / "data" / "omniglot" / half / "Alphabet"
        write_pictures(alphabet, **({"classes": 170, "each": 15} if large else FEW_DRAWINGS))
    pandas = pytest.importorskip("pandas")
    rows = np.arange(480)
    patients = pandas.DataFrame(
        {"patient": rows % 40, "dose": rows % 7, "weight": rows % 9, "hour": rows}
    )
    patients["effect"] = (rows * rows % 11 / 7).round(3)
    patients.to_csv(folder / "patients.csv", index=False)
    patients.to_parquet(folder / "patients.parquet")
    of_one = patients[patients["patient"] == 3]
    of_one.head(5).to_csv(folder / "measured.csv", index=False)
    of_one.tail(3).drop(columns="effect").to_csv(folder / "new.csv", index=False)
    groups = {"train": [*range(20)], "valid": [*range(20, 30)], "test": [*range(30, 40)]}
    (folder / "groups.json").write_text(json.dumps(groups))


def understand(name, *words):
    """Reads the words of a subcommand as the command itself does."""
    if any(re.search(r"=runs/|=my_\w+\.|^my_\w+\.|--flagfile", word) for word in words):
        return  # what they name is the reader's own
    if words:  # a name alone stands for the command, in a sentence
        read(name, words)


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def check_install(words):
    """Nothing may be installed by a name that no package index has."""
    assert words[0] == "install", words
    for word in words[1:]:
        assert "meta-tf" not in word, words
        if word.startswith("."):
            assert set(filter(None, word[1:].strip("[]").split(","))) <= set(EXTRAS), words
        elif word.endswith(".txt"):
            assert (ROOT / word).exists(), words


def test_no_message_tells_to_install_the_unpublished_name():
    for path in [*PAGES, *ROOT.glob("examples/*"), *ROOT.glob("meta_tf/**/*.py")]:
        assert not re.search("pip install .*meta-tf-keras", path.read_text()), path
    told = [
        e for p in ROOT.glob("meta_tf/**/*.py") for e in re.findall(r"'\.\[(\w+)\]'", p.read_text())
    ]
    assert told and set(told) <= set(EXTRAS)
