"""Sketches stand in for images until another provider draws them."""

import json
from pathlib import Path
from typing import Any

import pytest

from commands import STYLES, Commands, pictures, row
from gemini_server import GeminiServer
from imagegen.images import png

ONE_STYLE = 'draw = ["clear"]\n'


def status(commands: Commands, root: Path) -> dict[str, Any]:
    """Return what `status --json` prints."""
    return dict(json.loads(commands.run("status", root, "--json").out))


def providers(root: Path) -> set[str]:
    """Return who drew the images of a project."""
    drawn = set()
    for path in pictures(root):
        with path.open("rb") as file:
            whole = png.read_info(file)
        assert whole is not None
        assert whole.provenance is not None
        drawn.add(whole.provenance.provider)
    return drawn


@pytest.mark.slow
def test_a_preview_is_drawn_over_by_the_next_run(commands: Commands, server: GeminiServer) -> None:
    """Preview by sketch, then `run`: every beat is sent once, nothing is asked or given twice."""
    root = commands.project(beats=3)
    assert commands.run("run", root, "--provider", "sketch").code == 0
    found = status(commands, root)
    counts = [found["styles"][style] for style in STYLES]
    assert [(c["complete"], c["pending"], c["outdated"], c["placeholder"]) for c in counts] == [
        (0, 3, 0, 3)
    ] * 3
    beat = counts[0]["beats"][0]
    assert (beat["status"], beat["placeholder"], bool(beat["imagePath"])) == ("pending", True, True)
    assert commands.run("status", root, "--check").code == 3
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    sent = [request.prompt for request in server.requests]
    assert len(sent) == len(set(sent)) == 9
    assert providers(root) == {"gemini"}
    assert len(list((root / "old_images").rglob("*.png"))) == 9
    found = status(commands, root)
    assert [found["styles"][style]["placeholder"] for style in STYLES] == [0, 0, 0]
    assert commands.run("undo", root).code == 0
    assert providers(root) == {"sketch"}


@pytest.mark.parametrize("command", [["run", "--provider", "sketch"], ["run"], ["choose", "--all"]])
def test_placeholders_move_with_their_beats(
    commands: Commands, server: GeminiServer, command: list[str]
) -> None:
    """After an insertion every command asks for `renumber`, which moves the placeholders too."""
    before, after = "abc", "abdc"
    root = commands.project(
        beats=[row(n, ai_prompt=f"prompt {words}") for n, words in enumerate(before)],
        settings=ONE_STYLE,
    )
    assert commands.run("run", root, "--provider", "sketch").code == 0
    rows = [row(n, ai_prompt=f"prompt {words}") for n, words in enumerate(after)]
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")
    name, *options = command
    arguments = (
        [*options, "clear"] if name == "choose" else [*options, "--base-url", server.address]
    )
    refused = commands.run(name, root, *arguments)
    assert refused.code == 2
    assert "renumber" in refused.err
    assert "1 image moved" in commands.run("renumber", root).out
    assert status(commands, root)["styles"]["clear"]["placeholder"] == 3
    assert commands.run("run", root, "--provider", "sketch").code == 0
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert len(server.requests) == 4
    assert providers(root) == {"gemini"}


def test_sketches_are_images_where_the_project_is_drawn_by_them(commands: Commands) -> None:
    """With `provider = "sketch"` a sketch is what was asked for."""
    root = commands.project(settings='provider = "sketch"\n' + ONE_STYLE)
    commands.run("run", root)
    found = status(commands, root)["styles"]["clear"]
    assert (found["complete"], found["pending"], found["placeholder"]) == (3, 0, 0)
    assert "3 exist" in commands.run("run", root, "--dry-run").out
    (root / "imagegen.toml").write_text(ONE_STYLE, encoding="utf-8")
    found = status(commands, root)["styles"]["clear"]
    assert (found["complete"], found["pending"], found["placeholder"]) == (0, 3, 3)


