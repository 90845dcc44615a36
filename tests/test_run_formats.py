"""Every shape of project draws, without a key, on the sketch provider."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from commands import Commands, pictures

FORMATS = Path(__file__).parent / "formats"
EXAMPLES = Path(__file__).parent.parent / "examples"
README = Path(__file__).parent.parent / "README.md"


def small(root: Path) -> None:
    """Let a project's sketches be small, which are drawn sooner."""
    (root / "imagegen.toml").write_text('image_size = "512"\n')


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a-beats-list", 12),
        ("b-prompts-json", 9),
        ("c-prompts-js", 7),
        ("d-storyboards", 4),
        ("e-older-tool", 6),
        ("f-beats-csv", 6),
    ],
)
def test_draws_every_shape_of_project(commands: Commands, name: str, count: int) -> None:
    """A project as an upstream tool writes it is drawn as it is."""
    root = commands.folder / name
    shutil.copytree(FORMATS / name, root)
    small(root)
    done = commands.run("run", root, "--provider", "sketch")
    assert done.code == 0, done.text
    assert len(pictures(root)) == count
    for path in pictures(root):
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width * 9 == image.height * 16


def test_file_names_bear_the_number_alone(commands: Commands) -> None:
    """`Beat 1` is drawn as Beat_1.png, and is written in the progress file as it was."""
    root = commands.folder / "project"
    shutil.copytree(FORMATS / "b-prompts-json", root)
    small(root)
    commands.run("run", root, "--provider", "sketch")
    assert (root / "generated_images/clear/Shot_1/Beat_1.png").is_file()
    assert '"Beat 1"' in (root / "image_progress_clear.json").read_text()


def test_csv_keeps_a_last_zero(commands: Commands) -> None:
    """1.10 in a table is Beat_1.10.png and not Beat_1.1.png."""
    root = commands.folder / "project"
    shutil.copytree(FORMATS / "f-beats-csv", root)
    small(root)
    commands.run("run", root, "--provider", "sketch")
    names = sorted(path.name for path in (root / "generated_images/clear/Shot_1").iterdir())
    assert names == ["Beat_1.1.png", "Beat_1.10.png"]


def test_says_which_file_is_used(commands: Commands) -> None:
    """Beside prompts/, a beats.json without prompts is passed over with a remark."""
    root = commands.folder / "project"
    shutil.copytree(FORMATS / "e-older-tool", root)
    done = commands.run("check", root)
    assert done.code == 0
    assert "prompts/" in done.text
    assert "beats.json" in done.text


def test_says_what_is_passed_over(commands: Commands) -> None:
    """Each place behind the one that is used is told once, unless it was named."""
    root = commands.project()
    assert "not used" not in commands.run("check", root).text
    shutil.copy(FORMATS / "f-beats-csv" / "beats.csv", root)
    text = commands.run("check", root).text
    assert text.count("beats.json is used, not beats.csv") == 1
    assert "not used" not in text
    shutil.copytree(FORMATS / "b-prompts-json" / "prompts", root / "prompts")
    shutil.copy(root / "beats.json", root / "storyboards.json")
    (root / "storyboards").mkdir()
    (root / "storyboards.json").rename(root / "storyboards" / "clear.json")
    text = commands.run("check", root).text
    assert text.count("beats.json is used, not prompts/") == 1
    assert text.count("note: storyboards/ is not used: beats.json comes before it") == 1
    (root / "beats (1).json").write_text("[]")
    (root / "beats.old.json").write_text("[]")
    text = commands.run("check", root).text
    assert "note: storyboards/ and beats (1).json are not used: beats.json comes" in text
    assert "not used" not in commands.run("check", root, "--beats", root / "beats.json").text
    (root / "imagegen.toml").write_text('beats = "beats.csv"')
    assert "not used" not in commands.run("check", root).text


@pytest.mark.slow
def test_draws_the_example(commands: Commands) -> None:
    """The example of the README draws 45 pictures."""
    root = commands.folder / "lighthouse"
    drawn = shutil.ignore_patterns("generated_images", "image_progress_*", ".imagegen")
    shutil.copytree(EXAMPLES / "lighthouse", root, ignore=drawn)
    done = commands.run("run", root)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 45


@pytest.mark.slow
def test_the_readmes_first_project_tells_its_whole_cost(commands: Commands) -> None:
    """Beats that have a frame of the sketch provider are to be paid for as all others."""
    text = " ".join(README.read_text(encoding="utf-8").split())
    steps = [shlex.split(line) for line in re.findall(r"`imagegen (run my-video[^`]*)`", text)]
    frames = next(words for words in steps if "sketch" in words)
    estimate = next(words for words in steps if "--dry-run" in words)
    commands.project(beats=12)
    assert commands.run(*frames).code == 0
    assert "36 requests" in commands.run(*estimate).out


@pytest.mark.slow
def test_a_style_that_may_be_misspelt_is_told(commands: Commands) -> None:
    """It would be drawn besides the others; one that `draw` names is meant."""
    root = commands.project(beats=1)
    toml = root / "imagegen.toml"
    toml.write_text('[styles.claer]\nlook = "Flat shapes."\n[styles.noir]\nlook = "Ink."\n')
    note = 'imagegen.toml: [styles.claer] adds a style: did you mean "clear"?'
    checked = commands.run("check", root)
    assert checked.text.count("adds a style") == checked.text.count(note) == 1
    assert note in commands.run("run", root, "--provider", "sketch").text
    toml.write_text(f'draw = ["clear", "claer"]\n{toml.read_text()}')
    assert "adds a style" not in commands.run("check", root).text
