"""Find files with prompts that differ from those that are used."""

import collections
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from imagegen.errors import UsageError
from imagegen.project.storyboard.beat import Beat, BeatAddress, BeatKey, Storyboard
from imagegen.project.storyboard.load import candidate_files, load, siblings

_NAMED = 3
_MOST_COMPARED = 64 * 1024 * 1024
"""Bytes of all other files together beyond which they are not read."""

_Own = Mapping[BeatAddress, str]


class _Other(msgspec.Struct, frozen=True, kw_only=True):
    """A place with prompts that is not used, for some styles; `instead` is used for them."""

    name: str
    styles: tuple[str, ...]
    instead: str
    files: tuple[str, ...]
    is_place: bool


def differences(
    project: Path, used: Storyboard, styles: Sequence[str], *, beats_file: str | None = None
) -> dict[str, str]:
    """Return a note on each place with other prompts, and which are used.

    `styles` are those that are drawn; `beats_file` is the selected one, if any: then only files
    beside it are looked at.
    """
    unused = list(_other_places(project, used, tuple(styles), beats_file))
    if not unused:
        return {}
    used_prompts = {beat.address: beat.words for s in styles for beat in used.beats.get(s, ())}
    notes = {}
    size = 0
    for other in unused:
        size += sum(_size(project / file) for file in other.files)
        if size > _MOST_COMPARED:
            notes[other.name] = f"{other.name} is not used, and too large to be compared"
            break
        note = _note(project, used, used_prompts, other)
        if note is not None:
            notes[other.name] = note
    return notes


def _other_places(
    project: Path, used: Storyboard, styles: tuple[str, ...], beats_file: str | None
) -> Iterator[_Other]:
    for file in used.files:
        for style, beside in siblings(project, file, styles):
            yield _Other(
                name=beside, styles=(style,), instead=file, files=(beside,), is_place=False
            )
    candidates = candidate_files(project)
    if beats_file is not None or used.source not in candidates:
        return
    for name in candidates[candidates.index(used.source) + 1 :]:
        folder = project / name
        files = [name]
        if folder.is_dir():
            files = [f"{name}{file.name}" for file in folder.iterdir() if file.is_file()]
        yield _Other(
            name=name, styles=styles, instead=used.source, files=tuple(files), is_place=True
        )


def _note(project: Path, used: Storyboard, used_prompts: _Own, other: _Other) -> str | None:
    try:
        board = load(project, tuple(used.beats), beats=Path(other.name))
    except UsageError as error:
        return f"{other.name} is not used, and has errors: {error.message}"
    beats = [beat for style in other.styles for beat in board.beats.get(style, ())]
    # A beat counts once for all styles.
    differ = dict.fromkeys(
        beat.key
        for beat in beats
        if (words := used_prompts.get(beat.address)) is not None
        and words.split() != beat.words.split()
    )
    more = len({beat.key for beat in beats if beat.address not in used_prompts})
    if not differ and not more:
        return None
    findings = []
    if differ:
        findings.append(f"{_prompts(len(differ))} ({_some([*differ], beats)})")
    if more:
        findings.append(f"it has {more:,} beat{'s' * (more != 1)} that {other.instead} has not")
    files = other.files if other.is_place else (other.name,)
    ours = used.files if other.is_place else (other.instead,)
    newer = _modified_at(project, files) > _modified_at(project, ours)
    is_newer = ", which is newer" if newer else ""
    use = ""
    if other.is_place:
        name = msgspec.json.encode(other.name.removesuffix("/")).decode()
        use = f"; to use it: write beats = {name} in imagegen.toml, or delete {other.instead}"
    return f"{other.instead} is used, not {other.name}{is_newer}: {' and '.join(findings)}{use}"


def _prompts(count: int) -> str:
    return "1 prompt differs" if count == 1 else f"{count:,} prompts differ"


def _some(keys: Sequence[BeatKey], beats: Sequence[Beat]) -> str:
    """Return the first of these beats, each with its shot only if `beats` need it."""
    shots = collections.Counter(beat for _, beat in {beat.key for beat in beats})
    short = (beat if shots[beat] == 1 else f"{shot}/{beat}" for shot, beat in keys[:_NAMED])
    names = ", ".join(short)
    return f"{names} and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else names


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified_at(project: Path, files: Sequence[str]) -> float:
    """Return when the newest of these files was changed, in seconds; 0 if none is there."""
    times = [0.0]
    for name in files:
        try:
            times.append((project / name).stat().st_mtime)
        except OSError:
            continue
    return max(times)
