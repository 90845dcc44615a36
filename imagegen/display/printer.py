"""Prints one screen per method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from imagegen.display.text.formatting import project_command
from imagegen.display.text.paper import Paper
from imagegen.display.text.sanitize import counts, plural, sanitize
from imagegen.errors import ImagegenError
from imagegen.project.storyboard.transitions import Kind, meanings
from imagegen.providers.base import ReferenceRole

if TYPE_CHECKING:
    from imagegen.display.reports.summary import RunSummary
    from imagegen.engine.estimate import Estimate
    from imagegen.project.settings import Settings
    from imagegen.project.storyboard import Beat, BeatKey, Written
    from imagegen.prompts.appearances import Appearance
    from imagegen.providers.base import Reference, Request
    from imagegen.review.status import ProjectStatus
    from imagegen.workspace.plan import Plan

_WHAT: Final = {
    ReferenceRole.PREDECESSOR: "the image before it",
    ReferenceRole.CHARACTER: "character {}",
    ReferenceRole.STYLE: "style reference",
    ReferenceRole.OTHER: "reference {}",
}

_MEANING: Final = {
    Kind.BEGINS: "begins a new image",
    Kind.CONTINUES: "continues the image before",
    Kind.NONE: "no transition, no style reference",
}
_VALUES: Final = 100

# Each screen imports only what it needs, so that commands start fast.


def _is_there(reference: "Reference") -> bool:
    return bool(reference.data)


def _transitions(transitions: Iterable[str]) -> Iterator[str]:
    """Yield how the storyboard's transitions are read, each value with its count."""
    for kind, values in meanings(transitions).items():
        examples = ", ".join(
            f'"{sanitize(text, 30)}" {count:,}' for text, count in values[:_VALUES]
        )
        more = f" and {len(values) - _VALUES:,} more" if len(values) > _VALUES else ""
        if kind is Kind.NONE and values == [("", values[0][1])]:
            yield f"{plural(values[0][1], 'beat')} without a transition: no style reference"
        else:
            yield f"{_MEANING[kind]}: {examples}{more}"


