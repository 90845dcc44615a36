"""Small copies of images, to be shown many at once; the images may be anybody's."""

import io
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagegen import files
from imagegen.images import formats, png
from imagegen.images.formats import NotAPictureError

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITY: Final = 82
_FORMATS: Final = ("PNG", "JPEG", "WEBP")
_PAPER: Final = (255, 255, 255)
"""What shows through a transparent image."""
_MOST_AT_ONCE: Final = 4


def thumbnail(path: Path, width: int) -> bytes:
    """Return an image as a JPEG that is at most `width` pixels wide, never enlarged.

    Raises `NotAPictureError` for what is torn, foreign, too large or not there.
    """
    return as_jpeg(load_thumbnail(path, width))


def load_thumbnail(path: Path, width: int) -> "Image":
    """Return the same as an RGB image."""
    data = files.read(path, png.MAX_BYTES)
    if data is None:
        raise NotAPictureError("there is no such file, or it is too large")
    return reduce(data, width)


def reduce(data: bytes, width: int) -> "Image":
    """Return a picture's bytes as an RGB image that is at most `width` pixels wide.

    Raises `NotAPictureError` for what is torn, foreign or too large.
    """
    import PIL.Image  # noqa: PLC0415  # slow to import

    # It warns of odd metadata, which is not needed. Not `catch_warnings`: threads share that.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            size = _size(image.size, width)
            with formats.unpacking(*image.size):
                # A JPEG is unpacked in an eighth of its size where that is enough.
                image.draft("RGB", size)
                return _on_paper(_plain(image), size)
    except Exception as error:
        # Its parsers raise any exception on hostile bytes.
        raise NotAPictureError(f"the image cannot be read: {error}") from error


def as_jpeg(image: "Image") -> bytes:
    """Return an RGB image as a JPEG file."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def load_thumbnails(paths: Iterable[Path], width: int) -> Iterator["Image | None"]:
    """Yield the small copy of each image in order; None for what is no image.

    Some are made ahead at the same time, and few are in memory.
    """
    workers = min(_MOST_AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Image | None]] = deque()
        try:
            for path in paths:
                waiting.append(pool.submit(_small_or_none, path, width))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _small_or_none(path: Path, width: int) -> "Image | None":
    try:
        return load_thumbnail(path, width)
    except NotAPictureError:
        return None


def _size(whole: tuple[int, int], width: int) -> tuple[int, int]:
    across, down = whole
    if across * down > png.MAX_PIXELS:
        raise ValueError(f"{across} x {down} pixels are too many")
    if across <= width:
        return whole
    return width, max(1, round(down * width / across))


def _plain(image: "Image") -> "Image":
    """Return an image in a mode that can be reduced without odd colours."""
    if image.mode.startswith("I"):
        # 16 bits a pixel.
        return image.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if image.mode == "RGB":
        return image
    transparent = "A" in image.mode or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def _on_paper(image: "Image", size: tuple[int, int]) -> "Image":
    import PIL.Image  # noqa: PLC0415

    resized = image.resize(size, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    if resized.mode == "RGB":
        return resized
    paper = PIL.Image.new("RGB", size, _PAPER)
    paper.paste(resized, mask=resized.getchannel("A"))
    return paper
