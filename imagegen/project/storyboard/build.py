"""Rows become beats: which style draws what, and what is wrong with a row."""

import contextlib
import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping

import msgspec

from imagegen.errors import InputError
from imagegen.project.storyboard.beat import Beat, BeatKey
from imagegen.project.storyboard.blanks import (
    LONGEST_BLANK,
    blank_number,
    blank_prompt,
    is_invisible,
)
from imagegen.project.storyboard.messages import quoted, unknown_style
from imagegen.project.storyboard.names import PER_STYLE
from imagegen.project.storyboard.numbers import as_written, file_number, is_plain, looks_like_date
from imagegen.project.storyboard.rows import MOST_FAULTS, TOO_MANY, BeatRow, ParsedFile

_MOST_IN_A_ROW = 50
_LONGEST_ID = 200
_AS_TEXT = "it looks like a date, which spreadsheets make of 1.1 or 1:02: make the column text"
_LARGEST_ID = 10**60
_MOST_REFERENCES = 50
_NAMED = 3
# What decoders put for bytes that are no text, and UTF-8 that was read as Windows-1252.
_GARBLED = re.compile("\ufffd|Ã[\u00a1-\u00bf]|Â[\u00a0-\u00bf]|â€[\u0090-\u2122]")
_PART_OF_WORD = 20


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a storyboard and the styles it serves.

    `file` is its path relative to the project. If `shared`, its `ai_prompt` serves all
    styles and goes out with each one's look; elsewhere it was written for the one style.
    """

    sheet: ParsedFile
    file: str
    styles: tuple[str, ...]
    shared: bool


class _Wrong(msgspec.Struct, frozen=True):
    field: str
    message: str
    hint: str | None = None
    detail: str | None = None


class Beats(msgspec.Struct, frozen=True, kw_only=True):
    """The beats of each style that a file serves, in its order, its errors, and remarks."""

    beats: dict[str, tuple[Beat, ...]]
    faults: tuple[InputError, ...]
    notes: tuple[str, ...]


def beats_of(part: Part, styles: tuple[str, ...]) -> Beats:
    """Return the beats of the rows of a file.

    `styles` are all that exist, of which a row may name some. A row with an error gives no
    beat.
    """
    sheet = part.sheet
    beats: dict[str, list[Beat]] = {style: [] for style in part.styles}
    places: dict[str, dict[str, int]] = {style: {} for style in part.styles}
    faults = [*itertools.islice(_wrong_headings(sheet, styles), _MOST_IN_A_ROW), *sheet.faults]
    # An error in a heading is reported once, not for each of its cells.
    known_styles = frozenset((*styles, *sheet.style_columns))
    for at, row in enumerate(sheet.rows, 1):
        if row is None:
            continue
        if len(faults) > MOST_FAULTS:
            line = sheet.line(at)
            faults.append(InputError(file=sheet.file, row=at, line=line, message=TOO_MANY))
            break
        numbers = _numbers(row)
        # Nearly all rows are valid; finding what is wrong with one takes three times as long.
        wrong = []
        if numbers is None or not _is_plain(row):
            wrong = _wrong_in(row, styles, known_styles, sheet.misnamed.get(at, {}))
        drawn = [] if wrong or numbers is None else _beats(row, numbers, at, part)
        path = _fold(f"{numbers[0]}/{numbers[1]}") if numbers is not None else ""
        if wrong and numbers is not None:
            firsts = {first_rows.get(path) for first_rows in places.values()}
            if len(firsts) == 1 and (first := firsts.pop()) is not None:
                # Found in the same round, though the row gives no beat.
                wrong.append(_duplicate_error(numbers[:2], row, at, first, sheet))
            # A later row with this number is a second one, whatever else is wrong with this.
            for style in _styles_of(row, part):
                places[style].setdefault(path, at)
        for beat in drawn:
            style = beat.style
            first = places[style].setdefault(path, at)
            if first != at:
                wrong = [_duplicate_error(beat.key, row, at, first, sheet)]
                break
            beats[style].append(beat)
        faults += [_fault(mistake, sheet, at) for mistake in wrong]
    faults.sort(key=lambda fault: fault.row or 0)
    return Beats(
        beats={style: tuple(listed) for style, listed in beats.items()},
        faults=tuple(faults),
        notes=(*sheet.notes, *_find_dates(sheet), *_find_lost_zeros(sheet), *_find_garbled(sheet)),
    )


def _find_dates(sheet: ParsedFile) -> Iterator[str]:
    """Yield a note if beat numbers look like dates that a spreadsheet made of them."""
    dates = [
        number
        for row in sheet.rows
        if row is not None
        and isinstance(number := row.beat_number, str)
        # Most numbers are digits with a dot, which takes no time to see.
        and not number.replace(".", "", 1).isdigit()
        and looks_like_date(number)
    ]
    if dates:
        examples = ", ".join(map(quoted, dates[:_NAMED])) + (" …" if len(dates) > _NAMED else "")
        are = (
            "1 beat number looks like a date"
            if len(dates) == 1
            else (f"{len(dates):,} beat numbers look like dates")
        )
        yield (
            f"{are} ({examples}), which spreadsheets make of 1.1 or 1-10: make the column text, "
            "and write the numbers again"
        )


def _find_lost_zeros(sheet: ParsedFile) -> Iterator[str]:
    """Yield a note if numbers may have lost a zero though no other row has what is left."""
    lost = []
    for at, row in enumerate(sheet.rows, 1):
        number = row.beat_number if row is not None else None
        # Most rows are seen at once: only those after 1.9, 1.19 and so on are of interest.
        before = sheet.rows[at - 2] if at > 1 else None
        if before is None or not str(before.beat_number).endswith("9"):
            continue
        if isinstance(number, float) or (isinstance(number, str) and sheet.header_line is not None):
            with contextlib.suppress(ValueError):
                whole = _with_zero(file_number(number, "beat"), at, sheet)
                if whole is not None:
                    lost.append(f"{as_written(number)} for {whole}")
    if lost:
        examples = ", ".join(lost[:_NAMED]) + (" …" if len(lost) > _NAMED else "")
        fix = "make the column text" if sheet.header_line is not None else "write them in quotes"
        yield f"numbers seem to have lost their last zero ({examples}): {fix}"


def _find_garbled(sheet: ParsedFile) -> Iterator[str]:
    """Yield a note if prompts have signs of a text that was read in another encoding."""
    count, first = 0, None
    for row in sheet.rows:
        for words in (row.ai_prompt, *(row.ai_prompts or {}).values()) if row is not None else ():
            if words and not words.isascii() and (match := _GARBLED.search(words)):
                count += 1
                first = first or _word_around(words, match.start(), match.end())
    if first is not None:
        have = "1 prompt has" if count == 1 else f"{count:,} prompts have"
        yield f"{have} garbled letters ({quoted(first)}): save the file as UTF-8, and look at them"


def _word_around(text: str, start: int, end: int) -> str:
    """Return a part of a text with the letters beside it, a few on each side."""
    before = re.search(r"\w*\Z", text[max(0, start - _PART_OF_WORD) : start])
    after = re.match(r"\w*", text[end : end + _PART_OF_WORD])
    return (before[0] if before else "") + text[start:end] + (after[0] if after else "")


def _wrong_headings(sheet: ParsedFile, styles: tuple[str, ...]) -> Iterator[InputError]:
    """Yield an error for each column that is of no style."""
    for style in sheet.style_columns:
        if style not in styles:
            yield InputError(
                file=sheet.file,
                line=sheet.header_line,
                field=PER_STYLE + style,
                message=unknown_style(style, styles),
            )


def _fault(wrong: _Wrong, sheet: ParsedFile, row: int) -> InputError:
    return InputError(
        file=sheet.file,
        row=row,
        line=sheet.line(row),
        field=wrong.field,
        message=wrong.message,
        hint=wrong.hint,
        detail=wrong.detail,
    )


def _numbers(row: BeatRow) -> tuple[str, str, str] | None:
    """Return shot and beat number as file names bear them, and the latter as it is written.

    None where a number is missing or wrong.
    """
    shot_number, beat_number = row.shot_number, row.beat_number
    if shot_number is None or beat_number is None:
        return None
    try:
        shot = file_number(shot_number, "shot")
        is_text = isinstance(shot_number, str) and not shot_number[:1].isdigit()
        if is_text and blank_number(str(shot_number)):
            return None
        if is_plain(beat_number):
            return shot, beat_number, beat_number
        beat = file_number(beat_number, "beat")
    except ValueError:
        return None
    if isinstance(beat_number, str) and blank_number(beat_number):
        return None
    return shot, beat, as_written(beat_number)


def _is_plain(row: BeatRow) -> bool:
    """Return quickly whether a row's texts are surely valid."""
    if row.references or row.ai_prompts or not row.ai_prompt or row.ai_prompt.isspace():
        return False
    may_be_blank = len(row.ai_prompt) <= LONGEST_BLANK or row.ai_prompt.lstrip()[0] == "="
    if may_be_blank and blank_prompt(row.ai_prompt):
        return False
    texts = f"{row.ai_prompt}{row.script_phrase}{row.transition_type}"
    return texts.isascii() and "\0" not in texts


