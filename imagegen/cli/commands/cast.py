"""The command that draws and adopts character sheets: `cast`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.commands.try_ import draw_candidates
from imagegen.cli.help import examples
from imagegen.cli.open_project import open_project
from imagegen.cli.options import (
    WHAT,
    BaseUrlOption,
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
    make_request,
    whole_number,
)
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.editing.scratch import Scratch
    from imagegen.project.record import DrawRequest
    from imagegen.workspace.credentials import CredentialOptions

EPILOG: Final = examples(
    ("imagegen cast my-video", "draws sheets of characters without an image"),
    ("imagegen cast my-video mara -n 3", "draws three of Mara per style"),
    ("imagegen cast my-video mara --keep sheets", "uses the latest sheets"),
    ("imagegen cast my-video mara --from clear/1.2", "uses this beat's image"),
)
_MOST: Final = 50


def cast(
    project: ProjectArgument = Path(),
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CHARACTER]...",
            help="Only these: the names of their tables in imagegen.toml.",
            show_default=False,
            autocompletion=complete.characters,
        ),
    ] = None,
    *,
    style: StyleOption = None,
    count: Annotated[
        int | None,
        typer.Option(
            "-n",
            metavar="N",
            help="Sheets per character and style.  [default: 1]",
            parser=whole_number("-n", 1, _MOST),
            rich_help_panel=WHAT,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="WHAT",
            help="Adopt the latest sheets (sheets), or one sheet by its path.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    picture_of: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BEAT",
            help="Adopt the image of this beat: clear/1.2.",
            autocompletion=complete.beats,
            rich_help_panel=WHAT,
        ),
    ] = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    max_cost: MaxCostOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
) -> None:
    """Draw character sheets from descriptions into tries/, for you to approve.

    Then --keep or --from makes an image the character's reference. It is sent with every beat
    that names the character in its prompt.
    """
    if keep is not None or picture_of is not None:
        _adopt(project, names or [], keep, picture_of, style or [])
        return
    request = make_request(styles=style, provider=provider, model=model)
    execution = ExecutionOptions(
        keys=keys, base_url=base_url, view=progress, max_cost=max_cost, verbose=verbose
    )

    def read(request: "DrawRequest", source: "CredentialOptions") -> "Scratch":
        from imagegen.editing.character_sheets import draft_sheets
        from imagegen.workspace import opening

        opened = opening.open_project(project, request, source, wall=time.time())
        return draft_sheets(opened, names or [], count=count or 1, wall=time.time())

    name = names[0] if names else "NAME"
    keep_them = project_command("cast", project, name, "--keep", "sheets")
    draw_candidates(
        project, request, execution, read, lambda _: {keep_them: "uses them for the character"}
    )


def _adopt(
    project: Path, names: list[str], keep: str | None, beat: str | None, styles: list[str]
) -> None:
    from imagegen.display import terminal
    from imagegen.editing import character_sheets

    if len(names) != 1:
        hint = project_command("cast", project, "mara", "--keep", "sheets")
        raise UsageError("--keep and --from need one character", hint=hint)
    if keep is not None and beat is not None:
        raise UsageError("--keep and --from cannot be combined")
    read = open_project(project)
    if beat is not None:
        done = character_sheets.adopt_beat(read, names[0], beat, time.time())
    else:
        done = character_sheets.adopt_sheets(read, names[0], keep or "", styles, time.time())
    terminal.printer().line(f"{done}; to undo: {project_command('undo', project)}")
