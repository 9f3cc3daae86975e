"""`card`: what is known of a trained learner that comes with the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meta_tf.checks import check_choice
from meta_tf.evaluation.result import shown_size
from meta_tf.zoo.trained_on import TrainedOn, trained_on

FOLDER = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """The names of the learners that come with the library."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.keras")))


def card(name: str) -> str:
    """What a shipped learner is for, what it was trained on, how well it does, and its licence.

    The numbers are those of the files beside the learner, which its training and
    `meta-tf evaluate` have written.

    Args:
      name: one of `meta_tf.zoo.names()`.

    Returns:
      The card, as Markdown.

    Raises:
      ValueError: if there is no learner of that name.

    Example:
      >>> print(card("omniglot_5way_1shot").splitlines()[0])
      ### omniglot_5way_1shot
    """
    check_choice("name", name, names())
    run = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    data = trained_on(name)
    parts = [
        f"### {name}",
        f"Tells {data.tells} apart, {_ways(run)}, after {_examples(run, data)} of each.",
        "\n".join(
            [
                f"- **Learner**: {run['algorithm']} over a convolutional network, "
                f"{run['parameters']:,} parameters, batch norm {run['batch_norm']}, "
                f"{run['iterations']:,} outer steps{_begun(run)}.",
                f"- **Takes**: {data.takes}",
                f"- **Trained on**: {data.data}",
                *_measured(name, run, data),
                f"- **Never shown**: the {data.tested} test characters; {data.never_shown}",
                f"- **Licence**: {data.licence}",
                f"- **Made by** `{run['command']}`",
            ]
        ),
    ]
    return "\n\n".join(parts)


def _begun(run: dict[str, Any]) -> str:
    """Whose weights the training began with, if not with new ones."""
    other = run["flags"].get("initial_weights")
    return f", which began with the weights of `{other}`" if other else ""


def _ways(run: dict[str, Any]) -> str:
    most = run["settings"].get("ways", run["ways"])
    return f"up to {most if isinstance(most, int) else most[1]} at a time"


def _examples(run: dict[str, Any], data: TrainedOn) -> str:
    return (
        f"one {data.example}"
        if run["shots"] == 1
        else f"{shown_size(run['shots'])} {data.example}s"
    )


def _measured(name: str, run: dict[str, Any], data: TrainedOn) -> list[str]:
    """Lines of its accuracy on new characters, in company and alone."""
    others = sorted(FOLDER.glob(f"{name}.*.json"))
    evaluations = [run, *(json.loads(path.read_text(encoding="utf-8")) for path in others)]
    lines = [
        f"- **Accuracy** on {e['tasks']} tasks of the {data.tested} test characters, "
        f"{shown_size(e['ways'])}-way {shown_size(e['shots'])}-shot, {_company(e, data.example)}: "
        f"{_percent(e)}."
        for e in evaluations
    ]
    if run["batch_norm"] == "transductive":
        lines.append(
            f"- **To give one {data.example} company**: `fitted.predict_one_by_one(x, support_x)`."
        )
    return lines


def _company(evaluation: dict[str, Any], example: str) -> str:
    if evaluation["batch_norm"] != "transductive":
        return f"each new {example} alone"
    if evaluation.get("company") == "none":
        return f"each new {example} alone, without company"
    return f"the new {example}s of a task all at once"


def _percent(evaluation: dict[str, Any]) -> str:
    return f"{100 * evaluation['mean'][-1]:.2f} ± {100 * evaluation['ci95'][-1]:.2f} %"
