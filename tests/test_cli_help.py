"""Help texts, and what is said to wrong words: always what to type instead."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from types import ModuleType
from typing import Any

import pytest
import typer

from commands import Commands, pictures, row
from imagegen.cli.app import app
from imagegen.cli.usage import split_project

DOCS = Path(__file__).parents[1] / "docs"
WIDTHS = (60, 80, 120)


def _all(command: Any, *path: str) -> dict[tuple[str, ...], Any]:
    found = {path: command}
    for name, below in getattr(command, "commands", {}).items():
        found |= _all(below, *path, name)
    return found


COMMANDS = _all(typer.main.get_command(app.whole))


@pytest.fixture
def generator() -> ModuleType:
    """Return the script that writes docs/cli.md."""
    spec = importlib.util.spec_from_file_location("make_cli", DOCS / "make_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("columns", ["", "40", "80", "200"])
def test_the_page_of_commands_is_current(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """docs/cli.md is what its script writes, in a terminal of any width."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERMINAL_WIDTH", columns or "80")
    assert generator.page() == (DOCS / "cli.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_terminal_shows(commands: Commands) -> None:
    """The real command says the same at 80 columns, by -h and by --help."""
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for flag in ("-h", "--help"):
        done = commands.run("run", flag, env={"COLUMNS": "80"})
        assert done.code == 0
        assert f"## imagegen run\n\n```text\n{done.out}```\n" in page


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "imagegen")
@pytest.mark.parametrize("width", WIDTHS)
def test_help_fits_the_terminal(
    path: tuple[str, ...], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is broken by the terminal, none ends in dots, and no line is longer than 80."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = _help(path)
    for line in text.splitlines():
        assert len(line) <= min(width, 80) - 1 or "imagegen " in line, line
        assert not line.endswith("...") or line.startswith("Usage:")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "imagegen")
def test_help_documents_everything(path: tuple[str, ...]) -> None:
    """Each command says what it does and shows an example; each option has words."""
    command = COMMANDS[path]
    assert command.help
    assert "Examples:" in _help(path)
    for param in command.params:
        assert param.help, param.name


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "imagegen")
def test_examples_are_commands_that_exist(path: tuple[str, ...]) -> None:
    """What help texts teach can be typed."""
    examples = re.findall(r"^  (?:.*\| *)?imagegen (.+?)(?:  .*)?$", _examples(path), re.MULTILINE)
    assert examples
    for line in examples:
        words = line.split()
        below: tuple[str, ...] = ()
        while words and (*below, words[0]) in COMMANDS:
            below = (*below, words.pop(0))
        known = {name for param in COMMANDS[below].params for name in param.opts} | {"-h"}
        assert below, line
        assert {word for word in words if word.startswith("-")} <= known, line


def _help(path: tuple[str, ...]) -> str:
    ctx = typer.Context(COMMANDS[()], info_name="imagegen", **COMMANDS[()].context_settings)
    for end in range(1, len(path) + 1):
        ctx = typer.Context(COMMANDS[path[:end]], info_name=path[end - 1], parent=ctx)
    return str(COMMANDS[path].get_help(ctx))


def _examples(path: tuple[str, ...]) -> str:
    return _help(path).partition("Examples:\n")[2]


def test_exit_codes_are_where_they_are_needed() -> None:
    """Commands that scripts call say what their codes mean."""
    for name in ("run", "resume", "status"):
        assert re.search(
            r"^Exit codes:\n  0 .*\n  1 .*\n  2 .*\n  3 ", _help((name,)), re.MULTILINE
        )


@pytest.mark.parametrize("path", [(), ("run",), ("keys",), ("keys", "add")], ids=" ".join)
def test_help_is_a_command_too(commands: Commands, path: tuple[str, ...]) -> None:
    """`imagegen help COMMAND` prints what `imagegen COMMAND -h` prints."""
    done = commands.run("help", *path)
    assert (done.code, done.out) == (0, commands.run(*path, "-h").out)
    assert done.out.startswith((COMMANDS[path].help or "").split()[0])


def test_help_suggests_the_nearest_command(commands: Commands) -> None:
    """An unknown command is a usage error, as without `help`."""
    done = commands.run("help", "runn")
    assert (done.code, done.err) == (2, commands.run("runn").err)
    assert 'did you mean "run"' in done.err


def test_version_is_a_command_too(commands: Commands) -> None:
    """`imagegen version` prints what `imagegen --version` prints."""
    done = commands.run("version")
    assert (done.code, done.out) == (0, commands.run("--version").out)


