"""`PictureInput`: turns files, PIL pictures and arrays into the pictures that a model takes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.decode import decoded, decoded_chunks
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import classes_in, pictures_in, shown_name

Invert = Literal["no", "light", "yes"]
_TAKES = (
    "a folder, the path of a file, a PIL picture, an array of uint8 [height, width] or [height, "
    "width, 1 or 3], or a list of these"
)


@dataclasses.dataclass(frozen=True)
class PictureInput:
    """How pictures become the input of a model.

    Args:
      size: the height and width that the model takes.
      channels: 1 (grey) or 3 (red, green, blue).
      white: the value of white, 1 or 255; black is 0.
      crop: whether to take the central part of a picture that has the model's proportions.
        False stretches the whole picture, which suits drawings.
      invert: which pictures to invert, so that light becomes dark: `"no"`, `"yes"` for all, or
        `"light"` for those with a median above the middle, such as ink on paper.
      white_of_16_bits: the level of white of 16-bit grey pictures. If None, it is found in those
        that are read together; a model that was adapted to such pictures keeps theirs.

    Example:
      >>> page = np.full([40, 40, 1], 255, np.uint8)
      >>> page[10:20] = 0
      >>> read = PictureInput((28, 28), 1, invert="light").read([page])
      >>> read.shape, float(read.min()), float(read.max())
      ((1, 28, 28, 1), 0.0, 1.0)
    """

    size: tuple[int, int]
    channels: int
    white: int = 1
    crop: bool = False
    invert: Invert = "no"
    white_of_16_bits: int | None = None

    def takes(self, x: Any) -> bool:
        """Whether `x` is pictures to read; False for arrays that the model takes as they are."""
        if isinstance(x, str | os.PathLike | Image.Image):
            return True
        if isinstance(x, list | tuple):
            return any(
                self.takes(one) or (_is_picture(one) and one.dtype == np.uint8) for one in x[:1]
            )
        if getattr(x, "dtype", None) != np.uint8:
            return False
        shape = tuple(x.shape)
        return _is_picture(x) or (len(shape) == 4 and shape[1:] != (*self.size, self.channels))

    def conversion(self, scaled_by: int | None = None) -> Conversion:
        """How pictures are decoded; see `Conversion`."""
        return Conversion(self.size, self.channels, self.crop, self.white_of_16_bits, scaled_by)

    def after(self, conversion: Conversion) -> PictureInput:
        """The same for pictures that come after those of a conversion, with their white."""
        return dataclasses.replace(self, white_of_16_bits=conversion.white_of_16_bits)

    def read(
        self, pictures: Any, name: str = "pictures", conversion: Conversion | None = None
    ) -> np.ndarray:
        """Reads pictures.

        Args:
          pictures: a folder, whose pictures are read in alphabetical order; the path of a file; a
            PIL picture; an array of uint8 [height, width] or [height, width, 1 or 3], from 0 to
            255; or a list or an array of several. EXIF's orientation is applied, and transparent
            parts become white.
          name: the name of the argument, for errors.
          conversion: counts what they lose; see `conversion`.

        Returns:
          float32, [n, height, width, channels], from 0 to `white`.

        Raises:
          ValueError: if something else is given, or a file cannot be read; the error names it.
        """
        return self.decoded(picture_files(pictures, name), conversion)

    def decoded(
        self, files: Sequence[ImageFile], conversion: Conversion | None = None
    ) -> np.ndarray:
        """Reads files, as `read` does."""
        return self._taken(decoded(files, conversion or self.conversion()))

    def each(
        self, files: Sequence[ImageFile], conversion: Conversion | None = None
    ) -> Iterator[np.ndarray]:
        """The same pictures one by one, read when needed; `conversion` counts what they lose."""
        for images in decoded_chunks(files, conversion or self.conversion()):
            yield from self._taken(images)

    def _taken(self, images: np.ndarray) -> np.ndarray:
        """Pictures of uint8 as the model takes them."""
        if self.invert == "light":
            light = np.median(images, axis=(1, 2, 3), keepdims=True) > 127.5
            images = np.where(light, 255 - images, images)
        elif self.invert == "yes":
            images = 255 - images
        return images.astype(np.float32) / np.float32(255 / self.white)

    def read_classes(
        self, pictures: Any, name: str, conversion: Conversion | None = None
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Pictures of classes [S, height, width, channels], their class numbers [S], and the names.

        `pictures`: a folder with a subfolder of pictures for each class, or one picture for each;
        or a dict of a class's name to its pictures. `name`: the name of the argument, for errors.
        """
        if isinstance(pictures, Mapping):
            if len(pictures) < 2:
                raise ValueError(
                    f"{name} must hold at least two classes. Received: {len(pictures)}."
                )
            by_class = [picture_files(value, name) for value in pictures.values()]
            names = list(map(str, pictures))
            files = [file for of_class in by_class for file in of_class]
            labels = [i for i, of_class in enumerate(by_class) for _ in of_class]
        else:
            if not isinstance(pictures, str | os.PathLike):
                raise ValueError(
                    f"{name} must be a folder of classes or a dict of them, or come with targets. "
                    f"Received: {type(pictures).__name__}."
                )
            found = classes_in(Path(pictures).expanduser(), name)
            files = [ImageFile.at(path) for path in found.pictures]
            names, labels = found.names, found.labels
        return self.decoded(files, conversion), np.array(labels), names


def picture_files(pictures: Any, name: str) -> list[ImageFile]:
    """What `PictureInput.read` takes, as files to decode; ValueError for anything else."""
    if isinstance(pictures, str | os.PathLike):
        path = Path(pictures).expanduser()
        if path.is_dir():
            return [ImageFile.at(p) for p in pictures_in(path, name)]
        if not path.is_file():
            raise ValueError(
                f"{name} must be an existing file or folder. Received: {shown_name(str(path))}, "
                f"looked for in {Path.cwd()}."
            )
        return [ImageFile.at(path)]
    if isinstance(pictures, Image.Image):
        return [ImageFile(f"{name}, a picture in memory", lambda: pictures)]
    if isinstance(pictures, list | tuple) and pictures:
        return [file for one in pictures for file in picture_files(one, name)]
    if getattr(pictures, "dtype", None) == np.uint8:
        array = np.asarray(pictures)
        if len(array.shape) == 4 and len(array):
            return [file for one in array for file in picture_files(one, name)]
        if _is_picture(array):
            image = Image.fromarray(array.squeeze(-1) if array.shape[2:] == (1,) else array)
            return [ImageFile(f"{name}, an array", lambda: image)]
    shape = getattr(pictures, "shape", None)
    of = f" of {getattr(pictures, 'dtype', '')} {tuple(shape)}" if shape is not None else ""
    raise ValueError(f"{name} must be {_TAKES}. Received: {type(pictures).__name__}{of}.")


def _is_picture(x: Any) -> bool:
    shape = tuple(getattr(x, "shape", ()))
    return len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))
