"""How an image is traced: presets of vtracer's parameters."""

from enum import StrEnum
from importlib import metadata
from typing import Any, Final

import msgspec

_FULL_HD: Final = 1920 * 1080
_FOUR_K: Final = 3840 * 2160


class Preset(StrEnum):
    """How many colours and details are kept."""

    DEFAULT = "default"
    FLAT = "flat"
    """Fewer colours and larger shapes: smaller files of photo-like images."""
    DETAILED = "detailed"
    BW = "bw"
    """Black shapes on white."""


_COLOUR: Final = {
    "colormode": "color",
    "mode": "spline",
    "color_precision": 8,
    "layer_difference": 16,
    "filter_speckle": 4,
    "path_precision": 1,
}
"""vtracer's own defaults collapse colours; these keep them, with smaller files."""
PARAMETERS: Final[dict[Preset, dict[str, Any]]] = {
    Preset.DEFAULT: _COLOUR,
    Preset.FLAT: _COLOUR | {"layer_difference": 48, "filter_speckle": 8},
    Preset.DETAILED: _COLOUR | {"layer_difference": 8, "filter_speckle": 2},
    Preset.BW: _COLOUR | {"colormode": "binary"},
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How images become SVG. `cutout` makes shapes that do not overlap, `embed` traces nothing."""

    preset: Preset = Preset.DEFAULT
    cutout: bool = False
    embed: bool = False

    def max_pixels(self) -> int:
        """Return the size to which larger images are reduced before they are traced.

        A 4K image takes 1.3 GB and eight times as long as a full HD one.
        """
        return _FOUR_K if self.preset is Preset.DETAILED else _FULL_HD

    def parameters(self) -> dict[str, Any]:
        """Return the keyword arguments of vtracer."""
        return PARAMETERS[self.preset] | {"hierarchical": "cutout" if self.cutout else "stacked"}

    def as_metadata(self) -> dict[str, Any]:
        """Return all that decides what a trace looks like; none of it raises."""
        if self.embed:
            return {"embed": True}
        return {
            "preset": self.preset.value,
            "max_pixels": self.max_pixels(),
            "vtracer": metadata.version("vtracer"),
            **self.parameters(),
        }
