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


def show(paper: Paper, found: ProjectStatus, names: BeatLabels, path: str, now: float) -> None:
    """Print what to type next; `path` and `now` are as for `status.show`."""
    paper.line()
    if found.older_layout is not None:
        paper.wrap("", sanitize(found.older_layout, 4096), indent=2)
    if found.last_beats_file is not None:
        _drawn_from_another(paper, found, found.last_beats_file, path)
    if found.active:
        paper.command_list(
            (project_command("status", path, "--watch"), "follows the run"),
            (project_command("stop", path), "stops it; resume continues"),
        )
        return
    if found.last_beats_file is None:
        _next(paper, found, names, path, now)


def _next(paper: Paper, found: ProjectStatus, names: BeatLabels, path: str, now: float) -> None:
    """Print the next step of a project without an active run."""
    if any(style.moved for style in found.styles.values()):
        _moved(paper, found, path)
        return
    _left_over(paper, found, path)
    left = sum(style.left for style in found.styles.values())
    if not left and found.not_redrawn:
        pictures = plural(found.not_redrawn, "image")
        paper.line(f"Next: {project_command('resume', path)}     {pictures} to redraw")
        return
    if not left:
        _outdated(paper, found, path)
        return
    wrong, others = _refused(found.styles, names)
    helps = refused_commands(path, *wrong, beats=beats_option(found, path)) if wrong else []
    if not others:
        paper.line("Next:")
        paper.command_list(*helps)
        if any(style.outdated for style in found.styles.values()):
            _outdated(paper, found, path)
        return
    last = found.last_run.resumable if found.last_run else None
    pictures = plural(left, "image")
    cost = f", about {money(found.price * left)}" if found.price else ""
    if last is None or not last.is_resumable:
        run = _on("run", found, path)
        paper.line(f"Next: {run}     {pictures}{cost}")
        if helps:
            paper.line("Refused prompts will probably be refused again:")
            paper.command_list(*helps)
        return
    resume = project_command("resume", path)
    if _is_part(last.asked):
        paper.line("Next:")
        paper.command_list(
            (resume, "continues the last run's selection"),
            (_on("run", found, path), f"draws everything missing: {pictures}{cost}"),
        )
    else:
        # Another provider or model has other prices.
        known = last.asked.provider is None and last.asked.model is None
        paper.line(f"Next: {resume}     {pictures}{cost if known else ''}")
    wait = seconds_until(found.resume_after, now) if found.resume_after else 0.0
    if wait >= 1:
        paper.line(f"      from {local_time(found.resume_after, now)}, in {minutes(wait)}")


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


def _drawn_from_another(paper: Paper, found: ProjectStatus, other: str, path: str) -> None:
    """Print that the last run read another beats file, so no next step is known."""
    said = f"The last run read {other} (--beats); this is {found.beats_file}."
    paper.wrap("", sanitize(said, 2000), indent=2)
    own = adopt_beats_hint(other)
    if own is not None:
        paper.wrap("", sanitize(own, 2000), indent=2)
    named = str(Path(path) / other)
    paper.command_list((project_command("status", path, "--beats", named), "shows its status"))


def _moved(paper: Paper, found: ProjectStatus, path: str) -> None:
    """Print that beat numbers changed, and the commands that move the images."""
    count = sum(style.moved for style in found.styles.values())
    paper.wrap("", numbers_moved_warning(count), indent=2)
    paper.line("Next:")
    paper.command_list(
        (_on("renumber", found, path, "--dry-run"), "shows which image moves where"),
        (_on("renumber", found, path), "moves the images, at no cost"),
    )


def _left_over(paper: Paper, found: ProjectStatus, path: str) -> None:
    """Print the images and choices of beats that no longer exist."""
    over = [name for style in found.styles.values() for name in style.left_over]
    if over:
        pictures = f"{plural(len(over), 'image')} of deleted beats: {join_some(over, _OVER_SHOWN)}"
        paper.wrap("", pictures, indent=2)
    lost = [one for one in found.choices_left_over if one not in found.copies_unclaimed]
    if lost:
        paper.wrap("", f"Choices of deleted beats: {join_some(lost, _OVER_SHOWN)}", indent=2)
    if over or lost:
        paper.command_list((_on("clean", found, path), "moves them to old_images/"))
        paper.line()


def _outdated(paper: Paper, found: ProjectStatus, path: str) -> None:
    """Print that no image is missing, and how to redraw outdated ones."""
    count = sum(style.outdated for style in found.styles.values())
    if not count:
        lacking = sum(map(len, found.without_prompt.values()))
        there = (
            "All images are done."
            if not lacking
            else (f"All beats with a prompt have an image; {formatting.without_prompts(lacking)}.")
        )
        paper.line(there)
        if found.chosen < found.beats and found.choices_fault is None:
            paper.command_list(
                (_on("gallery", found, path), "shows them side by side"),
                (_on("choose", found, path, "BEAT", "STYLE"), "chooses the best image of a beat"),
            )
        return
    _by_another(paper, found)
    cost = f", about {money(found.price * count)}" if found.price else ""
    again = _on("run", found, path, "--outdated")
    paper.line(f"Next: {again}     {plural(count, 'image')}{cost}")


def _by_another(paper: Paper, found: ProjectStatus) -> None:
    """Print how to keep the last run's options if they made images outdated."""
    by = found.last_run.draw_settings if found.last_run else DrawSettings()
    changed = {reason for s in found.styles.values() for b in s.beats for reason in b.changed}
    options: dict[str, object] = {}
    if changed & {"provider", "model"} and by.provider not in {found.provider, "sketch"}:
        options |= {"provider": by.provider, "model": by.model}
    if "predecessor" in changed:
        options["continuity"] = by.continuity
    lines = [
        f"{name} = {msgspec.json.encode(value).decode()}"
        for name, value in options.items()
        if value is not None
    ]
    if lines:
        said = f"The last run set this by option. Keep it in imagegen.toml: {', '.join(lines)}"
        paper.wrap("", sanitize(said, 600), indent=2)


def _on(name: str, found: ProjectStatus, path: str, *options: str) -> str:
    """Return a command on the same beats."""
    return project_command(name, path, *options, *beats_option(found, path))


def beats_option(found: ProjectStatus, path: str) -> list[str]:
    """Return the options that name the beats file, if this command has one."""
    return ["--beats", str(Path(path) / found.beats_file)] if found.beats_named else []


def _is_part(asked: DrawRequest) -> bool:
    return bool(asked.styles or asked.shots or asked.beats or asked.sample)


def _refused(
    styles: Mapping[str, StyleStatus], names: BeatLabels
) -> tuple[tuple[str, str] | None, bool]:
    """Return the first beat that was refused and the cause, and whether others are left to draw."""
    first, others = None, False
    for name, style in styles.items():
        for beat in style.beats:
            if beat.status in {Status.COMPLETE, Status.OUTDATED, Status.WAIVED}:
                continue
            if beat.error is None or beat.error.cause not in REFUSED:
                others = True
            elif first is None:
                full = names.full(BeatAddress(name, *beat.key))
                first = (full, beat.error.cause)
    return first, others
