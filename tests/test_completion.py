"""Completion: what the Tab key offers, by the protocol that the shells' scripts speak."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import Commands, Done, row
from imagegen.providers import NAMES, catalogue

SHELLS = ("bash", "zsh", "fish")


class Tab:
    """Presses Tab in a project, in one shell or another."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands

    def press(self, *words: str, shell: str = "bash") -> Done:
        """Return what a shell is told where the last word is being typed."""
        line = " ".join(["imagegen", *words])
        env = {"_IMAGEGEN_COMPLETE": f"complete_{shell}"}
        if shell == "bash":
            env |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        else:
            env |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        return self.commands.run(env=env)

    def __call__(self, *words: str) -> list[str]:
        """Return what bash is offered; nothing else may be printed."""
        done = self.press(*words)
        assert (done.code, done.err) == (0, "")
        return done.out.split()


@pytest.fixture
def tab(commands: Commands) -> Tab:
    """Return what presses Tab."""
    return Tab(commands)


def test_commands_and_options_are_offered(tab: Tab) -> None:
    """In the order of the help."""
    assert tab("")[:2] == ["init", "check"]
    assert tab("res") == ["resume"]
    assert tab("run", "--max") == ["--max-time", "--max-cost"]


def test_projects_are_offered_for_project(tab: Tab) -> None:
    """Of the folders there are, those that are projects; below a folder, with its name."""
    folder = tab.commands.folder
    tab.commands.project("my-video")
    tab.commands.project("other")
    (folder / "holiday").mkdir()
    (folder / "films").mkdir()
    tab.commands.project("films/noir")
    assert tab("run", "") == ["my-video", "other"]
    assert tab("status", "my") == ["my-video"]
    assert tab("check", "films/n") == ["films/noir"]
    assert tab("check", "nowhere/n") == []


def test_styles_are_the_projects(tab: Tab) -> None:
    """Its own and the built-in ones, as it draws them, without those already named."""
    tab.commands.project(settings='draw = ["clear", "noir"]\n[styles.noir]\nlook = "x"')
    assert tab("run", "my-video", "--style", "") == ["clear", "noir"]
    assert tab("run", "my-video", "--style", "n") == ["noir"]
    assert tab("run", "my-video", "--style", "clear", "--style", "") == ["noir"]


def test_shots_and_beats_are_the_projects(tab: Tab) -> None:
    """Beats by their number; with their style once that is begun; narrowed by --style."""
    only_clear = {"ai_prompt": None, "ai_prompts": {"clear": "x"}}
    rows = [row(0), row(1), {k: v for k, v in row(5, **only_clear).items() if v is not None}]
    tab.commands.project(beats=rows)
    assert tab("run", "my-video", "--shot", "") == ["1", "2"]
    assert tab("run", "my-video", "--beat", "") == ["1.1", "1.2", "2.1"]
    assert tab("run", "my-video", "--beat", "1") == ["1.1", "1.2"]
    assert tab("run", "my-video", "--beat", "clear/1") == ["clear/1.1", "clear/1.2"]
    assert tab("run", "my-video", "--style", "illustration", "--beat", "2") == []
    assert tab("check", "my-video", "--show", "cl")[-1] == "clear/2.1"


def test_a_picture_of_ones_own_is_the_shells_to_complete(tab: Tab) -> None:
    """Behind the beat nothing is offered, and shells then offer files."""
    tab.commands.project()
    assert tab("use", "my-video", "clear/1") == ["clear/1.1", "clear/1.2", "clear/1.3"]
    assert tab("use", "my-video", "clear/1.1", "") == []
    assert "consistent" not in tab("choose", "my-video", "")
    assert "consistent" in tab("choose", "my-video", "1.1", "")
    assert tab("use", "my-video", "clear/1.1", "1") == []


def test_a_number_of_several_shots_is_offered_with_its_shot(tab: Tab) -> None:
    """What is offered is what the command accepts."""
    tab.commands.project(beats=[row(0, beat_number="1"), row(5, beat_number="1")])
    assert tab("run", "my-video", "--beat", "") == ["1/1", "2/1"]
    for address in tab("check", "my-video", "--show", "clear/"):
        assert tab.commands.run("check", "my-video", "--show", address).code == 0


def test_the_current_folder_is_the_project_where_none_is_named(commands: Commands) -> None:
    """As for every command."""
    commands.project()
    inside = Commands(commands.folder / "my-video")
    assert Tab(inside)("run", "--beat", "1.1") == ["1.1"]


def test_another_beats_file_is_read_where_it_is_named(tab: Tab) -> None:
    """--beats decides for completion too."""
    tab.commands.project()
    other = tab.commands.folder / "other.json"
    other.write_text(json.dumps([row(40)]))
    assert tab("run", "my-video", "--beats", "other.json", "--beat", "") == ["9.1"]


