"""A contact sheet as one HTML file: nothing in it leads outside, and nothing runs.

Images are within it as small JPEGs. What comes from the storyboard is text and never markup;
the page's own policy keeps browsers from loading or running anything.
"""

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Final

from imagegen import __version__
from imagegen.display.text.formatting import numbers_moved_warning
from imagegen.display.text.sanitize import plural, sanitize_html
from imagegen.images import thumbnails
from imagegen.project.beat_status import Status
from imagegen.review.contact_sheet import CHOSEN, Gallery, SheetCell, SheetRow
from imagegen.workspace.outdated import changed_label

if TYPE_CHECKING:
    from PIL.Image import Image

MARK: Final = '<meta name="generator" content="imagegen '
"""The generator tag, by which our own sheets are recognized."""
WIDTH: Final = 360
"""Pixels of an image's width; columns are never wider."""
_LONGEST: Final = 400
_LONGEST_REASON: Final = 160
_RATIO: Final = re.compile(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})")

_STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --ink: #1c1d1f; --quiet: #62666d; --line: #e2e2dc; --box: #f1f1ec;
  --chosen: #17724a; --flag: #a15400; --wrong: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141517; --ink: #e9e9e6; --quiet: #9da1a8; --line: #2b2d31; --box: #1c1e21;
    --chosen: #62cf98; --flag: #f2ad62; --wrong: #ff9388;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 2rem 4rem; max-width: calc(17rem + var(--columns) * 376px);
  background: var(--paper); color: var(--ink);
  font: 0.9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header { margin-bottom: 1.5rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; font-weight: 650; letter-spacing: -0.02em;
  overflow-wrap: anywhere; }
.facts { margin: 0.375rem 0 0; color: var(--quiet); font-variant-numeric: tabular-nums; }
.warning { margin: 0.75rem 0 0; color: var(--flag); font-weight: 600; }
.facts span { display: inline-block; }
.facts span:not(:last-child)::after { content: "·"; margin-inline: 0.375em; }
table { width: 100%; border-collapse: separate; border-spacing: 0; table-layout: fixed; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th { font-weight: inherit; text-align: start; vertical-align: top; }
thead th {
  position: sticky; top: 0; z-index: 1; padding: 0.625rem 0.5rem; background: var(--paper);
  border-bottom: 1px solid var(--line); font-size: 0.8125rem; font-weight: 600; color: var(--quiet);
  overflow-wrap: anywhere;
}
thead th:first-child, tbody th { width: 15rem; padding-inline-start: 0; }
.shot th {
  width: auto; padding: 2rem 0 0.25rem; font-size: 0.8125rem; font-weight: 600;
  color: var(--quiet);
}
tbody:first-of-type .shot th { padding-top: 1.25rem; }
.beat th, .beat td { padding: 0.75rem 0.5rem; }
.beat th { padding-inline: 0 1.25rem; }
.number { display: block; font-weight: 650; font-variant-numeric: tabular-nums; }
.number small { margin-inline-start: 0.375em; font-size: 0.8125rem; font-weight: 400;
  color: var(--quiet); }
.phrase { display: block; margin-top: 0.125rem; overflow-wrap: anywhere; }
.words { display: block; margin-top: 0.375rem; font-size: 0.8125rem; line-height: 1.45;
  color: var(--quiet); overflow-wrap: anywhere; }
td { vertical-align: top; }
figure { margin: 0; }
img, .none { display: block; width: 100%; border-radius: 3px; }
img { height: auto; background: var(--box); }
.none {
  display: flex; flex-direction: column; align-items: center; justify-content: center;
  aspect-ratio: var(--ratio); padding: 0.75rem; border: 1px dashed var(--line);
  background: var(--box); color: var(--quiet); font-size: 0.8125rem; text-align: center;
  overflow: hidden; overflow-wrap: anywhere;
}
.none.error { color: var(--wrong); }
.none small { font-size: 0.75rem; line-height: 1.35; color: var(--quiet); }
.chosen img, .chosen .none { outline: 3px solid var(--chosen); outline-offset: 2px; }
figcaption { display: flex; flex-wrap: wrap; gap: 0 0.75rem; margin-top: 0.4375rem;
  font-size: 0.8125rem; line-height: 1.4; color: var(--quiet); }
.style { display: none; }
.picked { color: var(--chosen); font-weight: 600; }
.flag { color: var(--flag); font-weight: 600; }
.own { flex-basis: 100%; }
.sheet-chosen { max-width: 92rem; }
.sheet-chosen thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
.sheet-chosen table, .sheet-chosen tr, .sheet-chosen th, .sheet-chosen td { display: block;
  width: auto; }
.sheet-chosen tbody { display: grid; gap: 1.25rem;
  grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr)); }
