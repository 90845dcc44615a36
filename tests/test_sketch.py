"""The provider that draws storyboard frames itself, without a key or a network."""

import hashlib
import io
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from PIL import Image, ImageStat

from commands import Commands
from gemini_requests import RATIOS
from imagegen.providers.base import (
    Picture,
    ProviderOptions,
    Reference,
    Request,
)
from imagegen.providers.sketch import Sketch
from imagegen.providers.sketch.field import time_of

STYLES = ("illustration", "clear", "consistent")
WORDS = "A white lighthouse on a cliff at dusk, its lamp just lit, gulls circling"


def drawn(
    words: str = WORDS,
    *,
    style: str = "illustration",
    shot: str = "1",
    beat: str = "1.1",
    references: tuple[Reference, ...] = (),
    aspect_ratio: str = "16:9",
    image_size: str = "512",
) -> bytes:
    """Return the bytes that the provider draws for a request."""
    request = Request(
        style=style,
        shot=shot,
        beat=beat,
        words=words,
        references=references,
        aspect_ratio=aspect_ratio,
        image_size=image_size,
    )
    outcome = Sketch(ProviderOptions()).draw(request, None, lambda: None)
    assert isinstance(outcome, Picture)
    return outcome.data


def opened(data: bytes) -> Image.Image:
    """Return a PNG file's picture, fully decoded."""
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image.convert("RGB")


def mean_colour(data: bytes) -> list[float]:
    """Return the mean red, green and blue of a picture."""
    return ImageStat.Stat(opened(data)).mean


def caption(image: Image.Image) -> Image.Image:
    """Return the part of an upright or moderately wide frame that holds the words, in greys."""
    return image.convert("L").crop((0, round(image.height * 0.88), image.width, image.height))


def distance(one: bytes, other: bytes) -> float:
    """Return how far apart the mean colours of two pictures are."""
    pairs = zip(mean_colour(one), mean_colour(other), strict=True)
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs))


def test_it_needs_no_key_and_has_one_model() -> None:
    """Name, model, keys and width are what the engine asks a provider for."""
    sketch = Sketch(ProviderOptions())
    assert (sketch.name, sketch.model, sketch.key_variables) == ("sketch", "sketch", ())
    assert sketch.models(None) == ("sketch",)
    assert sketch.max_concurrency == (os.cpu_count() or 1)
    assert Sketch(ProviderOptions(width=3)).max_concurrency == 3
    sketch.close()


@pytest.mark.slow
def test_the_same_request_gives_the_same_bytes_in_another_process() -> None:
    """A frame depends on the request alone, not on a process or its hash seed."""
    code = (
        "import hashlib; from imagegen.providers.base import ProviderOptions, Request;"
        "from imagegen.providers.sketch import Sketch;"
        "r = [Request(style=s, shot='1', beat='1.1', image_size='512', words=" + repr(WORDS) + ")"
        " for s in ('illustration', 'clear', 'consistent', 'noir')];"
        "s = Sketch(ProviderOptions());"
        "print(*(hashlib.sha256(s.draw(q, None, lambda: None).data).hexdigest() for q in r))"
    )
    here = [hashlib.sha256(drawn(style=s)).hexdigest() for s in (*STYLES, "noir")]
    for seed in ("1", "4711"):
        answer = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.split() == here


@pytest.mark.slow
def test_the_same_request_gives_the_same_bytes_in_many_threads() -> None:
    """Frames drawn at the same time do not disturb each other."""
    words = [f"{WORDS}, {number}" for number in range(6)] * 2
    alone = [drawn(text) for text in words]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(drawn, words)) == alone


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_frame_has_exactly_its_ratio(ratio: str) -> None:
    """Every ratio of the API is met to the pixel, near the size's usual area."""
    image = opened(drawn(aspect_ratio=ratio, image_size="1K"))
    across, down = ratio.split(":")
    assert Fraction(image.width, image.height) == Fraction(int(across), int(down))
    assert 0.97 < image.width * image.height / 1024**2 < 1.03


@pytest.mark.parametrize(
    ("size", "pixels"),
    [("512", (672, 378)), ("1K", (1360, 765)), ("2K", (2720, 1530)), ("4K", (5440, 3060))],
)
def test_sizes_double(size: str, pixels: tuple[int, int]) -> None:
    """The API's names for sizes give pictures of about that side, each twice the one before."""
    assert opened(drawn(image_size=size)).size == pixels


@pytest.mark.parametrize("style", [*STYLES, "noir"])
def test_a_frame_is_a_small_file(style: str) -> None:
    """A frame of the usual size stays under 2 MB."""
    assert len(drawn(style=style, image_size="1K")) < 2_000_000


def test_styles_look_different() -> None:
    """The same beat has a mean colour of its own in each style, known or not."""
    frames = [drawn(style=style) for style in (*STYLES, "noir", "sepia")]
    for index, frame in enumerate(frames):
        assert all(distance(frame, other) > 12 for other in frames[index + 1 :])


def test_only_the_consistent_style_keeps_its_colours_from_beat_to_beat() -> None:
    """By day and by night the frame's rim has the style's one colour."""
    corners = {
        opened(drawn(f"A harbour, {time}", style="consistent")).getpixel((2, 2))
        for time in ("noon", "night", "dawn", "storm")
    }
    assert len(corners) == 1


