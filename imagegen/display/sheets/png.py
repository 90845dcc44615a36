"""A contact sheet as one image, to print or to send."""

import io
import math
from typing import TYPE_CHECKING, Final

import msgspec

from imagegen.display.sheets.html import WIDTH, absence, facts, marks
from imagegen.display.text.formatting import numbers_moved_warning
from imagegen.display.text.sanitize import sanitize
from imagegen.errors import UsageError
from imagegen.images import lettering, thumbnails
from imagegen.review.contact_sheet import CHOSEN, Gallery, SheetCell, SheetRow

if TYPE_CHECKING:
    from PIL.Image import Image

MARK: Final = "imagegen contact sheet"
"""The software tag, by which our own sheets are recognized."""
_WIDTHS: Final = (WIDTH, 240, 160)
_MOST_PIXELS: Final = 40_000_000
"""120 MB while it is made."""
_TALLEST: Final = 1.5
"""Height by width beyond which another block of rows is set beside the first."""

Colour = tuple[int, int, int]
_PAPER: Final[Colour] = (251, 251, 249)
_INK: Final[Colour] = (28, 29, 31)
_QUIET: Final[Colour] = (98, 102, 109)
_BOX: Final[Colour] = (241, 241, 236)
_LINE: Final[Colour] = (214, 214, 208)
_CHOSEN: Final[Colour] = (23, 114, 74)
_FLAG: Final[Colour] = (161, 84, 0)


class SheetLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Where things go, in pixels: blocks of rows side by side, each of a label and its images."""

    picture: tuple[int, int]
    columns: int
    blocks: int
    rows: int

    @property
    def text(self) -> int:
        """The size of type."""
        return max(9, self.picture[0] // 20)

    @property
    def gap(self) -> int:
        """Between two images."""
        return max(6, self.picture[0] // 24)

    @property
    def margin(self) -> int:
        """Around the sheet, and between two blocks."""
        return 3 * self.gap

    @property
    def head(self) -> int:
        """The height of the sheet's title."""
        return round(self.text * 4.2)

    @property
    def titles(self) -> int:
        """The height of the columns' titles."""
        return round(self.text * 1.8)

    @property
    def label(self) -> int:
        """The width of a row's label."""
        return round(self.picture[0] * 0.62)

    @property
    def row(self) -> int:
        """The height of a row."""
        return self.picture[1] + 2 * self.gap + round(self.text * 1.3)

    @property
    def block(self) -> int:
        """The width of a block."""
        return self.label + self.columns * (self.picture[0] + self.gap)

    @property
    def size(self) -> tuple[int, int]:
        """The whole sheet's width and height."""
        width = self.blocks * self.block + (self.blocks + 1) * self.margin - self.blocks * self.gap
        return width, self.head + self.titles + self.rows * self.row + 2 * self.margin


def picture(sheet: Gallery) -> bytes:
    """Return the sheet as a PNG. Raises `UsageError` if it would be too large."""
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415  # slow to import

    drawn = _Drawing(sheet, _layout(sheet)).drawn()
    info = PngInfo()
    info.add_text("Software", MARK)
    out = io.BytesIO()
    drawn.save(out, "PNG", pnginfo=info, compress_level=4)
    return out.getvalue()


def writes_all(sheet: Gallery) -> bool:
    """Return whether the sheet's font has every letter of its texts."""
    texts = (text for row in sheet.rows for text in (row.name, row.phrase))
    return lettering.writes(sheet.project) and all(map(lettering.writes, texts))


def _layout(sheet: Gallery) -> SheetLayout:
    """Return the largest layout that is not too large, about as wide as it is high."""
    across, _, down = sheet.aspect_ratio.partition(":")
    ratio = int(down) / int(across) if across.isdigit() and down.isdigit() else 9 / 16
    for width in _WIDTHS:
        size = (width, max(1, round(width * min(2.0, max(0.25, ratio)))))
        layout = _blocks(size, len(sheet.columns), len(sheet.rows))
        if math.prod(layout.size) <= _MOST_PIXELS:
            return layout
    across_in_all, down_in_all = layout.size
    raise UsageError(
        f"the PNG would have {across_in_all} x {down_in_all} pixels",
        hint="select a part (--style, --shot, --chosen), or omit --png for the page",
    )


def _blocks(size: tuple[int, int], columns: int, rows: int) -> SheetLayout:
    blocks = 1
    while True:
        in_each = math.ceil(rows / blocks)
        layout = SheetLayout(picture=size, columns=columns, blocks=blocks, rows=in_each)
        width, height = layout.size
        if height <= width * _TALLEST or in_each == 1:
            return layout
        blocks += 1


