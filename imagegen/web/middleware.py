"""Access checks on each request, and security headers on each answer."""

from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagegen.web.auth import Auth
from imagegen.web.responses import MOST_BYTES, TooLargeError, rejected, too_large

_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""What every answer has, so that a browser does no more with it than is meant."""

MOST_AT_A_TIME: Final = 300
"""Requests of those who may ask that are answered at a time, streams included."""
ADMIT: Final = "imagegen.admit"
"""In a request's state: what to call once it is known that its connection is a friend's."""
_STREAM: Final = "/api/events"
_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "Authorization, Content-Type, Last-Event-ID",
    "access-control-max-age": "600",
}
_LEAD_IN: Final = (
    '<!doctype html><meta charset="utf-8"><title>imagegen</title>'
    '<meta http-equiv="refresh" content="0;url={home}"><a href="{home}">The page</a>'
)


class AuthMiddleware:
    """Lets a request through to `app` if it comes from our page or brings the token.

    The address with the token sets a cookie and leads to the page's own path; that one, without
    the token, stays in the browser's history.
    """

    def __init__(self, app: ASGIApp, access: Auth) -> None:
        self._app = app
        self._access = access
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        answer = _SecurityHeaders(
            send, headers["origin"] if self._access.is_shared(headers) else None
        )
        path = self._access.below_home(scope["path"])
        turned_away = self._reject(scope, headers, path)
        if turned_away is not None:
            await turned_away(scope, receive, answer)
            return
        admit = scope.get("state", {}).get(ADMIT)
        if admit is not None:
            admit()
        if self._answering >= MOST_AT_A_TIME:
            await rejected(503, "too many concurrent requests")(scope, receive, answer)
            return
        self._answering += 1
        try:
            inside = scope if path is None else {**scope, "path": path}
            await self._app(inside, _BodyLimit(receive), answer)
        finally:
            self._answering -= 1

    def _reject(self, scope: Scope, headers: Headers, path: str | None) -> Response | None:
        if any(len(headers.getlist(name)) > 1 for name in ("host", "origin", "sec-fetch-site")):
            return rejected(400, "duplicate header")
        why = self._access.wrong_host(headers)
        if why is not None:
            return rejected(403, why)
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and token and self._access.use_ticket(token):
            return self._lead_in()
        if self._access.is_shared(headers):
            return self._turn_away_shared(scope, headers, token)
        why = self._access.reject_reason(headers)
        if why is not None:
            return rejected(403, why)
        if scope["path"] == "/" and self._access.is_token(token):
            return self._login(RedirectResponse(self._access.home, 303))
        by_cookie = path is not None and self._access.has_cookie(headers)
        if not by_cookie and not self._access.has_token(headers):
            return _unknown(page=scope["path"].endswith("/"))
        return _too_long(headers)

    def _turn_away_shared(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """Return why a page of the allowed origin gets no answer; its cookies count for nothing."""
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return Response(status_code=204, headers=_PREFLIGHT)
        # A browser's own reader of streams (EventSource) sends no header of ours.
        by_query = scope["path"] == _STREAM and self._access.is_token(token)
        if not by_query and not self._access.has_token(headers):
            return _unknown(page=False)
        return _too_long(headers)

    def _lead_in(self) -> Response:
        """Return a page that leads on: a browser sends the cookie only where we led it.

        To an address that a file or another site leads to, by way of us or not, it does not.
        """
        return self._login(HTMLResponse(_LEAD_IN.format(home=self._access.home)))

    def _login(self, answer: Response) -> Response:
        access = self._access
        answer.set_cookie(
            access.cookie,
            access.cookie_value,
            httponly=True,
            samesite="strict",
            path=access.home,
        )
        return answer


class _SecurityHeaders:
    """Adds security and CORS headers to each answer."""

    def __init__(self, send: Send, origin: str | None) -> None:
        self._send = send
        self._origin = origin

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            headers.setdefault("cache-control", "no-store")
            if self._origin is not None:
                headers["access-control-allow-origin"] = self._origin
                headers.add_vary_header("Origin")
        await self._send(message)


class _BodyLimit:
    """Rejects bodies that grow too large, regardless of Content-Length."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MOST_BYTES:
            raise TooLargeError
        return message


def _too_long(headers: Headers) -> Response | None:
    length = headers.get("content-length", "0")
    return None if length.isdecimal() and int(length) <= MOST_BYTES else too_large()


def _unknown(*, page: bool) -> Response:
    if page:
        words = "To open this page, use the whole URL that `imagegen serve` shows."
        return PlainTextResponse(words, 401)
    return rejected(401, "the token is missing or wrong")
