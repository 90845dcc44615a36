"""The file that leads the browser to the page, as Jupyter has one.

An address with a token would stand in the browser's arguments, which every user of the machine
can read, and use before the browser has started. A path does no harm there: no other user can read
the file.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from imagegen.paths import state_folder
from imagegen.web.auth import Auth

_NAME: Final = "page-{}.html"
_KEPT_SECONDS: Final = 24 * 60 * 60
"""A server that was killed leaves its file: useless, and removed after this time."""
_PAGE: Final = (
    '<!doctype html><meta charset="utf-8"><title>imagegen</title>'
    '<meta http-equiv="refresh" content="0;url={address}"><a href="{address}">The page</a>\n'
)


@contextlib.contextmanager
def entrance(access: Auth) -> Iterator[Path | None]:
    """Make a file that leads to the page once, and remove it when it was used, or at the end.

    Yields its path; None if the state folder takes no file.
    """
    folder = state_folder().absolute()
    file = folder / _NAME.format(secrets.token_hex(8))

    def remove() -> None:
        with contextlib.suppress(OSError):
            file.unlink()

    page = _PAGE.format(address=access.address(access.one_time_token(remove)))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            opened.write(page.encode())
        yielded: Path | None = file
    except OSError:
        yielded = None
    try:
        yield yielded
    finally:
        remove()


def _sweep(folder: Path) -> None:
    for file in folder.glob(_NAME.format("*")):
        with contextlib.suppress(OSError):
            if file.lstat().st_mtime < time.time() - _KEPT_SECONDS:
                file.unlink()
