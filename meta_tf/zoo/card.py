"""`card`: the description of a pretrained learner that ships with the library."""

from __future__ import annotations

import json
from typing import Any

from meta_tf.checks import check_choice
from meta_tf.evaluation.result import shown_size
from meta_tf.zoo.calibrations import FOLDER, about_calibration, calibration_file
from meta_tf.zoo.photos import PHOTOS, card_of_photos
from meta_tf.zoo.trained_on import TrainedOn, trained_on


def names() -> tuple[str, ...]:
    """The names of the learners that ship with the library."""
    return tuple(sorted([*characters(), PHOTOS]))


def characters() -> tuple[str, ...]:
    """The names of the learners of characters, which were trained with this library."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.keras")))


def card(name: str) -> str:
    """A shipped learner's purpose, training data, accuracy and licence.

    The numbers come from the files beside the learner, which its training and
    `meta-tf evaluate` wrote.

    Args:
      name: one of `meta_tf.zoo.names()`.

    Returns:
      The card, as Markdown.

    Raises:
      ValueError: if there is no learner with that name.

    Example:
      >>> print(card("omniglot_5way_1shot").splitlines()[0])
      ### omniglot_5way_1shot
    """
    check_choice("name", name, names())
    if name == PHOTOS:
        return card_of_photos()
    run = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    data = trained_on(name)
    other = run["flags"].get("initial_weights")
    begun = f", starting from the weights of `{other}`" if other else ""
    most = run["settings"].get("ways", run["ways"])
    ways = most if isinstance(most, int) else most[1]
    examples = f"{shown_size(run['shots'])} {data.example}s"
    if run["shots"] == 1:
        examples = f"one {data.example}"
    parts = [
        f"### {name}",
        f"Distinguishes up to {ways} {data.tells} at a time after {examples} of each.",
        "\n".join(
            [
                f"- **Learner**: {run['algorithm']} over a convolutional network, "
                f"{run['parameters']:,} parameters, batch norm {run['batch_norm']}, "
                f"{run['iterations']:,} outer steps{begun}.",
                f"- **Takes**: {data.takes}",
                f"- **Trained on**: {data.data}",
                *_measured(name, run, data),
                *_calibrated(name, data),
                f"- **Never seen in training**: the {data.tested} test characters; "
                f"{data.never_shown}",
                f"- **Licence**: {data.licence}",
                f"- **Trained with** `{run['command']}`",
            ]
        ),
    ]
    return "\n\n".join(parts)


def _measured(name: str, run: dict[str, Any], data: TrainedOn) -> list[str]:
    """Lines with its accuracy on new characters, predicted together and alone."""
    others = sorted({*FOLDER.glob(f"{name}.*.json")} - {calibration_file(name)})
    evaluations = [run, *(json.loads(path.read_text(encoding="utf-8")) for path in others)]
    lines = [
        f"- **Accuracy** on {e['tasks']} tasks of the {data.tested} test characters, "
        f"{shown_size(e['ways'])}-way {shown_size(e['shots'])}-shot, {_how(e, data.example)}: "
        f"{100 * e['mean'][-1]:.2f} ± {100 * e['ci95'][-1]:.2f} %."
        for e in evaluations
    ]
    if run["batch_norm"] == "transductive":
        lines.append(
            f"- **To predict one {data.example}**, in one batch with the support set: "
            "`fitted.predict_one_by_one(x, support_x)`."
        )
    return lines


def _calibrated(name: str, data: TrainedOn) -> list[str]:
    """Lines on its probabilities and its answers to unknown classes."""
    about = about_calibration(name)
    if about is None:
        return ["- **Calibrated**: no; its probabilities are those of its logits."]
    stated = 100 * about["calibration"]["false_alarms"]
    return [
        f"- **Calibrated** on validation characters. On {t['tasks']} tasks of the {data.tested} "
        f"test characters, {t['ways']:g}-way {t['shots']:g}-shot: calibration error "
        f"{100 * t['ece']:.1f} points; {100 * t['false_alarms']:.1f} % of the {data.example}s of "
        f"known classes are called none of them (chosen: {stated:g} %), and "
        f"{100 * t['refused']:.1f} % of those of other characters (AUROC {t['auroc']:.3f})."
        for t in about["test"]
    ]


def _how(evaluation: dict[str, Any], example: str) -> str:
    """Which examples share a query's batch."""
    if evaluation["batch_norm"] != "transductive" or evaluation.get("batch_with") == "none":
        return f"each new {example} alone"
    return f"all new {example}s of a task in one batch"
