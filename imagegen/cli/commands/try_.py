"""The command that draws candidates to choose from: `try`."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli.draw import draw
from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import (
    WHAT,
    BaseUrlOption,
    BeatOption,
    BeatsOption,
    ExecutionOptions,
    KeysOption,
    MaxCostOption,
    ModelOption,
    ProgressOption,
    ProjectArgument,
    ProviderOption,
    StyleOption,
    VerboseOption,
    View,
    absolute,
    make_request,
    non_empty_text,
    whole_number,
)
from imagegen.errors import Exit, ImagegenError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.editing.scratch import Scratch
    from imagegen.project.record import DrawRequest
    from imagegen.workspace.credentials import CredentialOptions
    from imagegen.workspace.project import Project

EPILOG: Final = examples(
    (
        'imagegen try my-video --style clear --look "Ink, two colours."',
        "tries a look on the first beat",
    ),
    ("imagegen try my-video --beat clear/7.3 -n 4", "draws four candidates"),
    ("imagegen try my-video --keep look", "adopts the last look tried"),
    ("imagegen try my-video --keep tries/…/Beat_7.3_2.png", "adopts that image"),
)
_MOST: Final = 50


def attempt(
    project: ProjectArgument = Path(),
    *,
    style: StyleOption = None,
    look: Annotated[
        str | None,
        typer.Option(
            "--look",
            metavar="SENTENCE",
            parser=non_empty_text("--look"),
            help="Try this look instead of the style's.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    beat: BeatOption = None,
    count: Annotated[
        int | None,
        typer.Option(
            "-n",
            metavar="N",
            help="Candidates per beat.  [default: 2]",
            parser=whole_number("-n", 1, _MOST),
            rich_help_panel=WHAT,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="WHAT",
            help="Adopt the last look tried (look), or a candidate by its path or by its "
            "name as shown (clear/7.3_2).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    beats: BeatsOption = None,
    max_cost: MaxCostOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
) -> None:
    """Draw candidates into tries/, to choose a look or an image. Nothing else changes.

    Draws the first beat of each style, unless you name beats with --beat. Then --keep adopts the
    look, or one image for its beat.
    """
    if keep is not None:
        _keep(project, keep, beats)
        return
    sample = None if beat else 1
    request = make_request(
        styles=style,
        beats=beat,
        sample=sample,
        provider=provider,
        model=model,
        beats_file=absolute(beats),
    )
    execution = ExecutionOptions(
        keys=keys, base_url=base_url, view=progress, max_cost=max_cost, verbose=verbose
    )

    def read(request: "DrawRequest", source: "CredentialOptions") -> "Scratch":
        from imagegen.editing.candidates import propose
        from imagegen.workspace import opening

        opened = opening.open_project(project, request, source, wall=time.time())
        return propose(opened, look=look, count=count or 2, wall=time.time())

    beats_option = ["--beats", str(beats)] if beats is not None else []

    def keeps(drawn: "Scratch") -> dict[str, str]:
        keep_commands = {}
        if drawn.first_picture is not None:
            path = (project / drawn.first_picture).as_posix()
            keep_commands[project_command("try", project, "--keep", path, *beats_option)] = (
                "uses it for the beat"
            )
        if look is not None:
            keep_commands[project_command("try", project, "--keep", "look", *beats_option)] = (
                "uses it for the style"
            )
        return keep_commands

    draw_candidates(project, request, execution, read, keeps)


def draw_candidates(
    project: Path,
    request: "DrawRequest",
    execution: ExecutionOptions,
    read: Callable[["DrawRequest", "CredentialOptions"], "Scratch"],
    keeps: Callable[["Scratch"], Mapping[str, str]],
) -> None:
    """Draw into tries/, and print the commands that keep the result.

    `read` reads the project to draw; `keeps` returns commands and what they do. Raises `typer.Exit`
    with the run's exit code, and `ImagegenError` if nothing could start.
    """
    drawn: list[Scratch] = []

    def once(request: "DrawRequest", source: "CredentialOptions") -> "Project":
        drawn.append(read(request, source))
        # Before anything is drawn: a run that is killed does not return here.
        drawn[0].save_metadata()
        return drawn[0].project

    try:
        draw(project, request, execution, read=once)
    except typer.Exit as done:
        if done.exit_code == Exit.OK and execution.view is not View.JSON:
            from imagegen.display import terminal

            terminal.printer().command_list(*keeps(drawn[-1]).items())
        raise
    except ImagegenError:
        for project_draft in drawn:
            project_draft.discard()
        raise


def _keep(project: Path, candidate: str, beats: Path | None) -> None:
    from imagegen.display import terminal
    from imagegen.editing import candidates

    done = candidates.keep(open_project(project, beats), candidate, time.time())
    terminal.printer().line(f"{done}; to undo: {project_command('undo', project)}")
