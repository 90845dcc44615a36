"""A run that is killed at any moment loses nothing, and the next one carries on.

The long form is `python bench/kill.py`.
"""

import secrets
import sys
from pathlib import Path

import pytest

import evidence
from broken import BREAKS, folder
from killing import KINDS, Killing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9"),
]

PATIENT = 20.0
"""A machine that is busy with other tests may take seconds to save a picture."""


@pytest.mark.parametrize("kind", KINDS)
def test_killed_runs_lose_nothing(tmp_path: Path, kind: str) -> None:
    """Through several kills no picture is lost, torn or drawn twice, and all are there."""
    seed = secrets.randbelow(10**6)
    with Killing(tmp_path, seed=seed, beats=10, settle=PATIENT) as killing:
        killing.storyboard(kind, kills=2 if kind == "tight" else 3)
    assert not killing.report.faults, (seed, killing.report)
    assert killing.report.done["storyboards"] or kind == "tight"


@pytest.mark.parametrize(
    ("name", "kind", "promise"),
    [
        ("rename first", "plain", evidence.TORN),
        ("old ones not kept", "force", evidence.OLD_LOST),
    ],
)
def test_broken_promises_are_noticed(tmp_path: Path, name: str, kind: str, promise: str) -> None:
    """A product that keeps a promise less does not get through."""
    harm = folder(tmp_path / "broken", name)
    with Killing(tmp_path, seed=1, beats=5, settle=PATIENT, broken=harm) as killing:
        killing.storyboard(kind, kills=1)
    assert killing.report.faults[promise], killing.report


def test_every_break_is_python(tmp_path: Path) -> None:
    """The other ways to break the product, which the bench tries, can at least be run."""
    for name in BREAKS:
        code = (folder(tmp_path / name, name) / "sitecustomize.py").read_text(encoding="utf-8")
        compile(code, name, "exec")
