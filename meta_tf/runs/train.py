"""Trains a meta-learner, evaluates it on new tasks and exports it.

    python train.py                                  Finn's 10-shot sinusoid, in about a minute
    python train.py --preset=omniglot_5way_1shot --data_dir=DIR --iterations=3000

A preset is a file of flags in `presets/`; flags given beside it override it. The same
command again goes on where an interrupted run stopped, or shows a finished one's
results. `--help` tells all flags.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import platform
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

import keras
import tensorflow as tf
from absl import app, flags

import meta_tf
from meta_tf.batch import map_tasks as parallel
from meta_tf.evaluation.metrics import TaskInterval
from meta_tf.runs import run_folder

PRESETS = Path(__file__).resolve().parent / "presets"
DEFAULT_PRESET = {
    "sinusoid": "sinusoid_10shot",
    "hidden_teacher": "hidden_teacher",
    "omniglot": "omniglot_5way_1shot",
    "images": "images_5way_1shot",
}
IMAGES = ("omniglot", "images")
EMBEDDING = ("protonet", "matching_net", "r2d2")  # no head and no inner loop
CLASSIFIERS = (*EMBEDDING, "protomaml")
MAML_FAMILY = ("maml", "fomaml", "anil", "boil", "meta_sgd")
GRADIENT = (*MAML_FAMILY, "mamlpp", "imaml", "meta_curvature")
CHOOSE = ("anil", "boil")  # which weights adapt
INNER_LOOP = (*GRADIENT, "reptile", "protomaml")
OF_ITS_OWN = ("imaml", "reptile")  # an inner loop that another algorithm's settings do not suit
# What settings are for, by flag: with anything else, any value but the default is refused.
ALGORITHMS = {
    "inner_lr": INNER_LOOP,
    "inner_steps": INNER_LOOP,
    "eval_steps": INNER_LOOP,
    "first_order": ("maml", "anil", "boil", "meta_sgd", "meta_curvature", "protomaml"),
    "inner_optimizer": (*MAML_FAMILY, "imaml", "reptile"),
    "inner_batch": ("reptile",),
    "learned_lr": ("maml", "fomaml", "anil", "boil", "mamlpp"),
    "adapt": tuple(a for a in GRADIENT if a not in CHOOSE),
    "multi_step_loss": ("mamlpp",),
    "derivative_order_annealing": ("mamlpp",),
    "per_step_norm": ("mamlpp",),
    "per_step_statistics": ("mamlpp",),
    "regularization": ("imaml",),
    "cg_steps": ("imaml",),
    "damping": ("imaml",),
    "distance": ("protonet",),
    "scale": CLASSIFIERS,
}
TASKS: dict[str, tuple[str, ...]] = {
    "ways": IMAGES,
    "train_ways": IMAGES,
    "split": ("omniglot",),
    "rotations": IMAGES,
    "image_size": IMAGES,
    "channels": ("images",),
    "data_dir": IMAGES,
    "download": ("omniglot",),
}
MODELS: dict[str, tuple[str, ...]] = {
    "hidden": ("mlp",),
    "filters": ("conv4",),
    "downsample": ("conv4",),
    "head": ("conv4",),
    "batch_norm": ("conv4",),
}
MEANT_FOR: dict[str, dict[str, tuple[str, ...]]] = {
    "algorithm": ALGORITHMS,
    "task": TASKS,
    "model": MODELS,
}
FIELDS = {"inner_optimizer": "optimizer", "adapt": "adapted"}  # where the names differ

FLAGS = flags.FLAGS
flags.DEFINE_string("preset", None, "Settings by name: a file of flags in presets/.")
flags.DEFINE_enum("task", "sinusoid", list(DEFAULT_PRESET), "Where tasks come from.")
flags.DEFINE_string("data_dir", None, "Folder of Omniglot's archives, or of your class folders.")
flags.DEFINE_bool("download", False, "Fetch Omniglot into --data_dir if it is not there (14 MB).")
flags.DEFINE_string("workdir", None, "The run's folder; runs/<preset> unless given.")
flags.DEFINE_integer("seed", 0, "Of the initial weights and of the tasks.", lower_bound=0)
flags.DEFINE_enum("device", "auto", ["auto", "cpu", "gpu"], "Where to compute.")
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Numbers to compute with; the weights are float32 in any case.",
)

flags.DEFINE_integer("ways", 5, "Classes in a task.", lower_bound=2)
flags.DEFINE_integer("shots", 1, "Support examples, of a class in a classification.", lower_bound=1)
flags.DEFINE_integer("queries", None, "Query examples, likewise; --shots if unset.", lower_bound=1)
flags.DEFINE_integer(
    "train_ways", None, "Classes in a training task; --ways if unset.", lower_bound=2
)
flags.DEFINE_integer(
    "train_shots", None, "Support examples in a training task; --shots if unset.", lower_bound=1
)
flags.DEFINE_enum("split", "finn", ["finn", "lake"], "Which characters are new, in Omniglot.")
flags.DEFINE_enum(
    "rotations",
    "task",
    ["task", "classes", "none"],
    "Turn each class of a task, or make every turned class a class of its own.",
)
flags.DEFINE_integer("image_size", 28, "Height and width of images, in pixels.", lower_bound=1)
flags.DEFINE_integer("channels", 1, "1 for grey, 3 for colour (--task=images).", lower_bound=1)

flags.DEFINE_enum("model", "mlp", ["mlp", "conv4"], "The network.")
flags.DEFINE_list("hidden", ["40", "40"], "Widths of the hidden layers of --model=mlp.")
flags.DEFINE_integer("filters", 64, "Of each convolution of --model=conv4.", lower_bound=1)
flags.DEFINE_enum("downsample", "stride", ["stride", "max_pool"], "How conv4 halves an image.")
flags.DEFINE_enum("head", "mean", ["mean", "flatten"], "What conv4's last layer looks at.")
flags.DEFINE_enum(
    "batch_norm",
    "transductive",
    ["transductive", "support", "running"],
    "Whose statistics batch normalisation uses for the query set.",
)

flags.DEFINE_enum(
    "algorithm",
    "maml",
    [*INNER_LOOP, *EMBEDDING],
    "How a task is learned.",
)
flags.DEFINE_float("inner_lr", 0.01, "Step size of the inner loop, for a mean loss.")
flags.DEFINE_integer("inner_steps", 1, "Inner steps in training.", lower_bound=0)
flags.DEFINE_integer("eval_steps", None, "Inner steps in evaluation; --inner_steps if unset.")
flags.DEFINE_bool("first_order", False, "Leave out second derivatives.")
flags.DEFINE_enum("inner_optimizer", None, ["sgd", "momentum", "adam"], "Of the inner loop.")
flags.DEFINE_integer("inner_batch", None, "Support examples a step of Reptile.", lower_bound=1)
flags.DEFINE_enum(
    "learned_lr",
    None,
    ["none", "scalar", "tensor", "tensor_step", "weight"],
    "Learn the inner step sizes: none, one, one a tensor, one a tensor and step, one a weight.",
)
flags.DEFINE_list(
    "adapt",
    None,
    "Which weights adapt: patterns over layer names, !NAME excludes.",
)

flags.DEFINE_integer(
    "multi_step_loss", None, "Outer steps of MAML++ with a loss after every step.", lower_bound=0
)
flags.DEFINE_integer(
    "derivative_order_annealing", None, "Outer steps of MAML++ in first order.", lower_bound=0
)
flags.DEFINE_bool("per_step_norm", None, "Scale and shift of MAML++ by inner step.")
flags.DEFINE_bool(
    "per_step_statistics", None, "Moving averages of MAML++ by step (--batch_norm=running)."
)
flags.DEFINE_float("regularization", None, "How strongly iMAML holds the inner loop.")
flags.DEFINE_integer("cg_steps", None, "Conjugate-gradient steps of iMAML.", lower_bound=1)
flags.DEFINE_float("damping", None, "What steadies the meta-gradient of iMAML.")
flags.DEFINE_enum("distance", None, ["euclidean", "cosine"], "Of ProtoNet, to a prototype.")
flags.DEFINE_float("scale", None, "Steepness of the logits of classifiers that need no training.")

flags.DEFINE_float("meta_lr", 0.001, "Step size of the outer loop (Adam; SGD for Reptile).")
flags.DEFINE_float("clip_norm", None, "Largest norm of the whole meta-gradient; any if unset.")
flags.DEFINE_enum("meta_schedule", "constant", ["constant", "cosine", "linear"], "Of --meta_lr.")
flags.DEFINE_integer("meta_batch_size", 25, "Tasks in an outer step.", lower_bound=1)
flags.DEFINE_integer("iterations", 1000, "Outer steps.", lower_bound=1)
flags.DEFINE_integer("eval_tasks", 600, "New tasks for the final evaluation.", lower_bound=2)
flags.DEFINE_integer("checkpoint_every", 1000, "Outer steps between checkpoints.", lower_bound=1)
flags.DEFINE_integer(
    "steps_per_execution", 1, "Outer steps in one call into TensorFlow.", lower_bound=1
)
flags.DEFINE_bool(
    "profile", False, "Write a TensorBoard profile of the 3rd to 5th call into TensorFlow."
)
OWN = [flag.name for flag in FLAGS.get_flags_for_module(__name__)]
PROFILED_CALLS = (3, 5)  # not the first, which traces and compiles
# What may change when a run goes on: it has no say in what is learned.
FREE = {"preset", "data_dir", "download", "workdir", "device", "iterations", "eval_tasks"}
FREE |= {"checkpoint_every", "steps_per_execution", "profile", "eval_steps"}


def main(argv: list[str]) -> int:
    """Runs the program and returns its exit code; whatever goes wrong is told in one line."""
    app.define_help_flags()
    try:
        words = FLAGS(with_preset(argv))[1:]
        if words:
            raise ValueError(
                f"train.py takes flags alone. Received: {words[0]!r}. Write --{words[0]}, or a "
                "value with = after its flag's name."
            )
        run(named(argv))
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    except (flags.Error, ValueError, OSError, RuntimeError) as error:
        return complain(str(error))
    except Exception as error:
        log = Path("train_error.log")
        log.write_text(traceback.format_exc())
        return complain(f"{type(error).__name__}: {error} (details in {log})")
    return 0


def complain(message: str) -> int:
    """Prints an error in one line and returns the exit code."""
    print("train.py: error: " + " ".join(message.split()), file=sys.stderr)
    return 1


def with_preset(argv: list[str]) -> list[str]:
    """Puts the flags of a preset or file before the others, so that these override it."""
    argv = files_first(argv)
    own = flags.FlagValues()
    flags.DEFINE_string("preset", None, "", flag_values=own)
    flags.DEFINE_string("task", None, "", flag_values=own)
    flags.DEFINE_string("algorithm", None, "", flag_values=own)
    own(argv, known_only=True)
    if "flagfile" in named(argv) and not own.preset:  # it has all that it needs
        return argv
    name = own.preset or DEFAULT_PRESET.get(own.task or "sinusoid")
    if name is None:  # an unknown task: the flag's own check says so
        return argv
    if not own.preset and (PRESETS / f"{name}_{own.algorithm}.flags").exists():
        name = f"{name}_{own.algorithm}"
    path = PRESETS / f"{name}.flags"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.flags")))
        raise ValueError(f"--preset must be one of {known}. Received: --preset={name}.")
    return [argv[0], f"--preset={name}", f"--flagfile={path}", *argv[1:]]


def files_first(argv: list[str]) -> list[str]:
    """Moves --flagfile to the front."""
    files, others = [], []
    words = iter(argv[1:])
    for word in words:
        if re.match(r"--?flagfile=", word):
            files.append(word)
        elif re.fullmatch(r"--?flagfile", word):
            files += [word, *(value for value in [next(words, None)] if value)]
        else:
            others.append(word)
    return [argv[0], *files, *others]


def named(argv: list[str]) -> set[str]:
    """The flags that a command line names itself, not by a preset or file."""
    matches = (re.match(r"--?(no)?(\w+)", word) for word in argv[1:])
    return {name for m in matches if m for name in (m[2], (m[1] or "") + m[2])}


def run(given: set[str]) -> None:
    """Trains, evaluates, draws and exports, as the flags say; `given` are those named by hand."""
    check_meaning(given)
    set_up_device()
    keras.config.set_dtype_policy(FLAGS.precision)
    keras.utils.set_random_seed(FLAGS.seed)
    FLAGS.workdir = FLAGS.workdir or f"runs/{FLAGS.preset or FLAGS.task}"
    workdir = Path(FLAGS.workdir)
    check_same_run(workdir)
    tasks = build_tasks(FLAGS.ways, FLAGS.shots)
    checkpoint, done = run_folder.latest_checkpoint(workdir)
    if done > FLAGS.iterations:
        raise ValueError(
            f"--iterations must be at least {done}, which the run in {workdir} has made. Received: "
            f"--iterations={FLAGS.iterations}. Raise it, or give another --workdir."
        )
    if FLAGS.profile:
        check_profile(done)
    if checkpoint:
        print(f"Going on from iteration {done} of {FLAGS.iterations}, in {workdir}.")
        learner = keras.models.load_model(checkpoint)
        if FLAGS.algorithm in INNER_LOOP:
            learner.algorithm = dataclasses.replace(learner.algorithm, eval_steps=FLAGS.eval_steps)
    else:
        learner = build_learner(tasks)
    workdir.mkdir(parents=True, exist_ok=True)
    run_folder.write_whole(workdir / "flags.txt", "\n".join(serialized().values()) + "\n")
    fit(learner, tasks, workdir, done)
    finish(learner, tasks, workdir)


def set_up_device() -> None:
    """Chooses the device, and the threads: a task on each core beats kernels over all cores."""
    gpus = tf.config.list_physical_devices("GPU")
    if FLAGS.device == "gpu" and not gpus:
        raise ValueError(
            "--device=gpu needs a GPU that TensorFlow sees; it sees none. Use --device=auto, or "
            "install TensorFlow with GPU support."
        )
    if FLAGS.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    elif gpus:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(parallel.cores())


def check_same_run(workdir: Path) -> None:
    """Raises ValueError if the folder holds a run of other settings."""
    path = workdir / "flags.txt"
    if not path.exists() or not run_folder.read_metrics(workdir):  # nothing that would be lost
        return
    before = dict(line.lstrip("-").split("=", 1) for line in path.read_text().split("\n") if line)
    now = {n: line.lstrip("-").split("=", 1)[1] for n, line in serialized().items()}
    free = set(FREE)
    if FLAGS.meta_schedule != "constant":  # it ends with the last iteration
        free.remove("iterations")
    if FLAGS.task == "images":  # other pictures
        free.remove("data_dir")
    for name in sorted(set(now) | set(before)):
        old, new = before.get(name, "unset"), now.get(name, "unset")
        if name in OWN and name not in free and old != new:
            raise ValueError(
                f"--{name} is {old!r} in {path} and {new!r} now: that would be another run. "
                "Give another --workdir, or the same value."
            )


def serialized() -> dict[str, str]:
    """All flags that have a value, as lines of a flag file, by name."""
    lines = {}
    for name in OWN:
        value = FLAGS[name].value
        if value is not None and name not in ("preset", "profile"):
            text = ",".join(value) if isinstance(value, list) else str(value)
            lines[name] = f"--{name}={text}"
    return lines


def build_tasks(ways: int, shots: int) -> meta_tf.tasks.Source:
    """The source of tasks."""
    queries = FLAGS.queries or FLAGS.shots
    if FLAGS.task == "sinusoid":
        return meta_tf.tasks.Sinusoid(shots, queries)
    if FLAGS.task == "hidden_teacher":
        return meta_tf.tasks.HiddenTeacher(shots=shots, queries=queries)
    if not FLAGS.data_dir:
        raise ValueError(f"--data_dir is needed for --task={FLAGS.task}: the folder of the images.")
    common = {
        "ways": ways,
        "shots": shots,
        "queries": queries,
        "rotations": None if FLAGS.rotations == "none" else FLAGS.rotations,
        "size": FLAGS.image_size,
    }
    if FLAGS.task == "omniglot":
        return meta_tf.tasks.Omniglot(
            FLAGS.data_dir, split=FLAGS.split, download=FLAGS.download, **common
        )
    return meta_tf.tasks.ImageFolder(FLAGS.data_dir, channels=FLAGS.channels, **common)


def build_learner(tasks: meta_tf.tasks.Source) -> meta_tf.MetaLearner:
    """The learner before its first step, compiled."""
    classify = tasks.kind == "classification"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classify else "mse"
    learner = meta_tf.MetaLearner(
        build_model(tasks), build_algorithm(), loss=loss, batch_norm=FLAGS.batch_norm
    )
    # With a mean loss, the loss of a regression is the mean squared error already.
    metrics = ["accuracy", TaskInterval("accuracy")] if classify else [TaskInterval("mse")]
    learner.compile(build_optimizer(), metrics=metrics)
    return learner


def build_model(tasks: meta_tf.tasks.Source) -> keras.Model:
    """The network, of the inputs and outputs that the tasks ask for."""
    outputs: int | None = most_ways() if tasks.ways else math.prod(tasks.target_shape)
    if FLAGS.algorithm in EMBEDDING:
        outputs = None
    if FLAGS.model == "mlp":
        if not all(h.isdigit() for h in FLAGS.hidden):
            raise ValueError(f"--hidden must be widths such as 40,40. Received: {FLAGS.hidden}.")
        hidden = [int(h) for h in FLAGS.hidden]
        return meta_tf.models.mlp(tasks.input_shape, outputs, hidden)
    if FLAGS.task not in IMAGES:
        raise ValueError(f"--model=conv4 needs images. Received: --task={FLAGS.task}.")
    return meta_tf.models.conv4(
        outputs,
        filters=FLAGS.filters,
        input_shape=tasks.input_shape,
        downsample=FLAGS.downsample,
        head=FLAGS.head,
    )


def build_algorithm() -> meta_tf.Algorithm:
    """The algorithm with its settings."""
    settings: dict[str, Any] = {
        FIELDS.get(name, name): FLAGS[name].value
        for name, algorithms in ALGORITHMS.items()
        if FLAGS.algorithm in algorithms and FLAGS[name].value not in (None, [])
    }
    if settings.get("learned_lr") == "none":
        settings["learned_lr"] = None
    if FLAGS.algorithm in EMBEDDING:
        settings["ways"] = most_ways()
    makers: dict[str, Callable[..., meta_tf.Algorithm]] = {
        "maml": meta_tf.MAML,
        "fomaml": meta_tf.FOMAML,
        "anil": meta_tf.ANIL,
        "boil": meta_tf.BOIL,
        "meta_sgd": meta_tf.MetaSGD,
        "mamlpp": meta_tf.MAMLPlusPlus,
        "imaml": meta_tf.IMAML,
        "meta_curvature": meta_tf.MetaCurvature,
        "reptile": meta_tf.Reptile,
        "protonet": meta_tf.ProtoNet,
        "matching_net": meta_tf.MatchingNet,
        "r2d2": meta_tf.R2D2,
        "protomaml": meta_tf.ProtoMAML,
    }
    return makers[FLAGS.algorithm](**settings)


def check_meaning(given: set[str]) -> None:
    """Raises ValueError if the task, or a flag that was given, has no meaning for the rest.

    What a preset says without meaning for the algorithm, task or model chosen is left out.
    """
    if FLAGS.algorithm in CLASSIFIERS and FLAGS.task not in IMAGES:
        raise ValueError(
            f"--algorithm={FLAGS.algorithm} needs classes. Received: --task={FLAGS.task}. Take "
            f"one of --task={', '.join(IMAGES)}."
        )
    needed = sorted({"inner_lr", "inner_steps"} - given)
    unlike = FLAGS.preset and not FLAGS.preset.endswith(f"_{FLAGS.algorithm}")
    if FLAGS.algorithm in OF_ITS_OWN and unlike and needed:
        raise ValueError(
            f"--algorithm={FLAGS.algorithm} needs --{' and --'.join(needed)}: those of the preset "
            f"{FLAGS.preset} are meant for another algorithm, whose inner loop is unlike its own. "
            "Give them, and --meta_lr."
        )
    for what, table in MEANT_FOR.items():
        chosen = FLAGS[what].value
        for name, meant in table.items():
            flag = FLAGS[name]
            if chosen in meant or flag.value in (None, [], flag.default):
                continue
            if name in given:
                raise ValueError(
                    f"--{name} has no meaning for --{what}={chosen}. Received: "
                    f"{serialized()[name]}. Leave it out."
                )
            flag.value = flag.default


def most_ways() -> int:
    """The classes that the learner has to tell apart, in training or afterwards."""
    return max(FLAGS.ways, FLAGS.train_ways or 0)


def build_optimizer() -> keras.optimizers.Optimizer:
    """The outer optimiser."""
    rate = FLAGS.meta_lr
    if not 0 < rate < math.inf:
        raise ValueError(f"--meta_lr must be a number above 0. Received: --meta_lr={rate}.")
    if FLAGS.meta_schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, FLAGS.iterations, alpha=0.01)
    elif FLAGS.meta_schedule == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, FLAGS.iterations, 0.0)
    clip = FLAGS.clip_norm
    if clip is not None and not 0 < clip < math.inf:
        raise ValueError(f"--clip_norm must be a number above 0. Received: --clip_norm={clip}.")
    optimizer = keras.optimizers.SGD if FLAGS.algorithm == "reptile" else keras.optimizers.Adam
    return optimizer(rate, global_clipnorm=clip)


def fit(learner, tasks, workdir: Path, done: int) -> None:
    """Makes the outer steps that are left; an epoch is what lies between two checkpoints."""
    every = min(FLAGS.checkpoint_every, FLAGS.iterations)
    log = run_folder.RunLog(workdir, done)
    callbacks = [
        keras.callbacks.TerminateOnNaN(raise_error=True),
        log,
        keras.callbacks.TensorBoard(
            workdir / "tensorboard",
            write_graph=False,
            profile_batch=PROFILED_CALLS if FLAGS.profile else 0,
        ),
    ]
    train = tasks.train
    if FLAGS.train_ways or FLAGS.train_shots:
        train = build_tasks(FLAGS.train_ways or FLAGS.ways, FLAGS.train_shots or FLAGS.shots).train
    validation = tasks.valid.batches(FLAGS.meta_batch_size, seed=FLAGS.seed + 1)
    while log.iteration < FLAGS.iterations:
        # Up to the next multiple, so that the last and an interrupted epoch may be shorter.
        steps = min(every - log.iteration % every, FLAGS.iterations - log.iteration)
        epochs = 1 if steps < every else (FLAGS.iterations - log.iteration) // every
        per_call = math.gcd(steps, FLAGS.steps_per_execution)
        if per_call != learner.steps_per_execution:
            learner.steps_per_execution = per_call
            learner.make_train_function(force=True)
        epoch = -(-log.iteration // every)
        try:
            learner.fit(
                train.batches(FLAGS.meta_batch_size, seed=FLAGS.seed, start=log.iteration),
                steps_per_epoch=steps,
                initial_epoch=epoch,
                epochs=epoch + epochs,
                validation_data=validation,
                validation_steps=max(1, 200 // FLAGS.meta_batch_size),
                callbacks=callbacks,
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
            )
        except RuntimeError as error:
            if "NaN or Inf loss" not in str(error):  # of TerminateOnNaN
                raise
            raise ValueError(diverged(log.iteration, every)) from error


def diverged(iteration: int, every: int) -> str:
    """What to say when the loss is not finite any more."""
    rates = [f"--{n}={FLAGS[n].value:g}" for n in ("inner_lr", "meta_lr")]
    return (
        f"the loss became nan or infinite between iterations {iteration} and {iteration + every}. "
        f"Received: {', '.join(rates if FLAGS.algorithm in INNER_LOOP else rates[1:])}. Lower "
        f"a rate or set --clip_norm{', in another --workdir' if iteration else ''}."
    )


def check_profile(done: int) -> None:
    """Raises ValueError if there are too few calls into TensorFlow for --profile."""
    left, calls = max(0, FLAGS.iterations - done), PROFILED_CALLS[1]
    if 0 < left < calls * FLAGS.steps_per_execution:
        raise ValueError(
            f"--profile needs at least {calls} calls into TensorFlow. Received: {left} steps left, "
            f"{FLAGS.steps_per_execution} a call. Raise --iterations or lower "
            "--steps_per_execution."
        )


def finish(learner, tasks, workdir: Path) -> None:
    """Evaluates on new tasks, and writes all that a run leaves."""
    from meta_tf import plots  # matplotlib takes a second to load

    evaluation = meta_tf.evaluate(learner, tasks.test, FLAGS.eval_tasks, seed=FLAGS.seed)
    figures = {"learning_curve": plots.learning_curve(workdir / "metrics.csv")}
    if FLAGS.algorithm in INNER_LOOP:
        figures["inner_steps"] = plots.inner_steps(evaluation)
    if tasks.kind == "classification":
        figures["task"] = plots.images(learner, tasks.test, seed=FLAGS.seed)
    elif FLAGS.task == "sinusoid":
        curves = meta_tf.tasks.Sinusoid(FLAGS.shots, queries=200, grid=True)
        last = evaluation.steps[-1]
        steps = sorted({0, min(1, last), last})
        figures["fit"] = plots.regression(learner, curves.test, steps, seed=FLAGS.seed)
    for name, figure in figures.items():
        figure.savefig(workdir / f"{name}.png", dpi=120)
    run_folder.save_whole(learner, workdir / "learner.keras")
    learner.export(workdir / "saved_model")
    write_results(evaluation, learner, workdir)  # the last: with it the run is complete
    print(evaluation)
    print(
        f"Written to {workdir}/: results.json, {', '.join(f'{n}.png' for n in figures)}, "
        "metrics.csv, learner.keras, saved_model/"
    )


def write_results(evaluation, learner, workdir: Path) -> None:
    """Writes `results.json`: what came out, and all that is needed to get it again."""
    results = {
        **json.loads(evaluation.to_json()),
        "iterations": run_folder.latest_checkpoint(workdir)[1],
        "parameters": learner.count_params(),
        "training_minutes": run_folder.training_minutes(workdir),
        "cores": parallel.cores(),
        "command": shlex.join(["python", "train.py", *sys.argv[1:]]),
        "flags": {n: line.split("=", 1)[1] for n, line in serialized().items()},
        "versions": {
            "meta_tf": meta_tf.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }
    run_folder.write_whole(workdir / "results.json", json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
