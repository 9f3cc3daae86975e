"""Writes Chinese characters, drawn in fourteen typefaces from Debian, as folders of pictures.

    python -m benchmarks.data.chinese_characters

data/chinese_characters/{train,valid,test}/CHARACTER/FACE.png has all typefaces in all splits.
data/chinese_faces/ has the same characters, with brush typefaces only in the test split, and the
others in the other splits. chinese_characters_split.json lists the characters of validation and
test; all others that at least eight typefaces can draw (here: all nine that are not brush) are for
training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.debian import among
from benchmarks.data.faces import Face, characters_of, draw
from benchmarks.data.one_line import in_one_line

SPLIT = Path(__file__).with_name("chinese_characters_split.json")
LEAST_FACES = 8  # for a training character
LEAST_TYPE_FACES = 9  # for a training character, of the typefaces that are not brush: all
_KOUZAN = "truetype/kouzan-mouhitsu"

FACES = (
    Face("sung", "fonts-arphic-gbsn00lp", "truetype/arphic-gbsn00lp/gbsn00lp.ttf",
         "705ec2dba81eaee1208e4ed5d3ff23ab259292e8e0e163ea3de297ef1317007a"),
    Face("kai", "fonts-arphic-gkai00mp", "truetype/arphic-gkai00mp/gkai00mp.ttf",
         "61519fb9bdda4a1a3aa02a12cbb76c2ef897ce879775d7ea2265d0a65fe54d16"),
    Face("ukai", "fonts-arphic-ukai", "truetype/arphic/ukai.ttc",
         "cfc758e69386a21bade8cb3b373fda20d7f2fac6e8904ced2ded98588b63e274"),
    Face("uming", "fonts-arphic-uming", "truetype/arphic/uming.ttc",
         "fe952e55617275142d9cefd4d79eade4df446517b0478b2567d9bc7df49f70e2"),
    Face("microhei", "fonts-wqy-microhei", "truetype/wqy/wqy-microhei.ttc",
         "2420e8078af796b19a3f6ef13de527a1a91c1e7171eea115926c614ced1009b3"),
    Face("zenhei", "fonts-wqy-zenhei", "truetype/wqy/wqy-zenhei.ttc",
         "79c18ebe7b811951e8311bad7103ebeae8c337ed9988ea69e8a78a66cfe029b9"),
    Face("smiley", "fonts-smiley-sans", "truetype/smiley-sans/SmileySans-Oblique.ttf",
         "c2f62ff764f23bfa7ecc9dc934e710a5c2e727f763f1d4a663a0679b2aa2e14f"),
    Face("seto", "fonts-seto", "truetype/seto/setofont.ttf",
         "af54468357473617a77515436f7dca8f9376690aa514f3a7dbfc36a3b3f8229e"),
    Face("hanazono", "fonts-hanazono", "truetype/hanazono/HanaMinA.ttf",
         "7ca87559414474848fc513a8d8eb42d5b0f8194c30c2abdfbfedff5398ec88d7"),
    Face("kouzan_t", "fonts-aoyagi-kouzan-t", "truetype/aoyagi-kouzan-t/AoyagiKouzanT.ttf",
         "233d623f88c083631521c909950ce3046eb9f89d444a0a8be4c80ac50019fcbd", brush=True),
    Face("soseki", "fonts-aoyagi-soseki", "truetype/aoyagi-soseki/aoyagi-soseki.ttf",
         "40b77688adac33d2a19d080d721afd5cb6b12b7c3ef523c354ed8ec5da4e440f", brush=True),
    Face("kouzan", "fonts-kouzan-mouhitsu", f"{_KOUZAN}/kouzan-mouhitsu.ttf",
         "582f269574e71336f1ee8318664ff6cfafd84293b3267ddf39410015713c951e", brush=True),
    Face("kouzan_gyosho", "fonts-kouzan-mouhitsu", f"{_KOUZAN}/kouzan-mouhitsu-gyosho.ttf",
         "6b063cc0f9591ea2e71c97f06c8e663d04a0b0ac4bbe6c0e4c3b49a13215db99", brush=True),
    Face("kouzan_sosho", "fonts-kouzan-mouhitsu", f"{_KOUZAN}/KouzanBrushFontSousyo.ttf",
         "7f676cf7275de19068d6b00c0e8f77c67939715bc585ac66df991a4cc0178830", brush=True),
)  # fmt: skip

Pictures = dict[str, dict[str, Any]]  # character → face → picture


def main() -> None:
    """Writes both folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--debs", help="a folder with the packages, if you have them already")
    parser.add_argument("--output", default="data", help="where the two folders go")
    given = parser.parse_args()
    with in_one_line(parser):
        write_both(given.debs, Path(given.output))


