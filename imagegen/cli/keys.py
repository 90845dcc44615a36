"""The commands for API keys: which there are, whether they work, one more."""

import re
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from imagegen import encoding
from imagegen.cli import complete
from imagegen.cli.help import App, Command, Group, examples, exit_codes
from imagegen.cli.options import BaseUrlOption, KeysOption, ProjectArgument, folder
from imagegen.errors import Exit, UsageError

_MOST_A_MINUTE: Final = 100_000
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Whose keys: gemini, openai.  [default: the project's provider, else gemini]",
        autocompletion=complete.providers,
    ),
]
_OPTION: Final = re.compile(r"-[a-z]|--[a-z-]{1,30}")
_FOR_A_KEY: Final = ("--key", "--api-key", "-k")


class KeyGroup(Group):
    """The group of these commands; a key among its words is not repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words behind `keys`; raises `UsageError` for a key."""
        _refuse_keys(ctx, args)
        return super().parse_args(ctx, args)


class AddCommand(Command):
    """`keys add`: words too many may be the key, and are not repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command; raises `UsageError` without what was wrong."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        # Reading them takes them out of the list.
        words = [*args]
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            said = f"{error.message} {error.hint or ''}"
            # A word of three characters is no key, and is found in many a sentence.
            if any(len(w) > 3 and w in said for w in words if not _OPTION.fullmatch(w)):
                raise _not_taken() from None
            if any(word.startswith(_FOR_A_KEY) for word in words):
                raise _not_taken() from None
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; Typer puts braces around what is required."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


def _refuse_keys(ctx: Any, args: list[str]) -> None:
    from imagegen.keys.key_lists import looks_like_a_key

    if ctx.resilient_parsing:
        return
    words = [part for word in args for part in word.lstrip("-").split("=")]
    if any(looks_like_a_key(word) and not Path(word).exists() for word in words):
        raise _not_taken()


def _not_taken() -> UsageError:
    from imagegen.setup.add_key import KEY_ON_COMMAND_LINE, NOT_TAKEN_HINT

    return UsageError(KEY_ON_COMMAND_LINE, hint=NOT_TAKEN_HINT)


def _per_minute(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not 1 <= number <= _MOST_A_MINUTE:
        # What was typed instead may be the key.
        raise UsageError(f"--requests-per-minute is a whole number from 1 to {_MOST_A_MINUTE:,}")
    return number


def _quota_project(text: str) -> str:
    if not 1 <= len(text) <= 200 or not text.isprintable():
        raise UsageError("--quota-project is a name of 1 to 200 characters")
    return text


app = App(
    name="keys",
    help="List the API keys that a project uses, try them, and add one.",
    epilog=examples(
        ("imagegen keys add default", "asks for a key, for every style"),
        ("imagegen keys check my-video", "does each key work?"),
        ("imagegen keys list my-video", "which keys are used, and why these"),
    ),
)


@app.command(
    "list",
    epilog=examples(
        ("imagegen keys list", "the keys for the current folder"),
        ("imagegen keys list my-video --json", "for programs; tails of keys alone"),
    ),
)
def list_keys(
    project: ProjectArgument = Path(),
    *,
    keys: KeysOption = None,
    provider: ProviderOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell which keys a project uses, and from where.

    The first of these decides: --keys, $IMAGEGEN_KEYS, the project's keys.toml, your own
    keys.toml, and without any of them the provider's own variable: $GEMINI_API_KEY, then
    $GOOGLE_API_KEY; $OPENAI_API_KEY. Of each key its last four characters are shown.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import keys as shown
    from imagegen.setup.check_keys import ConfiguredKeys
    from imagegen.workspace.project import CredentialOptions

    found = ConfiguredKeys(project, CredentialOptions(file=keys), provider)
    if json:
        sys.stdout.buffer.write(encoding.to_json(shown.as_json(found)) + b"\n")
        sys.stdout.buffer.flush()
    else:
        shown.show_list(terminal.printer(), found, str(project))


@app.command(
    epilog=exit_codes(
        {
            0: "every key works, or none is needed",
            2: "a key does not work or was not reached, or there is none",
        }
    )
    + "\n\n"
    + examples(
        ("imagegen keys check my-video", "before a long run"),
        ("imagegen keys check --keys studio-keys.toml", "the keys of this file"),
    ),
)
def check(
    project: ProjectArgument = Path(),
    *,
    keys: KeysOption = None,
    provider: ProviderOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Try every key: whether it works, what is wrong if not, and what to do.

    It asks for the list of models, which is free and costs no quota. A key works if it sees
    the model that the project draws with. In brackets is what helps: replace, add credit,
    raise the cap, enable billing, wait, other model, other region, network.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import keys as shown
    from imagegen.setup import check_keys
    from imagegen.workspace.project import CredentialOptions

    found = check_keys.ConfiguredKeys(
        project, CredentialOptions(file=keys, base_url=base_url), provider
    )
    printer = terminal.printer()
    if not found.needed:
        printer.line(f"{found.provider} needs no keys.")
        return
    if not found.lists_by_key:
        raise found.no_key_error
    asked = found.create_provider()
    checked = check_keys.check(found, asked)
    shown.show_check(printer, found, checked, asked.model, check_keys.notes(asked, time.time()))
    if not all(one.is_usable for one in checked):
        raise typer.Exit(Exit.USAGE)


@app.command(
    cls=AddCommand,
    epilog=examples(
        ("imagegen keys add default", "asks for a key, for all styles"),
        ("imagegen keys add clear --project my-video", "for one style of one project"),
        ("imagegen keys add clear < key.txt", "the first line of a file"),
        ("imagegen keys add default --provider openai", "a key of another provider"),
    ),
)
def add(
    style: Annotated[
        str,
        typer.Argument(
            metavar="STYLE",
            help="The style that the key draws, or default: all that have no keys of their own.",
            autocompletion=complete.one_of("illustration", "clear", "consistent", "default"),
        ),
    ],
    *,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="PROJECT",
            help="Add it to the keys.toml of this project, and keep git from taking that file.  "
            "[default: your own keys.toml, for all projects]",
            parser=folder,
            autocompletion=complete.projects,
        ),
    ] = None,
    provider: ProviderOption = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(
            "--requests-per-minute",
            metavar="N",
            help="What the key's quota allows.  [default: as the file says, else 9; openai 5]",
            parser=_per_minute,
        ),
    ] = None,
    quota_project: Annotated[
        str | None,
        typer.Option(
            "--quota-project",
            metavar="NAME",
            help="The cloud project whose quota the key shares with others of that name.",
            parser=_quota_project,
        ),
    ] = None,
) -> None:
    """Add a key to your own keys.toml, or to a project's.

    Gemini's are made at https://aistudio.google.com/apikey, OpenAI's at
    https://platform.openai.com/api-keys.

    The key is asked for and not shown, or read from a pipe; never from the command line,
    which other programs can see. env:NAME is taken too: the key is then read from that
    variable whenever it is used. Comments in the file stay, and only you can read it.
    """
    from imagegen.display import prompt, terminal
    from imagegen.display.reports import keys as shown
    from imagegen.keys import edit
    from imagegen.setup import add_key

    aim = add_key.resolve_target(style, project, provider)
    if aim.strange is not None and not prompt.anyhow(f"{aim.strange}. Add a key for it?"):
        raise UsageError("nothing was added")
    new = edit.parse_key(prompt.key(style, aim.place.label, aim.made_at))
    new = msgspec.structs.replace(
        new, requests_per_minute=requests_per_minute, project=quota_project
    )
    added = add_key.add(aim, new)
    shown.show_added(terminal.printer(), added, str(project or "."))