def _wrong_in(
    row: BeatRow, styles: tuple[str, ...], known_styles: frozenset[str], misnamed: Mapping[str, str]
) -> list[_Wrong]:
    """Return what is wrong with a row taken by itself, a readable number of errors at most.

    No style in `known_styles` is reported as a wrong one. `misnamed` has what the row calls the
    fields that it lacks.
    """
    prompts = _wrong_prompts(row, styles, known_styles, misnamed)
    wrong = itertools.chain(_wrong_numbers(row, misnamed), _wrong_texts(row), prompts)
    return list(itertools.islice(wrong, _MOST_IN_A_ROW))


def _wrong_name(field: str, misnamed: Mapping[str, str]) -> _Wrong | None:
    name = misnamed.get(field)
    return _Wrong(field, f"{quoted(name)} should be {quoted(field)}") if name else None


def _wrong_numbers(row: BeatRow, misnamed: Mapping[str, str]) -> Iterator[_Wrong]:
    for kind, value in (("shot", row.shot_number), ("beat", row.beat_number)):
        if value is None:
            field = f"{kind}_number"
            yield _wrong_name(field, misnamed) or _Wrong(field, "missing")
            continue
        reason = blank_number(value) if isinstance(value, str) else None
        try:
            file_number(value, kind)
        except ValueError as error:
            reason = reason or str(error)
        if reason:
            hint = _AS_TEXT if looks_like_date(value) else None
            yield _Wrong(f"{kind}_number", reason, hint)


