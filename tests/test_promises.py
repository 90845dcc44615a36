"""What SECURITY.md promises, each by a test that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NAME = re.compile(r"`(?:(?P<file>\w+\.py))?(?:::(?P<test>\w+))?`")


def named(page: str) -> list[tuple[str, str]]:
    """Return the tests that a page names, by file; one without a file is of the file before."""
    found, file = [], ""
    for match in _NAME.finditer(page):
        file = match["file"] or file
        if match["test"]:
            found.append((file, match["test"]))
        elif match["file"]:
            found.append((file, ""))
    return found


def test_every_test_that_is_named_is_there() -> None:
    """A promise whose test was renamed or removed would stand alone."""
    tests = named((ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(tests) > 50
    for file, test in tests:
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{file}::{test}"


def test_every_promise_names_a_test() -> None:
    """Each point of the page, from what is promised on."""
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = re.split(r"\n(?=- |\n)", page[page.index("\n## Keys") :])
    points = [promise for promise in promises if promise.startswith("- ")]
    assert len(points) > 20
    assert not [point for point in points if not named(point)]