def write_both(debs: str | None, output: Path) -> None:
    """Draws the characters of each split, and also splits them by typeface, in two folders."""
    output.mkdir(parents=True, exist_ok=True)  # before minutes of drawing
    pictures = drawn(
        {face.name: face.read(debs and str(among(debs, face.package))) for face in FACES}
    )
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    brush = [face.name for face in FACES if face.brush]
    for name, parts in (
        ("chinese_characters", parts_of(pictures, split, LEAST_FACES)),
        ("chinese_faces", parts_by_face(pictures, split, brush, LEAST_TYPE_FACES)),
    ):
        for part, found in parts.items():
            write(found, output / name / part)
            print(f"{output / name / part}: {len(found)} characters.")


def drawn(faces: Mapping[str, Any]) -> Pictures:
    """All characters of all typefaces, without those that a typeface draws alike."""
    pictures: Pictures = {}
    for name, face in faces.items():
        of_face: dict[bytes, list[tuple[str, Any]]] = {}
        for character in sorted(characters_of(face)):
            picture = draw(face, character)
            if picture is not None:
                of_face.setdefault(picture.tobytes(), []).append((character, picture))
        # If two characters have the same picture, the typeface probably has neither.
        for same in of_face.values():
            if len(same) == 1:
                character, picture = same[0]
                pictures.setdefault(character, {})[name] = picture
        print(f"{name} is drawn.", flush=True)
    return pictures


def parts_of(pictures: Pictures, split: Mapping[str, str], least: int) -> dict[str, Pictures]:
    """Pictures by split; characters not in `split` are for training, if `least` faces draw them.

    Raises:
      ValueError: if a character of validation or test was not drawn.
    """
    held_out = {part: list(split[part]) for part in ("valid", "test")}
    for part, characters in held_out.items():
        missing = "".join(c for c in characters if c not in pictures)
        if missing:
            raise ValueError(f"The {part} part needs characters that no typeface drew: {missing}.")
    known = set(split["valid"]) | set(split["test"])
    train = {c: p for c, p in pictures.items() if c not in known and len(p) >= least}
    return {
        "train": train,
        **{part: {c: pictures[c] for c in found} for part, found in held_out.items()},
    }


def parts_by_face(
    pictures: Pictures, split: Mapping[str, str], unseen: Sequence[str], least: int
) -> dict[str, Pictures]:
    """The same pictures, with the faces `unseen` only in the test split."""

    def only(test: bool) -> Pictures:
        return {
            c: {name: p for name, p in found.items() if (name in unseen) == test}
            for c, found in pictures.items()
        }

    parts = parts_of(only(False), split, least)
    return {**parts, "test": parts_of(only(True), split, least)["test"]}


def write(pictures: Pictures, folder: Path) -> None:
    """Writes one folder per character, with one PNG per face."""
    folder.mkdir(parents=True, exist_ok=True)
    for character, faces in pictures.items():
        (folder / character).mkdir(exist_ok=True)
        for name, picture in faces.items():
            picture.save(folder / character / f"{name}.png")


if __name__ == "__main__":
    main()
