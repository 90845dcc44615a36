"""Rows become beats: which style draws what, and what is wrong with a row."""

import itertools
import unicodedata
from collections.abc import Iterator

import msgspec

from imagegen.errors import InputFault
from imagegen.project.storyboard.beat import Beat
from imagegen.project.storyboard.numbers import as_written, file_number
from imagegen.project.storyboard.rows import MOST_FAULTS, PER_STYLE, TOO_MANY, Row, Sheet
from imagegen.project.storyboard.wording import quoted, unknown_style

_MOST_IN_A_ROW = 50
_LONGEST_ID = 200
_LARGEST_ID = 10**60
_MOST_REFERENCES = 50


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a storyboard and the styles it serves.

    `file` is its path relative to the project. Where `shared`, its `ai_prompt` serves all
    styles and goes out with each one's look; elsewhere it was written for the one style.
    """

    sheet: Sheet
    file: str
    styles: tuple[str, ...]
    shared: bool


class _Wrong(msgspec.Struct, frozen=True):
    field: str
    message: str
    hint: str | None = None


def beats_of(
    part: Part, styles: tuple[str, ...]
) -> tuple[dict[str, tuple[Beat, ...]], tuple[InputFault, ...]]:
    """Return the beats of each style that a file serves, in its order, and its faults.

    `styles` are all that exist, of which a row may name some. A row with a fault gives no
    beat.
    """
    sheet = part.sheet
    beats: dict[str, list[Beat]] = {style: [] for style in part.styles}
    places: dict[str, dict[str, int]] = {style: {} for style in part.styles}
    faults = [*itertools.islice(_wrong_headings(sheet, styles), _MOST_IN_A_ROW), *sheet.faults]
    # What is wrong with a heading is told once, and not of each of its cells.
    known = frozenset((*styles, *sheet.headed))
    for at, row in enumerate(sheet.rows, 1):
        if row is None:
            continue
        if len(faults) > MOST_FAULTS:
            line = sheet.line(at)
            faults.append(InputFault(file=sheet.file, row=at, line=line, message=TOO_MANY))
            break
        numbers = _numbers(row)
        # Nearly all rows are plain; what is wrong with others takes three times as long to tell.
        wrong = [] if numbers is not None and _is_plain(row) else _wrong_in(row, styles, known)
        drawn = [] if wrong or numbers is None else _beats(row, numbers, at, part)
        path = _folded(f"{drawn[0].shot}/{drawn[0].beat}") if drawn else ""
        for beat in drawn:
            first = places[beat.style].setdefault(path, at)
            if first != at:
                wrong = [_taken(beat, row, first, sheet)]
                break
            beats[beat.style].append(beat)
        faults += [_fault(one, sheet, at) for one in wrong]
    faults.sort(key=lambda fault: fault.row or 0)
    return {style: tuple(listed) for style, listed in beats.items()}, tuple(faults)


def _wrong_headings(sheet: Sheet, styles: tuple[str, ...]) -> Iterator[InputFault]:
    """Yield a fault for each column that is of no style."""
    for style in sheet.headed:
        if style not in styles:
            yield InputFault(
                file=sheet.file,
                line=sheet.heading,
                field=PER_STYLE + style,
                message=unknown_style(style, styles),
            )


def _fault(wrong: _Wrong, sheet: Sheet, row: int) -> InputFault:
    return InputFault(
        file=sheet.file,
        row=row,
        line=sheet.line(row),
        field=wrong.field,
        message=wrong.message,
        hint=wrong.hint,
    )


def _numbers(row: Row) -> tuple[str, str, str] | None:
    """Return shot and beat number as file names bear them, and the latter as it is written.

    None where a number is missing or wrong.
    """
    if row.shot_number is None or row.beat_number is None:
        return None
    try:
        shot, beat = file_number(row.shot_number, "shot"), file_number(row.beat_number, "beat")
        return shot, beat, as_written(row.beat_number)
    except ValueError:
        return None


def _is_plain(row: Row) -> bool:
    """Tell at one look that nothing is wrong with a row's texts, if that can be told."""
    if row.references or row.ai_prompts or not row.ai_prompt or row.ai_prompt.isspace():
        return False
    texts = f"{row.ai_prompt}{row.script_phrase}{row.transition_type}"
    return texts.isascii() and "\0" not in texts


def _wrong_in(row: Row, styles: tuple[str, ...], known: frozenset[str]) -> list[_Wrong]:
    """Return what is wrong with a row taken by itself, at most so much as a person reads.

    No style that is `known` is told as a wrong one.
    """
    prompts = _wrong_prompts(row, styles, known)
    wrong = itertools.chain(_wrong_numbers(row), _wrong_texts(row), prompts)
    return list(itertools.islice(wrong, _MOST_IN_A_ROW))


