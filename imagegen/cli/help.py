"""Layout of the commands' help."""

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

# Typer has its own copy of click since 0.26 and shared one before: click's types have no
# common name, and are `Any` here.

F = TypeVar("F", bound=Callable[..., Any])

_LAST: Final = "Other options"


_SIMILAR: Final = dict.fromkeys(("film", "movie", "video"), "for a film: imagegen export animatic")
"""Hints for words that people try instead of a command."""


class App(typer.Typer):
    """A group of commands with this module's layout."""

    def __init__(self, *, group: "type[Group] | None" = None, **options: Any) -> None:
        self._lazy: dict[str, Callable[[App], None]] = {}
        settings = {"help_option_names": ["-h", "--help"]}
        super().__init__(
            cls=group or Group,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            context_settings=settings,
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Add a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": Command} | options)

    def add_lazily(self, name: str, add: Callable[["App"], None]) -> None:
        """Add a command that `add` adds to an application when it is called or listed."""
        self._lazy[name] = add

    def __call__(self, arguments: Sequence[str], **options: Any) -> Any:
        """Run the command line. Loads and builds only the command that is called."""
        add = self._lazy.get(arguments[0]) if arguments else None
        if add is None and arguments[:1] != ["--version"]:
            return super(App, self.whole).__call__(arguments, **options)
        alone = self._copy()
        if add is not None:
            add(alone)
        group: Any = typer.main.get_command(alone)
        group.whole = self._build_whole
        return group(arguments, **options)

    @property
    def whole(self) -> "App":
        """The application with all its commands loaded."""
        whole = self._copy()
        for add in self._lazy.values():
            add(whole)
        whole.registered_commands += self.registered_commands
        return whole

    def _build_whole(self) -> Any:
        return typer.main.get_command(self.whole)

    def _copy(self) -> "App":
        """Return this application without commands."""
        copied = copy.copy(self)
        copied.registered_commands, copied.registered_groups = [], []
        return copied


def examples(*rows: str | tuple[str, str]) -> str:
    """Return an epilogue of commands to type, each with an optional description."""
    return _table("Examples", [(row, "") if isinstance(row, str) else row for row in rows])


def exit_codes(codes: Mapping[int, str]) -> str:
    """Return an epilogue that explains exit codes."""
    return _table("Exit codes", [(str(int(code)), text) for code, text in codes.items()])


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join([heading, *("\t".join(row) for row in rows)])


class Command(TyperCommand):
    """A command with grouped options and usage errors that suggest a fix."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raises `UsageError` for an unexpected one."""
        ctx.allow_extra_args = True
        if ctx.resilient_parsing and args and args[-1] in options_with_values(ctx.command):
            # Its value is being completed; an error here would lose the project's name.
            args = args[:-1]
        with translate_click_errors(ctx):
            super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            reject_extra_args(ctx)
        return []

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; Typer puts braces around what is required."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; adds the project, as it was typed, to its errors."""
        try:
            resolve_project(ctx)
            return super().invoke(ctx)
        except ImagegenError as error:
            error.project = ctx.params.get("project")
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does first, then its usage, options and examples."""
        _write_help(self, ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, grouped under headings."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # click's
        """Write examples and exit codes."""
        _write_epilog(self.epilog, formatter)


class Group(TyperGroup):
    """A group of commands, listed in the order in which a new user needs them.

    `whole` returns the group with all commands, if this one was built with only some.
    """

    whole: Callable[[], "Group"] | None = None

    def make_context(self, *words: Any, **more: Any) -> Any:
        """Parse the arguments; raises `ClosedOutputError` if stdout closes during the help."""
        with _convert_broken_pipe():
            return super().make_context(*words, **more)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises `ClosedOutputError` if stdout was closed."""
        with _convert_broken_pipe():
            return super().invoke(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the command; without any, show the help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(Exit.USAGE)
        with translate_click_errors(ctx):
            return list(super().parse_args(ctx, args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; raises `UsageError` that suggests the nearest one."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from imagegen.toml import did_you_mean

            names = self.list_commands(ctx)
            hint = did_you_mean(args[0], names) or _SIMILAR.get(args[0])
            raise UsageError(
                f'"{args[0]}" is not a command',
                hint=hint or f"{ctx.command_path} -h lists the commands",
            )
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write what the commands are for first, then their usage and the list of them."""
        _write_help(self, ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options that come before a command."""
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, grouped under headings."""
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
def _convert_broken_pipe() -> Iterator[None]:
    """Raise `ClosedOutputError` for a closed pipe, on which click would exit with 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedOutputError("stdout was closed") from error


def _write_help(command: Any, ctx: Any, formatter: Any) -> None:
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        if number:
            formatter.write_paragraph()
        formatter.write_text(" ".join(paragraph.split()))
    formatter.write_paragraph()
    command.format_usage(ctx, formatter)
    command.format_options(ctx, formatter)
    command.format_epilog(ctx, formatter)


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    params = [(param, param.get_help_record(ctx)) for param in command.get_params(ctx)]
    headings = {_heading(param) for param, _ in params if is_option(param)} - {None}
    # One group of options needs no heading of its own.
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
    # The option for help comes from click in some versions, and has no heading.
    heading = getattr(param, "rich_help_panel", None)
    return heading if isinstance(heading, str) else None


def _write_groups(rows: Sequence[tuple[str, tuple[str, str]]], formatter: Any) -> None:
    """Write definitions under their headings, with one width of the left column."""
    width = max((len(name) for _, (name, _) in rows), default=0)
    groups: dict[str, list[tuple[str, str]]] = {}
    for heading, (name, text) in rows:
        groups.setdefault(heading, []).append((f"{name:<{width}}", text))
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
            for command, description in rows:
                formatter.write(f"  {command}\n")
                if description:
                    formatter.write(f"      {description}\n")
