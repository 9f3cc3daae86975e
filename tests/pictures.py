"""Folders of made-up pictures."""

import numpy as np
import tensorflow as tf


def noise_folder(folder, classes, each, size):
    """Writes a folder for each class with `each` pictures of grey noise, `size` x `size`."""
    rng = np.random.default_rng(0)
    for number in range(classes):
        of_class = folder / f"class{number}"
        of_class.mkdir(parents=True)
        for i in range(each):
            picture = rng.integers(0, 256, [size, size, 1], dtype=np.uint8)
            (of_class / f"{i}.png").write_bytes(tf.io.encode_png(picture).numpy())
    return folder
