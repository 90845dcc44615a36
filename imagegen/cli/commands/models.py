"""The command that lists models."""

from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import BaseUrlOption, JsonOption, KeysOption, ProjectArgument
from imagegen.cli.streams import print_json

EPILOG: Final = examples(
    ("imagegen models", "of the current folder's provider"),
    ("imagegen models --provider openai", "of another provider"),
    ("imagegen models my-video --json", "for programs: prices, sizes, limits, seconds"),
)


def models(
    project: ProjectArgument = Path(),
    *,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Provider of the models.  [default: the project's, or gemini]",
            autocompletion=complete.providers,
        ),
    ] = None,
    json: JsonOption = False,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """List a provider's models: sizes, prices, references, seconds, and the project's model.

    With a key, also asks the service which image models the key can use. That is free and uses
    no quota.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import models as report
    from imagegen.setup import list_models
    from imagegen.workspace.credentials import CredentialOptions

    listing = list_models.gather(project, CredentialOptions(file=keys, base_url=base_url), provider)
    if json:
        print_json(report.as_json(listing))
    else:
        report.show(terminal.printer(), listing)
