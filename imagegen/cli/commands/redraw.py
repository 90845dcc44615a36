"""The command that redraws beats, with another prompt if asked: `redraw`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen.cli.draw import draw
from imagegen.cli.help import examples
from imagegen.cli.options import (
    WHAT,
    BaseUrlOption,
    BeatsArgument,
    BeatsOption,
    ExecutionOptions,
    KeysOption,
    MaxCostOption,
    MaxTimeOption,
    ModelOption,
    ProgressOption,
    ProjectArgument,
    ProviderOption,
    VerboseOption,
    View,
    YesOption,
    absolute,
    make_request,
    non_empty_text,
)
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.project.overrides import Override
    from imagegen.project.record import DrawRequest
    from imagegen.project.storyboard import Beat
    from imagegen.workspace.credentials import CredentialOptions
    from imagegen.workspace.project import Project

EPILOG: Final = examples(
    ("imagegen redraw my-video clear/7.3", "same prompt"),
    ('imagegen redraw my-video 7.3 --prompt "The boat, far away"', "new prompt, in every style"),
)


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
    request = make_request(
        beats=beat,
        force=True,
        provider=provider,
        model=model,
        beats_file=absolute(beats),
    )
    execution = ExecutionOptions(
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

    def override(had: "Override", _: "Beat") -> "Override":
        text = None if as_written else prompt or had.prompt
        return msgspec.structs.replace(had, prompt=text, waived=False, accepted=None)

    def read(request: "DrawRequest", source: "CredentialOptions") -> "Project":
        from imagegen.workspace.opening import open_project

        return open_project(project, request, source, wall=time.time(), edit_override=override)

    draw(project, request, execution, read=read)
