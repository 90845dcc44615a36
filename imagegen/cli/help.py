"""How commands look in their help."""

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from imagegen.cli.usage import (
    is_option,
    options_with_values,
    reject_extra_args,
    resolve_project,
    translate_click_errors,
)
from imagegen.errors import ClosedOutputError, Exit, ImagegenError, UsageError

# Typer carries its own copy of click since 0.26 and shares one before: what is click's has
# no name here, and is `Any`.

F = TypeVar("F", bound=Callable[..., Any])

_LAST: Final = "Other options"


class App(typer.Typer):
    """A group of commands that all look like ours."""

    def __init__(self, **options: Any) -> None:
        settings = {"help_option_names": ["-h", "--help"]}
        super().__init__(
            cls=Group,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings=settings,
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Add a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": Command} | options)

    def __call__(self, arguments: Sequence[str], **options: Any) -> Any:
        """Run the command line. Of its commands only the one that is asked for is made."""
        own = [info for info in self.registered_commands if [_name(info)] == arguments[:1]]
        if not own:
            return super().__call__(arguments, **options)
        alone = copy.copy(self)
        alone.registered_commands, alone.registered_groups = own, []
        group: Any = typer.main.get_command(alone)
        group.whole = partial(typer.main.get_command, self)
        return group(arguments, **options)


def _name(info: Any) -> str:
    name: str = info.name or info.callback.__name__
    return name


def examples(*rows: str | tuple[str, str]) -> str:
    """Return an epilogue of commands to type, each with what it does where that is said."""
    return _table("Examples", [(row, "") if isinstance(row, str) else row for row in rows])


def exit_codes(codes: Mapping[int, str]) -> str:
    """Return an epilogue of what exit codes mean."""
    return _table("Exit codes", [(str(int(code)), words) for code, words in codes.items()])


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join([heading, *("\t".join(row) for row in rows)])


class Command(TyperCommand):
    """A command whose options stand in groups, and which says what to do about wrong words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command; raises `UsageError` for one too many."""
        ctx.allow_extra_args = True
        if ctx.resilient_parsing and args and args[-1] in options_with_values(ctx.command):
            # Its value is being completed; as a fault it would hide the project's name.
            args = args[:-1]
        with translate_click_errors(ctx):
            super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            reject_extra_args(ctx)
        return []

    def invoke(self, ctx: Any) -> Any:
        """Run the command; its errors know the project as it was typed."""
        try:
            resolve_project(ctx)
            return super().invoke(ctx)
        except ImagegenError as error:
            error.project = ctx.params.get("project")
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, under one heading for each of their groups."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # click's
        """Write examples and exit codes."""
        _write_epilog(self.epilog, formatter)


class Group(TyperGroup):
    """A group of commands, listed in the order in which a person meets them.

    `whole` returns the group with all its commands, for one that was made with only some.
    """

    whole: Callable[[], "Group"] | None = None

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Read the words; raises `ClosedOutputError` where the help is not read to its end."""
        with _closed_pipe_told():
            return super().make_context(*words, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises `ClosedOutputError` where whoever read its output has left."""
        with _closed_pipe_told():
            return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words before the command; without any show the help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(Exit.USAGE)
        with translate_click_errors(ctx):
            return list(super().parse_args(ctx, args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; raises `UsageError` with the nearest one."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from imagegen.toml import did_you_mean

            names = self.list_commands(ctx)
            raise UsageError(
                f'no command "{args[0]}"',
                hint=did_you_mean(args[0], names) or f"there are: {', '.join(names)}",
            )
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, and then the options that stand before them."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under one heading for each of their groups."""
        rows = []
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            panel = command.rich_help_panel
            heading = panel if isinstance(panel, str) else "Commands"
            first = (command.help or "").partition("\n\n")[0]
            rows.append((heading, (name, " ".join(first.split()))))
        _write_groups(rows, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # click's
        """Write examples."""
        _write_epilog(self.epilog, formatter)


@contextlib.contextmanager
def _closed_pipe_told() -> Iterator[None]:
    """Say of a pipe that is closed what it is: click would end the program with 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedOutputError("whoever read the output has closed it") from error


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    params = [(param, param.get_help_record(ctx)) for param in command.get_params(ctx)]
    headings = {_heading(param) for param, _ in params if is_option(param)} - {None}
    # A handful of options needs no groups.
    rest = _LAST if len(headings) > 1 else "Options"
    rows = []
    for param, record in params:
        if record is None:
            continue
        if not is_option(param):
            rows.append(("Arguments", record))
        elif len(headings) > 1:
            rows.append((_heading(param) or rest, record))
        else:
            rows.append((rest, record))
    _write_groups(rows, formatter)


def _heading(param: Any) -> str | None:
    # The option for help is click's own in some versions, and has none.
    heading = getattr(param, "rich_help_panel", None)
    return heading if isinstance(heading, str) else None


def _write_groups(rows: Sequence[tuple[str, tuple[str, str]]], formatter: Any) -> None:
    """Write definitions under their headings, all with one left column."""
    width = max((len(name) for _, (name, _) in rows), default=0)
    groups: dict[str, list[tuple[str, str]]] = {}
    for heading, (name, words) in rows:
        groups.setdefault(heading, []).append((f"{name:<{width}}", words))
    last = groups.pop(_LAST, None)
    for heading, group in [*groups.items(), *([(_LAST, last)] if last else [])]:
        with formatter.section(heading):
            formatter.write_dl(group)


def _write_epilog(text: str | None, formatter: Any) -> None:
    for part in (text or "").split("\n\n"):
        heading, *lines = part.splitlines() or [""]
        rows = [tuple(line.split("\t")) for line in lines]
        if not rows:
            continue
        wide = max(len(row[0]) for row in rows)
        with formatter.section(heading):
            fits = all(4 + wide + 2 + len(row[1]) <= formatter.width for row in rows)
            if fits or wide < 10:
                formatter.write_dl(rows, col_max=wide)
                continue
            for command, words in rows:
                formatter.write(f"  {command}\n")
                if words:
                    formatter.write(f"      {words}\n")