def _wrong_numbers(row: Row) -> Iterator[_Wrong]:
    for kind, value in (("shot", row.shot_number), ("beat", row.beat_number)):
        if value is None:
            yield _Wrong(f"{kind}_number", "missing")
            continue
        try:
            file_number(value, kind)
        except ValueError as error:
            yield _Wrong(f"{kind}_number", str(error))


def _wrong_texts(row: Row) -> Iterator[_Wrong]:
    for field, text in (
        ("transition_type", row.transition_type),
        ("script_phrase", row.script_phrase),
        ("ai_prompt", row.ai_prompt),
    ):
        if text and (reason := _unprintable(text)):
            yield _Wrong(field, reason)
    if row.references and len(_paths(row.references)) > _MOST_REFERENCES:
        yield _Wrong("references", f"names more than {_MOST_REFERENCES} pictures")


def _wrong_prompts(row: Row, styles: tuple[str, ...], known: frozenset[str]) -> Iterator[_Wrong]:
    if not row.has_prompt:
        phrase = f" ({quoted(row.script_phrase)})" if row.script_phrase else ""
        yield _Wrong("ai_prompt", f"missing, and no ai_prompts{phrase}")
    for style, words in (row.ai_prompts or {}).items():
        if style not in known:
            yield _Wrong("ai_prompts", unknown_style(style, styles))
        elif words is not None and not words.strip():
            yield _Wrong("ai_prompts", f'the prompt for "{style}" is empty')
        elif words and (reason := _unprintable(words)):
            yield _Wrong("ai_prompts", f'the prompt for "{style}" {reason}')


def _unprintable(text: str) -> str | None:
    """Say why a text could not be sent or saved. Both come from tools, never from people."""
    if "\0" in text:
        return "holds a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character"
    return None


def _beats(row: Row, numbers: tuple[str, str, str], at: int, part: Part) -> list[Beat]:
    """Return the beats of a row without faults, one for each style that has a prompt."""
    shot, beat, written = numbers
    own = row.ai_prompts or {}
    common = row.ai_prompt if row.ai_prompt and not row.ai_prompt.isspace() else None
    transition, phrase, own_id = row.transition_type or "", row.script_phrase or "", _id(row.id)
    references = _paths(row.references)
    drawn = [(style, words) for style in part.styles if (words := own.get(style) or common)]
    if not drawn:
        return []
    style, words = drawn[0]
    first = Beat(
        style=style,
        shot=shot,
        beat=beat,
        written=written,
        words=words,
        own_words=not part.shared or own.get(style) is not None,
        transition=transition,
        script_phrase=phrase,
        file=part.file,
        row=at,
        id=own_id,
        references=references,
    )
    # Copied and amended: four times as fast as making each field by field.
    return [
        first,
        *(
            msgspec.structs.replace(
                first,
                style=style,
                words=words,
                own_words=not part.shared or own.get(style) is not None,
            )
            for style, words in drawn[1:]
        ),
    ]


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID:
        return str(value)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_ID or _unprintable(value):
        return None
    return value


def _paths(value: object) -> tuple[str, ...]:
    """Return the pictures that a row names; none where other tools mean something else."""
    if not value:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        return ()
    return tuple(listed)


def _folded(path: str) -> str:
    """Return what is the same for paths that some file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _taken(beat: Beat, row: Row, first: int, sheet: Sheet) -> _Wrong:
    """Say that a beat's path belongs to an earlier row."""
    first_row, line = sheet.rows[first - 1], sheet.line(first)
    named = f"row {first}" + (f" (line {line})" if line else "")
    if first_row is None or first_row.shot_number is None or first_row.beat_number is None:
        return _Wrong("beat_number", f"{beat.beat} is already {named}")
    shot = file_number(first_row.shot_number, "shot")
    number = file_number(first_row.beat_number, "beat")
    if (shot, number) != beat.key:
        ours, theirs = f"Shot_{beat.shot}/Beat_{beat.beat}", f"Shot_{shot}/Beat_{number}"
        return _Wrong(
            "beat_number" if shot == beat.shot else "shot_number",
            f"{ours}.png and {theirs}.png of {named} are one file on Windows and macOS",
        )
    unquoted = isinstance(row.beat_number, float) or isinstance(first_row.beat_number, float)
    hint = f'an unquoted {number}0 loses its last zero: write "{number}0"' if unquoted else None
    return _Wrong("beat_number", f"{number} is already {named}", hint)
