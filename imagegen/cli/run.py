"""The commands that draw: `run`, `resume`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen.cli import complete
from imagegen.cli.draw import draw
from imagegen.cli.help import examples, exit_codes
from imagegen.cli.options import (
    LIMITS,
    WHAT,
    AwakeOption,
    BaseUrlOption,
    BeatOption,
    BeatsOption,
    ContinuityOption,
    DetachOption,
    ExecutionOptions,
    KeysOption,
    MaxCostOption,
    MaxTimeOption,
    ModelOption,
    ProgressOption,
    ProjectArgument,
    ProviderOption,
    StyleOption,
    VerboseOption,
    View,
    YesOption,
    absolute,
    make_request,
    non_empty_text,
    whole_number,
)
from imagegen.cli.pictures import BeatsArgument
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.project.overrides import Override
    from imagegen.project.record import DrawRequest
    from imagegen.project.storyboard import Beat
    from imagegen.workspace.project import CredentialOptions, Project

_EXITS: Final = exit_codes(
    {
        0: "all that was asked for is there",
        1: "some beats are in error: look at them",
        2: "wrong usage, settings, input or keys: mend that first",
        3: "ended early (quota, time, money, service, stop): resume carries on",
        4: "another run is active on the project",
        130: "interrupted: resume carries on (129 and 143 too)",
    }
)
RUN_EPILOG: Final = (
    _EXITS
    + "\n\n"
    + examples(
        ("imagegen run my-video --dry-run", "what it takes and costs"),
        ("imagegen run my-video --sample 3", "see the looks first"),
        ("imagegen run my-video --max-cost 20", "spend at most 20 dollars"),
        ("imagegen run my-video --max-time 25m", "in a CI job"),
        ("imagegen run my-video --style clear --shot 2", "only this style of shot 2"),
        ("imagegen run my-video --outdated", "redraw what was edited since"),
    )
)
REDRAW_EPILOG: Final = examples(
    ("imagegen redraw my-video clear/7.3", "the same words once more"),
    ('imagegen redraw my-video 7.3 --prompt "The boat, far away"', "other words, in every style"),
)
RESUME_EPILOG: Final = (
    _EXITS
    + "\n\n"
    + examples(
        ("imagegen resume my-video", "what is left of the last run"),
        ("imagegen resume my-video --max-cost 5", "and at most 5 dollars more"),
    )
)


def run(
    project: ProjectArgument = Path(),
    *,
    style: StyleOption = None,
    shot: Annotated[
        list[str] | None,
        typer.Option(
            "--shot",
            metavar="N",
            help="Draw only this shot. Repeat it for more.",
            autocompletion=complete.shots,
            rich_help_panel=WHAT,
        ),
    ] = None,
    beat: BeatOption = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            metavar="N",
            help="Draw N beats of each style, evenly spread: 3 is the first, middle and last.",
            parser=whole_number("--sample", 1),
            rich_help_panel=WHAT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            help="Draw at most N beats, over all styles.",
            parser=whole_number("--limit", 0),
            rich_help_panel=WHAT,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Draw again what has a picture; the old ones are kept in old_images/.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    outdated: Annotated[
        bool,
        typer.Option(
            "--outdated",
            help="Draw again what is outdated: its words, look, references, model or size have "
            "changed since; the old ones are kept in old_images/.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    renumber: Annotated[
        bool,
        typer.Option(
            "--renumber",
            help="Where numbers have moved, move the pictures along first.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="Where numbers have moved, leave the pictures where they are, and draw.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    yes: YesOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be drawn, how long it takes and what it costs; draw nothing.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast",
            help="End at the first beat in error, with exit 1.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
    provider: ProviderOption = None,
    model: ModelOption = None,
    continuity: ContinuityOption = None,
    beats: BeatsOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
) -> None:
    """Draw every beat that has no picture yet; what failed is tried again.

    Ctrl-C finishes the requests in flight, which are paid for, and ends; pressed twice it
    ends at once. Either way `imagegen resume` carries on.
    """
    asked = make_request(
        styles=style,
        shots=shot,
        beats=beat,
        sample=sample,
        force=force,
        outdated=outdated,
        keep_numbers=as_is,
        fail_fast=fail_fast,
        provider=provider,
        model=model,
        continuity=continuity,
        beats_file=absolute(beats),
    )
    how = ExecutionOptions(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        limit=limit,
        dry_run=dry_run,
        detach=detach,
        keep_awake=keep_awake,
        verbose=verbose,
        renumber=renumber,
        sure=yes,
    )
    if as_is and renumber:
        raise UsageError("--as-is and --renumber are two ways out: choose one")
    draw(project, asked, how)


def redraw(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="WORDS",
            parser=non_empty_text("--prompt"),
            help="Send these words instead of the storyboard's, now and later; the style's look "
            "is added. They are kept in overrides.toml.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    as_written: Annotated[
        bool,
        typer.Option(
            "--as-written",
            help="Send the storyboard's words again, and forget those of an earlier --prompt.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    yes: YesOption = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    beats: BeatsOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
) -> None:
    """Draw a beat once more, with other words if you like; the old picture is kept."""
    if not beat:
        raise UsageError("which beat?", hint=project_command("redraw", project, "clear/7.3"))
    asked = make_request(
        beats=beat,
        force=True,
        provider=provider,
        model=model,
        beats_file=absolute(beats),
    )
    how = ExecutionOptions(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        verbose=verbose,
        sure=yes,
    )
    if prompt is not None and as_written:
        raise UsageError("--prompt and --as-written are two kinds of words: choose one")

    def wanted(had: "Override", _: "Beat") -> "Override":
        words = None if as_written else prompt or had.prompt
        return msgspec.structs.replace(had, prompt=words, waived=False, accepted=None)

    def read(asked: "DrawRequest", source: "CredentialOptions") -> "Project":
        from imagegen.workspace.project import Project

        return Project(project, asked, source, resettle=wanted)

    draw(project, asked, how, read=read)


def resume(
    project: ProjectArgument = Path(),
    *,
    yes: YesOption = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
) -> None:
    """Carry on the last run, with the options that chose what it draws.

    It remembers styles, shots, beats, provider and model; of --force, only what is not
    redrawn yet. Keys, addresses, --limit and what stands below are never remembered.
    """
    how = ExecutionOptions(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        detach=detach,
        keep_awake=keep_awake,
        verbose=verbose,
        sure=yes,
    )
    draw(project, None, how)
