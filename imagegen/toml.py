"""TOML files that people write: read whole, every error reported, the nearest name suggested."""

import difflib
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import msgspec

from imagegen.errors import InputError, lower_first

MAX_BYTES = 4 * 1024 * 1024
_MOST_FAULTS = 1000
_LONGEST_GUESSED = 500
_LONGEST_SHOWN = 100
# The standard library's reader takes time and memory with the square of a name's parts: 40 KB
# of them were 1.5 GB. No start looks at more than 64 parts, so this takes linear time.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+')"""
_ENDLESS_NAME = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{64}}")

T = TypeVar("T", bound=msgspec.Struct)


def did_you_mean(wrong: str, names: Iterable[str]) -> str | None:
    """Return `did you mean "…"?` for the known name nearest to `wrong`, or None."""
    near = nearest(wrong, names)
    return f'did you mean "{near}"?' if near is not None else None


def nearest(wrong: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like `wrong`, or None if none is like it."""
    if len(wrong) > _LONGEST_GUESSED:
        return None
    near = difflib.get_close_matches(wrong, list(names), n=1, cutoff=0.6)
    return near[0] if near else None


def read(path: Path, label: str, faults: list[InputError]) -> dict[str, Any] | None:
    """Read a TOML file; on an error add it to `faults` and return None.

    `label` is the file's name in messages. A byte order mark is accepted.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            # A pipe or a device would never end.
            faults.append(InputError(file=label, message="is not a regular file"))
            return None
        if status.st_size > MAX_BYTES:
            faults.append(InputError(file=label, message="is larger than 4 MiB"))
            return None
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {error.start + 1} is not UTF-8"
        faults.append(InputError(file=label, message=where, hint="save the file as UTF-8"))
        return None
    except OSError as error:
        faults.append(InputError(file=label, message=f"cannot be read: {error.strerror}"))
        return None
    if _ENDLESS_NAME.search(text):
        faults.append(InputError(file=label, message="has a name of more than 64 parts"))
        return None
    import tomllib  # noqa: PLC0415  # many a project has no such file

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Beside its own error tomllib lets through what `int` says of thousands of digits.
        faults.append(_invalid(text, str(error), label))
        return None


_AT_LINE = re.compile(r"\(at line (\d{1,9}), column \d+\)")
_UNQUOTED = re.compile(r"\s*([a-z_]{1,40})\s*=\s*[^\s\"'\[\]{}#=][^\"'\[\]{}#=]*(?:#.*)?")


def _invalid(text: str, error: str, label: str) -> InputError:
    """Return the error of a text that is not TOML. It never has a value, which may be a key."""
    at = _AT_LINE.search(error)
    lines = text.split("\n")
    line = int(at[1]) if at and int(at[1]) <= len(lines) else None
    unquoted = _UNQUOTED.fullmatch(lines[line - 1]) if line else None
    hint = f'write text in quotes: {unquoted[1]} = "…"' if unquoted else None
    return InputError(file=label, message=f"is not valid TOML: {error}", hint=hint)


def convert(
    table: Mapping[str, Any],
    kind: type[T],
    *,
    label: str,
    faults: list[InputError],
    prefix: str = "",
) -> T:
    """Turn a table into a frozen struct, field by field, so that every error is found.

    A field that is wrong is left at its default and reported. `prefix` precedes the
    field's name in messages (`styles.clear.`). Every field of `kind` has a default.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if len(faults) >= _MOST_FAULTS:
            faults.append(InputError(file=label, message="too many errors: the rest is not read"))
            break
        if name not in fields:
            faults.append(unknown(name, fields, label=label, prefix=prefix))
            continue
        try:
            values[fields[name].name] = msgspec.convert(value, fields[name].type)
        except msgspec.ValidationError as error:
            where, message = _place(prefix + name, str(error))
            hint = None
            if message.startswith(_NO_CHOICE):
                message = f'unknown: "{message.removeprefix(_NO_CHOICE)[1:-1]}"'
                hint = _choices(fields[name].type)
            faults.append(InputError(file=label, field=where, message=message, hint=hint))
    return kind(**values)


def _choices(kind: Any) -> str | None:
    """Return the words that a setting may be, as a hint; None if it may be others too."""
    parts = (kind, *get_args(kind))
    words = [word for part in parts for word in get_args(part) if isinstance(word, str)]
    return f"one of {', '.join(dict.fromkeys(words))}" if words else None


def unknown(name: str, known_names: Collection[str], *, label: str, prefix: str = "") -> InputError:
    """Return the error of an unknown setting, with the nearest known one."""
    hint = did_you_mean(name, known_names) or "known settings: " + ", ".join(sorted(known_names))
    field = prefix + name[:_LONGEST_SHOWN]
    return InputError(file=label, field=field, message="unknown setting", hint=hint)


def _place(field: str, error: str) -> tuple[str, str]:
    """Split msgspec's ``Expected `int`, got `str` - at `$.a[0]` `` into place and message."""
    message, _, path = error.partition(" - at `$")
    if path:
        field += path.rstrip("`").replace("[...]", "")
    return field, _in_plain_words(message)


_NO_CHOICE: Final = "invalid enum value "

_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def _in_plain_words(message: str) -> str:
    def word(match: re.Match[str]) -> str:
        names = [name.strip() for name in match[1].split("|")]
        return " or ".join(_WORDS.get(name, name) for name in names if name != "null")

    plain = re.sub(r"`([^`]*)`", word, message)
    return lower_first(plain)
