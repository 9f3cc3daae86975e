"""The documentation says what is so: its programs run, its links lead somewhere.

The blocks of Python of a page are run one after another, as one program. Numbers of steps
and tasks are made small first. `<!-- not run: why -->` in front of a block leaves it out.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.command.main import COMMANDS, read

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
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def block_of(path, words):
    """The first program of a page that contains these words."""
    return next(b["code"] for b in BLOCK.finditer(path.read_text()) if words in b["code"])


@pytest.mark.parametrize("words", ['"data/omniglot"', '"my_photos"'])
def test_both_front_pages_show_the_same_program(words):
    english, chinese = (block_of(path, words) for path in FRONT[:2])

    def without_remarks(code):
        return [line.split("#")[0].rstrip() for line in code.splitlines()]

    assert without_remarks(english) == without_remarks(chinese)


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


def commands_in(path):
    """The commands of a page, as words; those with a gap for the reader to fill are left out."""
    text = path.read_text()
    blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if path.suffix == ".py":
        blocks = [text.split('"""')[1]]
    found = [c for block in blocks for c in COMMAND.findall(block)] + INLINE.findall(text)
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


def understand(name, *words):
    """Reads the words of a subcommand as the command itself does."""
    if any(re.search(r"=runs/|=my_\w+\.|^my_\w+\.|--flagfile", word) for word in words):
        return  # what they name is the reader's own
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
