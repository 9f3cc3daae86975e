"""Writes spectrograms of 25 voices as folders of pictures: who speaks?

    python -m benchmarks.data.voices

data/voices/{train,valid,test}/VOICE/NUMBER.png, 0.8 s of speech each, from six Debian packages.
voices_split.json lists the voices of each split. Training also has each voice slower and faster,
as separate voices.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.data.debian import unpack
from benchmarks.data.one_line import in_one_line
from benchmarks.data.spectrogram import at_rate, pictures

SPLIT = Path(__file__).with_name("voices_split.json")
MOST = 100  # pictures per voice, and recordings
LEAST = 16
SPEEDS = {"slower": 0.9, "faster": 1.1, "fastest": 1.2}
# Prompts to skip, by the beginning of their names: tones, silence, music, and jokes with effects.
NO_SPEECH = (
    "silence/",
    "beep",
    "ascending-2tone",
    "descending-2tone",
    "confbridge-join.",
    "confbridge-leave.",
    "tt-",
)
KLETTRES = "klettres-data"
PACKAGES = {
    KLETTRES: "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8",
    "asterisk-core-sounds-en-wav": (
        "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d"
    ),
    "asterisk-core-sounds-es-wav": (
        "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903"
    ),
    "asterisk-core-sounds-fr-wav": (
        "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e"
    ),
    "asterisk-core-sounds-it-wav": (
        "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb"
    ),
    "asterisk-core-sounds-ru-wav": (
        "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201"
    ),
}


class Voice(NamedTuple):
    """A speaker, and the folders with the recordings in the packages' share/."""

    name: str
    folders: Sequence[str]


def _letters(language: str) -> Voice:
    return Voice(language, [f"klettres/{language}"])


_LANGUAGES = "ar cs da en en_GB es fr he hu it lt ml nb nds nl pt_BR ru tn uk"
VOICES = (
    *(_letters(language) for language in _LANGUAGES.split()),
    # A voice of 222 Hz reads the letters, one of 118 Hz the syllables.
    Voice("de_letters", ["klettres/de/alpha"]),
    Voice("de_syllables", ["klettres/de/syllab"]),
    # The same woman in two languages, according to the names of the folders.
    Voice("allison", ["asterisk/sounds/en_US_f_Allison", "asterisk/sounds/es_MX_f_Allison"]),
    Voice("june", ["asterisk/sounds/fr_CA_f_June"]),
    Voice("carlo", ["asterisk/sounds/it_IT_m_Carlo"]),
    Voice("ivrvoice", ["asterisk/sounds/ru_RU_f_IvrvoiceRU"]),
)


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--debs", help="a folder with the packages, if you have them already")
    parser.add_argument("--centred", action="store_true", help="subtract each band's mean")
    parser.add_argument("--output", default="data/voices", help="the folder to write")
    given = parser.parse_args()
    split = json.loads(SPLIT.read_text(encoding="utf-8"))
    output = Path(given.output)
    with in_one_line(parser), tempfile.TemporaryDirectory() as folder:
        output.mkdir(parents=True, exist_ok=True)
        for package, sha256 in PACKAGES.items():
            unpack(package, sha256, folder, given.debs)
        for voice in VOICES:
            part = next(part for part in split if voice.name in split[part])
            write(voice, Path(folder) / "usr/share", output / part, given.centred)
    for part, names in split.items():
        print(f"{output / part}: {len(names)} voices.")


def write(voice: Voice, share: Path, folder: Path, centred: bool = False) -> None:
    """Writes the pictures of a voice to a folder; for training, at other speeds too.

    Raises:
      ValueError: if there are fewer than 16.
    """
    from PIL import Image

    speeds = {"": 1.0}
    if folder.name == "train":
        speeds |= {f"--{name}": speed for name, speed in SPEEDS.items()}
    for ending, speed in speeds.items():
        found = drawn(recordings(voice, share), speed, centred)
        if len(found) < LEAST:
            raise ValueError(
                f"{voice.name} must have {LEAST} clips or more. Received: {len(found)}."
            )
        of_voice = folder / (voice.name + ending)
        of_voice.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(found):
            Image.fromarray(picture).save(of_voice / f"{number:02}.png")


def recordings(voice: Voice, share: Path) -> list[Path]:
    """The sound files of a voice, except those without speech, in a random-looking order."""
    found = []
    for name in voice.folders:
        for path in sorted((share / name).rglob("*")):
            inside = path.relative_to(share / name).as_posix()
            if path.suffix in (".ogg", ".wav") and not inside.startswith(NO_SPEECH):
                found.append((hashlib.sha256(f"{name}/{inside}".encode()).digest(), path))
    return [path for _, path in sorted(found)]


def drawn(files: Sequence[Path], speed: float = 1.0, centred: bool = False) -> list[np.ndarray]:
    """At most 100 spectrograms: the first of each recording, then the following ones."""
    pieces = [(place, picture) for f in files[:MOST] for place, picture in _of(f, speed, centred)]
    return [picture for _, picture in sorted(pieces, key=lambda piece: piece[0])][:MOST]


def _of(file: Path, speed: float, centred: bool) -> Iterator[tuple[int, np.ndarray]]:
    import soundfile

    samples, rate = soundfile.read(file)
    return enumerate(pictures(at_rate(samples, rate, speed), centred))


if __name__ == "__main__":
    main()
