"""Answers in JSON, and requests read from it."""

from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from imagegen import encoding
from imagegen.errors import ImagegenError, InvalidInputError, RunActiveError, StorageError

T = TypeVar("T")
_JSON: Final = "application/json"

MOST_BYTES: Final = 1024 * 1024
"""The largest body of a request."""


class RefusedError(Exception):
    """A request that cannot be answered; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class TooLargeError(Exception):
    """A request whose body is too large."""


def answer(value: object, status: int = 200, **headers: str) -> Response:
    """Return a value as JSON; `headers` are written with `_` for `-`."""
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(encoding.to_json(value), status, fields, _JSON)


def rejected(status: int, message: str, **more: object) -> Response:
    """Return an error as JSON."""
    return answer({"success": False, "error": message} | more, status)


def too_large() -> Response:
    """Return the answer to a request that is too large; what is left of it is not waited for."""
    large = rejected(413, f"the request is larger than {MOST_BYTES // 1024**2} MiB")
    large.headers["connection"] = "close"
    return large


def error_response(error: ImagegenError) -> Response:
    """Return an error of the project as an answer, with its hint and faults."""
    status = 409 if isinstance(error, RunActiveError) else 422
    status = 507 if isinstance(error, StorageError) else status
    faults = error.faults if isinstance(error, InvalidInputError) else ()
    return rejected(status, error.message, hint=error.hint, faults=faults)


async def body_of(request: Request, kind: type[T]) -> T:
    """Read a request's body; without one as if it were `{}`. Raises `RefusedError`."""
    return decoded(await request.body(), kind)


def decoded(data: bytes, kind: type[T]) -> T:
    """Return a body as what it should be; nothing is taken for `{}`. Raises `RefusedError`."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, f"invalid request: {error}") from error
