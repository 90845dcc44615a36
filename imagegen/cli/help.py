"""How commands look in their help, and how they take words that they do not know."""

import contextlib
import copy
import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from imagegen.cli.complete import is_project
from imagegen.errors import Exit, ImagegenError, UsageError, within_sentence

# Typer carries its own copy of click since 0.26 and shares one before: what is click's has
# no name here, and is `Any`.

F = TypeVar("F", bound=Callable[..., Any])

_LAST: Final = "Other options"
_UNIT: Final = re.compile(r"h(ours?)?|m(in(ute)?s?)?|s(ec(ond)?s?)?")
# What every click raises for wrong usage.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[2]


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
        if ctx.resilient_parsing and args and args[-1] in _valued(ctx.command):
            # Its value is being completed; as a fault it would hide the project's name.
            args = args[:-1]
        with _in_our_words(ctx):
            super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            _refuse_extra(ctx)
        return []

    def invoke(self, ctx: Any) -> Any:
        """Run the command; its errors know the project as it was typed."""
        try:
            _find_project(ctx)
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

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words before the command; without any show the help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(Exit.USAGE)
        with _in_our_words(ctx):
            return list(super().parse_args(ctx, args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; raises `UsageError` with the nearest one."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            from imagegen.tables import did_you_mean

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


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    params = [(param, param.get_help_record(ctx)) for param in command.get_params(ctx)]
    headings = {_heading(param) for param, _ in params if _is_option(param)} - {None}
    # A handful of options needs no groups.
    rest = _LAST if len(headings) > 1 else "Options"
    rows = []
    for param, record in params:
        if record is None:
            continue
        if not _is_option(param):
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


def _find_project(ctx: Any) -> None:
    """Let a project that was left out be the current folder, though words stand in its place.

    Raises `UsageError` where there is no such folder, before anything is said of the words.
    """
    arguments = [param for param in ctx.command.params if not _is_option(param)]
    lists = [param.name for param in arguments if param.nargs == -1]
    if not lists:
        return
    from imagegen.project.layout import Layout

    root, words = told_apart(ctx.params["project"], ctx.params[lists[0]] or ())
    ctx.params |= {"project": root, lists[0]: words}
    Layout(root)


def told_apart(project: Path, words: Sequence[str]) -> tuple[Path, list[str]]:
    """Tell a project from the first of the words behind it, where the project was left out."""
    if project.is_dir() or not is_project(Path()):
        return project, list(words)
    # It is no path: beats are named with a slash on every system.
    return Path(), [project.as_posix(), *words]


def _refuse_extra(ctx: Any) -> None:
    """Raise `UsageError` for words that no argument takes."""
    taken, span = ctx.params.get("project"), ctx.params.get("max_time")
    extra = list(ctx.args)
    if span and _UNIT.fullmatch(str(taken)) and not taken.exists():
        # `--max-time 25 min`: the second word was taken for the project.
        extra = [str(taken)]
    if not extra:
        return
    words, first = shlex.join(extra), extra[0]
    if span and _UNIT.fullmatch(first):
        hint = f"write a span of time as one word: --max-time {span}{first[0]}"
        raise UsageError(f'"{words}" is one word too many', hint=hint)
    hint = f"{ctx.command_path} -h tells what it takes"
    if "beat" in ctx.params and first[:1].isdigit():
        hint = f"a beat is named with --beat {first}"
    if taken is None:
        raise UsageError(f'{ctx.info_name} takes no "{words}"', hint=hint)
    raise UsageError(f'"{words}" is too much: the project is "{taken}" already', hint=hint)


@contextlib.contextmanager
def _in_our_words(ctx: Any) -> Iterator[None]:
    """Say in our words what click finds wrong in the words of a command."""
    try:
        yield
    except _WrongUsage as error:
        raise _wrong_usage(error, ctx) from error


def _wrong_usage(error: Any, ctx: Any) -> UsageError:
    hint = f"{ctx.command_path} -h tells what it takes"
    name = getattr(error, "option_name", None)
    if name is None:
        message = error.format_message().rstrip(".")
        return UsageError(within_sentence(message), hint=hint)
    if hasattr(error, "possibilities"):
        before = f"{ctx.info_name} has " if ctx.parent else ""
        return UsageError(f"{before}no option {name}", hint=_meant(ctx, name) or hint)
    if name in _valued(ctx.command):
        return UsageError(f"{name} needs a value", hint=hint)
    return UsageError(f"{name} takes no value", hint=hint)


def _valued(command: Any) -> set[str]:
    """Return the options that take a value."""
    options = [p for p in command.params if _is_option(p) and not p.is_flag]
    return {name for option in options for name in option.opts}


def _meant(ctx: Any, wrong: str) -> str | None:
    from imagegen.tables import did_you_mean

    near = did_you_mean(wrong, _options_of(ctx.command, ctx))
    root = ctx.find_root()
    group = root.command.whole() if root.command.whole else root.command
    commands = {n: c for n, c in group.commands.items() if not hasattr(c, "commands")}
    if ctx is not root:
        takers = [name for name, one in commands.items() if wrong in _options_of(one, ctx)]
        return f"it is an option of {', '.join(takers)}" if takers else near
    behind: dict[str, str] = {}
    for name, one in sorted(commands.items(), key=lambda item: -len(item[1].params)):
        for option in _options_of(one, ctx):
            behind.setdefault(option, name)
    meant = None if near else difflib.get_close_matches(wrong, behind, n=1)
    if not meant:
        return near
    command = f"{root.command_path} {behind[meant[0]]} {meant[0]}"
    return f"options stand behind the command: {command}"


def _options_of(command: Any, ctx: Any) -> list[str]:
    return [name for p in command.get_params(ctx) if _is_option(p) for name in p.opts]


def _is_option(param: Any) -> bool:
    return bool(param.param_type_name == "option")
