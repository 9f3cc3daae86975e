"""The flags of each subcommand, by what they are for."""

from __future__ import annotations

import dataclasses

from meta_tf.runs import preset_files
from meta_tf.runs.algorithm_flags import BUILT_IN, algorithm_flags
from meta_tf.runs.flag import Flag
from meta_tf.runs.kinds import (
    NUMBER,
    PATH,
    SWITCH,
    TEXT,
    WIDTHS,
    WORDS,
    choice,
    integer,
    optional,
    size,
)

Groups = dict[str, list[Flag]]

IMAGES = ("omniglot", "images")
TASKS = ("sinusoid", "hidden_teacher", *IMAGES, "table")
MODELS = ("mlp", "conv4")
_RANGE = f"of LOW-HIGH every task draws its own (--task={', '.join(IMAGES)})"
SEED = Flag("seed", integer(0), 0, "Of the initial weights and of the tasks.")
DEVICE = Flag("device", choice("auto", "cpu", "gpu"), "auto", "Where to compute.")
EVAL_TASKS = Flag("eval_tasks", integer(2), 600, "New tasks for the evaluation.")
FLAGFILE = Flag("flagfile", PATH, (), "A file of flags, one a line; #-lines are passed over.", True)
SET = Flag(
    "set",
    TEXT,
    (),
    "An argument of a task, model or algorithm that is no flag: task.noise=0.1, model.units=64, "
    "algorithm.name=value; the first word may be left out for those given as module:Name.",
    True,
)
LEARNER = Flag(
    "learner",
    PATH,
    None,
    f"A .keras file, a run's folder, or a shipped learner: {', '.join(preset_files.shipped())}.",
)
IMPORT = Flag(
    "import",
    TEXT,
    (),
    "A module to import first, where a learner's own classes are; a task, model or algorithm of "
    "it may then be asked for by a file too.",
    True,
)

