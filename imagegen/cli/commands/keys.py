"""The commands for API keys: `keys list`, `keys check`, `keys add`."""

import re
import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from imagegen.cli import complete
from imagegen.cli.help import App, Command, Group, examples, exit_codes
from imagegen.cli.options import BaseUrlOption, JsonOption, KeysOption, ProjectArgument, folder
from imagegen.cli.streams import print_json
from imagegen.errors import Exit, UsageError

_MOST_A_MINUTE: Final = 100_000
_SHORTEST_KEY: Final = 8
"""Characters; no service makes shorter keys, and a test server's can be written to keys.toml."""
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Provider of the keys: gemini, openai.  [default: the project's, or gemini]",
        autocompletion=complete.providers,
    ),
]
_OPTION: Final = re.compile(r"-[a-z]|--[a-z-]{1,30}")
_FOR_A_KEY: Final = ("--key", "--api-key", "-k")


class KeyGroup(Group):
    """The group of these commands; an API key in the arguments is not printed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of `keys`; raises `UsageError` for an API key."""
        _refuse_keys(ctx, args)
        return super().parse_args(ctx, args)


class AddCommand(Command):
    """`keys add`: an unexpected argument may be the key, and is not printed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raises `UsageError` without the wrong argument in it."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        # Parsing removes them from the list.
        words = [*args]
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            text = f"{error.message} {error.hint or ''}"
            # Three characters are not a key, and occur in many messages.
            if any(len(w) > 3 and w in text for w in words if not _OPTION.fullmatch(w)):
                raise _not_taken() from None
            if any(word.startswith(_FOR_A_KEY) for word in words):
                raise _not_taken() from None
            raise


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
        # The wrong value may be the key: do not print it.
        raise UsageError(
            f"--requests-per-minute must be a whole number from 1 to {_MOST_A_MINUTE:,}"
        )
    return number


def _quota_project(text: str) -> str:
    if not 1 <= len(text) <= 200 or not text.isprintable():
        raise UsageError("--quota-project must be a name of 1 to 200 characters")
    return text


app = App(
    group=KeyGroup,
    name="keys",
    help="List, check and add API keys.",
    epilog=examples(
        ("imagegen keys add default", "adds a key for all styles"),
        ("imagegen keys check my-video", "finds keys that do not work"),
        ("imagegen keys list my-video", "shows which keys are used"),
    ),
)


@app.command(
    "list",
    epilog=examples(
        ("imagegen keys list", "the keys of the current folder's project"),
        ("imagegen keys list my-video --json", "for programs"),
    ),
)
def list_keys(
    project: ProjectArgument = Path(),
    *,
    keys: KeysOption = None,
    provider: ProviderOption = None,
    json: JsonOption = False,
) -> None:
    """List the keys that a project uses, by their last four characters, and their source.

    The first source that exists is used: --keys, $IMAGEGEN_KEYS, the project's keys.toml, your
    own keys.toml, then the provider's variable: $GEMINI_API_KEY or $GOOGLE_API_KEY for Gemini,
    $OPENAI_API_KEY for OpenAI.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import keys as report
    from imagegen.setup.check_keys import ConfiguredKeys
    from imagegen.workspace.credentials import CredentialOptions

    configured = ConfiguredKeys(project, CredentialOptions(file=keys), provider)
    if json:
        print_json(report.as_json(configured))
    else:
        report.show_list(terminal.printer(), configured, str(project))


@app.command(
    epilog=examples(
        ("imagegen keys check my-video", "before a long run"),
        ("imagegen keys check --keys studio-keys.toml", "only the keys of this file"),
    )
    + "\n\n"
    + exit_codes(
        {
            0: "every key works, or the provider needs no key",
            2: "a key does not work, the service was not reached, or there is no key",
        }
    ),
)
def check(
    project: ProjectArgument = Path(),
    *,
    keys: KeysOption = None,
    provider: ProviderOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Check that every key works, and show how to fix those that do not.

    Requests the list of models, which is free and uses no quota. A key works if it can use the
    project's model. The fix is in brackets: replace, add credit, raise the cap, enable billing,
    wait, other model, other region, network.
    """
    from imagegen.display import terminal
    from imagegen.display.reports import keys as report
    from imagegen.setup import check_keys
    from imagegen.workspace.credentials import CredentialOptions

    configured = check_keys.ConfiguredKeys(
        project, CredentialOptions(file=keys, base_url=base_url), provider
    )
    printer = terminal.printer()
    if not configured.needed:
        printer.line(f"{configured.provider} needs no keys.")
        return
    if not configured.lists_by_key:
        raise configured.no_key_error
    key_provider = configured.create_provider()
    checked = check_keys.check(configured, key_provider)
    report.show_check(
        printer,
        configured,
        checked,
        key_provider.model,
        check_keys.notes(key_provider, time.time()),
    )
    if not all(result.is_usable for result in checked):
        raise typer.Exit(Exit.USAGE)


@app.command(
    cls=AddCommand,
    epilog=examples(
        ("imagegen keys add default", "for all styles"),
        ("imagegen keys add clear --project my-video", "for one style of one project"),
        ("imagegen keys add clear < key.txt", "reads the first line of a file"),
        ("imagegen keys add default --provider openai", "for another provider"),
    ),
)
def add(
    style: Annotated[
        str,
        typer.Argument(
            metavar="STYLE",
            help="The style that the key draws; default: all styles without keys of their own.",
            autocompletion=complete.one_of("illustration", "clear", "consistent", "default"),
        ),
    ],
    *,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="PROJECT",
            help="Add it to this project's keys.toml, and that file to .gitignore.  "
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
            help="The key's rate limit.  [default: from the file, or 9; openai 5]",
            parser=_per_minute,
        ),
    ] = None,
    quota_project: Annotated[
        str | None,
        typer.Option(
            "--quota-project",
            metavar="NAME",
            help="The key's cloud project; keys with the same NAME share one quota.",
            parser=_quota_project,
        ),
    ] = None,
) -> None:
    """Add a key to your own keys.toml, or to a project's.

    Get a Gemini key at https://aistudio.google.com/apikey, an OpenAI key at
    https://platform.openai.com/api-keys.

    imagegen asks for the key without echoing it, or reads it from a pipe; never from the command
    line, which other programs can see. Enter env:NAME to read the key from that variable at each
    run. Comments in the file stay, and only you can read it.
    """
    from imagegen.display import prompt, terminal
    from imagegen.display.reports import keys as report
    from imagegen.keys import edit
    from imagegen.setup import add_key

    aim = add_key.resolve_target(style, project, provider)
    if aim.strange is not None and not prompt.anyhow(f"{aim.strange}. Add a key for it?"):
        raise UsageError("nothing was added")
    new = edit.parse_key(prompt.key(style, aim.place.label, aim.made_at))
    if new.secret is not None and len(new.secret.reveal()) < _SHORTEST_KEY:
        question = f"The key has fewer than {_SHORTEST_KEY} characters. Add it?"
        if not prompt.anyhow(question, unattended=False):
            raise UsageError(
                f"nothing was added: the key has fewer than {_SHORTEST_KEY} characters",
                hint="copy all of it, and run the command again",
            )
    new = msgspec.structs.replace(
        new, requests_per_minute=requests_per_minute, project=quota_project
    )
    added = add_key.add(aim, new)
    report.show_added(terminal.printer(), added, str(project or "."))
