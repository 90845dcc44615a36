"""Text set in an image: folded to what the bundled font has, wrapped, and set to fit."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import msgspec
from PIL import ImageDraw, ImageFont

from imagegen.images.colour import Colour, mix

# Pillow's own font has ASCII and a few signs. Letters of other alphabets are written with
# Latin ones where that is common; the rest is set as a soft bar, like text in a layout.
_BAR = "\ufffc"
_LONGEST = 2000
_NARROWEST = 0.1
"""Of the size, how wide the font's narrowest letters are at least."""
_EXTRA = frozenset("©«°±´·»‘’“”…‹›™")
_CYRILLIC = "а a б b в v г g д d е e ж zh з z и i к k л l м m н n о o п p р r с s т t у u ф f х kh \
ц ts ч ch ш sh щ shch ъ _ ы y ь _ э e ю yu я ya і i є ye ґ g ј j љ lj њ nj ћ c ђ dj џ dz"
_GREEK = "α a β b γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y \
φ f χ ch ψ ps ω o"
_LATIN = "ß ss æ ae œ oe ø o ł l đ d ð d þ th ı i ħ h ŋ ng – - — - ― - − - ‐ - ‑ - • · → > ← < × x"


def _table() -> dict[str, str]:
    parts = f"{_CYRILLIC} {_GREEK} {_LATIN}".split()
    table = {a: b.replace("_", "") for a, b in zip(parts[::2], parts[1::2], strict=True)}
    return table | {a.upper(): b.capitalize() for a, b in table.items() if a.upper() not in table}


_FOLDED = _table()


def fold(text: str) -> str:
    """Return text in characters that the font has; a letter that it cannot write is a bar.

    Accents, control characters and emoji are left out, and white space is single.
    """
    characters: list[str] = []
    for char in unicodedata.normalize("NFKD", text[:_LONGEST]):
        kind = unicodedata.category(char)
        if " " < char <= "~" or char in _EXTRA:
            characters.append(char)
        elif char in _FOLDED:
            characters.append(_FOLDED[char])
        elif kind[0] in "LN":
            characters.append(_BAR)
        elif kind[0] in "ZPC" and kind != "Cf":
            characters.append(" ")
    # Scripts without spaces still need places to break.
    parted = re.sub(f"({_BAR}{{4}})(?={_BAR})", r"\1 ", "".join(characters))
    return " ".join(parted.split())


def writes(text: str) -> bool:
    """Return whether `fold` keeps every letter and sign of a text, if maybe without accents."""
    # A bar replaces a letter; signs, emoji among them, are left out.
    return not any(
        unicodedata.category(char)[0] in "LNS" and char not in _FOLDED and char not in _EXTRA
        for char in unicodedata.normalize("NFKD", text[:_LONGEST])
        if not char.isascii()
    )


@lru_cache(maxsize=128)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 (for the type checker)
    return font


class Line(msgspec.Struct, frozen=True):
    """One line of text that is sure to fit, in its size."""

    text: str
    size: int

    @property
    def width(self) -> float:
        """How wide it is set, in pixels."""
        return width_of(self.text, self.size)

    def draw(
        self, draw: ImageDraw.ImageDraw, at: tuple[float, float], ink: Colour, back: Colour
    ) -> None:
        """Set the line with its top left corner at `at`; `back` is the background."""
        x, y = at
        for run in re.split(f"({_BAR}+)", self.text):
            if run.startswith(_BAR):
                end = x + width_of(run, self.size) - self.size * 0.16
                box = (x, y + self.size * 0.3, end, y + self.size * 0.92)
                draw.rounded_rectangle(box, self.size * 0.18, fill=mix(back, ink, 0.38))
            elif run:
                draw.text((x, y), run, font=_font(self.size), fill=ink)
            x += width_of(run, self.size)


def width_of(text: str, size: int) -> float:
    """Return how wide a text is set, in pixels."""
    bars = text.count(_BAR)
    rest = text.replace(_BAR, "") if bars else text
    return bars * 0.8 * size + (_font(size).getlength(rest) if rest else 0.0)


def fit_line(text: str, width: float, size: int, smallest: int) -> Line:
    """Return a text as one line: in the largest size that fits, else cut with an ellipsis."""
    for step in range(size, smallest, -1):
        if width_of(text, step) <= width:
            return Line(text, step)
    return Line(_cut(text, width, smallest), smallest)


def fit_lines(text: str, box: tuple[float, float], size: int, smallest: int) -> Sequence[Line]:
    """Return a text wrapped into a box, likewise."""
    step = size
    while True:
        room = max(1, int(box[1] / leading(step)))
        lines = _wrap(text, box[0], step, room + 1)
        if len(lines) <= room or step <= smallest:
            break
        step = max(smallest, round(step * 0.93) if step > 14 else step - 1)
    if len(lines) > room:
        lines = [*lines[: room - 1], _cut(f"{lines[room - 1]} …", box[0], step, always=True)]
    return [Line(line, step) for line in lines]


def leading(size: int) -> float:
    """Return the distance of two lines of text, in pixels."""
    return size * 1.32


def _cut(text: str, width: float, size: int, *, always: bool = False) -> str:
    if not always and width_of(text, size) <= width:
        return text
    text = text.removesuffix("…").rstrip()
    kept = text[: _count_fitting(text, width, size, end="…")]
    return f"{kept.rstrip(' ,;:.-')}…"


def _count_fitting(text: str, width: float, size: int, end: str = "") -> int:
    """Return how many of a text's first characters fit, followed by `end`."""
    # A word may have thousands of letters, of which a line has few: only those are measured.
    most = min(len(text), int(width / (_NARROWEST * size)) + 1)
    counts = range(1, most + 1)
    return bisect_right(counts, width, key=lambda count: width_of(text[:count] + end, size))


def _wrap(text: str, width: float, size: int, most: int) -> list[str]:
    """Return the text in lines of at most `width`; stops after `most` lines."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        longer = f"{line} {rest}" if line else rest
        if width_of(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while len(lines) < most:
            count = max(1, _count_fitting(rest, width, size))
            if count >= len(rest):
                break
            lines.append(rest[:count])
            rest = rest[count:]
        line = rest
        if len(lines) >= most:
            return lines[:most]
    return [*lines, line] if line else lines
