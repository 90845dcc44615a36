"""Read a project: its settings, keys, overrides and beats, with all their errors together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen.errors import InvalidInputError, UsageError
from imagegen.project import overrides, settings, storyboard
from imagegen.project.beat_ids import BeatIndex
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Storyboard
from imagegen.workspace import credentials, last_run
from imagegen.workspace import settings as ownsettings
from imagegen.workspace.beat_filter import Selection
from imagegen.workspace.credentials import CredentialOptions, Credentials
from imagegen.workspace.fault_collector import FaultCollector
from imagegen.workspace.file_watch import FileWatch
from imagegen.workspace.older_layout import no_beats_hint
from imagegen.workspace.project import Project
from imagegen.workspace.resolved_overrides import Resettle, ResolvedOverrides, resolve

_NAMED: Final = 3


def read_project(
    root: Path,
    request: DrawRequest,
    source: CredentialOptions | None = None,
    *,
    edit_override: Resettle | None = None,
    default_model: str | None = None,
) -> Project:
    """Read a project as a command asks for it.

    `source` says where to look for keys; without it none are read. `default_model` draws in
    place of the provider's default if no model is named. `edit_override` changes the overrides
    of the beats asked for; the run that draws them writes these changes to overrides.toml.

    Raises `InvalidInputError` with every error of imagegen.toml, the beats and the keys files
    together, as far as imagegen.toml says what to read; `UsageError` for what cannot be read at
    all.
    """
    layout = ProjectPaths(root)
    project_settings, wrong = ownsettings.read(root, request)
    faults = FaultCollector(wrong)
    if any(ownsettings.affects_beats(fault, project_settings.styles) for fault in wrong):
        raise InvalidInputError(wrong)
    keys = Credentials(provider=project_settings.provider, options=source or CredentialOptions())
    if source is not None and all(fault.field != "provider" for fault in wrong):
        keys = faults.collect(lambda: credentials.read(root, project_settings, source)) or keys
    raw = faults.collect(lambda: overrides.load(root)) or {}
    board = faults.raise_if_any(
        faults.collect(lambda: _read_storyboard(layout, request, project_settings))
    )
    resolved = resolve(board.beats, raw)
    changes = {}
    if edit_override is not None:
        drawn = {style: resolved.beats.get(style, ()) for style in project_settings.drawn_styles}
        chosen = Selection(request, drawn, lambda: BeatIndex.of(board.beats))
        beats = (beat for of_style in drawn.values() for beat in of_style if chosen(beat))
        changes = resolved.changed(beats, edit_override)
        resolved = resolve(board.beats, resolved.applied(changes))
    typos, unused = (
        ownsettings.possible_typos(project_settings),
        _unused(resolved, project_settings),
    )
    return Project(
        root=root,
        layout=layout,
        request=request,
        settings=project_settings,
        styles=project_settings.drawn_styles,
        credentials=keys,
        storyboard=msgspec.structs.replace(
            board, beats=resolved.beats, notes=(*board.notes, *typos, *unused)
        ),
        raw_overrides=raw,
        overrides=resolved,
        override_changes=changes,
        edit_override=edit_override,
        default_model=default_model,
        file_watch=FileWatch(root, (settings.FILE, *board.files)),
        index=Index(layout.state_dir),
    )


def reload(project: Project) -> Project:
    """Return the project as it is on disk now, with its keys. Raises as `read_project` does.

    One that is drawn beside another stays: no other command draws into its folder.
    """
    if project.is_scratch:
        return project
    return read_project(
        project.root,
        project.request,
        project.credentials.options,
        edit_override=project.edit_override,
        default_model=project.default_model,
    )


def _read_storyboard(
    layout: ProjectPaths, request: DrawRequest, project_settings: Settings
) -> Storyboard:
    beats = request.beats_file or project_settings.beats
    if beats and not (request.beats_file and Path(beats).is_absolute()):
        _require_inside(layout, beats)
    root = layout.typed
    try:
        return storyboard.load(
            root, tuple(project_settings.styles), beats=Path(beats) if beats else None
        )
    except storyboard.NoBeatsError as error:
        hint = last_run.beats_file_hint(root) or no_beats_hint(root) or error.hint
        raise UsageError(error.message, hint=hint) from None


def _require_inside(layout: ProjectPaths, beats: str) -> None:
    try:
        inside = (layout.root / beats).resolve().is_relative_to(layout.root)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f'beats = "{beats}" is not a valid path: {error}') from error
    if not inside:
        hint = "name it with --beats instead"
        raise UsageError(f'beats = "{beats}" is outside the project', hint=hint)


def _unused(resolved: ResolvedOverrides, project_settings: Settings) -> Sequence[str]:
    """Return a note on overrides with a prompt that is no longer in the storyboard."""
    not_drawn = set(project_settings.styles) - set(project_settings.drawn_styles)
    unused = [str(address) for address in resolved.unused if address.style not in not_drawn]
    if not unused:
        return ()
    more = f" and {len(unused) - _NAMED:,} more" if len(unused) > _NAMED else ""
    names = f"{', '.join(unused[:_NAMED])}{more}"
    reason = "is not used: no beat has its number and prompt"
    if len(unused) > 1:
        reason = "are not used: no beats have their numbers and prompts"
    return (f"{overrides.FILE}: {names} {reason}",)
