"""Edits of TOML files that their user edits too."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imagegen import toml_edit
from imagegen.errors import UsageError
from imagegen.toml_edit import TomlEditError

EDITS: dict[str, Callable[[str], str]] = {
    "a value": lambda text: toml_edit.set_value(text, ("styles", "clear", "look"), "Ink."),
    "an entry": lambda text: toml_edit.append(text, ("keys", "clear"), "env:A"),
    "a table": lambda text: toml_edit.edit_tables(text, {"clear/1/1": {"waived": True}}, {}),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_line_ends_and_byte_order_mark_stay(edit: Callable[[str], str]) -> None:
    """A file that was written on Windows stays as it is, and new lines end like its own."""
    text = "\ufeff# Mine.\r\na = 1 # one\r\n"
    changed = edit(text)
    assert changed.startswith(text)
    assert changed.count("\r\n") == changed.count("\n") > 2
    assert changed.removeprefix("\ufeff").replace("\r\n", "\n") == edit("# Mine.\na = 1 # one\n")


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("text", ["a =", "a = 1\na = 2\n", "a = 1 = 2\n"])
def test_an_invalid_file_is_not_changed(edit: Callable[[str], str], text: str) -> None:
    """What is no TOML is an error, and not made worse."""
    with pytest.raises(TomlEditError):
        edit(text)


def test_a_setting_of_no_table_comes_before_tables_in_comments() -> None:
    """Else it would be in a table once that is uncommented."""
    text = '# [styles.clear]\n# look = "Ink."\n'
    assert toml_edit.set_value(text, ("beats",), "b.json") == f'beats = "b.json"\n{text}'
    before = f'# Mine.\nbeats = "a.json" # old\n\n{text}'
    after = toml_edit.set_value(before, ("beats",), "b.json")
    assert after == before.replace("a.json", "b.json")


def test_a_value_in_place_of_a_table_is_an_error() -> None:
    """Nothing else than the setting is changed to make room for it."""
    with pytest.raises(TomlEditError):
        toml_edit.set_value("styles = 7\n", ("styles", "clear", "look"), "Ink.")


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """The error names the file; without a file the default is what is edited."""
    (tmp_path / "a.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(UsageError, match=r"a\.toml cannot be changed"):
        toml_edit.read(tmp_path / "a.toml")
    assert toml_edit.read(tmp_path / "b.toml", "# New.\n") == "# New.\n"
