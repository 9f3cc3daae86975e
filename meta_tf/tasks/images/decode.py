"""Decodes image files to one array of images of equal size."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture import ImageFile, PictureReader

_CHUNK = 500  # the most files decoded at a time: enough to hide the overhead of resizing
_CHUNK_BYTES = 8 * 2**20  # little memory
_SLOW_BYTES = 4 * 2**20  # of all images: for example, 28 photographs of 224 x 224 pixels
_WAITING_BYTES = 32 * 2**20  # pictures of the same shape, which are resized together


def decode_images(
    files: Sequence[ImageFile], size: tuple[int, int], channels: int, crop: bool = False
) -> np.ndarray:
    """Decodes and resizes images, with a progress bar on a terminal: uint8 [n, *size, channels].

    `size`: height and width, reached by a Lanczos filter of radius 3 with antialiasing.
    `channels`: 1 (grey) or 3 (red, green, blue). `crop`: whether to cut off what is outside the
    largest centred part of the requested aspect ratio, instead of stretching. Raises ValueError,
    which names the file, if one is damaged.
    """
    return decoded(files, Conversion(size, channels, crop))


def decoded(files: Sequence[ImageFile], conversion: Conversion) -> np.ndarray:
    """The same images; `conversion` counts what they lose."""
    shape, done = (len(files), *conversion.size, conversion.channels), 0
    images = np.empty(shape, np.uint8)
    for chunk in decoded_chunks(files, conversion):
        images[done : done + len(chunk)] = chunk
        done += len(chunk)
    return images


def decoded_chunks(files: Sequence[ImageFile], conversion: Conversion) -> Iterator[np.ndarray]:
    """The same images, a few hundred at a time."""
    size, channels = conversion.size, conversion.channels
    known = conversion.white_of_16_bits
    reader = PictureReader(files[: conversion.scaled_by], size, channels, known)
    size_of_one = math.prod(size) * channels
    # Only for slow work, and only where a line can be overwritten.
    slow = len(files) > _CHUNK or len(files) * size_of_one > _SLOW_BYTES
    shown = slow and sys.stdout.isatty()
    bar = keras.utils.Progbar(len(files), verbose=int(shown), unit_name="image")
    number = max(1, min(_CHUNK, _CHUNK_BYTES // size_of_one))
    for first in range(0, len(files), number):
        chunk = files[first : first + number]
        images = np.empty([len(chunk), *size, channels], np.uint8)
        waiting: dict[tuple, list[tuple[int, np.ndarray]]] = {}
        held = 0
        for place, file in enumerate(chunk):
            picture = reader.read(file)
            if shown:
                bar.update(first + place)
            conversion.add(picture)
            pixels = picture.pixels
            waiting.setdefault((pixels.shape, pixels.dtype), []).append((place, pixels))
            held += pixels.nbytes
            if held > _WAITING_BYTES or place == len(chunk) - 1:
                for same in waiting.values():
                    places, stack = zip(*same, strict=True)
                    images[list(places)] = _resized(np.stack(stack), size, conversion.crop)
                waiting, held = {}, 0
        yield images
        bar.update(first + len(chunk))


def _resized(pictures: np.ndarray, size: tuple[int, int], crop: bool) -> np.ndarray:
    """Pictures [n, h, w, channels] as uint8 [n, *size, channels].

    Without `crop`, the result is that of `tf.image.resize(pictures, size, "lanczos3",
    antialias=True)`, which takes several times as long for one picture.
    """
    stored, target = np.array(pictures.shape[1:3], np.float32), np.array(size, np.float32)
    scale: np.ndarray = target / stored
    if crop:
        scale = np.full_like(scale, scale.max())
    translation = (target - scale * stored) / 2 if crop else np.zeros_like(target)
    with tf.device("CPU:0"):
        resized = tf.raw_ops.ScaleAndTranslate(
            images=pictures,
            size=size,
            scale=scale,
            translation=translation,
            kernel_type="lanczos3",
            antialias=True,
        ).numpy()
    # The filter's negative lobes overshoot at sharp edges.
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)
