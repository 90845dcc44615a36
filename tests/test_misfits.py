"""Images that are not as they were asked for are kept, marked, counted and said."""

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from builders import picture as image_file
from commands import Commands, picture
from gemini_requests import RATIOS
from gemini_server import GeminiServer
from imagegen import providers
from imagegen.events.types import Complete, Event, Progress, WarningEvent
from imagegen.images import shape
from imagegen.providers.base import Picture
from imagegen.providers.models import Catalogue, Pixels
from virtual import TEN_CENTS, Show

SIZES = ("512", "1K", "2K", "4K")
GEMINIS = {
    ("16:9", "1K"): (1376, 768),
    ("16:9", "2K"): (2752, 1536),
    ("1:1", "1K"): (1024, 1024),
    ("21:9", "1K"): (1584, 672),
    ("4:5", "1K"): (928, 1152),
}
"""What Gemini draws: near the ratio, not exactly."""


@pytest.mark.parametrize(("asked", "came"), list(GEMINIS.items()))
def test_what_gemini_draws_is_as_asked(asked: tuple[str, str], came: tuple[int, int]) -> None:
    """Its ratios are near those that are asked for."""
    assert shape.misfit(*came, *asked) is None


@pytest.mark.parametrize("provider", providers.NAMES)
@pytest.mark.parametrize(("ratio", "size"), list(itertools.product(RATIOS, SIZES)))
def test_what_is_asked_for_is_as_asked(provider: str, ratio: str, size: str) -> None:
    """No model is blamed for what it was told to draw."""
    for model in providers.catalogue(provider).models:
        if model.draws_ratio(ratio) and size in model.sizes:
            expected = model.asked_pixels(ratio, size)
            wanted = expected or shape.usual(ratio, size)
            assert wanted is not None
            assert shape.misfit(*wanted, ratio, size, expected) is None


@pytest.mark.parametrize(
    ("came", "asked", "words", "settings"),
    [
        ((1024, 1024), ("16:9", "1K"), "asked 16:9, came 1:1", ("aspect_ratio",)),
        ((1376, 768), ("16:9", "4K"), "asked 4K, came 1376 x 768", ("image_size",)),
        ((5504, 3072), ("16:9", "1K"), "asked 1K, came 5504 x 3072", ("image_size",)),
        ((1200, 896), ("16:9", "1K"), "asked 16:9, came 4:3", ("aspect_ratio",)),
        ((1000, 777), ("1:1", "1K"), "asked 1:1, came 9:7", ("aspect_ratio",)),
        (
            (256, 256),
            ("16:9", "1K"),
            "asked 16:9, came 1:1; asked 1K, came 256 x 256",
            ("aspect_ratio", "image_size"),
        ),
    ],
)
def test_what_differs_is_said(
    came: tuple[int, int], asked: tuple[str, str], words: str, settings: tuple[str, ...]
) -> None:
    """By ratio and by pixels, each for itself."""
    found = shape.misfit(*came, *asked)
    assert found is not None
    if came == (1000, 777):
        assert (found.settings, found.words.partition(", came")[0]) == (settings, "asked 1:1")
    else:
        assert (found.settings, found.words) == (settings, words)


@pytest.mark.parametrize("asked", [("wide", "1K"), ("16:9", "8K"), ("0:9", "1K"), ("", "")])
def test_what_was_asked_in_other_words_is_not_judged(asked: tuple[str, str]) -> None:
    """Providers of the future may know more."""
    assert shape.misfit(10, 10, *asked) is None


def drawn(tmp_path: Path, sizes: list[tuple[int, int]]) -> tuple[list[Event], Complete]:
    """Draw one beat after another, each in one of these sizes."""
    show = Show(tmp_path, beats={"clear": len(sizes)}, keyless=True, width=1)
    left = iter(sizes)
    show.provider.answer = lambda _request, _key: Picture(data=image_file(*next(left)))
    model = msgspec.structs.replace(TEN_CENTS, pixels=Pixels(fixed=((160, 90),)))
    show.provider.catalogue = Catalogue((model,), default=model.name, other=model)
    return show.events, show.draw()


