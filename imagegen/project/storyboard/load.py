"""Finds the file that holds a project's prompts, and reads the storyboard from it."""

import contextlib
import itertools
import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from imagegen import files
from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project.settings import FILE as SETTINGS
from imagegen.project.storyboard import reader, rows
from imagegen.project.storyboard.beat import Beat, Storyboard
from imagegen.project.storyboard.build import Part, beats_of
from imagegen.project.storyboard.messages import unknown_style
from imagegen.project.storyboard.numbers import as_written, file_number
from imagegen.shell import command, project_command

_SHARED = ("beats.json", "beats.csv", "beats.tsv", "beats.xlsx")
_PROMPTS = (
    "prompts-{style}.json",
    "prompts-{style}.js",
    "prompts-{style}.mjs",
    "prompts-{style}-formatted.js",
)
_STORYBOARDS = ("{style}.json",)
_FOLDERS = (("prompts", _PROMPTS), ("storyboards", _STORYBOARDS))
_KINDS = (".json", ".jsonl", ".csv", ".tsv", ".xlsx", ".xlsm", ".js", ".mjs", ".txt", ".md")
_PROMPT_KINDS = (".json", ".js", ".mjs")
_SEPARATORS = re.compile(r"[ ._()\-]+")
_EXAMPLE = (
    '[{"shot_number": 1, "beat_number": "1.1", "transition_type": "H", '
    '"script_phrase": "…", "ai_prompt": "…"}]'
)
_EXAMPLE_CSV = "1,1.1,H,…,… under shot_number,beat_number,transition_type,script_phrase,ai_prompt"
_NOTED = 20
_SOME = 3
_LEVELS = 3
"""Folders above one that may be in a project."""


class NoBeatsError(UsageError):
    """No beats file was found, and none was named."""


class _Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a folder of one file per style, that the prompts may be in."""

    source: str
    shown: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def holds_prompts(self) -> bool:
        return any(part.sheet.holds_prompts for part in self.parts)

    @property
    def guessed(self) -> bool:
        """Whether its prompts have another name than ours, and may be something else."""
        return all(part.sheet.guessed for part in self.parts if part.sheet.holds_prompts)

    @property
    def has_rows(self) -> bool:
        return any(part.sheet.rows for part in self.parts)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look for beats.

    `base` is the folder that paths are relative to, `within` the folders that symbolic
    links may lead to (none: anywhere).
    """

    base: Path
    within: tuple[Path, ...]
    styles: tuple[str, ...]

    def relative(self, path: Path) -> str:
        """Return a path as it is remembered: relative to the project, with `/`."""
        try:
            inside = Path(os.path.abspath(path)).relative_to(os.path.abspath(self.base))  # noqa: PTH100 - links must stay unresolved
        except ValueError:
            return path.as_posix()
        return inside.as_posix()


def load(project: Path, styles: Sequence[str], *, beats: Path | None = None) -> Storyboard:
    """Read the beats of every style from the first place that holds prompts.

    Looked at in this order, and chosen once for all styles: `beats.json`, `beats.csv`,
    `prompts/prompts-{style}.json` (else `.js`, `.mjs`), `storyboards/{style}.json`.
    `beats`, relative to the project, decides instead: a file of one of
    these kinds that all styles share, or a folder of files per style. `styles` are all that
    the project knows; a prompt for any other is an error.

    Raises InvalidInputError with the errors of all files that were chosen, NoBeatsError if
    there is no beats file, and UsageError if it has no row.
    """
    chosen, passed = _choose(project, styles, beats)
    return _storyboard(chosen, styles, passed)


def choose(project: Path, styles: Sequence[str], *, beats: Path | None = None) -> tuple[Part, ...]:
    """Return the files that `load` reads the beats from. Raises as `load` does."""
    chosen, passed = _choose(project, styles, beats)
    _storyboard(chosen, styles, passed)
    return chosen.parts


