"""How each style of the sketch provider looks: its colours and its way of drawing."""

import colorsys
import hashlib

import msgspec

from imagegen.images.colour import Colour, from_hex, mix

TIMES = ("day", "dawn", "dusk", "night", "storm")


class Palette(msgspec.Struct, frozen=True):
    """The colours of one image: its ground from top to low, three arcs, a disc, outlines."""

    top: Colour
    low: Colour
    far: Colour
    mid: Colour
    near: Colour
    disc: Colour
    ink: Colour


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A style's way of drawing.

    `margin` and `stroke` are shares and thousandths of the image's side (a stroke of 0: no
    outlines); `bloom` is how far washes vary in tone, 0 to 1. `guides` are crop marks and thirds.
    """

    palettes: dict[str, Palette]
    paper: Colour
    text: Colour
    tag: Colour
    margin: float
    stroke: float = 0.0
    bloom: float = 0.0
    guides: bool = False


def _palettes(*rows: str) -> dict[str, Palette]:
    """Read one row of hexadecimal colours for each of `TIMES`."""
    return {
        time: Palette(*(from_hex(code) for code in row.split()))
        for time, row in zip(TIMES, rows, strict=True)
    }


# In the order of Palette's fields: top low far mid near disc ink.
_ILLUSTRATION = _palettes(
    "58B4DE FDEBC0 A3CDA0 6FB25F 37804A FFD04F 3A2A24",
    "EF8E6B FFE2A6 E9A583 BC7480 70486A FFF0AE 3A2530",
    "57478C FF9A62 A96392 6F4679 3F2D57 FFC64E 291C36",
    "152550 4A6FA0 35568A 274270 182B4E FFE59A 0D1730",
    "43536A A9BBB4 75908E 51706F 33504F F6EBC0 1E2A30",
)
_CLEAR = _palettes(
    "F4F2EC F4F2EC E5E8E2 D5DEDA B7C9C6 F6BE45 25343D",
    "FCEFE4 FCEFE4 F7DFCD F2CDB6 E3B39B F58F5F 35293B",
    "EFE6EF EFE6EF E0D0E0 CDB7D1 AE95B8 F7A35C 33264A",
    "1C2742 1C2742 253354 2F4066 3B4F78 F5D67B 0F172A",
    "E2E7E9 E2E7E9 D2DADD BECACE 9FB0B6 F8FAFA 27363E",
)
_CONSISTENT = _palettes(
    "B4C6D4 EAF0F3 A9BDCC 7F9BB0 3C5A75 F6C575 15263A",
    "A5B9C9 F6EDDC A9BDCC 7F9BB0 3C5A75 F6C575 15263A",
    "6E8BA3 F3DDBB 7F9BB0 5C7A94 2E4A65 F6C575 15263A",
    "15263A 45647F 2E4A65 24405A 182E45 F6C575 0B1624",
    "5C7489 B9C7D0 7F96A7 5C778C 34506A EFE3C8 15263A",
)

_KNOWN = {
    "illustration": Look(
        palettes=_ILLUSTRATION,
        paper=from_hex("FBF4E6"),
        text=from_hex("3A2A24"),
        tag=from_hex("C8431F"),
        margin=0.03,
        stroke=3.2,
        bloom=1.0,
    ),
    "clear": Look(
        palettes=_CLEAR,
        paper=from_hex("FFFFFF"),
        text=from_hex("1F2A30"),
        tag=from_hex("1F2A30"),
        margin=0.0,
    ),
    "consistent": Look(
        palettes=_CONSISTENT,
        paper=from_hex("15263A"),
        text=from_hex("EEF3F6"),
        tag=from_hex("F6B04D"),
        margin=0.022,
        stroke=1.5,
        guides=True,
    ),
}


def look_of(style: str) -> Look:
    """Return the look of a style; a name that is not built in gets one derived from it."""
    return _KNOWN.get(style) or _derive(style)


def _derive(style: str) -> Look:
    digest = hashlib.sha256(style.encode()).digest()
    # Without the yellow greens, in which sky and skin look sick.
    hue = (0.43 + digest[0] / 256 * 0.75) % 1
    partner = (hue + 0.36 + digest[1] / 256 * 0.28) % 1

    def tone(of: float, light: float, strength: float) -> Colour:
        red, green, blue = (round(255 * c) for c in colorsys.hls_to_rgb(of % 1, light, strength))
        return red, green, blue

    def palette(top: float, low: float, ground: float) -> Palette:
        return Palette(
            top=tone(hue, top, 0.36),
            low=tone(hue + 0.06, low, 0.4),
            far=tone(hue + 0.02, ground + 0.22, 0.32),
            mid=tone(hue + 0.04, ground + 0.08, 0.36),
            near=tone(hue - 0.03, ground - 0.06, 0.42),
            disc=mix(from_hex("FFE2A0"), tone(partner, 0.8, 0.9), 0.22),
            ink=tone(hue, 0.13, 0.4),
        )

    rows = ((0.7, 0.92, 0.46), (0.72, 0.88, 0.44), (0.4, 0.76, 0.34))
    skies = (*rows, (0.15, 0.38, 0.22), (0.36, 0.68, 0.3))
    return Look(
        palettes={time: palette(*sky) for time, sky in zip(TIMES, skies, strict=True)},
        paper=tone(hue, 0.965, 0.5),
        text=tone(hue, 0.16, 0.4),
        tag=tone(partner, 0.36, 0.7),
        margin=(0.0, 0.02, 0.03)[digest[2] % 3],
        stroke=(0.0, 2.0, 3.4)[digest[4] % 3],
        bloom=(0.0, 0.6)[digest[5] % 2],
    )
