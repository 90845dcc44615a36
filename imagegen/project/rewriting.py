"""Tables of a TOML file that the user edits too: set, renamed and removed.

Comments, order and everything else in the file stay as they stand.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import tomlkit
from tomlkit.items import Table

_HEADER: Final = re.compile(
    r"""^(?P<open>[ \t]*\[[ \t]*)(?P<name>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')(?P<close>[ \t]*\].*)$""",
    re.MULTILINE,
)
"""The head of a table with a quoted name."""
_FEW: Final = 50


def edit_tables(
    text: str, tables: Mapping[str, Mapping[str, Any] | None], names: Mapping[str, str]
) -> str:
    """Write these tables, and remove those that are None.

    `names` are tables that are renamed; their new content is in `tables`, and
    they keep what follows them. Raises tomlkit's `TOMLKitError` for invalid TOML.
    """
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
            inline = tomlkit.inline_table()
            inline.update(value)
            table[field] = inline
        elif table.get(field) != value:
            table[field] = value
