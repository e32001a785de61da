"""Words in pictures: one font, and lines that fit a width."""

import unicodedata
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SMALLEST = 7
"""Letters below this size in pixels cannot be read."""

Font = ImageFont.FreeTypeFont


@cache
def font(size: int) -> Font:
    """DejaVu Sans as matplotlib brings it: Latin, Greek, Cyrillic, Arabic, mathematics."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def line_height(face: Font) -> int:
    ascent, descent = face.getmetrics()
    return ascent + descent


def wrap(text: str, face: Font, width: int, most: int | None = None) -> list[str]:
    """The text in lines of at most `width` pixels; a word that is wider is broken.

    Nothing is left out, unless it needs more than `most` lines: then the last one ends in an ellipsis.

    >>> wrap("tiger cat 0.38", font(12), 60)
    ['tiger cat', '0.38']
    """
    lines = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if line and face.getlength(f"{line} {word}") <= width:
                line = f"{line} {word}"
                continue
            if line:
                lines.append(line)
            line = word
            while face.getlength(line) > width and (cut := _cut(line, face, width)) < len(line):
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        while last and face.getlength(last + "…") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last + "…"]
    return lines


def _cut(word: str, face: Font, width: int) -> int:
    """How many characters of a word that is too wide go on this line: at least one, best up to a separator."""
    cut = 1
    while cut < len(word) and face.getlength(word[: cut + 1]) <= width:
        cut += 1
    separator = max(word.rfind(mark, 0, cut) for mark in "-_/,;:.") + 1
    if separator > cut / 2:
        return separator
    while cut > 1 and unicodedata.combining(word[cut]):
        cut -= 1  # an accent stays with its letter
    return cut


def write(sheet: Image.Image, lines: list[str], face: Font, centre: float, top: int, colour: str) -> None:
    """Draw centred lines below one another; the sheet is changed."""
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((centre, top + number * line_height(face)), line, colour, face, anchor="ma")
