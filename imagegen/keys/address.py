"""The address that requests go to, which only the user may choose."""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from imagegen.errors import UsageError
from imagegen.keys.budget_server import OWN_MACHINE
from imagegen.keys.keyring import Keyring
from imagegen.keys.validation import ADDRESS_VARIABLE

_ADDRESS_HINT: Final = "write it as https://host or https://host/path"


def address(
    option: str | None, ring: Keyring, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return where requests go: `--base-url`, `$IMAGEGEN_BASE_URL`, or the user's keys file.

    None means the provider's own address. Raises `UsageError` for what is no http address.
    """
    url = option or environ.get(ADDRESS_VARIABLE) or ring.base_url
    if not url:
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        # Brackets without an IPv6 address, or no port number.
        raise UsageError("the address is not a valid one", hint=_ADDRESS_HINT) from None
    # None of these is quoted: it may hold a key.
    if not url.isprintable() or any(map(str.isspace, url)):
        # `urlsplit` leaves some of them out: it would judge another address than is asked.
        raise UsageError("the address holds a blank or a control character", hint=_ADDRESS_HINT)
    if parts.username or parts.password:
        raise UsageError("the address holds a name or password", hint="leave them out of it")
    if parts.query or parts.fragment:
        raise UsageError('the address holds a "?" or "#"', hint=_ADDRESS_HINT)
    if not sound:
        message = f'the address "{url}" is not one that requests can be sent to'
        raise UsageError(message, hint=_ADDRESS_HINT)
    return url.rstrip("/")


def plaintext_warning(base_url: str | None) -> str | None:
    """Return a warning of an address to which keys would travel unencrypted, or None."""
    url = urlsplit(base_url or "")
    if url.scheme != "http" or url.hostname in OWN_MACHINE:
        return None
    return f"keys are sent unencrypted to {url.hostname}: its address begins with http://"