def test_known_names_are_offered(tab: Tab) -> None:
    """Providers, models of the provider that would draw, and views."""
    tab.commands.project(settings='provider = "sketch"')
    assert tab("run", "my-video", "--provider", "") == list(NAMES)
    assert tab("run", "my-video", "--model", "") == ["sketch"]
    assert tab("run", "--provider", "gemini", "--model", "gemini-3-") == ["gemini-3-pro-image"]
    assert tab("run", "--provider", "gemini", "--model", "")[0] == "gemini-nano-banana-2.1"
    assert tab("resume", "--progress", "") == ["auto", "live", "plain", "json", "none"]


@pytest.mark.parametrize("name", NAMES)
def test_models_that_are_offered_have_a_price(name: str) -> None:
    """The list is the providers' own."""
    for model in catalogue(name).offered:
        assert catalogue(name).find(model).price("1K") is not None


@pytest.mark.parametrize("shell", SHELLS)
def test_faulty_projects_are_passed_over_in_silence(tab: Tab, shell: str) -> None:
    """Whoever presses Tab is in the middle of a line: no fault is told there."""
    faulty = {
        "torn": ("beats.json", '[{"shot_number": 1'),
        "wrong": ("beats.json", "[{}]"),
        "nested": ("beats.json", "[" * 100_000),
        "settings": ("imagegen.toml", "provider = "),
        "outside": ("imagegen.toml", 'beats = "../../secret.json"'),
        "binary": ("beats.json", "\x00\xff"),
    }
    for name, (file, text) in faulty.items():
        root = tab.commands.project(name)
        (root / file).write_text(text)
        done = tab.press("run", name, "--beat", "", shell=shell)
        assert done.err == ""
        assert done.out.strip() in {"", "_files"}


@pytest.mark.parametrize("shell", SHELLS)
def test_hostile_names_are_not_offered(tab: Tab, shell: str) -> None:
    """Some shells evaluate what they are offered: only words that need no quotes get there."""
    numbers = ["1.1", "a b", "-rf", "1.2"]
    tab.commands.project("fine", beats=[row(0, beat_number=number) for number in numbers])
    for name in ("$(touch hacked)", "`x`", "a;b", "a\nb", "a'b", "\x1b[31m", "*", "-x"):
        tab.commands.project(name)
    found = tab.press("run", "fine", "--beat", "", shell=shell)
    assert "1.1" in found.out
    assert "1.2" in found.out
    assert not {"a b", "-rf"} & set(found.out.replace('"', "\n").split("\n"))
    offered = tab.press("run", "", shell=shell)
    assert offered.out.split("((")[-1].strip("()'\" \n") == "fine"


def test_completion_writes_nothing(tab: Tab) -> None:
    """Neither in the project nor in the user's folders."""
    root = tab.commands.project(settings='provider = "sketch"')

    def files() -> list[tuple[Path, int]]:
        found = tab.commands.folder.rglob("*")
        return sorted((path, path.stat().st_mtime_ns) for path in found)

    before = files()
    for words in (["--beat", ""], ["--style", ""], ["--model", ""], ["--shot", ""]):
        tab("run", root.name, *words)
    assert files() == before


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_is_printed(commands: Commands, shell: str) -> None:
    """It calls the command back by the variable that these tests set."""
    done = commands.run(env={"_IMAGEGEN_COMPLETE": f"source_{shell}"})
    assert done.code == 0
    assert f"_IMAGEGEN_COMPLETE=complete_{shell}" in done.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself_completes(commands: Commands) -> None:
    """The script, in the real shell, leads to the project's beats."""
    commands.project()
    (commands.folder / "imagegen").write_text(f'#!/bin/sh\nexec {sys.executable} -m imagegen "$@"')
    (commands.folder / "imagegen").chmod(0o755)
    script = """eval "$(_IMAGEGEN_COMPLETE=source_bash ./imagegen)"
COMP_WORDS=(imagegen run my-video --beat clear/1.1); COMP_CWORD=4
_imagegen_completion ./imagegen
printf '<%s>' "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=commands.folder,
        env=commands.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "<clear/1.1>"


def test_completion_loads_nothing_heavy(commands: Commands) -> None:
    """Every Tab starts the program anew: what draws and what paints stays out of it."""
    commands.project()
    code = """
import sys
from imagegen.cli import main
try:
    main()
finally:
    print([name for name in ("rich", "requests", "PIL") if name in sys.modules], file=sys.stderr)
"""
    env = {"_IMAGEGEN_COMPLETE": "complete_bash", "COMP_CWORD": "4"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=commands.folder,
        env=commands.env | env | {"COMP_WORDS": "imagegen run my-video --beat 1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"
    assert "1.1" in done.stdout
