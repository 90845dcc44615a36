"""Who may ask: whoever has the token, under a name of ours, from our own page."""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from typing import Final

from imagegen.errors import UsageError

_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "::1")
_HTTP: Final = 80
"""The port that browsers leave out of Host and Origin."""

_HOST: Final = re.compile(
    r"(?:\[(?P<bracketed>[^][]+)\]|(?P<plain>[^][:]+))(?::(?P<port>[0-9]{1,5}))?"
)
_OWN: Final = frozenset({"same-origin", "none"})
"""What browsers say in Sec-Fetch-Site of requests by our page, and of addresses typed."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Tell whether an address is this machine's alone. Raises `UsageError` if it is none."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise UsageError(
            f'--host "{host}" is no address', hint="write --host 127.0.0.1, 0.0.0.0 or ::1, say"
        ) from None


class Access:
    """What a server lets in, once it listens on `host` and `port`.

    Another site's page can make a browser ask us, and by its own name's server can even make
    us look like itself (DNS rebinding). It does not know the token, and it cannot forge what
    the browser says in Host, Origin and Sec-Fetch-Site.
    """

    def __init__(self, host: str, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        # Cookies belong to a host with all its ports: each server needs a name of its own.
        self.cookie = f"imagegen-{port}"
        self._tickets: set[str] = set()
        self._port = port
        own = _name(host)
        self._any_address = not isinstance(own, str) and own.is_unspecified
        self._shown = f"[{own}]" if isinstance(own, ipaddress.IPv6Address) else str(own)
        self._names = {own, *map(_name, _LOCAL_NAMES)}
        if self._any_address:
            self._names |= {socket.gethostname().lower()}

    def address(self, token: str) -> str:
        """Return the address that opens the page with this token."""
        shown = socket.gethostname() if self._any_address else self._shown
        return f"http://{shown}:{self._port}/?token={token}"

    def ticket(self) -> str:
        """Return a token that opens the page once.

        For a browser that is started: other users of the machine can read its arguments.
        """
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(ticket)
        return ticket

    def admits(self, token: str) -> bool:
        """Tell whether a token opens the page; a ticket is used up."""
        for ticket in self._tickets:
            if _same(token, ticket):
                self._tickets.remove(ticket)
                return True
        return _same(token, self.token)

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """Say why a request does not come from our page; None if it may."""
        if not self._is_ours(headers.get("host", "")):
            return "this server does not go by that name"
        origin = headers.get("origin")
        if origin is not None and not (
            origin.startswith("http://") and self._is_ours(origin.removeprefix("http://"))
        ):
            return "another site's page may not ask"
        if headers.get("sec-fetch-site", "none") not in _OWN:
            return "another site's page may not ask; paste the address into the browser instead"
        return None

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request brings the token, in its cookie or as a bearer."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _same(bearer.strip(), self.token)
        # Other ports' cookies come along, in whatever form: only our own is looked at.
        cookies = (one.partition("=") for one in headers.get("cookie", "").split(";"))
        return any(
            name.strip() == self.cookie and _same(value.strip(), self.token)
            for name, _, value in cookies
        )

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or _HTTP) != self._port:
            return False
        name = _name(match["bracketed"] or match["plain"])
        # No name server can point an address elsewhere.
        return name in self._names or (self._any_address and not isinstance(name, str))


def _name(host: str) -> str | Address:
    """Return what a host is called, however it is written: an IPv6 address has many ways."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return host.lower()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
