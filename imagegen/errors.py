"""Errors that end the whole command, each with its exit code.

A message is written for the user: what happened, on which file, beat or
key, and what to do next. Errors of a single beat are not exceptions; they are values
(`imagegen.providers.base.ProviderError`) and never stop the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path

import msgspec

_LONGEST = 1000


class Exit(IntEnum):
    """The exit codes of every command; the first that applies is the one returned."""

    OK = 0
    BEATS_IN_ERROR = 1
    USAGE = 2
    ENDED_EARLY = 3
    RUN_ACTIVE = 4
    INTERNAL = 70
    SIGHUP = 129
    SIGINT = 130
    CLOSED_STDOUT = 141
    SIGTERM = 143


def encodable(text: str) -> str:
    """Replace characters that UTF-8 cannot encode (in undecodable file names) by `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def lower_first(text: str) -> str:
    """Return what a library says as it goes on in a sentence of ours: `JSON is …` stays."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it, the latest first."""
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


class ImagegenError(Exception):
    """The base of every error that a command reports in one message.

    `hint` says what to do next, as a sentence or a command to type. `project` is the folder
    that the command was given, as it was typed.
    """

    exit_code: Exit = Exit.INTERNAL
    project: Path | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = encodable(message)
        super().__init__(message)
        self.message = message
        self.hint = encodable(hint) if hint is not None else None


class UsageError(ImagegenError):
    """Wrong usage, settings, input or keys: nothing was started or changed."""

    exit_code = Exit.USAGE


class InputError(msgspec.Struct, frozen=True, kw_only=True):
    """One error in a file that the user wrote.

    `file` is the path as shown to the user, `row` counts from 1 (a list's item or a
    table's data row), `line` is its line, as an editor counts. `column` is the character of
    that line, from 1, and `source` the line's text. `field` is the setting or column,
    `detail` distinguishes this one from others of the same message.
    """

    file: str
    message: str
    row: int | None = None
    line: int | None = None
    field: str | None = None
    hint: str | None = None
    detail: str | None = None
    column: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        # Names that the file's author chose may be as long as the file.
        for name in ("file", "message", "field", "detail", "source"):
            text = getattr(self, name)
            if text is not None:
                msgspec.structs.force_setattr(self, name, encodable(text)[:_LONGEST])


class InvalidInputError(UsageError):
    """All errors of a project's files, reported together.

    `rows` is the number of rows of each file, if known. `hint` is for files
    that `imagegen check` does not read.
    """

    def __init__(
        self,
        faults: Sequence[InputError],
        rows: Mapping[str, int] | None = None,
        *,
        hint: str | None = None,
    ) -> None:
        message = f"{len(faults)} error{'s' if len(faults) != 1 else ''} in the input"
        super().__init__(message, hint=hint)
        self.faults = tuple(faults)
        self.rows = dict(rows or {})


class RunActiveError(ImagegenError):
    """Another run works on the same project."""

    exit_code = Exit.RUN_ACTIVE


class ClosedOutputError(ImagegenError):
    """The reader of stdout has closed it, as `head` does."""

    exit_code = Exit.CLOSED_STDOUT


class StorageError(ImagegenError):
    """The disk refused a write: full, read-only or not permitted.

    A run that it ends has ended early; for all else nothing is left to be carried on.
    """

    exit_code = Exit.USAGE