def test_the_words_decide_the_picture() -> None:
    """Night is darker than noon, and other words give another frame."""
    noon = drawn("The village street at noon")
    night = drawn("The village street at night")
    assert sum(mean_colour(noon)) > sum(mean_colour(night)) + 60
    assert drawn("A boat on the sea, calm") != drawn("A boat on the sea, quiet")
    assert drawn(beat="1.1") != drawn(beat="1.2")


def test_no_subject_is_guessed_from_the_words() -> None:
    """Two prompts at the same time of day have one picture: the words say what is to be seen."""
    pictures = [
        opened(drawn(words)).crop((0, 0, 672, 200)).tobytes()
        for words in ("A red kite over a beach", "A white lighthouse", "灯台守は階段を登る")
    ]
    assert pictures[0] == pictures[1] == pictures[2]


@pytest.mark.parametrize(
    ("words", "time"),
    [
        ("The village at Midnight", "night"),
        ("By moonlight, before dawn", "night"),
        ("One morning after the storm", "dawn"),
        ("A stormy evening", "storm"),
        ("Twilight", "dusk"),
        ("The knight trained", "day"),
        ("", "day"),
    ],
)
def test_the_first_time_of_day_that_is_named_sets_the_colours(words: str, time: str) -> None:
    """Whole words count, in any case; without one it is day."""
    assert time_of(words) == time


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "",
        " ",
        ".",
        "灯台守は嵐の夜に階段を登る。窓の外は真っ暗だった。",
        "Старый смотритель поднимается по лестнице",
        "Ο φάρος στο νησί",
        "الفنار القديم على الجزيرة",
        "Élodie écrit à Łukasz près du Groß-Øresund – “déjà vu”…",
        "🌊🚢👩‍🚀 a boat 🇵🇹 at sea",
        "a\x00b\x07c\x1b[31m\r\n\td\u202ee\ufeff\ud800",
        "Donaudampfschifffahrtsgesellschaft" * 60,
        "the keeper counts the boats " * 3000,
    ],
)
@pytest.mark.parametrize("ratio", ["16:9", "1:8", "8:1"])
def test_any_words_can_be_drawn(words: str, ratio: str) -> None:
    """No text makes a frame fail: empty, long, of any script, with control characters."""
    for style in STYLES:
        opened(drawn(words, style=style, aspect_ratio=ratio))


def test_numbers_may_be_long() -> None:
    """Shot and beat numbers of the greatest length still leave room for the style's name."""
    long = drawn(shot="x" * 60, beat="9" * 60, aspect_ratio="1:8")
    assert opened(long).size == opened(drawn(aspect_ratio="1:8")).size


@pytest.mark.parametrize("style", [*STYLES, "noir", "sepia", "pop-art"])
@pytest.mark.parametrize("ratio", ["16:9", "1:1", "9:16"])
def test_the_words_can_be_read(style: str, ratio: str) -> None:
    """The caption has an even ground, and type that stands out from it clearly."""
    image = opened(drawn(WORDS * 4, style=style, aspect_ratio=ratio, image_size="1K"))
    greys = caption(image).histogram()
    ground = greys.index(max(greys))
    total = sum(greys)
    assert greys[ground] / total > 0.5
    marked = sum(count for grey, count in enumerate(greys) if abs(grey - ground) > 110)
    assert marked / total > 0.02


def test_more_words_are_set_smaller_and_end_in_time() -> None:
    """However many words there are, the frame's foot stays free of type."""
    image = opened(drawn(WORDS * 50, style="clear", image_size="1K")).convert("L")
    foot = image.crop((0, image.height - 10, image.width, image.height))
    assert foot.getextrema() == (255, 255)


@pytest.mark.slow
def test_a_request_with_references_bears_a_mark() -> None:
    """The picture's upper right corner says that references were sent, and only that corner."""
    plain = opened(drawn(style="clear"))
    marked = opened(drawn(style="clear", references=(Reference("image/png", b"png"),)))
    changed = [
        (x, y)
        for y in range(plain.height)
        for x in range(plain.width)
        if plain.getpixel((x, y)) != marked.getpixel((x, y))
    ]
    assert changed
    assert min(x for x, _ in changed) > plain.width * 0.85
    assert max(y for _, y in changed) < plain.height * 0.15


def test_a_draw_says_once_that_it_was_sent() -> None:
    """One request, one call."""
    calls: list[None] = []
    request = Request(style="clear", shot="1", beat="1.1", words=WORDS, image_size="512")
    Sketch(ProviderOptions()).draw(request, None, lambda: calls.append(None))
    assert len(calls) == 1


def test_its_pictures_are_not_outdated_whatever_model_is_named(commands: Commands) -> None:
    """A project may try its storyboard out while its settings name the model that will draw it."""
    root = commands.project(beats=1, settings='provider = "sketch"\nmodel = "gemini-3-pro-image"\n')
    assert commands.run("run", root).code == 0
    told = json.loads(commands.run("status", root, "--json").out)
    assert [style["outdated"] for style in told["styles"].values()] == [0, 0, 0]
