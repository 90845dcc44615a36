"""The checks, each in an environment of its own.

`nox` runs all of them, the tests on every supported Python that is installed. `nox -l` lists them,
and `nox -s tests-3.12 -- -k sketch` runs one; what follows `--` goes to pytest.
"""

from pathlib import Path
from typing import Final

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
# Skip a Python that is not installed, even if CI is set.
nox.options.error_on_missing_interpreters = False

PYTHONS: Final = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))
PYTEST: Final = ("python", "-m", "pytest", "-n", "auto", "--dist", "loadgroup")
GENERATED: Final = {
    "make_cli.py": "cli.md",
    "make_models.py": "models.md",
    "make_schema.py": "events.schema.json",
}
"""The scripts of docs/ that take seconds, and the page that each writes."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run all tests with the newest dependencies."""
    session.install("--editable", ".[test]")
    session.run(*PYTEST, *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the fast tests with the lowest version of each dependency that pyproject.toml allows."""
    session.install("--resolution", "lowest-direct", "--editable", ".[test]")
    session.run(*PYTEST, "-m", "not slow", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the pre-commit hooks: style, formatting, direction of imports, GitHub's YAML files."""
    session.install("--editable", ".[dev]")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    session.install("--editable", ".[dev]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated pages again, fail if one changes, and build the site into site/."""
    session.install("--editable", ".[docs]")
    for script, name in GENERATED.items():
        page = Path("docs", name)
        before = page.read_bytes()
        session.run("python", f"docs/{script}")
        if page.read_bytes() != before:
            session.error(f"{page} was out of date: commit the new one")
    session.run("zensical", "build", "--clean", "--strict")