def test_each_is_in_its_event_and_counted(tmp_path: Path) -> None:
    """With its pixels; one that is as asked has none."""
    events, complete = drawn(tmp_path, [(160, 90), (90, 90), (32, 18)])
    told = [e for e in events if isinstance(e, Progress) and e.image_path]
    assert [(e.width, e.height) for e in told] == [(160, 90), (90, 90), (32, 18)]
    assert [e.misfit for e in told] == [
        None,
        "asked 16:9, came 1:1",
        "asked 1K, came 32 x 18",
    ]
    assert complete.misfits == 2


@pytest.mark.parametrize(
    ("sizes", "warnings"),
    [
        ([(90, 90)] * 2 + [(160, 90)] + [(90, 90)] * 2, 0),
        ([(90, 90)] * 9, 1),
        ([(90, 90)] * 3 + [(160, 90)] + [(90, 90)] * 3, 1),
        ([(32, 18)] * 3, 1),
        ([(9, 9)] * 3, 2),
        ([(32, 18), (90, 90), (32, 18), (90, 90)], 0),
    ],
)
def test_after_three_in_a_row_the_service_is_said_to_ignore_a_setting(
    tmp_path: Path, sizes: list[tuple[int, int]], warnings: int
) -> None:
    """Once for each setting, however many come."""
    events, _ = drawn(tmp_path, sizes)
    told = [e.message for e in events if isinstance(e, WarningEvent)]
    assert len(told) == warnings
    assert all(message.startswith("the service ignores ") for message in told)


def test_run_status_and_page_say_it_with_the_command_that_redraws(
    commands: Commands, server: GeminiServer
) -> None:
    """The test server draws far smaller than 1K: summary, status and JSON say so."""
    root = commands.project(beats=2, settings='draw = ["clear"]\n')
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert "2 images are not as requested, but kept:" in done.out
    assert "asked 1K, came 64 x 36" in done.out
    assert f"imagegen redraw {root} clear/1.1 clear/1.2" in done.out

    status = commands.run("status", root)
    assert "asked 1K, came 64 x 36" in status.out
    assert f"imagegen redraw {root} clear/1.1 clear/1.2" in status.out
    clear = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]
    assert clear["misfits"] == 2
    assert {beat["misfit"] for beat in clear["beats"]} == {"asked 1K, came 64 x 36"}


def test_no_redraw_is_advised_if_every_image_differs(
    commands: Commands, server: GeminiServer
) -> None:
    """It would cost as much and bring the same, as often as it is typed."""
    root = commands.project(beats=3, settings='draw = ["clear"]\n')
    for words in (("run", root, "--base-url", server.address), ("status", root)):
        done = commands.run(*words)
        assert "3 images are not as requested, but kept:" in done.out
        assert "the service ignores the requested size or shape" in " ".join(done.out.split())
        assert "imagegen redraw" not in done.out


def test_an_image_of_another_tool_is_held_against_the_rest(commands: Commands) -> None:
    """It does not say what was asked for, but it is of another shape."""
    root = commands.project(
        beats=4, settings='provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'
    )
    assert commands.run("run", root).code == 0
    with Image.open(picture(root, "clear", 0)) as image:
        width, height = image.size
    picture(root, "clear", 1).write_bytes(image_file(300, 300))
    picture(root, "clear", 2).write_bytes(image_file(width // 2, height // 2))
    clear = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]
    assert [beat["misfit"] for beat in clear["beats"]] == [
        None,
        "the rest are 16:9, this is 1:1",
        None,
        None,
    ]


def test_a_project_of_another_tool_has_a_shape_of_its_own(commands: Commands) -> None:
    """What all its images have is not held against them."""
    root = commands.project(
        beats=4, settings='provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'
    )
    for number, size in enumerate([(300, 300), (400, 400), (300, 300), (160, 90)]):
        picture(root, "clear", number).parent.mkdir(parents=True, exist_ok=True)
        picture(root, "clear", number).write_bytes(image_file(*size))
    clear = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]
    assert [beat["misfit"] for beat in clear["beats"]] == [
        None,
        None,
        None,
        "the rest are 1:1, this is 16:9",
    ]
