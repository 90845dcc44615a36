"""The benches work; what they measure is theirs to judge."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent.parent / "bench" / "suite.py"
QUICK = ("quota", "raw", "pool", "start-up", "large")


@pytest.mark.slow
def test_the_suite_measures_in_its_short_form(tmp_path: Path) -> None:
    """Every scenario runs to its end and says what it found, in words and as JSON."""
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, SUITE, "--short", "--json", found, *QUICK],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(found.read_text())
    scenarios = {row["scenario"].replace(" ", "-") for row in rows}
    assert scenarios == set(QUICK)
    assert all(row["measured"] for row in rows)
    assert all(row["what"] in done.stdout for row in rows)
