"""The pages: their links lead somewhere, their commands exist, the site has each of them."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from imagegen.cli.app import app

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> Iterator[str]:
    """Yield the anchors of a page's headings, as GitHub and the site make them."""
    for heading in re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each `imagegen` command that a page shows in full."""
    text = page.read_text("utf-8")
    lines = [
        line for kind, block in _FENCE.findall(text) if kind == "sh" for line in block.splitlines()
    ]
    spans = re.findall(r"`([^`]+)`", _FENCE.sub("", text))
    for shown in [*lines, *spans]:
        if re.match(r"imagegen (?![A-Z])", shown) and "…" not in shown:
            yield shlex.split(shown, comments=True)[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    """Every link to a file or heading of the repository leads there."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        # The site has nothing else.
        assert page.parent == ROOT or target.is_relative_to(ROOT / "docs"), f"{page.name}: {link}"
        assert not anchor or anchor in set(_anchors(target)), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    """A command that a page shows is one that works as it is typed."""
    group: Any = typer.main.get_command(app.whole)
    for words in _commands(page):
        command = group
        for word in words:
            if word in getattr(command, "commands", {}):
                command = command.commands[word]
        assert command is not group or words[0].startswith("-"), f"{page.name}: {words}"
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        assert used - known - {"--help", "-h"} == set(), f"{page.name}: {words}"


def test_the_site_has_every_page() -> None:
    """A new page is in the site's navigation, and no page that is gone."""
    site = (ROOT / "zensical.toml").read_text("utf-8")
    named = set(re.findall(r'"([\w-]+\.md)"', str(tomllib.loads(site)).replace("'", '"')))
    assert named == {page.name for page in ROOT.glob("docs/*.md")}
