"""Candidates to choose from, drawn beside the project: a look, or a beat several times."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagegen import encoding, files
from imagegen.editing import use
from imagegen.editing.scratch import Scratch, draw_beside
from imagegen.errors import UsageError
from imagegen.images.png import MAX_BYTES
from imagegen.project import record, settings, steps
from imagegen.project.settings import Style
from imagegen.project.storyboard import Beat
from imagegen.project.storyboard.hashing import words_hash
from imagegen.project.tries import FOLDER, folders
from imagegen.prompts.continuity import Predecessors
from imagegen.shell import project_command
from imagegen.workspace.project import Project
from imagegen.workspace.survey import inspect_image

LOOK: Final = "look"
_FILE: Final = "try.json"
_MAX_BYTES: Final = 64 * 1024
_NTH: Final = re.compile(r"(.+)_[0-9]+")


class TriedLook(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried: a look for a style."""

    style: str
    look: str


def propose(project: Project, *, look: str | None, count: int, wall: float) -> Scratch:
    """Return candidates of the beats asked for, `count` of each, to be drawn beside the project.

    `look` is tried instead of the style's own. `wall` is the wall clock's time, in seconds.
    Raises `UsageError` and `StorageError`.
    """
    beats = project.selected_beats()
    styles = tuple(dict.fromkeys(beat.style for beat in beats))
    candidates = _candidates(beats, count)
    continued = _of_candidates(project.predecessors, candidates)
    tried_settings, metadata = project.settings, None
    if look is not None:
        tried_settings = _with_look(tried_settings, styles, look)
        metadata = _FILE, encoding.to_json(TriedLook(style=styles[0], look=look))
    project = msgspec.structs.replace(project, settings=tried_settings, styles=styles)
    drawn = draw_beside(project, candidates, wall, continued)
    return Scratch(project=drawn, metadata=metadata)


def _candidates(beats: list[Beat], count: int) -> dict[str, tuple[Beat, ...]]:
    styles: dict[str, list[Beat]] = {}
    for beat in beats:
        styles.setdefault(beat.style, []).extend(
            msgspec.structs.replace(beat, beat=f"{beat.beat}_{nth}") for nth in range(1, count + 1)
        )
    return {style: tuple(style_beats) for style, style_beats in styles.items()}


def _of_candidates(
    continued: Predecessors, candidates: Mapping[str, Iterable[Beat]]
) -> Predecessors:
    """Return what each candidate continues: what its beat does."""
    return {
        style: {
            beat.key: by_key[beat.shot, _number(beat)]
            for beat in candidates.get(style, ())
            if (beat.shot, _number(beat)) in by_key
        }
        for style, by_key in continued.items()
    }


def _number(candidate: Beat) -> str:
    """Return the number of the beat that a candidate is for."""
    return candidate.beat.rpartition("_")[0]


def _with_look(
    project_settings: settings.Settings, styles: tuple[str, ...], look: str
) -> settings.Settings:
    if len(styles) != 1:
        raise UsageError("a look is one style's", hint="name it: --style clear, say")
    try:
        checked = msgspec.convert({"look": look}, Style)
    except msgspec.ValidationError as error:
        raise UsageError(f"--look: {error}") from error
    style = msgspec.structs.replace(project_settings.styles[styles[0]], look=checked.look)
    return msgspec.structs.replace(
        project_settings, styles={**project_settings.styles, styles[0]: style}
    )


def keep(project: Project, name: str, wall: float) -> str:
    """Adopt a candidate, or with `look` the look that was tried last.

    A candidate is named by its path: from the current folder, the project's, or that of the last
    candidates; or by its name as it was shown, `clear/7.3_2`. A folder of `tries` means the look
    that was tried there. Returns what was done, in words. Raises `UsageError`, `RunActiveError`
    and `StorageError`.
    """
    if name == LOOK:
        return _keep_look(project, _last_tried(project), wall)
    places = [Path(name), project.root / name, *_in_last(project, name)]
    path = next((p for p in places if p.exists()), None)
    if path is None:
        raise UsageError(f"{name}: no such file", hint=f"--keep {LOOK}, or --keep an image")
    if path.is_dir():
        return _keep_look(project, path, wall)
    return _keep_picture(project, path, wall)


def _in_last(project: Project, name: str) -> list[Path]:
    """Return where a candidate may be among the last ones, by its path there or its name."""
    tries = project.root / FOLDER
    last = next(reversed(folders(tries)), None)
    if last is None or ".." in Path(name).parts:
        return []
    paths = [tries / last / name]
    style, *shot, number = name.split("/") if name.count("/") in {1, 2} else ("", "")
    if style in project.settings.styles:
        in_shots = sorted((tries / last / style).glob("Shot_*"))
        shots = [folder for folder in in_shots if not shot or folder.name == f"Shot_{shot[0]}"]
        paths += [folder / f"Beat_{number}.png" for folder in shots]
    return paths


def _keep_picture(project: Project, path: Path, wall: float) -> str:
    _, whole = inspect_image(path)
    origin = whole.provenance if whole is not None else None
    nth = _NTH.fullmatch(origin.beat) if origin is not None else None
    data = files.read(path.resolve(), MAX_BYTES)
    if origin is None or nth is None or data is None:
        raise UsageError(
            f"{path} was not drawn by imagegen try",
            hint=_use(project, "clear/1.1", path),
        )
    # Numbers may have changed since: it belongs to its prompt.
    its = [
        b for b in project.beats.get(origin.style, ()) if words_hash(b.words) == origin.words.sha256
    ]
    beat = next((b for b in its if b.key == (origin.shot, nth[1])), its[0] if its else None)
    if beat is None:
        raise UsageError(
            f"the prompt of {path} is no longer in the storyboard",
            hint=_use(project, f"{origin.style}/{nth[1]}", path),
        )
    place = use.use_picture(project, beat, data, origin, provider=origin.provider, wall=wall)
    return f"{place} is that candidate now"


def _use(project: Project, beat: str, picture: Path) -> str:
    return project_command("use", project.root, beat, str(picture), *project.named_beats)


def _last_tried(project: Project) -> Path:
    tries = project.root / FOLDER
    for name in reversed(folders(tries)):
        if (tries / name / _FILE).is_file():
            return tries / name
    command = project_command("try", project.layout.typed, "--style", "clear", "--look", "…")
    raise UsageError("no look was tried yet", hint=command)


def _keep_look(project: Project, folder: Path, wall: float) -> str:
    try:
        tried = msgspec.json.decode(files.read(folder / _FILE, _MAX_BYTES) or b"", type=TriedLook)
    except msgspec.MsgspecError:
        raise UsageError(f"{folder} holds no look that was tried") from None
    if tried.style not in project.settings.styles:
        raise UsageError(f'the style "{tried.style}" is not in this project any more')
    contents = {
        settings.FILE: settings.with_value(
            project.root, ("styles", tried.style, "look"), tried.look
        )
    }
    with record.project_lock(project.layout):
        steps.recover(project.layout)
        steps.perform(project.layout, "look", wall=wall, contents=contents)
    return f"{tried.style} has that look now"
