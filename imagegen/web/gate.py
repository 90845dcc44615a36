"""The gate before everything that is served: checks each request, marks each answer."""

from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagegen.web.access import Access
from imagegen.web.answers import MOST_BYTES, TooLargeError, refused, too_large

_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """Lets a request through to `app` if it comes from our page and brings the token.

    The address with the token sets a cookie and leads to the one without it, which stays in
    the browser's history.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer = _Marked(send)
        turned_away = self._turn_away(scope)
        if turned_away is not None:
            await turned_away(scope, receive, answer)
            return
        await self._app(scope, _Bounded(receive), answer)

    def _turn_away(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if any(len(headers.getlist(name)) > 1 for name in ("host", "origin", "sec-fetch-site")):
            return refused(400, "a header that must be alone stands twice")
        why = self._access.refusal(headers)
        if why is not None:
            return refused(403, why)
        at_home = scope["path"] == "/"
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if at_home and token and self._access.admits(token[0]):
            return self._enter()
        if not self._access.knows(headers):
            return _unknown(page=at_home)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return too_large()
        return None

    def _enter(self) -> Response:
        answer = RedirectResponse("/", 303)
        access = self._access
        answer.set_cookie(access.cookie, access.token, httponly=True, samesite="strict", path="/")
        return answer


class _Marked:
    """Adds to each answer what keeps a browser from doing more with it than is meant."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(_HEADERS)
            headers.setdefault("cache-control", "no-store")
        await self._send(message)


class _Bounded:
    """Gives up a body that grows too large, whatever length it was said to have."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MOST_BYTES:
            raise TooLargeError
        return message


def _unknown(*, page: bool) -> Response:
    if page:
        words = "This page opens with the whole address that `imagegen serve` shows."
        return PlainTextResponse(words, 401)
    return refused(401, "the token is missing or wrong")
