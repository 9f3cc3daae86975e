"""Image files, decoded to one array of images of equal size."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_tf.tasks.conversion import Conversion
from meta_tf.tasks.picture_files import SUFFIXES, is_stored_in_colour, needs_colour

_CHUNK = 500  # files decoded by one call at most: enough to hide its cost
_CHUNK_BYTES = 8 * 2**20  # and little memory


class ImageFile(NamedTuple):
    """A file to decode: its `name`, for messages, and `read`, which gives its bytes."""

    name: str
    read: Callable[[], bytes]


def decode_images(
    files: Sequence[ImageFile],
    size: tuple[int, int],
    channels: int,
    conversion: Conversion | None = None,
) -> np.ndarray:
    """Decodes and resizes images, with a progress bar on a terminal.

    Args:
      files: what to decode: PNG, JPEG (of inks too), GIF (its first picture), WebP, BMP. The
        pictures may differ in size.
      size: height and width to resize to, by a Lanczos filter of radius 3 with
        antialiasing.
      channels: 1 (grey) or 3 (red, green, blue).
      conversion: is told what the pictures were like.

    Returns:
      uint8, [n, height, width, channels].

    Raises:
      ValueError: if a file cannot be decoded; it names the file.
    """
    images, done = np.empty([len(files), *size, channels], np.uint8), 0
    for chunk in decoded_chunks(files, size, channels, conversion):
        images[done : done + len(chunk)] = chunk
        done += len(chunk)
    return images


def decoded_chunks(
    files: Sequence[ImageFile],
    size: tuple[int, int],
    channels: int,
    conversion: Conversion | None = None,
) -> Iterator[np.ndarray]:
    """The same images, some hundreds at a time."""

    def decode(content: tf.Tensor, colour: tf.Tensor | bool) -> tuple[tf.Tensor, tf.Tensor]:
        def grey_of_colours() -> tf.Tensor:
            return tf.image.rgb_to_grayscale(_decoded(content, 3))

        if channels == 1:
            image = tf.cond(colour, grey_of_colours, lambda: _decoded(content, 1))
        else:
            image = _decoded(content, channels)
        image.set_shape([None, None, channels])
        resized = tf.image.resize(image, size, method="lanczos3", antialias=True)
        # The filter's negative lobes overshoot at sharp edges.
        resized = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
        return resized, tf.shape(image)[:2]

    @tf.autograph.experimental.do_not_convert
    def decode_all(contents: tf.Tensor, colours: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.map_fn(
            lambda pair: decode(*pair),
            (contents, colours),
            fn_output_signature=(tf.uint8, tf.int32),
        )

    decode_all = tf.function(
        decode_all,
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.bool)],
        autograph=False,
    )
    # For what takes a while, and only where a line can be drawn over.
    shown = len(files) > _CHUNK and sys.stdout.isatty()
    bar = keras.utils.Progbar(len(files), verbose=int(shown), unit_name="image")
    number = max(1, min(_CHUNK, _CHUNK_BYTES // (math.prod(size) * channels)))
    for first in range(0, len(files), number):
        chunk = files[first : first + number]
        contents = [file.read() for file in chunk]
        colours = [needs_colour(content) for content in contents]
        try:
            with tf.device("CPU:0"):
                images, sizes = decode_all(contents, colours)
        except tf.errors.OpError as error:
            raise _undecodable(chunk, contents, decode) from error
        if conversion is not None:
            conversion.add(sizes.numpy(), [is_stored_in_colour(c) for c in contents])
        yield images.numpy()
        bar.update(first + len(chunk))


def _decoded(content: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(content, channels, expand_animations=False)


def _undecodable(
    files: Sequence[ImageFile],
    contents: Sequence[bytes],
    decode: Callable[[tf.Tensor, bool], tuple[tf.Tensor, tf.Tensor]],
) -> Exception:
    """Finds out which file of a chunk it was, since a failure inside `map_fn` does not say."""
    for file, content in zip(files, contents, strict=True):
        try:
            decode(tf.constant(content), needs_colour(content))
        except (tf.errors.OpError, ValueError) as error:
            # Without the name of the place in TensorFlow.
            why = re.sub(r"^\{\{.*?\}\} | \[Op:\w+\].*$", "", str(error).strip(), flags=re.DOTALL)
            return ValueError(
                f"Cannot decode the image {file.name} ({len(content)} bytes) as any of the kinds "
                f"{', '.join(SUFFIXES)}. Replace or delete it. The decoder says: {why}"
            )
    return ValueError(f"Cannot decode one of the images {files[0].name} … {files[-1].name}.")
