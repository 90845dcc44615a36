"""TOML files that the user edits too: comments, order and everything else stay as they are.

Each change is checked: if anything else would change, nothing does. Slow to import.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from imagegen import files, toml
from imagegen.errors import UsageError

_MARK: Final = "\ufeff"

_HEADER: Final = re.compile(
    r"""^(?P<open>[ \t]*\[[ \t]*)(?P<name>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')(?P<close>[ \t]*\].*)$""",
    re.MULTILINE,
)
"""The head of a table with a quoted name."""
_FEW: Final = 50


class TomlEditError(ValueError):
    """A file is invalid, or its layout does not allow a change; the message says why."""


def read(path: Path, default: str = "") -> str:
    """Return a file's text, or `default` if there is none.

    Raises `UsageError` if it cannot be read.
    """
    if not os.path.lexists(path):
        return default
    data = files.read(path, toml.MAX_BYTES)
    if data is None:
        raise UsageError(f"{path} cannot be read: it is a link, or too large")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be changed: {error}", hint="fix it first") from error


def set_value(text: str, names: Sequence[str], value: str | Mapping[str, str]) -> str:
    """Return a text with the setting in these tables at a value. Raises `TomlEditError`."""
    *tables, name = names

    def change(source: str) -> str:
        document = tomlkit.parse(source)
        if not tables and name not in document:
            # Commented tables may be uncommented: what is not in one has to come first.
            return f"{tomlkit.document().append(name, value).as_string()}{source}"
        _table(document, source, tables)[name] = _item(value)
        return document.as_string()

    return _edited(text, change, lambda plain: _plain_table(plain, tables).update({name: value}))


def append(text: str, names: Sequence[str], entry: str | Mapping[str, Any]) -> str:
    """Return a text with one more entry in the list in these tables. Raises `TomlEditError`."""
    try:
        return _with_entry(text, names, entry, first=False)
    except TomlEditError:
        # A comment behind the last entry, where no comma follows that, hides what is appended.
        return _with_entry(text, names, entry, first=True)


def _with_entry(
    text: str, names: Sequence[str], entry: str | Mapping[str, Any], *, first: bool
) -> str:
    *tables, name = names

    def change(source: str) -> str:
        document = tomlkit.parse(source)
        table = _table(document, source, tables)
        if name not in table:
            _put_list(table, name)
        table[name].insert(0 if first else len(table[name]), _item(entry))
        return document.as_string()

    def expect(plain: dict[str, Any]) -> None:
        entries = _plain_table(plain, tables).setdefault(name, [])
        entries.insert(0 if first else len(entries), entry)

    return _edited(text, change, expect)


def edit_tables(
    text: str, tables: Mapping[str, Mapping[str, Any] | None], names: Mapping[str, str]
) -> str:
    """Return a text with these tables written, and without those that are None.

    `names` are tables that are renamed; their new content is in `tables`, and
    they keep what follows them. Raises `TomlEditError`.
    """

    def expect(plain: dict[str, Any]) -> None:
        for name, values in tables.items():
            if values is None:
                plain.pop(name, None)
            else:
                plain[name] = values

    return _edited(text, lambda source: _with_tables(source, tables, names), expect)


def _edited(
    text: str, change: Callable[[str], str], expect: Callable[[dict[str, Any]], object]
) -> str:
    """Change a text; `expect` changes what it holds, with which the new text is compared."""
    mark = _MARK if text.startswith(_MARK) else ""
    source = text.removeprefix(_MARK)
    # Where every line ends as on Windows, those that are new do too.
    windows = "\r\n" in source and source.count("\r\n") == source.count("\n")
    source = source.replace("\r\n", "\n") if windows else source
    if source and not source.endswith("\n"):
        source += "\n"
    try:
        expected = tomllib.loads(text.removeprefix(_MARK))
        expect(expected)
        changed = change(source)
        changed = changed.replace("\n", "\r\n") if windows else changed
        if tomllib.loads(changed) != expected:
            raise TomlEditError("more would change than that")
    except (TOMLKitError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TomlEditError(str(error)) from error
    return mark + changed


def _plain_table(plain: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    for name in names:
        plain = plain.setdefault(name, {})
    return plain


def _table(document: tomlkit.TOMLDocument, text: str, names: Sequence[str]) -> Any:
    """Return a table in a document of this text; those that are missing are made."""
    table: Any = document
    for depth, name in enumerate(names, 1):
        if name not in table:
            if depth == 1 and text.strip() and not text.endswith("\n\n"):
                document.add(tomlkit.nl())
            # The heading of a table of tables would say nothing: [styles.clear] is enough.
            table.add(name, tomlkit.table(is_super_table=depth < len(names)))
        table = table[name]
    return table


def _item(value: str | Mapping[str, Any]) -> Any:
    """Return a value as it is written: a table in braces."""
    if isinstance(value, str):
        return value
    inline = tomlkit.inline_table()
    inline.update(value)
    return inline


def _put_list(table: Any, name: str) -> None:
    """Put an empty list below the last one, before blank lines and what comments on the next."""
    below: list[Any] = []
    body = getattr(getattr(table, "value", None), "body", [])
    while body and body[-1][0] is None:
        below.append(body.pop())
    table[name] = tomlkit.array()
    body.extend(reversed(below))


def _with_tables(
    text: str, tables: Mapping[str, Mapping[str, Any] | None], names: Mapping[str, str]
) -> str:
    removed = [name for name, values in tables.items() if values is None and name not in names]
    removed += [now for now in names.values() if now not in names]
    # Each reads the file again, to keep the user's text between tables.
    for name in removed[:_FEW]:
        text = _without(text, name)
    document = tomlkit.parse(_renamed(text, names))
    for name in removed[_FEW:]:
        document.pop(name, None)
    for name, values in tables.items():
        if values is not None:
            _set(document, name, values)
    return tomlkit.dumps(document)


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Give tables other names, all at once; those that stand there in another way keep theirs."""

    def other(match: re.Match[str]) -> str:
        name = next(iter(tomlkit.parse(f"{match['name']} = 0")))
        return f"{match['open']}{_quoted(names.get(name, name))}{match['close']}"

    return _HEADER.sub(other, text) if names else text


def _quoted(name: str) -> str:
    return tomlkit.string(name).as_string()


def _without(text: str, name: str) -> str:
    document = tomlkit.parse(text)
    for key, item in document.body:
        if key is None or key.key != name:
            continue
        if isinstance(item, Table) and not key.is_dotted():
            head = f"{item.trivia.indent}[{key.as_string()}]{item.trivia.comment_ws}"
            head += f"{item.trivia.comment}{item.trivia.trail}"
            whole = head + item.as_string()
            if text.count(whole) == 1:
                # A comment over the next table is at the end of this one.
                return text.replace(whole, _last_comments(item.as_string()))
    document.pop(name, None)
    return tomlkit.dumps(document)


def _last_comments(body: str) -> str:
    lines = body.splitlines(keepends=True)
    after = len(lines)
    while after and (not lines[after - 1].strip() or lines[after - 1].lstrip().startswith("#")):
        after -= 1
    rest = lines[after:]
    return "".join(rest) if any(line.strip() for line in rest) else ""


def _set(document: tomlkit.TOMLDocument, name: str, values: Mapping[str, Any]) -> None:
    if any(key is not None and key.key == name and key.is_dotted() for key, _ in document.body):
        # Lines of `name.field = value` cannot be added to.
        document.pop(name)
    table = document.get(name)
    if table is None:
        table = document[name] = tomlkit.table()
    for field in [field for field in table if field not in values]:
        del table[field]
    for field, value in values.items():
        if isinstance(value, dict):
            table[field] = _item(value)
        elif table.get(field) != value:
            table[field] = value
