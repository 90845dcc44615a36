"""The built-in provider that draws storyboard frames itself: no key, no network."""

from imagegen.providers.sketch.provider import RATIOS, SIZES, Sketch, frame_size

__all__ = ["RATIOS", "SIZES", "Sketch", "frame_size"]