def test_the_choice_of_a_placeholder_is_flagged(commands: Commands, server: GeminiServer) -> None:
    """It wants another look: `choose` says so, and `status` until the beat is drawn."""
    root = commands.project(settings=ONE_STYLE)
    commands.run("run", root, "--provider", "sketch")
    done = commands.run("choose", root, "1.1", "clear")
    assert "1.1 is a placeholder and flagged: choose again after drawing" in done.out
    assert json.loads((root / "image_selections.json").read_text())["1.1"]["isFlagged"]
    assert (root / "selected_images/Beat_1.1_flagged.png").is_file()
    assert status(commands, root)["placeholders_chosen"] == ["1.1"]
    commands.run("run", root, "--base-url", server.address)
    found = status(commands, root)
    assert found["placeholders_chosen"] == []
    assert found["redrawn_since_chosen"] == ["1.1"]
    assert "flagged" not in commands.run("choose", root, "1.1", "clear").out


def test_a_placeholder_is_skipped_accepted_or_continued_by_nothing(
    commands: Commands, server: GeminiServer
) -> None:
    """A beat may do without its image, or keep the sketch; none is drawn from a sketch."""
    root = commands.project(settings=ONE_STYLE + "continuity = true\n")
    commands.run("run", root, "--provider", "sketch")
    done = commands.run("run", root, "--beat", "1.2", "--base-url", server.address)
    assert server.requests == []
    assert "waits for 1.1" in done.text
    assert commands.run("skip", root, "clear/1.3").code == 0
    assert "a sketch" in commands.run("accept", root, "clear/1.1").out
    found = status(commands, root)["styles"]["clear"]
    assert (found["complete"], found["pending"], found["waived"]) == (1, 1, 1)
    commands.run("run", root, "--base-url", server.address)
    assert len(server.requests) == 1


def test_sketches_count_as_images_in_status(commands: Commands) -> None:
    """The run, `status` and the next step agree on what there is, and on what it is."""
    root = commands.project(settings=ONE_STYLE)
    drawn = commands.run("run", root, "--provider", "sketch")
    assert "3 of 3 images done." in drawn.out
    assert "They are placeholders: imagegen run" in drawn.out
    shown = commands.run("status", root).out
    assert "3/3 images, all placeholders" in shown
    assert "100 %" in shown
    assert "3 placeholders; the next run replaces them: 1.1, 1.2, 1.3" in shown
    (root / "imagegen.toml").write_text('provider = "sketch"\n' + ONE_STYLE, encoding="utf-8")
    assert "placeholder" not in commands.run("run", root, "--provider", "sketch").out
    assert "placeholder" not in commands.run("status", root).out


def test_how_a_table_is_read_is_a_note_of_the_first_run(commands: Commands) -> None:
    """`check` always shows it; it is no warning."""
    root = commands.project(settings='provider = "sketch"\n' + ONE_STYLE)
    (root / "beats.json").unlink()
    table = "Shot;Nr;Text;Prompt\n1;1.1;a;A boat\n;1.2;b;A gull\n"
    (root / "beats.csv").write_text(table, encoding="utf-8")
    first = commands.run("run", root)
    assert first.code == 0, first.text
    assert "note: beats.csv: the shot of line 3 is that of the row above" in first.text
    assert "warning" not in first.text
    assert "note:" not in commands.run("run", root, "--force").text
    checked = commands.run("check", root).out
    assert "2 beats in 1 shot, in 1 style: 2 images, no errors in beats.csv." in checked
    assert "note: beats.csv: the shot of line 3" in checked


def test_choices_of_another_storyboard_are_warned_of(commands: Commands) -> None:
    """The last run read --beats; `choose` reads the project's own, and says so."""
    root = commands.project(settings='provider = "sketch"\n' + ONE_STYLE)
    (root / "other.json").write_text(
        json.dumps([row(0, ai_prompt="Another boat")]), encoding="utf-8"
    )
    assert commands.run("run", root, "--beats", root / "other.json").code == 0
    warned = commands.run("choose", root, "--list").err
    assert "the last run read other.json, and this command reads beats.json" in warned
    assert (
        "warning" not in commands.run("choose", root, "--list", "--beats", root / "other.json").err
    )
