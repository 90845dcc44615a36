"""docs/architecture.md names modules, folders and classes that exist."""

import re
from pathlib import Path
from typing import Any

import typer

from imagegen.cli.app import app

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))


def test_every_path_exists() -> None:
    """A module that was moved or renamed is noticed."""
    paths = [name for name in NAMES if re.fullmatch(r"[a-z_/]+(?:\.py|/)", name)]
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / "imagegen" / path).exists()] == []


def test_every_folder_is_in_the_table() -> None:
    """A new package gets its line."""
    package = ROOT / "imagegen"
    folders = {file.parent.relative_to(package) for file in package.glob("*/__init__.py")}
    listed = {Path(name) for name in re.findall(r"^\| `([a-z_/]+)/` \|", PAGE, re.MULTILINE)}
    assert folders - listed == set()


def test_every_class_exists() -> None:
    """A class that was renamed is noticed."""
    sources = [*(ROOT / "imagegen").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    defined = set(
        re.findall(r"^class (\w+)", "\n".join(map(Path.read_text, sources)), re.MULTILINE)
    )
    classes = {name for name in NAMES if re.fullmatch(r"(?:[A-Z][a-z]+)+", name)}
    assert len(classes) > 5
    assert classes - defined == set()


def test_every_command_is_in_the_table() -> None:
    """A new command gets its line."""
    listed = set(re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE))
    named = {name for cell in listed for name in re.findall(r"`([a-z]+)[a-z ]*`", cell)}
    group: Any = typer.main.get_command(app.whole)
    assert set(group.commands) - {"help", "version"} <= named