def test_help_without_a_command(commands: Commands) -> None:
    """`imagegen` alone is wrong usage, and shows what can be typed."""
    done = commands.run()
    assert done.code == 2
    assert "imagegen init my-video" in done.err
    assert not done.out


WRONG = [
    (["runn"], 'did you mean "run"'),
    (["zzz"], "imagegen -h lists the commands"),
    (["run", "--stlye", "clear"], 'did you mean "--style"'),
    (["--style", "clear", "run"], "imagegen run --style"),
    (["status", "--style", "clear"], "an option of run"),
    (["run", "--progress", "liv"], 'did you mean "live"'),
    (["run", "--progress", "x"], "auto, live, plain, json, none"),
    (["run", "my-video", "--provider", "gemni"], 'did you mean "gemini"'),
    (["run", "my-video", "--style", "claer"], 'did you mean "clear"'),
    (["run", "my-video", "--beat", "1.11"], 'did you mean "1.1"'),
    (["run", "my-video", "--shot", "9"], "there are: 1"),
    (["run", "my-video", "--max-time", "25 min"], "write --max-time 25m"),
    (["run", "my-video", "--max-time", "1 hour 30 minutes"], "write --max-time 1h30m"),
    (["run", "my-video", "--max-time", "25", "min"], "--max-time 25m"),
    (["run", "--max-time", "25", "min"], "--max-time 25m"),
    (["run", "my-video", "--max-time", "soon"], "25m, 90s or 1h30m"),
    (["run", "my-video", "--max-cost", "-1"], "for example: --max-cost 20"),
    (["run", "my-video", "--max-cost", "nan"], "for example: --max-cost 20"),
    (["run", "my-video", "--limit", "x"], "whole number of 0 or more"),
    (["run", "my-video", "--limit", "-1"], "whole number of 0 or more"),
    (["run", "my-video", "--sample", "0"], "whole number of 1 or more"),
    (["run", "my-video", "--limit"], "imagegen run -h"),
    (["run", "my-video", "--force=yes"], "--force takes no value"),
    (["run", "my-vidoe"], 'did you mean "my-video"'),
    (["run", "my-video/beats.json"], "the project's folder: my-video"),
    (["run", "my-video", "1.1"], "--beat 1.1"),
    (["run", "my-video", "other"], "project is"),
    (["run", ""], "use . for the current folder"),
    (["serve", "my-video", "--port", "abc"], "for example: --port 8765"),
    (["init", ""], "use . for the current folder"),
    (["check", "my-video", "--keys", ""], "--keys"),
    (["check", "my-video", "--keys", "my-video"], "is not a file"),
    (["check", "my-video", "--beats", ""], "--beats"),
]


@pytest.mark.parametrize(("words", "hint"), WRONG, ids=str)
def test_wrong_words_are_told_what_to_type(commands: Commands, words: list[str], hint: str) -> None:
    """Exit 2, nothing done, what is wrong on the first line and what to type on the next."""
    root = commands.project()
    before = sorted(commands.folder.rglob("*"))
    done = commands.run(*words)
    assert done.code == 2
    assert not done.out
    first, *rest = done.err.splitlines()
    assert first.startswith("imagegen: ")
    assert len(rest) == 1
    assert hint in done.err
    assert not pictures(root)
    assert [path for path in before if not path.exists()] == []
    assert not (commands.folder / "beats.json").exists()


def test_control_characters_in_wrong_words_are_shown_harmless(commands: Commands) -> None:
    """What was typed is repeated, but the terminal obeys none of it."""
    for words in (["\x1b[31m"], ["run", "--\x1b[31m"], ["run", "\x1b[31m"], ["run", "a", "\x1b"]):
        done = commands.run(*words)
        assert done.code == 2
        assert "\x1b" not in done.text


def test_a_fault_names_the_project_and_not_an_options_value(commands: Commands) -> None:
    """The command that a message suggests has the project's folder, wherever it was typed."""
    root = commands.project()
    (root / "beats.json").write_text("[{}]")
    for words in (["--provider", "sketch", "my-video"], ["my-video", "--provider", "sketch"]):
        done = commands.run("check", *words)
        assert done.code == 2
        assert re.search(r"imagegen check my-video( |$)", done.err, re.MULTILINE)
    # A folder of the same name as the value, as an older guess would have it.
    (root / "sketch").mkdir()
    done = Commands(root).run("check", "--provider", "sketch")
    assert done.code == 2
    assert "imagegen check sketch" not in done.err


