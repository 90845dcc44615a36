"""TOML files of the user: what is said of one that is not valid."""

from pathlib import Path

import pytest

from imagegen import toml
from imagegen.errors import InputError


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("image_size = 2K", 'write text in quotes: image_size = "…"'),
        ("draw = clear  # one", 'write text in quotes: draw = "…"'),
        ("a = 1\nkey = abc-000001\n", 'write text in quotes: key = "…"'),
        ("image_size = ", None),
        ('image_size = "2K', None),
        ("[styles", None),
    ],
)
def test_text_without_quotes_has_a_hint(tmp_path: Path, text: str, hint: str | None) -> None:
    """With the setting's name, and never the value: it may be a key."""
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    faults: list[InputError] = []
    assert toml.read(path, path.name, faults) is None
    (fault,) = faults
    assert fault.message.startswith("is not valid TOML: ")
    assert fault.hint == hint
    assert "000001" not in f"{fault.message} {fault.hint}"
