"""Which files of a folder are pictures, and of which kind."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")
# Pictures too, of kinds that TensorFlow does not read: to pass them over would go unseen.
_UNREADABLE = (".tif", ".tiff", ".heic", ".heif", ".avif", ".svg", ".psd", ".ico", ".jp2")


def pictures_of(folder: Path) -> list[Path]:
    """The pictures right in a folder, by name; hidden files and what is no picture are passed over.

    Raises:
      ValueError: if one is of a kind that cannot be read.
    """
    shown = [f for f in sorted(folder.iterdir()) if not f.name.startswith(".") and f.is_file()]
    for file in shown:
        if file.suffix.lower() in _UNREADABLE:
            raise ValueError(
                f"Pictures must be of the kinds {', '.join(SUFFIXES)}. Received: {file}. Convert "
                "it, to PNG for example, or move it away."
            )
    return [file for file in shown if file.suffix.lower() in SUFFIXES]


def needs_colour(content: bytes) -> bool:
    """Whether a picture is decoded in colour alone: a GIF, WebP or BMP, or a JPEG of four inks."""
    if content[:4] == b"GIF8" or content[:2] == b"BM" or content[8:12] == b"WEBP":
        return True
    return content[:2] == b"\xff\xd8" and _components(content) == 4


def is_stored_in_colour(content: bytes) -> bool:
    """Whether a picture's file has colours, be they all grey."""
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return content[25:26] in (b"\x02", b"\x03", b"\x06")  # true colour, palette, with alpha
    return needs_colour(content) or (content[:2] == b"\xff\xd8" and _components(content) >= 3)


def _components(jpeg: bytes) -> int:
    """The number of colours of a JPEG, from its frame header; 0 if there is none."""
    at = 2
    while at + 9 < len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return jpeg[at + 9]
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return 0
