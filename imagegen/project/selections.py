"""The best picture of each beat, once chosen: image_selections.json and selected_images/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from imagegen import files

FILE: Final = "image_selections.json"
FOLDER: Final = "selected_images"
_MAX_BYTES: Final = 64 * 1024 * 1024


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What changes where beats get other numbers: the file, and pictures from where to where.

    `left` are numbers whose choice stays where it is, for another has taken its place.
    """

    data: bytes
    pictures: dict[str, str]
    left: tuple[str, ...] = ()


def moved(root: Path, numbers: Mapping[str, Mapping[str, str]]) -> Moved | None:
    """Bring choices along where beats of a style get other numbers.

    `numbers` are each style's, from which to which. A choice follows the style that was
    chosen. Returns None where nothing is chosen, or nothing of it moves.
    """
    chosen = _read(root / FILE)
    now = {
        number: numbers.get(_style(choice), {}).get(number, number)
        for number, choice in chosen.items()
    }
    if all(before == after for before, after in now.items()):
        return None
    staying = {before for before, after in now.items() if before == after}
    left = tuple(before for before, after in now.items() if before != after and after in staying)
    now |= {before: before for before in left}
    pictures = {
        f"{FOLDER}/Beat_{before}{end}.png": f"{FOLDER}/Beat_{after}{end}.png"
        for before, after in now.items()
        if before != after
        for end in ("", "_flagged")
        if (root / FOLDER / f"Beat_{before}{end}.png").is_file()
    }
    data = msgspec.json.format(
        msgspec.json.encode({now[number]: choice for number, choice in chosen.items()}), indent=1
    )
    return Moved(data=data + b"\n", pictures=pictures, left=left)


def _style(choice: object) -> str:
    return str(choice.get("style", "")) if isinstance(choice, dict) else ""


def _read(path: Path) -> dict[str, Any]:
    data = files.read(path, _MAX_BYTES)
    if data is None:
        return {}
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # Another tool's, or torn: left as it is.
        return {}