def test_a_beat_in_the_place_of_the_project_is_not_taken_for_it(commands: Commands) -> None:
    """Inside a project with faults the suggested command has no folder."""
    inside = Commands(commands.project())
    (inside.folder / "beats.json").write_text("[{}]")
    done = inside.run("redraw", "1.1", "--provider", "sketch")
    assert done.code == 2
    assert re.search(r"imagegen check( |$)", done.err, re.MULTILINE)
    assert "check 1.1" not in done.err


class _WindowsPath(PureWindowsPath):
    """A path as Windows writes it, where nothing lies."""

    def is_dir(self) -> bool:
        """Tell that there is no such folder."""
        return False


def test_a_beat_in_the_place_of_the_project_keeps_its_slash(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no path, whatever the system writes between the names of folders."""
    monkeypatch.chdir(commands.project())
    path: Any = _WindowsPath("clear/7.3")
    assert split_project(path, ["7.4"]) == (Path(), ["clear/7.3", "7.4"])


def test_a_provider_misspelt_in_the_settings_names_the_file(commands: Commands) -> None:
    """The fault has its file and field, and the nearest name."""
    commands.project(settings='provider = "gemni"')
    done = commands.run("check", "my-video")
    assert done.code == 2
    assert "my-video/imagegen.toml" in done.err
    assert re.search(r'provider +unknown: "gemni"\n +did you mean "gemini"', done.err)
    assert commands.run("run", "my-video", "--provider", "sketch", "--dry-run").code == 0


@pytest.mark.parametrize("typed", ["my-video", "../{}/my-video", "."])
def test_a_faulty_file_is_named_so_that_it_can_be_opened(commands: Commands, typed: str) -> None:
    """Whichever file it is: by its path from the current folder, as the project's was typed."""
    root = commands.project(beats=[row(0, references=["gone.png"])])
    typed = typed.format(commands.folder.name)
    if typed == ".":
        commands.folder = root

    def named() -> set[str]:
        done = commands.run("check", typed)
        assert done.code == 2
        return set(re.findall(r"^(\S+): \d+ errors?", done.err, re.MULTILINE))

    def path(name: str) -> str:
        return str(Path(typed) / name)

    assert named() == {path("beats.json")}
    for name in ("overrides.toml", "keys.toml"):
        (root / name).write_text("odd = 1\n", encoding="utf-8")
    (root / "beats.json").write_text('[{"shot_number": 1}]', encoding="utf-8")
    assert named() == {path("beats.json"), path("overrides.toml"), path("keys.toml")}
    (root / "imagegen.toml").write_text("odd = 1\n", encoding="utf-8")
    assert path("imagegen.toml") in named()


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    """What paints, draws and sends is loaded by the commands that do so, when they do."""
    code = f"""
import json, sys
sys.argv = ["imagegen", *{words!r}]
from imagegen.cli import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    exit_code, modules = json.loads(done.stderr)
    assert exit_code == 0
    heavy = {"rich", "requests", "urllib3", "PIL", "pydantic", "sqlite3", "tomlkit", "pyjson5"}
    assert heavy.isdisjoint(modules)


def test_status_loads_nothing_that_only_drawing_needs(commands: Commands) -> None:
    """Where a project stands is told without HTTP, pictures, budgets, the engine or its views."""
    root = commands.project()
    code = f"""
import json, sys
sys.argv = ["imagegen", "status", {str(root)!r}]
from imagegen.cli import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    exit_code, modules = json.loads(done.stderr)
    assert exit_code == 0
    libraries = {"requests", "urllib3", "PIL", "sqlite3", "filelock", "pyjson5", "hashlib", "ssl"}
    engine = {f"imagegen.{name}" for name in ("generation.engine", "keys.pool", "display.live")}
    assert (libraries | engine).isdisjoint(modules)


def test_ctrl_c_ends_any_command_without_a_word(commands: Commands) -> None:
    """Whatever it was reading: exit 130, and nothing that a programmer would have to read."""
    root = commands.project()
    interrupted = """
        opened = os.open
        def opening(path, *args, **more):
            if str(path).endswith("beats.json"):
                raise KeyboardInterrupt
            return opened(path, *args, **more)
        os.open = opening
    """
    done = commands.run("status", root, before=interrupted)
    assert (done.code, done.text) == (130, "")
