"""The web application: the page, its images and its API, behind access checks."""

import mimetypes
import sys
import traceback
from collections.abc import Sequence
from importlib import resources
from typing import Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from imagegen.errors import ImagegenError
from imagegen.secret import redact
from imagegen.web.api import Api
from imagegen.web.auth import Auth
from imagegen.web.board import BoardCache
from imagegen.web.choices import Choices
from imagegen.web.follower import Follower
from imagegen.web.images import Pictures
from imagegen.web.middleware import AuthMiddleware
from imagegen.web.responses import RefusedError, TooLargeError, error_response, rejected, too_large
from imagegen.web.runs import RunController
from imagegen.web.watcher import ChangeWatcher

_PAGE: Final = "index.html"
_TYPES: Final = {".js": "text/javascript", ".html": "text/html", ".css": "text/css"}


def application(
    boards: BoardCache, access: Auth, watcher: ChangeWatcher, options: Sequence[str] = ()
) -> ASGIApp:
    """Return the application for one project, for clients that `access` admits.

    `options` are passed to every run that the page starts, in addition to the provider.
    """
    layout = boards.layout
    api = Api(boards, RunController(boards, options), Follower(layout, watcher), Choices(boards))
    pictures = Pictures(boards)
    routes = [
        *api.routes(),
        Route("/images/{style}/{shot}/{beat}.png", pictures.whole),
        Route("/thumbnails/{style}/{shot}/{beat}.jpg", pictures.small),
        Route("/", _page),
        Route("/{name}", _page),
    ]
    served = Starlette(
        routes=routes,
        exception_handlers=dict.fromkeys(
            (
                ImagegenError,
                RefusedError,
                TooLargeError,
                ClientDisconnect,
                HTTPException,
                Exception,
            ),
            _refused,
        ),
    )
    return AuthMiddleware(served, access)


def _assets() -> dict[str, bytes]:
    folder = resources.files("imagegen.web") / "page"
    return {asset.name: asset.read_bytes() for asset in folder.iterdir() if asset.is_file()}


async def _page(request: Request) -> Response:
    name = request.path_params.get("name", _PAGE)
    # Looked up among the names that there are: what is asked for makes no path.
    data = (await to_thread.run_sync(_assets)).get(name)
    if data is None:
        raise RefusedError(404, "page not found")
    ending = name[name.rfind(".") :]
    kind = _TYPES.get(ending) or mimetypes.guess_type(name)[0]
    return Response(data, headers={"cache-control": "no-cache"}, media_type=kind)


async def _refused(_: Request, error: Exception) -> Response:
    match error:
        case RefusedError():
            return rejected(error.status, error.message)
        case ImagegenError():
            return error_response(error)
        case TooLargeError():
            return too_large()
        case ClientDisconnect():
            return rejected(400, "the request is incomplete")
        case HTTPException():
            return rejected(error.status_code, error.detail.lower())
    trace = redact("".join(traceback.format_exception(error)))
    sys.stderr.write("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in trace))
    return rejected(500, f"internal error: {type(error).__name__}; see the terminal")
