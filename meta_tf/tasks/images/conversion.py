"""Records what pictures lose when they are converted to one size and colour."""

from __future__ import annotations

from meta_tf.tasks.images.picture import WHITE_OF_16_BITS, Picture


class Conversion:
    """How pictures are decoded, as in `decode_images`, and how many of them lose what by it.

    `white_of_16_bits`: the level of white of 16-bit grey pictures; if None, it is found in the
    first `scaled_by` files, or in all of them, and set when the first such picture is read.
    `pictures`: the number of pictures that were read.
    """

    def __init__(
        self,
        size: tuple[int, int],
        channels: int,
        crop: bool = False,
        white_of_16_bits: int | None = None,
        scaled_by: int | None = None,
    ):
        self.size, self.channels, self.crop = size, channels, crop
        self.white_of_16_bits, self.scaled_by = white_of_16_bits, scaled_by
        self._sizes: set[tuple[int, int]] = set()
        self._white: int | None = None
        self.pictures = self._colours = self._transparent = self._several = 0

    def add(self, picture: Picture) -> None:
        self._sizes.add(picture.size)
        self.pictures += 1
        self._colours += picture.colour
        self._transparent += picture.transparent
        self._several += picture.several
        self._white = picture.white or self._white
        self.white_of_16_bits = self.white_of_16_bits or picture.white

    def in_words(self) -> str:
        """A sentence on what is lost, and one on each other choice; empty if nothing applies."""
        others = []
        if self._transparent:
            others.append(f"{self._transparent} of them are transparent, and are read on white.")
        if self._several:
            others.append(f"{self._several} of the files hold several; only the first is read.")
        if self._white not in (None, WHITE_OF_16_BITS):
            others.append(f"The 16-bit pictures are read with {self._white} as white.")
        lost = self._lost()
        if others and not lost:
            lost = f"{self._number()} {self._are()} read."
        return " ".join([lost, *others])

    def _lost(self) -> str:
        greyed = self._colours if self.channels == 1 else 0
        if not greyed and self._sizes <= {self.size}:
            return ""
        by_area = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        least, most = (f"{height} x {width}" for height, width in (by_area[0], by_area[-1]))
        sizes = least if len(by_area) == 1 else f"{least} to {most}"
        colour = ""
        if greyed:
            some = "all " if greyed == self.pictures else f"{greyed} of them "
            colour = f" {some if self.pictures > 1 else ''}stored in colour,"
        (height, width) = self.size
        done = "resized"
        if any(h * width != w * height for h, w in self._sizes):
            whose = "its" if self.pictures == 1 else "their"
            done = f"cropped to {whose} middle and resized" if self.crop else "stretched"
        if self._sizes == {self.size}:
            done = "read"
        target = f"{done} {'as' if done == 'read' else 'to'} {height} x {width}"
        return (
            f"{self._number()}, of {sizes} pixels,{colour} {self._are()} {target}"
            f"{' in grey' if greyed else ''}."
        )

    def _number(self) -> str:
        return f"{self.pictures} picture{'s' * (self.pictures != 1)}"

    def _are(self) -> str:
        return "is" if self.pictures == 1 else "are"
