"""The pages on faults, crash safety and choosing name tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
FAULTS = (DOCS / "faults.md").read_text(encoding="utf-8")
CRASHES = (DOCS / "crash-safety.md").read_text(encoding="utf-8")
CHOICES = (DOCS / "choosing.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(test_\w+)\.(test_\w+)`", FAULTS + CRASHES + CHOICES)))


@cache
def _tests_of(module: str) -> set[str]:
    tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_test_of_the_table_exists(module: str, name: str) -> None:
    """A promise whose test was renamed or deleted is noticed."""
    assert name in _tests_of(module)


def test_every_fault_of_the_disk_is_in_the_table() -> None:
    """What is tested of the disk can be looked up."""
    listed = {name for module, name in NAMES if module == "test_disk"}
    assert {name for name in _tests_of("test_disk") if name.startswith("test_")} == listed


def test_every_row_has_its_test() -> None:
    """No fault is promised that nothing tries."""
    rows = [line for line in FAULTS.splitlines() if line.startswith("|")]
    kinds = {line for line in rows if line.startswith(("|---", "| error"))}
    assert [line for line in rows if line not in kinds and not re.search(r"`test_", line)] == []