def _wrong_texts(row: BeatRow) -> Iterator[_Wrong]:
    for field, text in (
        ("transition_type", row.transition_type),
        ("script_phrase", row.script_phrase),
        ("ai_prompt", row.ai_prompt),
    ):
        if text and (reason := _unprintable(text)):
            yield _Wrong(field, reason)
    if row.references and len(_paths(row.references)) > _MOST_REFERENCES:
        yield _Wrong("references", f"names more than {_MOST_REFERENCES} images")


def _wrong_prompts(
    row: BeatRow, styles: tuple[str, ...], known_styles: frozenset[str], misnamed: Mapping[str, str]
) -> Iterator[_Wrong]:
    if not row.has_prompt:
        phrase = quoted(row.script_phrase) if row.script_phrase else None
        missing = _Wrong("ai_prompt", "missing, and no ai_prompts", detail=phrase)
        yield _wrong_name("ai_prompt", misnamed) or missing
    elif row.ai_prompt and (reason := blank_prompt(row.ai_prompt)):
        yield _Wrong("ai_prompt", reason)
    for style, words in (row.ai_prompts or {}).items():
        if style not in known_styles:
            yield _Wrong("ai_prompts", unknown_style(style, styles))
        elif words is not None and is_invisible(words):
            yield _Wrong("ai_prompts", f'the prompt for "{style}" is empty')
        elif words and (reason := _unprintable(words) or blank_prompt(words)):
            yield _Wrong("ai_prompts", f'the prompt for "{style}" {reason}')


def _unprintable(text: str) -> str | None:
    """Return why a text cannot be sent or saved: only tools write such texts."""
    if "\0" in text:
        return "holds a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which is not a character"
    return None