SOURCE = [
    Flag(
        "task",
        choice(*TASKS, outside=True),
        "sinusoid",
        f"Where tasks come from: {', '.join(TASKS)}, or package.module:Name of a function or "
        "class that returns a meta_tf.tasks.Source. It is given those of ways, shots, queries and "
        "data_dir that it takes.",
    ),
    Flag("data_dir", PATH, None, "Folder of Omniglot's archives, or of your class folders."),
    Flag("download", SWITCH, False, "Fetch Omniglot into --data_dir if it is not there (14 MB)."),
    Flag("mirror", TEXT, None, "Where to fetch it from instead: the address of a folder of it."),
    Flag("ways", size(2), 5, f"Classes in a task; {_RANGE}."),
    Flag("shots", size(1), 1, f"Support examples, of a class in a classification; {_RANGE}."),
    Flag(
        "queries",
        optional(size(1)),
        None,
        "Query examples, likewise. If unset as many as --shots, of a range its highest; for "
        "--task=images as many as the smallest class leaves, at most 15.",
    ),
    Flag("split", choice("finn", "lake"), "finn", "Which characters are new, in Omniglot."),
    Flag(
        "rotations",
        choice("auto", "task", "classes", "none"),
        "auto",
        "Turn each class of a task, or make every turned class a class of its own. auto: task for "
        "--task=omniglot, none for --task=images.",
    ),
    Flag("image_size", integer(1), 28, "Height and width of images, in pixels."),
    Flag("channels", integer(1), 1, "1 for grey, 3 for colour (--task=images)."),
    Flag("data", PATH, None, "The .csv or .parquet file of --task=table."),
    Flag("target", TEXT, None, "Its column to predict; whole numbers and text are classes."),
    Flag("group", TEXT, None, "Its column that tells whose row it is: a task is a group."),
    Flag("features", WORDS, (), "Its columns to predict from; all others if unset."),
    Flag("time", TEXT, None, "Its column that orders a group: support sets are then the earliest."),
    Flag("groups_file", PATH, None, "A JSON file of the groups in train, valid and test."),
]
TRAINING_TASKS = [
    Flag("train_ways", optional(size(2)), None, "Classes in a training task, if not --ways."),
    Flag("train_shots", optional(size(1)), None, "Support examples in one, if not --shots."),
]
MODEL = [
    Flag(
        "model",
        choice(*MODELS, outside=True),
        "mlp",
        f"The network: {', '.join(MODELS)}, or package.module:Name of a function that returns a "
        "built keras.Model. It is given those of input_shape, outputs and ways that it takes.",
    ),
    Flag("hidden", WIDTHS, ("40", "40"), "Widths of the hidden layers of --model=mlp."),
    Flag("filters", integer(1), 64, "Of each convolution of --model=conv4."),
    Flag("downsample", choice("stride", "max_pool"), "stride", "How conv4 halves an image."),
    Flag("head", choice("mean", "flatten"), "mean", "What conv4's last layer looks at."),
    Flag(
        "batch_norm",
        choice("transductive", "support", "running"),
        "transductive",
        "Whose statistics batch normalisation uses for the query set.",
    ),
    Flag(
        "initial_weights",
        PATH,
        None,
        "Begin with the weights of this learner, as far as names and shapes are the same: a "
        f".keras file, a run's folder, or one of {', '.join(preset_files.shipped())}.",
    ),
]
ALGORITHM = Flag(
    "algorithm",
    choice(*BUILT_IN, outside=True),
    "maml",
    f"How a task is learned: {', '.join(BUILT_IN)}, or package.module:Name of a dataclass "
    "derived from meta_tf.Algorithm.",
)
OUTER_LOOP = [
    Flag("meta_lr", NUMBER, 0.001, "Step size of the outer loop (Adam; SGD for Reptile)."),
    Flag("meta_schedule", choice("constant", "cosine", "linear"), "constant", "Of --meta_lr."),
    Flag("clip_norm", optional(NUMBER), None, "Largest norm of the meta-gradient; any if unset."),
    Flag("meta_batch_size", integer(1), 25, "Tasks in an outer step."),
    Flag("iterations", integer(1), 1000, "Outer steps."),
    Flag("steps_per_execution", integer(1), 1, "Outer steps in one call into TensorFlow."),
]
RUN = [
    Flag("preset", TEXT, None, "Settings by name, see below; other flags go over them."),
    FLAGFILE,
    Flag("workdir", PATH, None, "The run's folder; runs/<preset> unless given."),
    SEED,
    DEVICE,
    Flag(
        "strategy",
        choice("none", "mirrored", "multi_worker"),
        "none",
        "Share the tasks of a step among all GPUs of this machine (mirrored), or among the workers "
        "that the environment variable TF_CONFIG names (multi_worker).",
    ),
    Flag(
        "logical_devices",
        optional(integer(2)),
        None,
        "Try --strategy=mirrored with so many parts of the CPU instead of GPUs.",
    ),
    Flag(
        "worker_timeout",
        integer(1),
        120,
        "Seconds after which a worker that does not answer is given up, and the run ends.",
    ),
    Flag(
        "precision",
        choice("float32", "mixed_bfloat16", "mixed_float16"),
        "float32",
        "Numbers to compute with; the weights are float32 in any case.",
    ),
    Flag("checkpoint_every", integer(1), 1000, "Outer steps between checkpoints."),
    Flag("keep_checkpoints", integer(1), 2, "How many of the last checkpoints stay."),
    Flag(
        "restart_from",
        optional(integer(1)),
        None,
        "Go on from the checkpoint of this iteration, and drop what came after it: with another "
        "--inner_lr, --meta_lr or --clip_norm, say, after a training that diverged.",
    ),
    Flag("restart", SWITCH, False, "Begin at step 0 again: removes the folder's checkpoints."),
    EVAL_TASKS,
    Flag("profile", SWITCH, False, "Write a TensorBoard profile of the 3rd to 5th call."),
]


