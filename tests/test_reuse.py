"""An image that was drawn before from the same inputs is taken again, and nothing is sent."""

import json
from collections.abc import Sequence

import pytest

from commands import Commands, picture, row
from gemini_server import GeminiServer

ONE_STYLE = 'draw = ["clear"]\n'


class Video:
    """A project whose storyboard a test edits; it counts what the server is asked."""

    def __init__(self, commands: Commands, server: GeminiServer, settings: str = "") -> None:
        self.root = commands.project(settings=ONE_STYLE + settings)
        self._commands = commands
        self._server = server
        self._seen = 0

    def write(self, words: Sequence[str]) -> None:
        """Put beats with these words into the storyboard."""
        rows = [row(n, ai_prompt=one) for n, one in enumerate(words)]
        (self.root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")

    def sent(self, name: str, *options: str) -> int:
        """Run a command that draws, and return how many requests it has sent."""
        address = ("--base-url", self._server.address)
        done = self._commands.run(name, self.root, *options, *address)
        assert done.code == 0, done.text
        self.told = done.text
        before, self._seen = self._seen, len(self._server.requests)
        return self._seen - before

    def at(self, number: int) -> bytes:
        """Return the image of `row(number)`."""
        return picture(self.root, "clear", number).read_bytes()


def pixels(data: bytes) -> bytes:
    """Return the pixels of an image as they came."""
    return data[data.index(b"IDAT") :]


@pytest.mark.slow
def test_words_that_are_back_bring_their_image_back(
    commands: Commands, server: GeminiServer
) -> None:
    """A→B→A: the first A is kept in old_images/, and taken from there."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    assert video.sent("run") == 3
    first = video.at(0)
    video.write(["other", "b", "c"])
    assert video.sent("run", "--outdated") == 1
    video.write(["a", "b", "c"])
    dry = commands.run("run", video.root, "--outdated", "--dry-run").out
    assert "1 reused at no cost: drawn before from the same inputs" in dry
    assert video.sent("run", "--outdated") == 0
    assert "1 reused at no cost: drawn before from the same inputs" in video.told
    assert pixels(video.at(0)) == pixels(first)
    assert commands.run("status", video.root, "--check").code == 0
    assert "outdated" not in commands.run("status", video.root).out
    video.write(["other", "b", "c"])
    assert video.sent("run", "--outdated") == 0
    assert commands.run("undo", video.root).code == 0
    assert pixels(video.at(0)) == pixels(first)


@pytest.mark.slow
def test_an_insert_that_is_undone_and_done_again_costs_nothing(
    commands: Commands, server: GeminiServer
) -> None:
    """The image of a beat that left the storyboard is there when the beat is back."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    assert video.sent("run") == 3
    for sent in (1, 0):
        video.write(["a", "new", "b", "c"])
        assert video.sent("run", "--renumber") == sent
        video.write(["a", "b", "c"])
        assert video.sent("run", "--renumber") == 0
        commands.run("clean", video.root)


@pytest.mark.slow
def test_redraw_and_force_always_draw(commands: Commands, server: GeminiServer) -> None:
    """Who asks for another image gets one; the words after it bring the newest back."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    video.sent("run")
    assert video.sent("redraw", "clear/1.1") == 1
    assert video.sent("run", "--force", "--yes") == 3
    newest = video.at(0)
    video.write(["other", "b", "c"])
    video.sent("run", "--outdated")
    video.write(["a", "b", "c"])
    assert video.sent("run", "--outdated") == 0
    assert pixels(video.at(0)) == pixels(newest)


@pytest.mark.slow
def test_a_look_that_was_tried_and_kept_has_its_images(
    commands: Commands, server: GeminiServer
) -> None:
    """Candidates of a look are of the same inputs as the beats once the look is kept."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    video.sent("run")
    options = ("--style", "clear", "--look", "Ink, two colours.", "-n", "2")
    assert video.sent("try", *options) == 2
    commands.run("try", video.root, "--keep", "look")
    assert video.sent("run", "--outdated") == 2
    assert video.sent("try", "--beat", "clear/1.2") == 2
    candidate = next((video.root / "tries").rglob("Beat_1.2_1.png"))
    assert "is that candidate now" in commands.run("try", video.root, "--keep", candidate).out
    assert video.sent("run", "--outdated") == 0


@pytest.mark.slow
def test_a_chain_comes_back_whole(commands: Commands, server: GeminiServer) -> None:
    """With continuity an image is the same only if it continues the same image."""
    video = Video(commands, server, "continuity = true\n")
    video.write(["a", "b", "c"])
    assert video.sent("run") == 3
    before = [pixels(video.at(n)) for n in range(3)]
    video.write(["a", "other", "c"])
    assert video.sent("run", "--outdated") == 2
    video.write(["a", "b", "c"])
    assert video.sent("run", "--outdated") == 0
    assert [pixels(video.at(n)) for n in range(3)] == before
    video.write(["new", "b", "c"])
    assert video.sent("run", "--outdated") == 3
    video.write(["a", "fresh", "c"])
    assert video.sent("run", "--outdated") == 2


def test_what_continues_an_image_that_is_back_is_current_again(
    commands: Commands, server: GeminiServer
) -> None:
    """Only the image before it was redrawn: its own image is the one to stay."""
    video = Video(commands, server, "continuity = true\n")
    video.write(["a", "b", "c"])
    assert video.sent("run") == 3
    before = video.at(1)
    video.write(["other", "b", "c"])
    assert video.sent("run", "--outdated", "--beat", "1.1") == 1
    video.write(["a", "b", "c"])
    assert video.sent("run", "--outdated") == 0
    assert video.at(1) == before
    assert commands.run("status", video.root, "--check").code == 0


def test_a_damaged_image_is_drawn(commands: Commands, server: GeminiServer) -> None:
    """What lies in old_images is looked at as an answer is."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    video.sent("run")
    video.write(["other", "b", "c"])
    video.sent("run", "--outdated")
    (old,) = (video.root / "old_images").rglob("Beat_1.1.png")
    data = bytearray(old.read_bytes())
    data[-20] ^= 1
    old.write_bytes(data)
    video.write(["a", "b", "c"])
    assert video.sent("run", "--outdated") == 1


def test_two_beats_of_the_same_words_are_two_images(
    commands: Commands, server: GeminiServer
) -> None:
    """An old image serves one beat, and none while it is another's."""
    video = Video(commands, server)
    video.write(["a", "b", "c"])
    video.sent("run")
    video.write(["other", "b", "c"])
    video.sent("run", "--outdated")
    video.write(["a", "a", "c"])
    assert video.sent("run", "--outdated", "--as-is") == 1
