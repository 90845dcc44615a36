"""Whether what is in flight will find room on the disk, asked before each request leaves."""

import shutil
from pathlib import Path
from typing import Final

_KEPT_FREE: Final = 2 * 1024 * 1024
"""Bytes for the journal, the progress files and the run's record."""
_EXPECTED: Final = {"512": 1, "1K": 2, "2K": 8, "4K": 24}
"""Megabytes that a PNG of each size takes, before the first has come; an unknown size is 2K."""


class Room:
    """Holds requests in flight times what images weigh against the space that is left.

    `folder` is where they are saved, `image_size` the size that is asked for. Guarded by the
    runtime's lock.
    """

    def __init__(self, folder: Path, image_size: str) -> None:
        self.short = False
        """Whether a request was held back since this was last set."""
        self._folder = folder
        self._largest = _EXPECTED.get(image_size, _EXPECTED["2K"]) * 1024**2
        self._any_saved = False

    def saved(self, size: int) -> None:
        """Count an image of this many bytes that is on the disk."""
        self._largest = max(self._largest, size) if self._any_saved else size
        self._any_saved = True

    def allows(self, images: int) -> bool:
        """Return whether N more images will fit, each as large as the largest so far."""
        free = self._free()
        allowed = free is None or images * self._largest <= free - _KEPT_FREE
        self.short = self.short or not allowed
        return allowed

    def shortage(self) -> str:
        """Return a message on the free space, and what an image needs."""
        free = max(0, (self._free() or 0) - _KEPT_FREE)
        return (
            f"the disk is full: {_megabytes(free)} MB are left, and an image takes "
            f"{_megabytes(self._largest)}"
        )

    def _free(self) -> int | None:
        """Return the bytes that are left, or None if the disk does not say."""
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError:
            return None
        # Some network file systems say of everything that it is 0.
        return usage.free if usage.total else None


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:.1f}"
