"""`meta-tf evaluate`: measures how well a trained learner learns new tasks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from absl import flags

import meta_tf
from meta_tf.command.build import to_evaluate
from meta_tf.command.configure import task_of
from meta_tf.command.define import Groups, settings_of
from meta_tf.command.learners import load
from meta_tf.command.read_flags import read_flags, trained_on
from meta_tf.command.registry import renamed
from meta_tf.command.settings import Choice
from meta_tf.command.tested_groups import Tested, tested_of
from meta_tf.files import check_writable
from meta_tf.run.devices import set_up_device
from meta_tf.run.settings import AtLeast, Device, Seed


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How to evaluate a learner.

    Args:
      learner: a .keras file, a run's folder, or a shipped learner.
      eval_tasks: the number of new tasks.
      eval_steps: the last number of inner steps; the learner's own if unset.
      batch_with: which examples share a query's batch, for transductive batch norm: the other
        queries of its task, the support set, or none.
      baselines: also measure what the support set gives without meta-learning, on the same tasks.
      seed: chooses the tasks.
      output: a JSON file to write the results to.
      device: where to compute; "auto" uses a GPU if there is one.
    """

    learner: str | Path | None = None
    eval_tasks: Annotated[int, AtLeast(2)] = 600
    eval_steps: Annotated[int, AtLeast(0)] | None = None
    batch_with: Literal["queries", "support", "none"] = "queries"
    baselines: bool = True
    seed: Seed = 0
    output: str | Path | None = None
    device: Device = "auto"


GROUPS: Groups = {
    "evaluation": [Evaluation, "--flagfile"],
    "tasks, by default those that the learner was trained for": ["task"],
    "from outside the package": ["--set", "--import"],
}
EXAMPLES = """
  meta-tf evaluate --learner=omniglot_5way_1shot --data_dir=DIR
  meta-tf evaluate --learner=runs/sinusoid_10shot/learner.keras --eval_steps=20
  meta-tf evaluate --learner=runs/table --data=other.csv
Of another table, it evaluates all groups without the name of a training or validation group;
with --groups_file=none, all groups. Of pictures, it evaluates all classes that the training did
not have, by their names.
"""


def settings(values: flags.FlagValues) -> tuple[Evaluation, Tested]:
    """The settings from the flags."""
    how = settings_of(Evaluation, values)
    return how, tested_of(values, _table_of(how.learner))


def _table_of(learner: str | Path | None) -> Choice | None:
    """The tasks that a learner was trained on, if its run is known and had a table."""
    if not learner or "--task=table" not in trained_on(learner):
        return None
    return task_of(read_flags("meta-tf evaluate", GROUPS, [f"--learner={learner}"]))


def run(asked: tuple[Evaluation, Tested]) -> None:
    """Prints the results, and writes them to `output` if that is given."""
    how, tested = asked
    if how.output:
        check_writable("--output", how.output)
    set_up_device(how.device)
    learner = load(how.learner)
    source, known = tested.source(learner)
    split, number = to_evaluate(source, how.eval_tasks)
    with renamed({"`steps`": "--eval_steps"}):
        evaluation = meta_tf.evaluate(
            learner,
            split,
            number,
            how.eval_steps,
            how.seed,
            batch_with=how.batch_with,
            baselines=how.baselines and known,
        )
    print(evaluation)
    if how.output:
        evaluation.save(how.output)
        print(f"Written to {how.output}.")