class _Drawing:
    """Draws a sheet; positions are pixels from the left and the top."""

    def __init__(self, sheet: Gallery, layout: SheetLayout) -> None:
        import PIL.Image  # noqa: PLC0415
        import PIL.ImageDraw  # noqa: PLC0415

        self._sheet = sheet
        self._only = sheet.columns == (CHOSEN,)
        """Whether the sheet shows only chosen images."""
        self._layout = layout
        self._image = PIL.Image.new("RGB", layout.size, _PAPER)
        self._draw = PIL.ImageDraw.Draw(self._image)
        self._small = thumbnails.load_thumbnails(sheet.pictures, layout.picture[0])

    def drawn(self) -> "Image":
        """Draw it all."""
        layout = self._layout
        self._title()
        for at, row in enumerate(self._sheet.rows):
            block, place = divmod(at, layout.rows)
            left = layout.margin + block * (layout.block - layout.gap + layout.margin)
            top = layout.margin + layout.head + layout.titles + place * layout.row
            if not place:
                self._columns((left, top - layout.titles))
            self._row((left, top), row)
        return self._image

    def _title(self) -> None:
        sheet, layout = self._sheet, self._layout
        left = top = layout.margin
        room = layout.size[0] - 2 * layout.margin
        self._line((left, top), sanitize(sheet.project), room, size=round(layout.text * 1.7))
        below = (left, top + round(layout.text * 2.3))
        facts_line = ", ".join(facts(sheet))
        if sheet.moved:
            facts_line = f"{facts_line}. {numbers_moved_warning(sheet.moved)}"
        self._line(below, facts_line, room, ink=_FLAG if sheet.moved else _QUIET)

    def _columns(self, at: tuple[int, int]) -> None:
        layout = self._layout
        for number, name in enumerate(self._sheet.columns):
            if name != CHOSEN:
                left = at[0] + layout.label + number * (layout.picture[0] + layout.gap)
                self._line((left, at[1]), name, layout.picture[0], ink=_QUIET)

    def _row(self, at: tuple[int, int], row: SheetRow) -> None:
        layout = self._layout
        (left, top), room = at, layout.label - layout.gap
        self._line(at, row.name, room, size=round(layout.text * 1.15))
        self._line((left, top + round(layout.text * 1.6)), f"Shot {row.shot}", room, ink=_QUIET)
        down, end = top + round(layout.text * 3.2), top + layout.row - layout.gap
        for text, ink in ((row.phrase, _INK), ("" if self._only else row.words or "", _QUIET)):
            down += self._lines((left, down), text, (room, end - down), ink=ink)
        for number, cell in enumerate(row.cells):
            if cell is not None:
                across = layout.label + number * (layout.picture[0] + layout.gap)
                self._cell((left + across, top), cell)

    def _cell(self, at: tuple[int, int], cell: SheetCell) -> None:
        layout = self._layout
        (left, top), (width, height) = at, layout.picture
        right, bottom = left + width - 1, top + height - 1
        thumbnail = next(self._small) if cell.picture is not None else None
        if thumbnail is None:
            self._draw.rectangle((left, top, right, bottom), fill=_BOX, outline=_LINE)
            middle, room = top + height // 3, width - 2 * layout.text
            caption, why = absence(cell)
            self._line((left + layout.text, middle), caption, room, ink=_QUIET)
            middle += round(1.6 * layout.text)
            self._lines((left + layout.text, middle), why, (room, bottom - middle))
        else:
            thumbnail.thumbnail(layout.picture)
            free = width - thumbnail.width, height - thumbnail.height
            self._image.paste(thumbnail, (left + free[0] // 2, top + free[1] // 2))
        edge = max(2, width // 90)
        if cell.chosen or self._only:
            around = (left - edge, top - edge, right + edge, bottom + edge)
            self._draw.rectangle(around, outline=_CHOSEN, width=edge)
        wrong = cell.flagged or cell.redrawn or cell.changed or cell.belongs_to
        below = (left, bottom + edge + layout.gap // 3)
        caption = ", ".join(
            [*([cell.style] if self._only else []), *(text for _, text in marks(cell))]
        )
        self._line(below, caption, width, ink=_FLAG if wrong else _CHOSEN)

    def _line(
        self,
        at: tuple[int, int],
        text: str,
        width: int,
        *,
        size: int | None = None,
        ink: Colour = _INK,
    ) -> None:
        """Draw one line of text, cut if it is too long."""
        size = size or self._layout.text
        lettering.fit_line(lettering.fold(text), width, size, size).draw(
            self._draw, at, ink, _PAPER
        )

    def _lines(
        self, at: tuple[int, int], text: str, box: tuple[int, int], *, ink: Colour = _QUIET
    ) -> int:
        """Set a text in lines as far as they have room; returns the height that they take."""
        size = self._layout.text
        step = round(lettering.leading(size))
        if not text or box[1] < step:
            return 0
        lines = lettering.fit_lines(lettering.fold(sanitize(text)), box, size, size)
        for number, line in enumerate(lines):
            line.draw(self._draw, (at[0], at[1] + number * step), ink, _PAPER)
        return len(lines) * step
