"""Colours as three bytes: red, green, blue."""

Colour = tuple[int, int, int]


def from_hex(code: str) -> Colour:
    """Return the colour of six hexadecimal digits."""
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)


def mix(base: Colour, other: Colour, share: float) -> Colour:
    """Return `base` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(base, other, strict=True))
    return red, green, blue
