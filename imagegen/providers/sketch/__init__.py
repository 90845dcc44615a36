"""The built-in provider that draws storyboard frames itself: no key, no network."""

from imagegen.providers.sketch.provider import Sketch, frame_size

__all__ = ["Sketch", "frame_size"]
