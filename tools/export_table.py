"""Writes docs/export-differences.md: the differences between exports and TensorFlow.

    python -m tools.export_table                            every algorithm on every network
    python -m tools.export_table --format=onnx --any_sizes  one of the four tables

Exports and runs each learner as a user would, and puts the difference that `export` reports into
the table, or a letter if `export` raises an error, with the reason below the table. It takes half
an hour or more. Existing rows from the same versions are kept, so that you can resume an
interrupted run; to regenerate a row, delete it.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import keras
import tensorflow as tf

import meta_tf
from meta_tf.export import formats
from meta_tf.export.request import Request

PAGE = Path(__file__).resolve().parents[1] / "docs" / "export-differences.md"
WAYS = 5
ENDINGS = {"litert": ".tflite", "onnx": ""}
RUNTIMES = {"litert": "ai-edge-litert", "onnx": "onnxruntime"}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

ALGORITHMS: dict[str, Callable[[], meta_tf.Algorithm]] = {
    "MAML, FOMAML": lambda: meta_tf.MAML(0.1, inner_steps=2),
    "MAML, Adam": lambda: meta_tf.MAML(0.002, inner_steps=2, optimizer="adam"),
    "MAML, 10 steps in a loop": lambda: meta_tf.MAML(0.02, inner_steps=10),
    "ANIL": lambda: meta_tf.ANIL(inner_lr=0.1, inner_steps=2),
    "BOIL": lambda: meta_tf.BOIL(inner_lr=0.1, inner_steps=2),
    "Meta-SGD": lambda: meta_tf.MetaSGD(inner_lr=0.1, inner_steps=2),
    "MAML++": lambda: meta_tf.MAMLPlusPlus(0.1, inner_steps=2),
    "Meta-Curvature": lambda: meta_tf.MetaCurvature(0.1, inner_steps=2),
    "iMAML": lambda: meta_tf.IMAML(0.1, inner_steps=2),
    "Reptile": lambda: meta_tf.Reptile(0.002, inner_steps=2),
    "ProtoMAML": lambda: meta_tf.ProtoMAML(0.1, inner_steps=2),
    "ProtoNet": lambda: meta_tf.ProtoNet(WAYS),
    "MatchingNet": lambda: meta_tf.MatchingNet(WAYS),
    "R2D2": lambda: meta_tf.R2D2(WAYS),
    "Logistic regression": lambda: meta_tf.LogisticRegression(WAYS),
    "InContext": lambda: meta_tf.InContext(WAYS),
}
EMBEDDING = ("ProtoNet", "MatchingNet", "R2D2", "Logistic regression", "InContext")


def conv4(outputs: int | None) -> keras.Model:
    return meta_tf.models.conv4(ways=outputs, filters=32)


def conv4_max_pool(outputs: int | None) -> keras.Model:
    return meta_tf.models.conv4(ways=outputs, filters=32, downsample="max_pool")


def mlp(outputs: int | None) -> keras.Model:
    return meta_tf.models.mlp(64, outputs, (64, 64), "relu", "glorot_uniform")


def separable(outputs: int | None) -> keras.Model:
    stack: list[keras.Layer] = [keras.Input([28, 28, 1])]
    for filters in (16, 32):
        stack.append(keras.layers.SeparableConv2D(filters, 3, strides=2, padding="same"))
        stack += [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    stack.append(keras.layers.GlobalAveragePooling2D())
    return keras.Sequential([*stack, *_head(outputs)])


def attention(outputs: int | None) -> keras.Model:
    x = keras.Input([12, 8])
    seen = keras.layers.MultiHeadAttention(2, 8)(x, x)
    normal = keras.layers.LayerNormalization()(keras.layers.Add()([x, seen]))
    y = keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(16, "gelu")(normal))
    for layer in _head(outputs):
        y = layer(y)
    return keras.Model(x, y)


def _head(outputs: int | None) -> list[keras.Layer]:
    return [keras.layers.Dense(outputs, name="head")] if outputs else []


NETWORKS: dict[str, Callable[[int | None], keras.Model]] = {
    "conv4, strides": conv4,
    "conv4, max-pool": conv4_max_pool,
    "mlp": mlp,
    "separable": separable,
    "layer norm and attention": attention,
}


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=list(ENDINGS), help="all tables if left out")
    parser.add_argument("--any_sizes", action="store_true", help="sizes chosen at run time")
    options = parser.parse_args()
    if options.format:
        fill(options.format, options.any_sizes)
        return
    for format in ENDINGS:
        for any_sizes in (False, True):
            fill(format, any_sizes)


def fill(format: str, any_sizes: bool) -> None:
    """Writes one table to the page, row by row."""
    table, runtime = format + "_any_sizes" * any_sizes, RUNTIMES[format]
    versions = f"{runtime} {version(runtime)}, tensorflow {tf.__version__}."
    made, reasons = _earlier(table, versions)
    head = ["| algorithm | " + " | ".join(NETWORKS) + " |", "|---|" + "---|" * len(NETWORKS)]
    for name in ALGORITHMS:
        if name not in made:
            cells = [_cell(name, network, format, any_sizes, reasons) for network in NETWORKS]
            made[name] = f"| {name} | {' | '.join(cells)} |"
        print(made[name], flush=True)
        rows = [made[each] for each in ALGORITHMS if each in made]
        listed = [f"- {letter}: {reason}" for reason, letter in reasons.items()]
        put(table, "\n".join([*head, *rows, "", *listed, *[""] * bool(listed), versions]))


def _earlier(table: str, versions: str) -> tuple[dict[str, str], dict[str, str]]:
    """The rows of the page's table by algorithm, and its letters by reason."""
    text = PAGE.read_text(encoding="utf-8").split(f"<!-- measured {table} -->")[1]
    text = text.split("<!-- end -->")[0]
    if versions not in text:
        return {}, {}
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()}
    letters = re.findall(r"^- (\w): (.*)$", text, re.MULTILINE)
    return (
        {name: row for name, row in rows.items() if name in ALGORITHMS},
        {reason: letter for letter, reason in letters},
    )


def _cell(
    algorithm: str, network: str, format: str, any_sizes: bool, reasons: dict[str, str]
) -> str:
    """The largest relative difference, or the letter of the reason for a refused export."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = NETWORKS[network](None if algorithm in EMBEDDING else WAYS)
    learner = meta_tf.MetaLearner(model, ALGORITHMS[algorithm](), LOSS)
    request = Request() if any_sizes else Request(shots=1, queries=6)
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(folder) / f"learner{ENDINGS[format]}"
            said = formats.save(learner, path, format, request)
        except ValueError as error:
            print(f"{algorithm}, {network}: {error}", flush=True)
            letter = reasons.setdefault(_reason(str(error)), chr(ord("a") + len(reasons)))
            return f"– {letter}"
    return re.findall(r"\d\.\de-\d+", said)[-1]


def _reason(error: str) -> str:
    """The reason that `export` reports, without the names of graph nodes."""
    found = re.search(r"for this learner: (.*) Nothing was written", error, re.DOTALL)
    return re.sub(r" (of|at) '[^']*'", "", " ".join((found[1] if found else error).split()))


def put(name: str, table: str, page: Path = PAGE) -> None:
    """Puts a table between its two comments on a page."""
    marks = f"<!-- measured {name} -->\n", "<!-- end -->"
    before, rest = page.read_text(encoding="utf-8").split(marks[0])
    after = rest.split(marks[1], 1)[1]
    page.write_text(f"{before}{marks[0]}\n{table}\n\n{marks[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
