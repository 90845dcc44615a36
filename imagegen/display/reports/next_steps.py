"""The next commands to type, according to a project's status."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from imagegen.display.text import formatting
from imagegen.display.text.beat_labels import BeatLabels
from imagegen.display.text.formatting import (
    local_time,
    minutes,
    money,
    numbers_moved_warning,
    project_command,
    seconds_until,
)
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import join_some, plural, sanitize
from imagegen.project.beat_status import Status
from imagegen.project.record import DrawRequest, DrawSettings
from imagegen.project.storyboard import BeatAddress
from imagegen.review.status import ProjectStatus, StyleStatus
from imagegen.workspace.last_run import adopt_beats_hint

_OVER_SHOWN: Final = 3
REFUSED: Final = frozenset({"refused", "bad request"})


def show(paper: Paper, status: ProjectStatus, names: BeatLabels, path: str, now: float) -> None:
    """Print what to type next; `path` and `now` are as for `status.show`."""
    paper.line()
    if status.older_layout is not None:
        paper.wrap("", sanitize(status.older_layout, 4096), indent=2)
    if status.last_beats_file is not None:
        _drawn_from_another(paper, status, status.last_beats_file, path)
    if status.active:
        paper.command_list(
            (project_command("status", path, "--watch"), "follows the run"),
            (project_command("stop", path), "stops it; resume continues"),
        )
        return
    if status.last_beats_file is None:
        _next(paper, status, names, path, now)


def _next(paper: Paper, status: ProjectStatus, names: BeatLabels, path: str, now: float) -> None:
    """Print the next step of a project without an active run."""
    if any(style.moved for style in status.styles.values()):
        _moved(paper, status, path)
        return
    _left_over(paper, status, path)
    left = sum(style.left for style in status.styles.values())
    if not left and status.not_redrawn:
        pictures = plural(status.not_redrawn, "image")
        paper.line(f"Next: {project_command('resume', path)}     {pictures} to redraw")
        return
    if not left:
        _outdated(paper, status, path)
        return
    wrong, has_others = _refused(status.styles, names)
    helps = refused_commands(path, *wrong, beats=beats_option(status, path)) if wrong else []
    if not has_others:
        paper.line("Next:")
        paper.command_list(*helps)
        if any(style.outdated for style in status.styles.values()):
            _outdated(paper, status, path)
        return
    last = status.last_run.resumable if status.last_run else None
    pictures = plural(left, "image")
    cost = f", about {money(status.price * left)}" if status.price else ""
    if last is None or not last.is_resumable:
        run = _on("run", status, path)
        paper.line(f"Next: {run}     {pictures}{cost}")
        old = sum(style.outdated for style in status.styles.values())
        if old:
            also = f"also redraws {plural(old, 'outdated image')}"
            paper.command_list((_on("run", status, path, "--outdated"), also))
        if helps:
            paper.line("Refused prompts will probably be refused again:")
            paper.command_list(*helps)
        return
    _resume(paper, status, last.asked, path, now)


def _resume(paper: Paper, status: ProjectStatus, asked: DrawRequest, path: str, now: float) -> None:
    """Print how to continue the last run, which asked for `asked`, and how much it draws."""
    left = sum(style.left for style in status.styles.values())
    resume = project_command("resume", path)
    if _is_part(asked):
        cost = f", about {money(status.price * left)}" if status.price else ""
        everything = f"draws everything missing: {plural(left, 'image')}{cost}"
        paper.line("Next:")
        paper.command_list(
            (resume, "continues the last run's selection"),
            (_on("run", status, path), everything),
        )
    else:
        if asked.provider == "sketch":
            # It would not replace a placeholder by another.
            left -= sum(style.placeholder for style in status.styles.values())
        # Another provider or model has other prices.
        same_model = asked.provider is None and asked.model is None
        cost = f", about {money(status.price * left)}" if status.price and same_model else ""
        paper.line(f"Next: {resume}     {plural(left, 'image')}{cost}")
    wait = seconds_until(status.resume_after, now) if status.resume_after else 0.0
    if wait >= 1:
        paper.line(f"      from {local_time(status.resume_after, now)}, in {minutes(wait)}")


def refused_commands(
    path: str,
    name: str,
    cause: str,
    *,
    beats: Sequence[str] = (),
    sources: Sequence[str] = (),
    has_picture: bool = False,
) -> list[tuple[str, str]]:
    """Return commands that help if the same prompt would be refused again, with explanations.

    `beats` are options that name the beats file, `sources` options that every drawing command
    needs. A beat that still has an image is not offered `skip`.
    """
    rows = [(project_command("check", path, "--show", name, *beats), "shows the exact prompt")]
    if cause == "refused":
        other = project_command("redraw", path, name, "--prompt", "…", *beats, *sources)
        rows.append((other, "sends another prompt"))
        if not has_picture:
            rows.append((project_command("skip", path, name, *beats), "goes without this image"))
    return rows


def _drawn_from_another(paper: Paper, status: ProjectStatus, other: str, path: str) -> None:
    """Print that the last run read another beats file, so no next step is known."""
    notice = f"The last run read {other} (--beats); this is {status.beats_file}."
    paper.wrap("", sanitize(notice, 2000), indent=2)
    hint = adopt_beats_hint(other)
    if hint is not None:
        paper.wrap("", sanitize(hint, 2000), indent=2)
    beats_path = str(Path(path) / other)
    paper.command_list((project_command("status", path, "--beats", beats_path), "shows its status"))


def _moved(paper: Paper, status: ProjectStatus, path: str) -> None:
    """Print that beat numbers changed, and the commands that move the images."""
    count = sum(style.moved for style in status.styles.values())
    paper.wrap("", numbers_moved_warning(count), indent=2)
    paper.line("Next:")
    paper.command_list(
        (_on("renumber", status, path, "--dry-run"), "shows which image moves where"),
        (_on("renumber", status, path), "moves the images, at no cost"),
    )


def _left_over(paper: Paper, status: ProjectStatus, path: str) -> None:
    """Print the images and choices of beats that no longer exist."""
    over = [name for style in status.styles.values() for name in style.left_over]
    if over:
        pictures = f"{plural(len(over), 'image')} of deleted beats: {join_some(over, _OVER_SHOWN)}"
        paper.wrap("", pictures, indent=2)
    lost = [choice for choice in status.choices_left_over if choice not in status.copies_unclaimed]
    if lost:
        paper.wrap("", f"Choices of deleted beats: {join_some(lost, _OVER_SHOWN)}", indent=2)
    if over or lost:
        paper.command_list((_on("clean", status, path), "moves them to old_images/"))
        paper.line()


def _outdated(paper: Paper, status: ProjectStatus, path: str) -> None:
    """Print that no image is missing, and how to redraw outdated ones."""
    count = sum(style.outdated for style in status.styles.values())
    if not count:
        lacking = sum(map(len, status.without_prompt.values()))
        notice = (
            "All images are done."
            if not lacking
            else (f"All beats with a prompt have an image; {formatting.without_prompts(lacking)}.")
        )
        paper.line(notice)
        if status.chosen < status.beats and status.choices_fault is None:
            paper.command_list(
                (_on("gallery", status, path), "shows them side by side"),
                (_on("choose", status, path, "BEAT", "STYLE"), "chooses the best image of a beat"),
            )
        return
    _by_another(paper, status)
    cost = f", about {money(status.price * count)}" if status.price else ""
    redraw = _on("run", status, path, "--outdated")
    paper.line(f"Next: {redraw}     {plural(count, 'image')}{cost}")


def _by_another(paper: Paper, status: ProjectStatus) -> None:
    """Print how to keep the last run's options if they made images outdated."""
    by = status.last_run.draw_settings if status.last_run else DrawSettings()
    changed = {reason for s in status.styles.values() for b in s.beats for reason in b.changed}
    options: dict[str, object] = {}
    if changed & {"provider", "model"} and by.provider not in {status.provider, "sketch"}:
        options |= {"provider": by.provider, "model": by.model}
    if "predecessor" in changed:
        options["continuity"] = by.continuity
    lines = [
        f"{name} = {msgspec.json.encode(value).decode()}"
        for name, value in options.items()
        if value is not None
    ]
    if lines:
        notice = f"The last run set this by option. Keep it in imagegen.toml: {', '.join(lines)}"
        paper.wrap("", sanitize(notice, 600), indent=2)


def _on(name: str, status: ProjectStatus, path: str, *options: str) -> str:
    """Return a command on the same beats."""
    return project_command(name, path, *options, *beats_option(status, path))


def beats_option(status: ProjectStatus, path: str) -> list[str]:
    """Return the options that name the beats file, if this command has one."""
    return ["--beats", str(Path(path) / status.beats_file)] if status.beats_named else []


def _is_part(request: DrawRequest) -> bool:
    return bool(request.styles or request.shots or request.beats or request.sample)


def _refused(
    styles: Mapping[str, StyleStatus], names: BeatLabels
) -> tuple[tuple[str, str] | None, bool]:
    """Return the first beat that was refused and the cause, and whether others are left to draw."""
    if not any(style.error for style in styles.values()):
        return None, any(style.pending or style.blocked for style in styles.values())
    first, has_others = None, False
    for name, style in styles.items():
        for beat in style.beats:
            if beat.status in {Status.COMPLETE, Status.OUTDATED, Status.WAIVED}:
                continue
            if beat.error is None or beat.error.cause not in REFUSED:
                has_others = True
            elif first is None:
                full = names.full(BeatAddress(name, *beat.key))
                first = (full, beat.error.cause)
    return first, has_others
