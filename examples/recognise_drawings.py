"""Recognises drawings of your own characters, after one drawing of each.

Put a picture (dark strokes on a light background, best square) of each character into a folder,
named after its character, and some new drawings of them into another:

    python -m examples.recognise_drawings FOLDER NEW_FOLDER

The program prints a name for each new picture. The learner was trained on Omniglot, which may not
include your alphabet. The command `meta-tf adapt FOLDER NEW_FOLDER` does the same without
Python, and also prints the probability of each prediction.
"""

import sys
from pathlib import Path

import meta_tf


def main(folder: Path, new_folder: Path) -> dict[str, str]:
    """Prints and returns the predicted character for each picture in `new_folder`."""
    learner = meta_tf.pretrained("omniglot")  # it inverts pictures that are mostly light
    fitted = learner.adapt(folder)
    new = sorted(path for path in new_folder.iterdir() if not path.name.startswith("."))
    answers = {path.name: str(fitted.predict_names(path)[0]) for path in new}
    for name, character in answers.items():
        print(f"{name}: {character}")
    return answers


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
