"""Usage errors, and the project argument if it is left out."""

import contextlib
import difflib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from imagegen.cli.complete import is_project
from imagegen.errors import UsageError, lower_first

# As in `help`, click's types are `Any`.

_UNIT: Final = re.compile(r"h(ours?)?|m(in(ute)?s?)?|s(ec(ond)?s?)?")

# The base class of click's usage errors, in every version.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[2]


def resolve_project(ctx: Any) -> None:
    """Set the project to the current folder if it was left out before other arguments.

    Raises `UsageError` if the folder does not exist, before the other arguments are read.
    """
    arguments = [param for param in ctx.command.params if not is_option(param)]
    lists = [param.name for param in arguments if param.nargs == -1]
    if not lists or "project" not in ctx.params:
        return
    from imagegen.project.layout import ProjectPaths

    root, words = ctx.params["project"], ctx.params[lists[0]] or ()
    # Of several projects the first one is always named.
    if lists[0] != "other":
        root, words = split_project(root, words)
    ctx.params |= {"project": root, lists[0]: list(words)}
    ProjectPaths(root)


def split_project(project: Path, words: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the project and the other arguments; the first may not be the project."""
    if project.is_dir() or not is_project(Path()):
        return project, list(words)
    # Not a path: beats are written with a slash on every system.
    return Path(), [project.as_posix(), *words]


def reject_extra_args(ctx: Any) -> None:
    """Raise `UsageError` for an unexpected argument."""
    project, span = ctx.params.get("project"), ctx.params.get("max_time")
    extra = list(ctx.args)
    if span and _UNIT.fullmatch(str(project)) and not project.exists():
        # `--max-time 25 min`: the second word was taken for the project.
        extra = [str(project)]
    if not extra:
        return
    words, first = shlex.join(extra), extra[0]
    if span and _UNIT.fullmatch(first):
        hint = f"write the duration as one word: --max-time {span}{first[0]}"
        raise UsageError(f'unexpected argument "{words}"', hint=hint)
    hint = f"for its options: {ctx.command_path} -h"
    if "beat" in ctx.params and first[:1].isdigit():
        hint = f"select a beat with --beat {first}"
    if project is None:
        raise UsageError(f'{ctx.info_name}: unexpected argument "{words}"', hint=hint)
    raise UsageError(f'unexpected argument "{words}" (project is "{project}")', hint=hint)


@contextlib.contextmanager
def translate_click_errors(ctx: Any) -> Iterator[None]:
    """Convert click's usage errors to `UsageError`."""
    try:
        yield
    except _WrongUsage as error:
        raise _wrong_usage(error, ctx) from error


def _wrong_usage(error: Any, ctx: Any) -> UsageError:
    hint = f"for its options: {ctx.command_path} -h"
    name = getattr(error, "option_name", None)
    if name is None:
        message = error.format_message().rstrip(".")
        return UsageError(lower_first(message), hint=hint)
    if hasattr(error, "possibilities"):
        before = f"{ctx.info_name} has " if ctx.parent else ""
        return UsageError(f"{before}no option {name}", hint=_meant(ctx, name) or hint)
    if name in options_with_values(ctx.command):
        return UsageError(f"{name} needs a value", hint=hint)
    return UsageError(f"{name} takes no value", hint=hint)


def options_with_values(command: Any) -> set[str]:
    """Return the options that take a value."""
    options = [p for p in command.params if is_option(p) and not p.is_flag]
    return {name for option in options for name in option.opts}


def _meant(ctx: Any, wrong: str) -> str | None:
    from imagegen.toml import did_you_mean

    near = did_you_mean(wrong, _options_of(ctx.command, ctx))
    root = ctx.find_root()
    group = root.command.whole() if root.command.whole else root.command
    commands = {n: c for n, c in group.commands.items() if not hasattr(c, "commands")}
    if ctx is not root:
        takers = [
            name for name, candidate in commands.items() if wrong in _options_of(candidate, ctx)
        ]
        return f"it is an option of {', '.join(takers)}" if takers else near
    behind: dict[str, str] = {}
    for name, candidate in sorted(commands.items(), key=lambda item: -len(item[1].params)):
        for option in _options_of(candidate, ctx):
            behind.setdefault(option, name)
    near_match = None if near else difflib.get_close_matches(wrong, behind, n=1)
    if not near_match:
        return near
    command = f"{root.command_path} {behind[near_match[0]]} {near_match[0]}"
    return f"options come after the command: {command}"


def _options_of(command: Any, ctx: Any) -> list[str]:
    return [name for p in command.get_params(ctx) if is_option(p) for name in p.opts]


def is_option(param: Any) -> bool:
    """Return whether a parameter is an option, not an argument."""
    return bool(param.param_type_name == "option")
