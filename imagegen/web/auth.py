"""Access: programs with the token, or the browser that opened the page with it."""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Final

from imagegen.errors import UsageError

_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "::1")
_HTTP: Final = 80
"""The port that browsers leave out of Host and Origin."""

_HOST: Final = re.compile(
    r"(?:\[(?P<bracketed>[^][]+)\]|(?P<plain>[^][:]+))(?::(?P<port>[0-9]{1,5}))?"
)
_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?")
_SAME: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for requests by our page, and for addresses that a person typed."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Return whether an address reaches this machine alone. Raises `UsageError` if invalid."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UsageError(
            f'--host "{host}" is not an IP address',
            hint="use for example --host 127.0.0.1, 0.0.0.0 or ::1",
        ) from None


def require_origin(origin: str) -> None:
    """Raise `UsageError` unless this is an origin exactly as browsers send it."""
    if _ORIGIN.fullmatch(origin) is None:
        raise UsageError(
            f'--allow-origin "{origin}" is not an origin',
            hint="write it in lower case and without a path, such as "
            "--allow-origin http://localhost:3000",
        )


class Auth:
    """What a server lets in, once it listens on `host` and `port`.

    Programs send the `token`. The browser gets a cookie of another value, for a path that only
    it knows: cookies belong to a host with all its ports, and without the path the browser would
    send it to every other server of the machine. The cookie counts under that path alone.

    Another site's page can make a browser ask us, and with its own name server can even make
    us look like itself (DNS rebinding). It knows neither token nor path, and it cannot forge
    what the browser writes in Host, Origin and Sec-Fetch-Site. Pages of the origin `shared` may
    ask too, with the token.
    """

    def __init__(self, host: str, port: int, shared: str | None = None) -> None:
        self.token = secrets.token_urlsafe(32)
        self.home = f"/{secrets.token_urlsafe(16)}/"
        self.cookie = f"imagegen-{port}"
        self.cookie_value = secrets.token_urlsafe(32)
        self._shared = shared
        self._tickets: dict[str, Callable[[], None]] = {}
        self._port = port
        name = _name(host)
        self._any_address = not isinstance(name, str) and name.is_unspecified
        self._shown = f"[{name}]" if isinstance(name, ipaddress.IPv6Address) else str(name)
        self._names = {name, *map(_name, _LOCAL_NAMES)}
        if self._any_address:
            self._names |= {socket.gethostname().lower()}

    def address(self, token: str) -> str:
        """Return the address that opens the page with this token."""
        shown_name = socket.gethostname() if self._any_address else self._shown
        return f"http://{shown_name}:{self._port}/?token={token}"

    def one_time_token(self, used: Callable[[], None]) -> str:
        """Return a token that opens the page once, even by a link; `used` is called then."""
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = used
        return ticket

    def use_ticket(self, token: str) -> bool:
        """Return whether a token is a ticket; it is invalid from then on."""
        for ticket, used in self._tickets.items():
            if _same(token, ticket):
                del self._tickets[ticket]
                used()
                return True
        return False

    def is_token(self, token: str) -> bool:
        """Return whether this is the token."""
        return _same(token, self.token)

    def is_shared(self, headers: Mapping[str, str]) -> bool:
        """Return whether a page of the other origin asks, which was allowed to."""
        return self._shared is not None and headers.get("origin") == self._shared

    def wrong_host(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request was not sent to this server; None if it was."""
        return None if self._is_ours(headers.get("host", "")) else "invalid Host header"

    def reject_reason(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request does not come from our page; None if it may."""
        origin = headers.get("origin")
        if origin is not None and not (
            origin.startswith("http://") and self._is_ours(origin.removeprefix("http://"))
        ):
            return "requests from other sites are not allowed"
        if headers.get("sec-fetch-site", "none") not in _SAME:
            return "links from other sites are not allowed; paste the URL into the browser"
        return None

    def has_token(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request brings the token as a bearer."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.is_token(bearer.strip())

    def has_cookie(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request under `home` brings its cookie, from the page itself.

        Browsers leave out Sec-Fetch-Site where another machine is asked without encryption.
        """
        if self._is_local(headers.get("host", "")) and "sec-fetch-site" not in headers:
            return False
        # Other ports' cookies are sent too, in any form: only ours is checked.
        cookies = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
        return any(
            name.strip() == self.cookie and _same(value.strip(), self.cookie_value)
            for name, _, value in cookies
        )

    def below_home(self, path: str) -> str | None:
        """Return a path as it is below `home`; None for one that is elsewhere."""
        first, slash, rest = path[1:].partition("/")
        return f"/{rest}" if slash and _same(first, self.home.strip("/")) else None

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or _HTTP) != self._port:
            return False
        name = _name(match["bracketed"] or match["plain"])
        # No name server can point an address elsewhere.
        return name in self._names or (self._any_address and not isinstance(name, str))

    def _is_local(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        name = _name(match["bracketed"] or match["plain"]) if match else ""
        return name == "localhost" or (not isinstance(name, str) and name.is_loopback)


def _name(host: str) -> str | Address:
    """Return what a host is called, however it is written: an IPv6 address has many ways."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return host.lower()


def _same(received: str, expected: str) -> bool:
    return hmac.compare_digest(received.encode("utf-8", "surrogateescape"), expected.encode())