def train_groups() -> Groups:
    """The flags of `meta-tf train`."""
    return {
        "run": RUN,
        "tasks": [*SOURCE, *TRAINING_TASKS],
        "model": MODEL,
        "algorithm": [ALGORITHM, *algorithm_flags()],
        "outer loop": OUTER_LOOP,
        "from outside the package": [SET, IMPORT],
    }


def evaluate_groups() -> Groups:
    """The flags of `meta-tf evaluate`."""
    steps = "The last number of inner steps; the learner's own if unset."
    return {
        "evaluation": [
            LEARNER,
            EVAL_TASKS,
            Flag("eval_steps", optional(integer(0)), None, steps),
            Flag(
                "company",
                choice("queries", "support", "none"),
                "queries",
                "What a query is normalised with by transductive batch norm: the task's other "
                "queries, the support set, or none.",
            ),
            Flag("seed", integer(0), 0, "Chooses the tasks."),
            Flag("output", PATH, None, "A JSON file to write the results to."),
            DEVICE,
            FLAGFILE,
        ],
        "tasks, by default those that the learner was trained for": SOURCE,
        "from outside the package": [SET, IMPORT],
    }


def adapt_groups() -> Groups:
    """The flags of `meta-tf adapt`."""
    return {
        "adaptation": [
            Flag("support", PATH, None, "Folder with a subfolder of pictures for each class."),
            Flag("query", PATH, None, "Folder of the new pictures."),
            dataclasses.replace(LEARNER, default="omniglot"),
            Flag(
                "invert",
                choice("auto", "yes", "no"),
                "auto",
                "Whether to turn light and dark round. auto: for a shipped learner or one of "
                "Omniglot, which know ink of 1 on a ground of 0, in each picture that is mostly "
                "light.",
            ),
            Flag(
                "eval_steps", optional(integer(0)), None, "Inner steps; the learner's own if unset."
            ),
            Flag("output", PATH, None, "A csv file to write the predictions to."),
            Flag("save", PATH, None, "A .keras file for the adapted model."),
            DEVICE,
            IMPORT,
        ]
    }


def export_groups() -> Groups:
    """The flags of `meta-tf export`."""
    return {
        "export": [
            LEARNER,
            Flag("output", PATH, None, "What to write; an earlier export is replaced."),
            Flag(
                "format",
                choice("tf_saved_model", "litert", "onnx"),
                "tf_saved_model",
                "tf_saved_model, a folder for TensorFlow; litert, one file FILE.tflite for "
                "devices; onnx, a folder of three files. The two need the extra of their name.",
            ),
            IMPORT,
        ],
        "sizes and precision; a SavedModel takes any sizes": [
            Flag(
                "ways",
                optional(integer(1)),
                None,
                "Classes in a task, for a support set of ways x shots examples. What is unset is "
                "chosen at each call, where the format and the learner allow that.",
            ),
            Flag("shots", optional(integer(1)), None, "Support examples of a class."),
            Flag(
                "queries",
                optional(integer(1)),
                None,
                "Examples that are predicted for in one call.",
            ),
            Flag("float16", SWITCH, False, "Keep weights in half of the bytes, rounded."),
        ],
    }


def demo_groups() -> Groups:
    """The flags of `meta-tf demo`."""
    return {
        "demo": [
            dataclasses.replace(
                LEARNER,
                default="omniglot,chinese_characters",
                help=f"{LEARNER.help} Several, with commas between them, are a choice.",
            ),
            Flag("output", PATH, None, "A folder to write the page to, instead of showing it."),
            Flag(
                "runtime",
                PATH,
                None,
                "The unpacked npm package onnxruntime-web, where npm cannot fetch it.",
            ),
            Flag("port", integer(0), 0, "Where to show the page; any free one if 0."),
            Flag("browser", SWITCH, True, "Whether to open it in a browser."),
            IMPORT,
        ]
    }
