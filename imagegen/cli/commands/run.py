"""The command that draws every beat without an image: `run`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli.draw import DRAW_EXITS, draw
from imagegen.cli.help import examples
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
    shot_option,
    whole_number,
)
from imagegen.cli.shard import ShardOption
from imagegen.errors import UsageError

EPILOG: Final = (
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
    + DRAW_EXITS
)


def run(
    project: ProjectArgument = Path(),
    *,
    style: StyleOption = None,
    shot: Annotated[list[str] | None, shot_option("Draw only this shot. Repeatable.", WHAT)] = None,
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
    request = make_request(
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
    execution = ExecutionOptions(
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
    draw(project, request, execution)
