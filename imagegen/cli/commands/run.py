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
from imagegen.cli.shard import ShardOption
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.project.overrides import Override
    from imagegen.project.record import DrawRequest
    from imagegen.project.storyboard import Beat
    from imagegen.workspace.project import CredentialOptions, Project

_EXITS: Final = exit_codes(
    {
        0: "all requested images are there",
        1: "some beats are in error: see imagegen status",
        2: "invalid usage, settings, input or keys: fix and rerun",
        3: "ended early (quota, time, money, service, stop): resume later",
        4: "another run is active on the project",
        130: "interrupted: resume (129 and 143 too)",
    }
)
RUN_EPILOG: Final = (
    examples(
        ("imagegen run my-video --dry-run", "time and cost; draws nothing"),
        ("imagegen run my-video --sample 3", "see the styles first"),
        ("imagegen run my-video --max-cost 20", "spend at most 20 dollars"),
        ("imagegen run my-video --max-time 25m", "in a CI job"),
        ("imagegen run my-video --style clear --shot 2", "only this style of shot 2"),
        ("imagegen run my-video --outdated", "redraw what you edited since"),
        ("imagegen run my-video --shard 2/5", "the second of 5 machines"),
    )
    + "\n\n"
    + _EXITS
)
REDRAW_EPILOG: Final = examples(
    ("imagegen redraw my-video clear/7.3", "same prompt"),
    ('imagegen redraw my-video 7.3 --prompt "The boat, far away"', "new prompt, in every style"),
)
RESUME_EPILOG: Final = (
    examples(
        ("imagegen resume my-video", "draws the rest"),
        ("imagegen resume my-video --max-cost 5", "spends at most 5 dollars more"),
    )
    + "\n\n"
    + _EXITS
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
            help="Draw only this shot. Repeatable.",
            autocompletion=complete.shots,
            rich_help_panel=WHAT,
        ),
    ] = None,
    beat: BeatOption = None,
    shard: ShardOption = None,
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
            help="Draw at most N beats in all.",
            parser=whole_number("--limit", 0),
            rich_help_panel=WHAT,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Redraw existing images too; the old ones are kept in old_images/.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    outdated: Annotated[
        bool,
        typer.Option(
            "--outdated",
            help="Redraw outdated images too: their prompt, look, references, model or size "
            "changed; the old ones are kept in old_images/.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    renumber: Annotated[
        bool,
        typer.Option(
            "--renumber",
            help="If beat numbers changed, move the images to them first.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="If beat numbers changed, draw without moving the images.",
            rich_help_panel=WHAT,
        ),
    ] = False,
    yes: YesOption = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show what would be drawn, how long it takes and what it costs; draw nothing.",
            rich_help_panel=LIMITS,
        ),
    ] = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail-fast",
            help="Stop at the first beat in error (exit 1).",
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
    """Draw every beat that has no image yet, and retry beats in error.

    Ctrl-C waits for the requests in flight, which are paid for; a second Ctrl-C stops at once.
    In both cases `imagegen resume` draws the rest.
    """
    asked = make_request(
        styles=style,
        shots=shot,
        beats=beat,
        shard=shard,
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
        raise UsageError("--as-is and --renumber cannot be combined")
    draw(project, asked, how)


def redraw(
    project: ProjectArgument = Path(),
    beat: BeatsArgument = None,
    *,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="TEXT",
            parser=non_empty_text("--prompt"),
            help="Use this prompt instead of the storyboard's, now and later; the style's look "
            "is added. Saved in overrides.toml.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    as_written: Annotated[
        bool,
        typer.Option(
            "--as-written",
            help="Use the storyboard's prompt again; drops an earlier --prompt.",
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
    """Redraw beats, with another prompt if you like. The old images are kept in old_images/."""
    if not beat:
        raise UsageError(
            "redraw needs a beat", hint=project_command("redraw", project, "clear/7.3")
        )
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
        raise UsageError("--prompt and --as-written cannot be combined")

    def wanted(had: "Override", _: "Beat") -> "Override":
        text = None if as_written else prompt or had.prompt
        return msgspec.structs.replace(had, prompt=text, waived=False, accepted=None)

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
    """Continue the last run with its styles, shots, beats, shard, provider and model.

    With --force it redraws only what the last run did not get to. Keys, URLs, --limit and the
    options below are not remembered.
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
