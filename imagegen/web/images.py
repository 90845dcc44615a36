"""Images and their thumbnails, by the beat that they belong to."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from imagegen import files
from imagegen.images import formats, png
from imagegen.web import thumbnails
from imagegen.web.board import BoardCache
from imagegen.web.fingerprints import file_fingerprint, version_of
from imagegen.web.responses import RefusedError

_MAKERS: Final = 2
_PIECE: Final = 64 * 1024
_HEAD: Final = 16
_ASK_AGAIN: Final = "private, no-cache"
_FOR_GOOD: Final = "private, max-age=31536000, immutable"


class Pictures:
    """Answers requests for images of one project.

    What a request names is looked for among the beats of the storyboard: no path comes
    from it.
    """

    def __init__(self, boards: BoardCache) -> None:
        self._boards = boards
        # An image is many times as large unpacked, and a thread keeps that memory.
        self._makers = ThreadPoolExecutor(_MAKERS, "thumbnails")

    async def whole(self, request: Request) -> Response:
        """Return an image from the disk; browsers revalidate it each time."""
        path = await to_thread.run_sync(self._place, request)
        opened = await to_thread.run_sync(_opened, path)
        if opened is None:
            raise RefusedError(404, "this beat has no image")
        descriptor, status, kind = opened
        headers = {"etag": f'"{version_of(status)}"', "cache-control": _ASK_AGAIN}
        if _has(request, headers["etag"]):
            os.close(descriptor)
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD":
            os.close(descriptor)
            headers["content-length"] = str(status.st_size)
            return Response(headers=headers, media_type=kind)
        headers["content-length"] = str(status.st_size)
        return _Whole(descriptor, status.st_size, headers, kind)

    async def small(self, request: Request) -> Response:
        """Return an image's thumbnail; with a version in its address it is kept for good."""
        path = await to_thread.run_sync(self._place, request)
        mark = await to_thread.run_sync(file_fingerprint, path)
        data = await self._thumbnail(path, mark) if mark is not None else None
        if data is None:
            raise RefusedError(404, "this beat has no image")
        keep = _FOR_GOOD if "v" in request.query_params else _ASK_AGAIN
        headers = {"etag": f'"{mark}"', "cache-control": keep}
        if _has(request, headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(data, 200, headers, "image/jpeg")

    async def _thumbnail(self, path: Path, mark: str) -> bytes | None:
        layout = self._boards.layout
        data = await to_thread.run_sync(thumbnails.cached, layout, path, mark)
        if data is not None:
            return data
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._makers, thumbnails.create, layout, path, mark)

    def _place(self, request: Request) -> Path:
        parts = request.path_params
        path = self._boards.picture(parts["style"], parts["shot"], parts["beat"])
        if path is None:
            raise RefusedError(404, "the storyboard has no such beat")
        if path.parent.resolve() != path.parent:
            raise RefusedError(404, "its folder is a symbolic link")
        return path


class _Whole(StreamingResponse):
    """An open file as an answer: closed at its end, and if the client takes nothing."""

    def __init__(self, descriptor: int, size: int, headers: Mapping[str, str], kind: str) -> None:
        super().__init__(_bytes(descriptor, size), 200, headers, kind)
        self._descriptor = descriptor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._descriptor)


def _opened(path: Path) -> tuple[int, os.stat_result, str] | None:
    """Open an image and detect its type; None if it is not an image."""
    try:
        descriptor = os.open(path, os.O_RDONLY | files.READ_FLAGS)
    except OSError:
        return None
    status = os.fstat(descriptor)
    kind = None
    if stat.S_ISREG(status.st_mode) and status.st_size <= png.MAX_BYTES:
        kind = formats.format_of(os.read(descriptor, _HEAD))
        os.lseek(descriptor, 0, os.SEEK_SET)
    if kind is None:
        os.close(descriptor)
        return None
    return descriptor, status, kind.value


async def _bytes(descriptor: int, size: int) -> AsyncIterator[bytes]:
    """Yield the file, but no more than its announced length, even if it grows."""
    left = size
    while left:
        piece = await to_thread.run_sync(os.read, descriptor, min(left, _PIECE))
        if not piece:
            return
        left -= len(piece)
        yield piece


def _has(request: Request, etag: str) -> bool:
    """Return whether the browser has this already."""
    tags = request.headers.get("if-none-match", "")
    return etag in {tag.strip().removeprefix("W/") for tag in tags.split(",")}
