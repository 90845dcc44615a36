"""The best picture of each beat, as the page shows and saves it. (Interim.)"""

import msgspec

from imagegen import files
from imagegen.web.board import Boards

Key = tuple[str, str]


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is chosen of a beat: the style, whether it is marked, whether it was redrawn since."""

    shot: str
    beat: str
    style: str
    flagged: bool
    redrawn: bool


class Choices:
    """Reads and saves choices."""

    def __init__(self, boards: Boards) -> None:
        self._path = boards.layout.root / "image_selections.json"

    def read(self) -> list[Chosen]:
        """Return them."""
        return list(self._read().values())

    def save(self, shot: str, beat: str, style: str | None, *, flagged: bool) -> Chosen | None:
        """Save one."""
        now = self._read()
        now.pop(beat, None)
        if style is not None:
            now[beat] = Chosen(shot=shot, beat=beat, style=style, flagged=flagged, redrawn=False)
        files.write(self._path, msgspec.json.encode(now))
        return now.get(beat)

    def _read(self) -> dict[str, Chosen]:
        data = files.read(self._path, 1 << 20)
        return msgspec.json.decode(data, type=dict[str, Chosen]) if data else {}
