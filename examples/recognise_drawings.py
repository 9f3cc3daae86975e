"""Recognises drawings of your own characters, after one drawing of each.

Put a picture (PNG or JPEG, square, dark strokes on a light background) of each character into a
folder, named after its character, and some new drawings of them into another:

    python -m examples.recognise_drawings FOLDER NEW_FOLDER

The program prints a name for each new picture. The learner was trained on Omniglot, which need
not include your alphabet. The command `meta-tf adapt FOLDER NEW_FOLDER` does the same without
Python, and also prints the probability of each prediction.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import meta_tf

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST = 60  # characters that the learner distinguishes


def main(folder: Path, new_folder: Path) -> dict[str, str]:
    """Prints and returns the predicted character for each picture in `new_folder`."""
    learner = meta_tf.pretrained("omniglot")
    names, drawings = read(folder)
    if not 2 <= len(names) <= MOST:
        raise SystemExit(f"{folder} must hold 2 to {MOST} pictures. It holds {len(names)}.")
    fitted = learner.adapt(drawings, np.arange(len(names)))
    new_names, new_drawings = read(new_folder)
    found = np.argmax(fitted.predict(new_drawings, verbose=0), -1)
    answers = {new: names[i] for new, i in zip(new_names, found, strict=True)}
    for new, name in answers.items():
        print(f"{new}: {name}")
    return answers


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    """The names of a folder's pictures, and the pictures as in Omniglot: strokes 1 on 0."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"{folder} must hold pictures ({', '.join(SUFFIXES)}). It holds none.")
    images = []
    for path in paths:
        upright = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
        page = Image.new("RGBA", upright.size, "white")
        page.alpha_composite(upright)
        small = page.convert("L").resize((28, 28), Image.Resampling.LANCZOS)
        images.append(1 - np.asarray(small, "float32")[..., np.newaxis] / 255)
    return [path.stem for path in paths], np.stack(images)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