def _choose(
    project: Path, styles: Sequence[str], beats: Path | None
) -> tuple[_Candidate, list[_Candidate]]:
    """Return the place that the beats are read from, and those that were passed over."""
    candidates = (
        _find_candidates(project, styles)
        if beats is None
        else _named_candidates(project, styles, project / beats)
    )
    passed: list[_Candidate] = []
    guessed: _Candidate | None = None
    for candidate in candidates:
        if candidate.holds_prompts and not candidate.guessed:
            return candidate, passed if guessed is None else [*passed, guessed]
        if candidate.holds_prompts and guessed is None:
            guessed = candidate
        elif not candidate.holds_prompts:
            passed.append(candidate)
    if guessed is not None:
        return guessed, passed
    # Rows without a single prompt: the errors of the first file say which are missing.
    first = next((candidate for candidate in passed if candidate.has_rows), None)
    if first is None:
        raise _nothing(project, passed)
    return first, []


def candidate_files(project: Path) -> list[str]:
    """Return the existing files that `load` would look at, in its order.

    Of a folder, that is a file of one of its patterns, in any style. Nothing is read.
    """
    files = [name for name in _SHARED if os.path.lexists(project / name)]
    for name, patterns in _FOLDERS:
        shapes = [pattern.format(style="?*") for pattern in patterns]
        if any(next((project / name).glob(shape), None) for shape in shapes):
            files.append(f"{name}/")
    return files