class Printer(Paper):
    """Prints the output of commands. Paths are project folders as typed."""

    def error(self, error: ImagegenError, project: str = "") -> None:
        """Print what failed and how to fix it."""
        from imagegen.display.reports import errors as faults

        faults.show(self, error, project)

    def dry_run(
        self, plan: "Plan", name: str, estimate: "Estimate", cast: Sequence["Appearance"] = ()
    ) -> None:
        """Print what a run would draw, its characters, time and cost."""
        from imagegen.display.reports import estimate as estimates

        estimates.show(self, plan, name, estimate, cast)

    def summary(self, ended: "RunSummary") -> None:
        """Print how a run ended, style by style, and the next step."""
        from imagegen.display.reports import summary as summaries

        summaries.show(self, ended)

    def problems(self, ended: "RunSummary") -> None:
        """Print a run's errors, or nothing if there are none."""
        from imagegen.display.reports import summary as summaries

        summaries.problems(self, ended)

    def status(self, standing: "ProjectStatus", path: str, now: float) -> None:
        """Print a project's status; `now` is the wall clock's time."""
        from imagegen.display.reports import status as standings

        standings.show(self, standing, path, now)

    def detached(self, name: str, path: str, pid: int) -> None:
        """Print that a run continues without this terminal, and how to follow or stop it."""
        self.line(f"{sanitize(name)}: running as process {pid}; you can close this window.")
        self.command_list(
            (project_command("status", path, "--watch"), "follows it"),
            (project_command("stop", path), "stops it; resume continues"),
        )

    def exited(self, name: str, path: str) -> None:
        """Print that a detached run has already ended."""
        self.line(f"{sanitize(name)}: the run has already ended.")
        self.command_list((project_command("status", path), "shows the project's status"))

    def check(
        self,
        name: str,
        source: str,
        styles: Mapping[str, Sequence["Beat"]],
        paid: "Settings | None" = None,
        *,
        beats: int,
        chained: Mapping[str, int],
        cast: Sequence["Appearance"] = (),
    ) -> None:
        """Print that a project's files are valid. `paid` are settings that cost money.

        `beats` is how many beats there are, counted once for all styles.
        `chained` counts the beats of each style that continue the image before them; `cast` are
        the characters.
        """
        from imagegen.display.reports import characters as casts
        from imagegen.display.text import size_hint

        what = counts(beats, styles)
        self.line(f"{sanitize(name)}: {what}, no errors in {sanitize(source)}.")
        # Once for all styles: a beat has the same transition in each.
        transitions = {beat.key: beat.transition for own in styles.values() for beat in own}
        for line in _transitions(transitions.values()):
            self.wrap("  ", line, indent=4)
        if any(chained.values()):
            self.line(f"  {plural(sum(chained.values()), 'image')} drawn from the image before")
        hint = size_hint.size_hint(paid.image_size, paid.aspect_ratio) if paid else None
        if hint:
            self.wrap("  ", hint)
        casts.show(self, cast)

    def model(self, name: str, image_size: str, price: float | None) -> None:
        """Print the model, and the cost of an image with its references in US dollars."""
        from imagegen.display.text.formatting import price as dollars

        costs = "price unknown" if price is None else f"about {dollars(price)} each"
        self.line(f"  drawn with {sanitize(name)} at {image_size}, {costs}")

    def written(self, files: Sequence["Written"], beats_file: str | None) -> None:
        """Print the files that `check --write` wrote; `beats_file` is the selected beats file."""
        if not files:
            self.line("  nothing to write: the beats are already clean JSON")
        for file in files:
            backup = f"; the old file is {sanitize(file.kept)}" if file.kept else ""
            self.line(f"  written: {sanitize(file.file)}, {plural(file.rows, 'row')}{backup}")
        if beats_file is not None and files and files[0].file != beats_file:
            self.wrap("  ", f"{sanitize(beats_file)} is still the configured beats file", indent=4)

    def keys(self, tails: Mapping[str, Sequence[str]], source: str | None) -> None:
        """Print which keys a run uses."""
        if source is None:
            self.line("  no keys found")
            return
        self.line(f"  keys from {sanitize(source)}:")
        width = max(map(len, tails), default=0)
        for style, names in tails.items():
            self.line(f"    {style:<{width}}  {', '.join(names) or 'none'}")

    def request(
        self,
        beat: "Beat",
        request: "Request",
        *,
        overridden: bool = False,
        before: "BeatKey | None" = None,
        left_out: Sequence["Reference"] = (),
    ) -> None:
        """Print the exact prompt and references that would be sent for a beat.

        `overridden` means that the prompt is from overrides.toml; `before` is the beat that
        it continues; `left_out` are references that exceed the model's limit.
        """
        transition = f", transition {sanitize(beat.transition)}" if beat.transition else ""
        self.line(f"{beat.address}  ({sanitize(beat.file)}, row {beat.row}{transition})")
        if overridden:
            self.line("  the prompt is from overrides.toml")
        thinking = f", thinking {request.thinking}" if request.thinking else ""
        self.line(f"  {request.aspect_ratio}, {request.image_size}{thinking}")
        if before is not None:
            all_exist = all(map(_is_there, request.references))
            yet = "" if all_exist else ", which does not exist yet"
            self.line(f"  continues the image of {sanitize('/'.join(before))}{yet}")
        for reference in filter(_is_there, request.references):
            kib = len(reference.data) // 1024
            scaled = ", scaled down" if reference.original else ""
            reference_label = sanitize(_WHAT[reference.role].format(reference.name))
            self.line(f"  {reference_label}: {reference.mime_type}, {kib:,} KiB{scaled}")
        for reference in left_out:
            reference_label = sanitize(_WHAT[reference.role].format(reference.name))
            self.line(f"  left out, the model takes no more references: {reference_label}")
        if not request.references and before is None:
            self.line("  no reference")
        self.line()
        for line in request.prompt.splitlines():
            # All of it: an escaped character takes up to eight.
            self.wrap("  ", sanitize(line, 8 * len(line)))
        self.line()
