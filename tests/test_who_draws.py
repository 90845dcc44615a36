"""One rule says who draws: an option, else imagegen.toml, else Gemini. Nothing else does."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, row
from gemini_server import GeminiServer

ONE_STYLE = 'draw = ["clear"]\n'


def status(commands: Commands, root: Path) -> dict[str, Any]:
    """Return what `status --json` prints."""
    return dict(json.loads(commands.run("status", root, "--json").out))


def test_a_run_by_option_is_judged_as_the_next_run_would_judge_it(
    commands: Commands, server: GeminiServer
) -> None:
    """`status` and `run` agree on what is outdated, and how to keep the option is said."""
    root = commands.project(settings=ONE_STYLE)
    model = ("--model", "gemini-3-pro-image")
    assert commands.run("run", root, *model, "--base-url", server.address).code == 0
    found = status(commands, root)
    assert (found["provider"], found["styles"]["clear"]["outdated"]) == ("gemini", 3)
    assert "3 images are outdated" in commands.run("run", root, "--dry-run").out
    assert 'Keep it in imagegen.toml: model = "gemini-3-pro-image"' in " ".join(
        commands.run("status", root).out.split()
    )
    (root / "imagegen.toml").write_text(ONE_STYLE + f'model = "{model[1]}"\n')
    assert status(commands, root)["styles"]["clear"]["outdated"] == 0


@pytest.mark.parametrize("options", [(), ("--limit", "0"), ("--provider", "sketch")])
def test_a_run_that_draws_nothing_changes_nothing(
    commands: Commands, server: GeminiServer, options: tuple[str, ...]
) -> None:
    """The run before it is the last one still, to be carried on."""
    root = commands.project(settings=ONE_STYLE)
    address = ("--base-url", server.address)
    commands.run("run", root, "--limit", "3", "--fail-fast", *address)
    before = (root / ".imagegen/run.json").read_bytes()
    done = commands.run("run", root, *options, *address[: 0 if "sketch" in options else 2])
    assert done.code == 0, done.text
    assert (root / ".imagegen/run.json").read_bytes() == before
    assert len(server.requests) == 3


def test_without_a_key_the_command_that_was_typed_draws_sketches(commands: Commands) -> None:
    """The hint can be typed as it stands, whatever options were given; `keys add` is beside it."""
    root = commands.project(keys={})
    typed = (
        "--style",
        "clear",
        "--model=gemini-3-pro-image",
        "--keys",
        str(root / "keys.toml"),
        "--max-cost",
        "2",
    )
    done = commands.run("run", root, *typed)
    assert done.code == 2
    told = " ".join(done.err.split())
    hint = f"imagegen run {root} --style clear --max-cost 2 --provider sketch"
    assert "imagegen keys add default" in told
    assert hint in told
    assert commands.run(*hint.split()[1:]).code == 0


def test_a_yes_is_no_part_of_a_record(commands: Commands, server: GeminiServer) -> None:
    """A project that ships a record cannot have all its images drawn again unasked."""
    root = commands.project(beats=12, settings=ONE_STYLE)
    address = ("--base-url", server.address)
    assert commands.run("run", root, *address).code == 0
    place = root / ".imagegen/run.json"
    shipped = json.loads(place.read_bytes())
    shipped |= {"asked": {"force": True, "sure": True}, "lineage": "x", "ended": None}
    place.write_text(json.dumps(shipped | {"exit_code": None}), encoding="utf-8")
    done = commands.run("resume", root, *address)
    assert done.code == 2, done.text
    assert "add --yes" in done.err
    assert len(server.requests) == 12
    assert commands.run("resume", root, "--yes", *address).code == 0
    assert len(server.requests) == 24


def test_a_dry_run_without_a_key_says_time_and_cost(commands: Commands) -> None:
    """What a run would take is known before anybody has a key."""
    root = commands.project(beats=45, keys={}, per_minute=9, settings=ONE_STYLE)
    told = commands.run("run", root, "--dry-run").out
    assert "45 requests · about $" in told
    assert "no key yet; with 2 keys of 9 a minute: at least 2:" in told
    assert "at the keys' limits" not in told


def test_a_dry_run_of_what_is_drawn_knows_its_characters(commands: Commands) -> None:
    """That no beat which would be drawn names a character does not say that none does."""
    settings = (
        ONE_STYLE
        + 'provider = "sketch"\nimage_size = "512"\n[characters.mara]\nabout = "A keeper."\n'
    )
    rows = [row(0, ai_prompt="Mara waits."), row(1, ai_prompt="The sea.")]
    root = commands.project(beats=rows, settings=settings)
    commands.run("run", root)
    told = commands.run("run", root, "--dry-run").out
    assert "no beat names it" not in told
    assert "in 1 beat, none of which would be drawn" in told