.sheet-chosen .shot { grid-column: 1 / -1; }
.sheet-chosen .beat { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.sheet-chosen .beat th, .sheet-chosen .beat td { padding: 0; }
.sheet-chosen .beat th { margin-top: 0.25rem; }
.sheet-chosen .words { display: none; }
@media screen and (max-width: 46rem) {
  body { padding: 1.5rem 1rem 3rem; }
  body:not(.sheet-chosen) thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  body:not(.sheet-chosen) table, body:not(.sheet-chosen) tbody, .shot, .shot th, .beat th, td {
    display: block; width: auto; }
  body:not(.sheet-chosen) .style { display: inline; }
  body:not(.sheet-chosen) .beat { display: grid; grid-template-columns: 1fr 1fr;
    gap: 0.875rem 0.75rem; padding: 1rem 0 1.25rem; border-bottom: 1px solid var(--line); }
  .beat th, .beat td { padding: 0; min-width: 0; }
  .beat th, .beat .chosen { grid-column: 1 / -1; }
  .beat .chosen { order: -1; }
  .beat th { order: -2; }
  .absent { display: none !important; }
}
.in-shot { display: none; }
@media print {
  :root { --paper: #fff; --ink: #000; --quiet: #444; --line: #bbb; --box: #f4f4f4;
    --chosen: #17724a; --flag: #a15400; --wrong: #b3261e; }
  @page { size: portrait; margin: 12mm; }
  body { padding: 0; max-width: none; font-size: 9pt; line-height: 1.3;
    -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 4mm; margin: 0 0 2mm; }
  h1 { font-size: 13pt; }
  .facts, .warning { margin: 0; font-size: 8pt; }
  thead, .shot, .sheet-chosen .shot, .sheet-chosen .style { display: none; }
  table, tbody { display: block; }
  .in-shot { display: inline; margin-inline-end: 0.5em; font-weight: 400; color: var(--quiet); }
  .style { display: inline; }
  .beat { display: grid; grid-template-columns: minmax(0, 2fr)
      repeat(var(--columns), minmax(0, 3fr));
    gap: 3mm; height: 39.5mm; padding-top: 2mm; border-top: 0.2mm solid var(--line);
    overflow: hidden; break-inside: avoid; }
  .beat th, .beat td { display: flex; flex-direction: column; width: auto; min-width: 0;
    min-height: 0; padding: 0.6mm; overflow: hidden; }
  .beat th::after { content: "Notes"; flex: 1 0 7mm; margin-top: 1mm; font-size: 7pt;
    color: var(--quiet);
    background: repeating-linear-gradient(#0000 0 5.3mm, var(--line) 5.3mm 5.6mm); }
  .phrase, .words, .own { display: -webkit-box; overflow: hidden; -webkit-box-orient: vertical; }
  .phrase { flex: none; -webkit-line-clamp: 3; }
  .words { flex: none; -webkit-line-clamp: 2; font-size: 7pt; }
  .own { -webkit-line-clamp: 2; }
  figure { display: flex; flex-direction: column; min-height: 0; height: 100%; }
  img { flex: 0 1 auto; min-height: 0; background: none; object-fit: contain;
    object-position: left top; }
  .none { flex: 0 1 auto; min-height: 0; }
  .chosen img, .chosen .none { outline-width: 0.6mm; outline-offset: 0; }
  figcaption { flex: none; margin-top: 1mm; font-size: 7.5pt; gap: 0 2mm; }
  .sheet-chosen table { display: grid; grid-template-columns: 1fr 1fr; gap: 0 5mm; }
  .sheet-chosen tbody { display: contents; }
  .sheet-chosen .beat { display: flex; flex-direction: column; height: 79mm; }
  .sheet-chosen .beat td { order: -1; flex: none; max-height: 49mm; }
  .sheet-chosen .beat th { flex: 1 1 auto; margin: 0; }
}
"""


def page(sheet: Gallery) -> Iterator[bytes]:
    """Yield the page in parts, with only a few images in memory at once."""
    pictures = thumbnails.load_thumbnails(sheet.pictures, WIDTH)
    yield _head(sheet).encode()
    for shot, rows in sheet.shots:
        span = len(sheet.columns) + 1
        yield (
            f'<tbody role="rowgroup">\n<tr class="shot" role="row"><th colspan="{span}" '
            f'scope="rowgroup" role="rowheader">Shot {_text(shot)}</th></tr>\n'
        ).encode()
        for row in rows:
            yield from _row(row, pictures, only=sheet.columns == (CHOSEN,))
        yield b"</tbody>\n"
    yield b"</table>\n</main>\n</body>\n</html>\n"


def _head(sheet: Gallery) -> str:
    style = _style(sheet)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashed}'; "
        "base-uri 'none'; form-action 'none'"
    )
    name, only = _text(sheet.project), sheet.columns == (CHOSEN,)
    columns = "".join(f'<th scope="col" role="columnheader">{c}</th>' for c in sheet.columns)
    spans = "".join(f"<span>{fact}</span>" for fact in facts(sheet))
    warning = (
        f'<p class="warning">{numbers_moved_warning(sheet.moved)}</p>\n' if sheet.moved else ""
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
{MARK}{__version__}">
<meta name="referrer" content="no-referrer">
<title>{name}: contact sheet</title>
<style>{style}</style>
</head>
<body{' class="sheet-chosen"' if only else ""}>
<header>
<h1>{name}</h1>
<p class="facts">{spans}</p>
{warning}</header>
<main>
<table role="table">
<caption>The images of each beat, {"as chosen" if only else "a column for each style"}</caption>
<thead role="rowgroup">
<tr role="row"><th scope="col" role="columnheader">Beat</th>{columns}</tr>
</thead>
"""


def _style(sheet: Gallery) -> str:
    """Return the style sheet; what differs between sheets may be nowhere else."""
    ratio = _RATIO.fullmatch(sheet.aspect_ratio)
    shape = f"{ratio[1]} / {ratio[2]}" if ratio else "16 / 9"
    return f"\n:root {{ --columns: {len(sheet.columns)}; --ratio: {shape}; }}{_STYLE}"


def facts(sheet: Gallery) -> Iterator[str]:
    """Yield what a sheet counts, and the day on which it was made."""
    cells = list(sheet.cells)
    shots = len({row.shot for row in sheet.rows})
    yield f"{plural(len(sheet.rows), 'beat')} in {plural(shots, 'shot')}"
    if sheet.columns != (CHOSEN,):
        yield f"{len(sheet.pictures):,} of {plural(len(cells), 'image')}"
        chosen = sum(cell.chosen for cell in cells)
        if chosen:
            yield f"{chosen:,} chosen"
    flagged = sum(cell.flagged for cell in cells)
    if flagged:
        yield f"{flagged:,} flagged"
    day = dt.datetime.fromtimestamp(sheet.made).astimezone()
    yield f"{day.day} {day:%B %Y}"


def _row(row: SheetRow, pictures: Iterator["Image | None"], *, only: bool) -> Iterator[bytes]:
    words = row.words
    style = f" <small>{row.cells[0].style}</small>" if only and row.cells[0] else ""
    phrase = f'<span class="phrase" lang="" dir="auto">{_text(row.phrase)}</span>'
    sent = f'<span class="words" lang="" dir="auto">{_text(words or "")}</span>'
    yield (
        '<tr class="beat" role="row">'
        '<th scope="row" role="rowheader"><span class="number">'
        f'<span class="in-shot">Shot {_text(row.shot)}</span>{_text(row.name)}{style}</span>'
        f"{phrase if row.phrase else ''}{sent if words else ''}</th>\n"
    ).encode()
    for cell in row.cells:
        if cell is None:
            none = '<span class="none">not in this style</span>'
            yield f'<td class="absent" role="cell">{none}</td>\n'.encode()
            continue
        image = next(pictures) if cell.picture is not None else None
        yield _cell(row, cell, image, own_words=words is None).encode()
    yield b"</tr>\n"


def _cell(row: SheetRow, cell: SheetCell, image: "Image | None", *, own_words: bool) -> str:
    content = _missing(cell) if image is None else _image(row, cell, image)
    classes = ' class="chosen"' if cell.chosen else ""
    return (
        f'<td{classes} role="cell"><figure>{content}'
        f"<figcaption>{''.join(_caption(cell, own_words=own_words))}</figcaption></figure></td>\n"
    )


def _image(row: SheetRow, cell: SheetCell, image: "Image") -> str:
    # Not loaded lazily: what was not scrolled to would be missing on paper.
    data = base64.b64encode(thumbnails.as_jpeg(image)).decode()
    title = f"Beat {row.name} in {cell.style}"
    alt = _text(f"{title}: {row.phrase}" if row.phrase else title)
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{image.width}" '
        f'height="{image.height}" alt="{alt}" decoding="async">'
    )


def _missing(cell: SheetCell) -> str:
    reason, why = absence(cell)
    unread = cell.picture is not None or cell.torn
    wrong = " error" if unread or cell.status is Status.ERROR else ""
    small = f"<small>{_text(why, _LONGEST_REASON)}</small>" if why else ""
    return f'<div class="none{wrong}">{reason}{small}</div>'


_NONE: Final = {
    Status.PENDING: "Not drawn yet",
    Status.BLOCKED: "Not drawn yet",
    Status.WAIVED: "Needs no image",
    Status.ERROR: "Not drawn",
}


def absence(cell: SheetCell) -> tuple[str, str]:
    """Return what is said in place of a picture that cannot be shown, and why it is so."""
    if cell.picture is not None or cell.torn:
        return "The image cannot be read", ""
    return _NONE.get(cell.status, "No image"), cell.problem


def marks(cell: SheetCell) -> Iterator[tuple[str, str]]:
    """Yield what is said below a picture, each with its class: `picked`, `flag` or none."""
    if cell.chosen:
        yield "picked", "chosen"
    if cell.flagged:
        yield "flag", "flagged"
    if cell.redrawn:
        yield "", "redrawn since"
    if cell.placeholder:
        yield "", "placeholder"
    if cell.belongs_to:
        yield "flag", f"belongs to {cell.belongs_to}"
    if cell.changed:
        yield "", f"outdated: {changed_label(cell.changed)} changed"


_SIGNS: Final = {"chosen": "✓ ", "flagged": "⚑ "}


def _caption(cell: SheetCell, *, own_words: bool) -> Iterator[str]:
    yield f'<span class="style">{_text(cell.style)}</span>'
    for kind, mark in marks(cell):
        classes = f' class="{kind}"' if kind else ""
        yield f"<span{classes}>{_SIGNS.get(mark, '')}{_text(mark)}</span>"
    if own_words and cell.words:
        yield f'<span class="own" lang="" dir="auto">{_text(cell.words)}</span>'


def _text(text: str, limit: int = _LONGEST) -> str:
    """Return escaped text as one line of HTML."""
    return escape(sanitize_html(text, limit))