def siblings(project: Path, file: str, styles: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the other files of the same style beside a style's own file, each with its style.

    `file` is relative to the project, as the files of a storyboard are.
    """
    folder, _, name = file.rpartition("/")
    for style in styles:
        names = [pattern.format(style=style) for pattern in _PROMPTS]
        if name not in names:
            continue
        for other in names:
            beside = f"{folder}/{other}" if folder else other
            if other != name and os.path.lexists(project / beside):
                yield style, beside


_ALIKE = re.compile(
    r".*(?:beat|storyboard|shot|scene|prompt)s?.*"
    r"\.(?:json|jsonl|csv|tsv|xlsx|xlsm|xls|ods|numbers|js|mjs|json\.txt)",
    re.IGNORECASE,
)
_NOT_BEATS = re.compile(r"package|image_|imagegen|beats\.old|\.imagegen|tsconfig", re.IGNORECASE)
_MOST_LOOKED_AT = 1000


def alike(project: Path) -> list[str]:
    """Return files of a project's folder that are probably its beats, under another name.

    Nothing is read. Tables come before documents, names that begin with `beats` first.
    """
    tables = [n for n in _names(project) if n.lower().endswith((".csv", ".tsv", ".xlsx"))]
    return _alike(project) or sorted(tables)[:1]


def _alike(project: Path) -> list[str]:
    matches = [n for n in _names(project) if _ALIKE.fullmatch(n) and not _NOT_BEATS.match(n)]
    return sorted(matches, key=lambda n: (not n.lower().startswith("beats"), n))


def _names(project: Path) -> list[str]:
    try:
        with os.scandir(project) as entries:
            return [
                entry.name
                for entry in itertools.islice(entries, _MOST_LOOKED_AT)
                if entry.is_file()
            ]
    except OSError:
        return []


def unused(project: Path, source: str, reported: Container[str] = ()) -> str | None:
    """Return a note on places that are not used beside `source`, if any.

    Those that come before it hold no prompts, which the storyboard itself notes. Places in
    `reported` have a note already.
    """
    candidates = candidate_files(project)
    after = candidates[candidates.index(source) + 1 :] if source in candidates else []
    unused_names = [name for name in after if name not in reported]
    if source in candidates:
        # A second download, or the spreadsheet that the first was made from.
        unused_names += [name for name in _alike(project) if name.casefold() not in _SHARED]
    if not unused_names:
        return None
    are, them = ("is", "it") if len(unused_names) == 1 else ("are", "them")
    return f"{' and '.join(unused_names)} {are} not used: {source} comes before {them}"


def _passed_over(passed: Sequence[_Candidate], chosen: _Candidate) -> list[str]:
    notes = []
    for other in passed:
        lacks = "has no field ai_prompt" if other.holds_prompts else "holds no prompts"
        notes.append(f"{other.source} {lacks}: {chosen.source} is used")
    return [*notes, *(note for other in passed for note in other.notes)]


def _storyboard(
    chosen: _Candidate, styles: Sequence[str], passed: Sequence[_Candidate]
) -> Storyboard:
    beats: dict[str, tuple[Beat, ...]] = dict.fromkeys(styles, ())
    faults: list[InputError] = []
    notes: list[str] = []
    for part in chosen.parts:
        read = beats_of(part, tuple(styles))
        if read.faults:
            # Once more, to say on which lines: they are looked for in faulty files alone.
            read = beats_of(_with_lines(part, styles), tuple(styles))
        beats.update(read.beats)
        faults += read.faults
        notes += [f"{part.file}: {note}" for note in read.notes]
    if faults:
        raise InvalidInputError(
            faults, {part.sheet.file: len(part.sheet.rows) for part in chosen.parts}
        )
    return Storyboard(
        source=chosen.source,
        beats=beats,
        files=tuple(part.file for part in chosen.parts),
        notes=(*_passed_over(passed, chosen), *chosen.notes, *notes),
        without_prompt=_without_prompt(passed, beats),
    )


def _with_lines(part: Part, styles: Sequence[str]) -> Part:
    """Return a part with the lines of its rows, if these can be found in the file."""
    path = Path(part.sheet.file)
    if part.sheet.lines or path.suffix.lower() != ".json":
        return part
    try:
        text, _ = reader.as_text(reader.read(path))
    except reader.UnreadableError:
        return part
    sheet = msgspec.structs.replace(part.sheet, lines=rows.lines_in(text, styles))
    return msgspec.structs.replace(part, sheet=sheet)


def _without_prompt(
    passed: Sequence[_Candidate], beats: Mapping[str, Sequence[Beat]]
) -> dict[str, tuple[str, ...]]:
    """Return the beats that a list without prompts has, and that a style has no prompt for."""
    listed: dict[str, str] = {}
    for candidate in passed:
        for part in candidate.parts if not candidate.holds_prompts else ():
            for row in part.sheet.rows:
                if row is not None and row.beat_number is not None:
                    with contextlib.suppress(ValueError):
                        number = file_number(row.beat_number, "beat")
                        listed.setdefault(number, as_written(row.beat_number))
    without_prompt = {}
    for style, style_beats in beats.items() if listed else ():
        beat_numbers = {beat.beat for beat in style_beats}
        lacking = tuple(written for number, written in listed.items() if number not in beat_numbers)
        # A list of other numbers altogether is of something else.
        if lacking and (not style_beats or len(lacking) < len(listed)):
            without_prompt[style] = lacking
    return without_prompt


def _nothing(project: Path, passed: Sequence[_Candidate]) -> UsageError:
    if not passed:
        # A sample is made if there are no settings yet.
        similar = alike(project)
        if similar:
            return NoBeatsError(
                f"no beats in {project}: it has no beats.json, but {' and '.join(similar[:_SOME])}",
                hint=project_command("check", project, "--beats", str(project / similar[0])),
            )
        near = _nearest_project(project)
        if near is not None:
            return NoBeatsError(
                f"no beats in {project}: the project is {near}",
                hint=project_command("status", near),
            )
        begun = os.path.lexists(project / SETTINGS)
        rows_of_its_own = f"write {project / _SHARED[0]}, one row for each beat: {_EXAMPLE}"
        return NoBeatsError(
            f"no beats in {project}: it has no beats.json, beats.csv, prompts/ or storyboards/",
            hint=rows_of_its_own if begun else project_command("init", project),
        )
    first = passed[0]
    if not first.parts:
        return UsageError(
            f"{first.shown} has no file for any style" + "".join(f"; {n}" for n in first.notes),
            hint="name each file after its style",
        )
    example = _EXAMPLE_CSV if first.shown.lower().endswith(".csv") else _EXAMPLE
    return UsageError(f"{first.shown} has no rows", hint=f"write one row for each beat: {example}")


def _nearest_project(folder: Path) -> Path | None:
    """Return the project that has this folder, or else the only one in it."""
    if os.path.lexists(folder / SETTINGS):
        return None
    for parent in folder.absolute().parents[:_LEVELS]:
        if os.path.lexists(parent / SETTINGS):
            return parent
    with contextlib.suppress(OSError):
        children = [entry.path for entry in os.scandir(folder) if entry.is_dir()]
        inside = [path for path in children if os.path.lexists(Path(path) / SETTINGS)]
        if len(inside) == 1:
            return Path(inside[0])
    return None


def _find_candidates(project: Path, styles: Sequence[str]) -> Iterator[_Candidate]:
    if not os.path.isdir(project):  # noqa: PTH112 - unlike is_dir it never raises
        raise UsageError(
            f"{project} is not a folder",
            hint=project_command("init", project),
        )
    place = _Place(base=project, within=(project,), styles=tuple(styles))
    for name in _SHARED:
        if _is_at(project / name):
            yield _file(project / name, place)
    for name, patterns in _FOLDERS:
        if os.path.isdir(project / name):  # noqa: PTH112 - unlike is_dir it never raises
            yield from _folder(project / name, patterns, place)


def _is_at(path: Path) -> bool:
    """Return whether there is a file, or a cloud drive's placeholder for one."""
    return os.path.lexists(path) or files.has_stub(path)


def _named_candidates(project: Path, styles: Sequence[str], path: Path) -> Iterator[_Candidate]:
    place = _Place(base=project, within=(), styles=tuple(styles))
    try:
        real = reader.resolved(path)
    except reader.UnreadableError as error:
        raise UsageError(f"the beats file {path} {error}") from None
    if not real.is_dir():
        if path.suffix.lower() not in _KINDS:
            raise UsageError(
                f"{path} is not a beats file that imagegen reads",
                hint="save it as .csv, .tsv, .xlsx or .json; or name a folder of files",
            )
        yield _file(path, place)
        return
    place = msgspec.structs.replace(place, within=(project, path))
    candidates = [
        candidate
        for patterns in (_PROMPTS, _STORYBOARDS)
        for candidate in _folder(path, patterns, place)
    ]
    with_files = [candidate for candidate in candidates if candidate.parts]
    if not with_files:
        _refuse_project(path)
    yield from with_files or candidates[:1]
    if not candidates:
        raise UsageError(
            f"{path} has no beats: it should hold prompts-{{style}}.json, prompts-{{style}}.js "
            "or {style}.json"
        )


def _refuse_project(folder: Path) -> None:
    """Raise `UsageError` for a folder that is a project, and not one of a file per style."""
    for name in (*_SHARED, *(name for name, _ in _FOLDERS)):
        if os.path.lexists(folder / name):
            raise UsageError(
                f"{folder} is a project's folder, and its beats are in {name}",
                hint=command("--beats", str(folder / name)),
            )


def _file(path: Path, place: _Place) -> _Candidate:
    sheet = _sheet(path, place)
    name = place.relative(path)
    part = Part(sheet=sheet, file=name, styles=place.styles, shared=True)
    return _Candidate(source=name, shown=sheet.file, parts=(part,))


def _folder(folder: Path, patterns: Sequence[str], place: _Place) -> Iterator[_Candidate]:
    """Read the files that a folder has for the styles, and remark those for no style."""
    name = place.relative(folder) + "/"
    try:
        reader.resolved(folder, within=place.within)
        names = [entry.name for entry in folder.iterdir()]
    except (OSError, reader.UnreadableError) as error:
        reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        sheet = rows.failed_file(str(folder), reason)
        part = Part(sheet=sheet, file=name, styles=(), shared=False)
        yield _Candidate(source=name, shown=sheet.file, parts=(part,))
        return
    parts = []
    for style in place.styles:
        paths = [folder / pattern.format(style=style) for pattern in patterns]
        sheets = [(path, _sheet(path, place)) for path in paths if _is_at(path)]
        if not sheets:
            continue
        file, sheet = next((pair for pair in sheets if pair[1].holds_prompts), sheets[0])
        parts.append(Part(sheet=sheet, file=place.relative(file), styles=(style,), shared=False))
    notes = tuple(_unknown(names, patterns, name, place.styles))
    if parts or notes:
        yield _Candidate(source=name, shown=str(folder), parts=tuple(parts), notes=notes)


def _unknown(
    names: Sequence[str], patterns: Sequence[str], folder: str, styles: Sequence[str]
) -> list[str]:
    shapes = [re.compile(re.escape(pattern).replace(r"\{style\}", "(.+)")) for pattern in patterns]
    used = {
        style for style in styles for pattern in patterns if pattern.format(style=style) in names
    }
    notes = []
    for name in sorted(names):
        matches = [match[1] for shape in shapes if (match := shape.fullmatch(name))]
        if any(style in styles for style in matches):
            continue
        likely_style = _style_in(name, styles)
        if likely_style is not None and likely_style not in used:
            should = patterns[0].format(style=likely_style)
            notes.append(f"{folder}{name} is not used: its name should be {should}")
        elif matches:
            notes.append(f"{folder}{name} is not used: {unknown_style(matches[0], tuple(styles))}")
    if len(notes) > _NOTED:
        notes[_NOTED:] = [f"{len(notes) - _NOTED} more files in {folder} are not used"]
    return notes


def _style_in(name: str, styles: Sequence[str]) -> str | None:
    """Return the one style whose name is in that of a file of prompts, if exactly one is."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name alone
    joined = _join_words(stem)
    matches = [style for style in styles if _join_words(style) in joined]
    return matches[0] if len(matches) == 1 and suffix.lower() in _PROMPT_KINDS else None


def _join_words(name: str) -> str:
    """Return the words of a name between hyphens, in small letters."""
    return f"-{_SEPARATORS.sub('-', name.casefold())}-"


def _sheet(path: Path, place: _Place) -> rows.ParsedFile:
    label, kind = str(path), path.suffix.lower()
    try:
        data = reader.read(path, within=place.within)
        reader.refuse_other_kinds(data)
        if data.startswith(reader.EXCEL):
            return _excel(data, label, place.styles)
        if kind not in {".csv", ".tsv", ".js", ".mjs"}:
            return rows.from_json(data, label, place.styles)
        text, notes = reader.as_text(data)
    except reader.UnreadableError as error:
        return rows.failed_file(label, str(error), hint=error.hint)
    if kind in {".csv", ".tsv"}:
        from imagegen.project.storyboard import csv  # noqa: PLC0415  # for such files alone

        return csv.from_csv(text, label, place.styles, notes)
    if full := rows.size_error(text):
        return rows.failed_file(label, full)
    from imagegen.project.storyboard import javascript  # noqa: PLC0415  # for such files alone

    try:
        document = javascript.decode(text)
    except javascript.NotDataError as error:
        return rows.failed_file(label, str(error))
    return rows.interpret([document], label, place.styles, notes=notes)


def _excel(data: bytes, label: str, styles: Sequence[str]) -> rows.ParsedFile:
    from imagegen.project.storyboard import csv, spreadsheet  # noqa: PLC0415  # as above

    try:
        return csv.from_sheets(spreadsheet.sheets(data), label, styles)
    except spreadsheet.MissingExtraError:
        hint = (
            "save it as CSV UTF-8; or, to read it as it is: pip install 'imagegen-storyboard[xlsx]'"
        )
        return rows.failed_file(label, "is an Excel file", hint=hint)
