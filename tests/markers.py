"""Keys that tests plant, and the search for them in everything that a run of tests left behind.

A planted key contains `test-key-`. It may stand in keys files alone, which are those called
keys.toml or something-keys.toml: nowhere else as it is, in base64 or in hexadecimal.
"""

import base64
import contextlib
import os
import re
import stat
from pathlib import Path

PREFIX = b"test-key-"
_CHUNK = 1024 * 1024
_OVERLAP = 64


def _spellings() -> list[bytes]:
    encoded = []
    for before in range(3):
        # The first and last characters depend on what stands beside the key.
        coded = base64.b64encode(bytes(before) + PREFIX).rstrip(b"=")
        encoded.append(coded[-(-before * 8 // 6) : -1])
    return [PREFIX, PREFIX.hex().encode(), PREFIX.hex().upper().encode(), *encoded]


_ANY = re.compile(b"|".join(map(re.escape, _spellings())))


def search(root: Path) -> list[Path]:
    """Return the files under a folder that hold a planted key and are no keys files."""
    return [path for path in _files(root) if holds_key(path)]


def holds_key(path: Path) -> bool:
    """Tell whether a file holds a planted key in any spelling."""
    try:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(_CHUNK):
                if _ANY.search(rest + piece):
                    return True
                rest = piece[-_OVERLAP:]
    except OSError:
        # A test took the right to read it, or removes it just now.
        return False
    return False


def _files(root: Path) -> list[Path]:
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            # A process that ends takes some of its files with it.
            with contextlib.suppress(FileNotFoundError):
                if not name.endswith("keys.toml") and stat.S_ISREG(path.lstat().st_mode):
                    found.append(path)
    return found
