"""The shard that a run draws: the option `--shard`, or what a scheduler says of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from imagegen.cli import complete
from imagegen.cli.options import WHAT
from imagegen.errors import UsageError
from imagegen.shell import project_command

if TYPE_CHECKING:
    from imagegen.project.record import DrawRequest
    from imagegen.workspace.shards import Shard

COUNT: Final = "IMAGEGEN_SHARD_COUNT"
"""How many machines share the work. Set by you: only Slurm says it by itself."""
INDEX: Final = "IMAGEGEN_SHARD_INDEX"
"""Which of them this one is, from 0: for schedulers without a variable of their own."""
_KUBERNETES: Final = "JOB_COMPLETION_INDEX"
"""Set in each pod of an Indexed job, from 0 (kubernetes.io, "Jobs", "Completion mode")."""
_SLURM: Final = "SLURM_ARRAY_TASK_ID"
"""Set in each task of an array (slurm.schedmd.com, "Job Array Support"), with the four below."""
_SLURM_MIN: Final = "SLURM_ARRAY_TASK_MIN"
_SLURM_MAX: Final = "SLURM_ARRAY_TASK_MAX"
_SLURM_STEP: Final = "SLURM_ARRAY_TASK_STEP"
_SLURM_COUNT: Final = "SLURM_ARRAY_TASK_COUNT"
_WAY_OUT: Final = "name the shard: --shard 1/5; --shard 1/1 draws all beats"


def _shard(text: str) -> str:
    """Read a shard as text. Raises `UsageError`."""
    from imagegen.workspace.shards import Shard

    return str(Shard.parse(text))


ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="N/COUNT",
        help="Draw only this part of the storyboard: 2/5 is the second of five machines.  "
        "[default: from the scheduler's variables, or all]",
        parser=_shard,
        autocompletion=complete.one_of(),
        rich_help_panel=WHAT,
        show_default=False,
    ),
]


def with_shard(
    request: "DrawRequest", root: Path, *, resumes: bool, env: Mapping[str, str] = os.environ
) -> "tuple[DrawRequest, str | None]":
    """Return a request for the shard that the environment names, if it names none itself.

    Also returns a note on that. With `resumes` the request is the last run's: if
    the environment names another shard, two machines would draw the same beats. `root` is the
    project's folder as it was typed, for hints. Raises
    `UsageError` for that, and for variables that name no shard.
    """
    if request.shard is not None and not resumes:
        return request, None
    scheduled = shard_of(env)
    if scheduled is None:
        return request, None
    source, shard = scheduled
    if request.shard is None:
        note = f"{source} says to draw shard {shard} alone; --shard 1/1 draws all beats"
        return msgspec.structs.replace(request, shard=str(shard)), note
    if request.shard != str(shard):
        raise UsageError(
            f"the last run drew shard {request.shard}, and {source} says {shard}",
            hint=f"to draw that one: {project_command('run', root, '--shard', str(shard))}",
        )
    return request, None


def shard_of(env: Mapping[str, str]) -> "tuple[str, Shard] | None":
    """Return the shard that a scheduler's variables name, and the first of them.

    None outside of a scheduler. Raises `UsageError` if they name no shard: a machine that took
    that for all beats would pay for those of the others too.
    """
    source = next((name for name in (INDEX, _KUBERNETES, _SLURM) if env.get(name)), None)
    if source is None:
        if env.get(COUNT):
            hint = f"set {INDEX} too, from 0, or {_WAY_OUT}"
            raise UsageError(f"{COUNT} is set, but nothing says which shard this is", hint=hint)
        return None
    if env.get(COUNT):
        return source, _checked(source, _number(env, source), _number(env, COUNT))
    if source != _SLURM:
        raise UsageError(
            f"{source} is set, but not the number of shards",
            hint=f"set {COUNT} to how many machines draw, or {_WAY_OUT}",
        )
    first, last, step, count = (
        _number(env, name) for name in (_SLURM_MIN, _SLURM_MAX, _SLURM_STEP, _SLURM_COUNT)
    )
    index, rest = divmod(_number(env, source) - first, max(1, step))
    if rest or last - first != (count - 1) * step:
        raise UsageError(
            f"{source} is of an array with gaps",
            hint=f"use one without, such as --array=0-4, or {_WAY_OUT}",
        )
    return source, _checked(source, index, count)


def _checked(source: str, index: int, count: int) -> "Shard":
    from imagegen.workspace.shards import MOST, Shard

    if not 0 <= index < count <= MOST:
        raise UsageError(f"{source} names shard {index + 1:,} of {count:,}", hint=_WAY_OUT)
    return Shard(index + 1, count)


def _number(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "")
    if not text:
        raise UsageError(f"{name} is not set", hint=_WAY_OUT)
    if not (text.isascii() and text.isdigit()) or len(text) > len("1000000000"):
        raise UsageError(f'{name} is "{text}", and not a whole number', hint=_WAY_OUT)
    return int(text)