def _beats(row: BeatRow, numbers: tuple[str, str, str], at: int, part: Part) -> list[Beat]:
    """Return the beats of a row without errors, one for each style that has a prompt."""
    shot, beat, written = numbers
    prompts = row.ai_prompts or {}
    common = row.ai_prompt if row.ai_prompt and not row.ai_prompt.isspace() else None
    transition, phrase, own_id = row.transition_type or "", row.script_phrase or "", _id(row.id)
    references = _paths(row.references)
    extra = row.kept() if part.sheet.keeps else {}
    if part.sheet.others:
        extra |= part.sheet.others.get(at, {})
    drawn = [(style, words) for style in part.styles if (words := prompts.get(style) or common)]
    if not drawn:
        return []
    style, words = drawn[0]
    first = Beat(
        style=style,
        shot=shot,
        beat=beat,
        written=written,
        words=words,
        own_words=not part.shared or prompts.get(style) is not None,
        transition=transition,
        script_phrase=phrase,
        file=part.file,
        row=at,
        id=own_id,
        references=references,
        extra=extra or None,
    )
    # Copied and amended: four times as fast as making each field by field.
    if not prompts:
        return [first, *[msgspec.structs.replace(first, style=style) for style, _ in drawn[1:]]]
    return [
        first,
        *(
            msgspec.structs.replace(
                first,
                style=style,
                words=words,
                own_words=not part.shared or prompts.get(style) is not None,
            )
            for style, words in drawn[1:]
        ),
    ]


def _styles_of(row: BeatRow, part: Part) -> list[str]:
    """Return the styles that a row is for; all of them if it has no valid prompt."""
    prompts = row.ai_prompts or {}
    return [style for style in part.styles if row.ai_prompt or prompts.get(style)] or [*part.styles]


def _id(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_ID:
        return str(value)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_ID or _unprintable(value):
        return None
    return value


def _paths(value: object) -> tuple[str, ...]:
    """Return the images that a row names; none if other tools mean something else."""
    if not value:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(path, str) for path in listed):
        return ()
    return tuple(listed)


def _fold(path: str) -> str:
    """Return what is the same for paths that some file system takes for one."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _duplicate_error(key: BeatKey, row: BeatRow, at: int, first: int, sheet: ParsedFile) -> _Wrong:
    """Return the error of a row with the path of an earlier one."""
    first_row, line = sheet.rows[first - 1], sheet.line(first)
    earlier = f"row {first}" + (f" (line {line})" if line else "")
    if first_row is None or first_row.shot_number is None or first_row.beat_number is None:
        return _Wrong("beat_number", f"{key[1]} is already {earlier}")
    shot = file_number(first_row.shot_number, "shot")
    number = file_number(first_row.beat_number, "beat")
    if (shot, number) != key:
        ours, theirs = f"Shot_{key[0]}/Beat_{key[1]}", f"Shot_{shot}/Beat_{number}"
        return _Wrong(
            "beat_number" if shot == key[0] else "shot_number",
            f"{ours}.png and {theirs}.png of {earlier} are one file on Windows and macOS",
        )
    return _Wrong(
        "beat_number",
        f"{number} is already {earlier}",
        _lost_zero(number, row, first_row, at, sheet),
    )


def _lost_zero(number: str, row: BeatRow, first: BeatRow, at: int, sheet: ParsedFile) -> str | None:
    """Return how a number may have become that of an earlier row."""
    if isinstance(row.beat_number, float) or isinstance(first.beat_number, float):
        if "." in number:
            return f'an unquoted {number}0 loses its last zero: write "{number}0"'
        return f'an unquoted {number}.0 is {number}: write "{number}.0" if it is another beat'
    whole = _with_zero(number, at, sheet) if sheet.header_line is not None else None
    if whole is None:
        return None
    return (
        f"{whole} has lost its last zero in the spreadsheet: make the column text, or write "
        f"Beat {whole}"
    )


def _with_zero(number: str, at: int, sheet: ParsedFile) -> str | None:
    """Return the number that a spreadsheet made a shorter one of: 1.10 after 1.9, if it did."""
    before = sheet.rows[at - 2] if at > 1 else None
    if before is None or before.beat_number is None:
        return None
    try:
        whole, dot, last = file_number(before.beat_number, "beat").rpartition(".")
    except ValueError:
        return None
    following = f"{whole}.{int(last) + 1}" if dot and last.isdecimal() else ""
    return following if following.endswith("0") and following.rstrip("0") == number else None
