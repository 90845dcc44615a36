"""The proxy and the certificates that the environment asks for, checked before anything is sent.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals or not; REQUESTS_CA_BUNDLE,
CURL_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR. What is wrong with one of them is a
`UsageError` that names the variable and never what a proxy's address holds of a password.
"""

import os
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from requests.utils import get_environ_proxies, select_proxy

from imagegen.errors import UsageError

_FILES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_FOLDER: Final = "SSL_CERT_DIR"


class Proxy(msgspec.Struct, frozen=True):
    """A proxy on the way to the service. `variable` is where it comes from."""

    url: str
    variable: str

    @property
    def name(self) -> str:
        """What a person may see of it: host, port and variable, without name and password."""
        return f"{urlsplit(self.url).netloc.rpartition('@')[2]} ({self.variable})"


def proxy(base_url: str) -> Proxy | None:
    """Return the proxy through which the environment wants this address to be asked.

    Raises `UsageError` for one that cannot be used.
    """
    proxy_url = select_proxy(base_url, get_environ_proxies(base_url, no_proxy=None))
    if not proxy_url:
        return None
    variable = _variable(proxy_url, urlsplit(base_url).scheme)
    if proxy_url.lower().startswith("socks"):
        # Its connections are made by another library, out of the watchdog's sight.
        raise UsageError(
            f"{variable} asks for a SOCKS proxy, which imagegen cannot use",
            hint="Set HTTPS_PROXY to an HTTP proxy, or NO_PROXY to the API's host.",
        )
    why = _fault_of(proxy_url)
    if why is not None:
        raise UsageError(
            f"{variable} is not the address of an HTTP proxy: {why}",
            hint=f"Write it as http://host:port, or unset {variable}.",
        )
    return Proxy(proxy_url if "://" in proxy_url else f"http://{proxy_url}", variable)


def certificates() -> str | None:
    """Return the file or folder of certificates to trust; None for the usual ones.

    Raises `UsageError` for one that holds none.
    """
    for variable in (*_FILES, _FOLDER):
        location = os.environ.get(variable)
        if location:
            paths = location.split(os.pathsep) if variable == _FOLDER else [location]
            return _check_certificates(variable, next(filter(os.path.exists, paths), paths[0]))
    return None


def _variable(proxy_url: str, scheme: str) -> str:
    """Return the name of the variable that holds a proxy, as it is written."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            if os.environ.get(spelled) == proxy_url:
                return spelled
    return "the system's proxy setting"


def _fault_of(address: str) -> str | None:
    """Return what is wrong with a proxy's address, without quoting it; None if nothing is."""
    if not address.isprintable() or any(map(str.isspace, address)):
        return "it holds a blank or a control character"
    if "://" not in address:
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or its port cannot be read"
    if parts.scheme.lower() not in {"http", "https"}:
        return f"{parts.scheme}:// is no scheme of HTTP proxies"
    if not host:
        return "it names no host"
    return "its port is 0" if port == 0 else None


def _check_certificates(variable: str, path: str) -> str:
    hint = f"Correct it, or unset {variable} to use the usual certificates."
    if not Path(path).exists():
        raise UsageError(f"{variable} names {path}, which does not exist", hint=hint)
    try:
        if Path(path).is_dir():
            if not any(Path(path).iterdir()):
                raise UsageError(f"{variable} names {path}, a folder without a file", hint=hint)
        else:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:
        reason = str(error)
        if isinstance(error, ssl.SSLError):
            reason = "it holds no certificates"
        elif isinstance(error, OSError):
            reason = error.strerror or reason
        message = f"{variable} names {path}, which cannot be used: {reason}"
        raise UsageError(message, hint=hint) from error
    return path
