"""What is sent for a beat, and what its picture says of that."""

import hashlib
import sys
from pathlib import Path

import platformdirs
import pytest

from builders import beat, picture
from imagegen.errors import UsageError
from imagegen.images import png
from imagegen.project.layout import ProjectPaths
from imagegen.project.settings import Settings, Style, load
from imagegen.project.storyboard.hashing import words_hash
from imagegen.prompts.composer import LOOKS, Composer
from imagegen.prompts.references import References, style_references
from imagegen.providers.base import Reference

REFERENCE = Reference("image/png", picture())
STYLES = ("illustration", "clear", "consistent")


def composer(text: str = "", folder: Path | None = None, **references: Reference) -> Composer:
    """Return what makes requests, for an imagegen.toml of this text."""
    if folder is None:
        return Composer(Settings(), References(references))
    (folder / "imagegen.toml").write_text(text)
    return Composer(load(folder), References(references))


@pytest.fixture
def users(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's configuration folder of this test."""
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: folder)
    return folder


def references(project: Path, text: str = "") -> dict[str, bytes]:
    """Return the bytes of each style's reference."""
    (project / "imagegen.toml").write_text(text)
    found = style_references(ProjectPaths(project), load(project))
    return {style: reference.data for style, reference in found.items()}


def refused(project: Path, text: str = "") -> str:
    """Return what is said of a reference that cannot be used."""
    with pytest.raises(UsageError) as caught:
        references(project, text)
    assert caught.value.exit_code == 2
    return caught.value.message


@pytest.mark.parametrize("style", STYLES)
def test_shared_words_get_the_built_in_look(style: str) -> None:
    """Words that the styles share are made different by a look for each."""
    request = composer().request(beat(style=style, words="A cat."))
    assert request.look == LOOKS[style]
    assert request.prompt == f"A cat.\n\n{LOOKS[style]}"
    assert len(set(LOOKS.values())) == 3


def test_own_words_go_out_verbatim() -> None:
    """Words written for one style are sent as they are."""
    words = "  A cat,\n\n sitting. "
    request = composer().request(beat(words=words, own_words=True))
    assert request.look == ""
    assert request.prompt == words


@pytest.mark.parametrize("own_words", [True, False])
def test_the_user_s_look_is_always_added(tmp_path: Path, *, own_words: bool) -> None:
    """A look from imagegen.toml replaces the built-in one, also for own words."""
    made = composer('[styles.clear]\nlook = "Flat."', tmp_path)
    assert made.request(beat(words="A cat.", own_words=own_words)).prompt == "A cat.\n\nFlat."
    other = made.request(beat(style="consistent", own_words=own_words))
    assert other.look == ("" if own_words else LOOKS["consistent"])


def test_an_added_style_without_a_look_adds_nothing(tmp_path: Path) -> None:
    """A style that the project adds has no look but its own."""
    made = composer("[styles.noir]", tmp_path)
    assert made.request(beat(style="noir", words="A cat.")).prompt == "A cat."


@pytest.mark.parametrize(
    ("transition", "sent"),
    [("H", True), ("Hard cut", True), (" cut ", True), ("C", False), ("Fade", True), ("", False)],
)
def test_the_style_reference_goes_with_what_begins(transition: str, *, sent: bool) -> None:
    """What begins a new picture is drawn with its style's reference, nothing else is."""
    made = composer(clear=REFERENCE)
    request = made.request(beat(transition=transition))
    assert request.references == ((REFERENCE,) if sent else ())
    assert made.request(beat(style="consistent", transition=transition)).references == ()


def test_a_request_names_its_beat_and_its_size(tmp_path: Path) -> None:
    """Numbers, aspect ratio and size go with the words."""
    made = composer('aspect_ratio = "9:16"\nimage_size = "2K"', tmp_path)
    request = made.request(beat("1.1", shot="7"))
    assert (request.style, request.shot, request.beat) == ("clear", "7", "1.1")
    assert (request.aspect_ratio, request.image_size) == ("9:16", "2K")


def test_a_picture_says_what_it_was_drawn_from(tmp_path: Path) -> None:
    """Beat, provider, model, size, run, and a hash each of words, look and references."""
    made = composer('image_size = "2K"', tmp_path, clear=REFERENCE)
    one = beat("1.1", shot="7", words="Ä cat.", transition="H")
    told = made.provenance(one, made.request(one), provider="p", model="m", run="r-1")
    assert told == png.Provenance(
        style="clear",
        shot="7",
        beat="1.1",
        provider="p",
        model="m",
        aspect_ratio="16:9",
        image_size="2K",
        words=png.Hash(hashlib.sha256("Ä cat.".encode()).hexdigest(), "user"),
        look=png.Hash(words_hash(LOOKS["clear"]), "default"),
        references=png.Hash(words_hash(hashlib.sha256(REFERENCE.data).hexdigest()), "user"),
        run="r-1",
        chosen=("image_size",),
    )


def test_a_picture_says_whose_look_it_has(tmp_path: Path) -> None:
    """A look is marked as the user's or ours, and missing where there was none."""
    made = composer('[styles.clear]\nlook = "Flat."', tmp_path)

    def look(style: str, *, own_words: bool) -> png.Hash | None:
        one = beat(style=style, own_words=own_words)
        told = made.provenance(one, made.request(one), provider="p", model="m", run="r")
        assert told.references is None
        return told.look

    assert look("clear", own_words=True) == png.Hash(words_hash("Flat."), "user")
    assert look("consistent", own_words=False) == png.Hash(
        words_hash(LOOKS["consistent"]), "default"
    )
    assert look("consistent", own_words=True) is None


def test_hashes_are_of_the_words_alone(tmp_path: Path) -> None:
    """Another look or reference leaves the hash of the words, and changes its own."""
    one = beat(transition="H")
    plain = composer(clear=REFERENCE)
    other = composer(
        '[styles.clear]\nlook = "Flat."', tmp_path, clear=Reference("image/png", picture(9))
    )
    first, second = (
        made.provenance(one, made.request(one), provider="p", model="m", run="r")
        for made in (plain, other)
    )
    assert first.words == second.words
    assert first.look != second.look
    assert first.references != second.references


def test_without_any_file_there_is_no_reference(tmp_path: Path, users: Path) -> None:
    """A project without a reference image sends none."""
    assert references(tmp_path) == {}


def test_the_nearest_reference_wins(tmp_path: Path, users: Path) -> None:
    """A style's own setting, the project's setting, its file, then the user's file."""
    data = {name: picture(width) for width, name in enumerate(("own", "set", "file", "users"), 4)}
    (users / "style_reference.png").write_bytes(data["users"])
    assert references(tmp_path) == dict.fromkeys(STYLES, data["users"])
    (tmp_path / "style_reference.png").write_bytes(data["file"])
    assert references(tmp_path) == dict.fromkeys(STYLES, data["file"])
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "set.png").write_bytes(data["set"])
    (tmp_path / "own.png").write_bytes(data["own"])
    text = 'style_reference = "looks/set.png"\n'
    assert references(tmp_path, text) == dict.fromkeys(STYLES, data["set"])
    text += '[styles.clear]\nstyle_reference = "own.png"\n'
    assert references(tmp_path, text) == {
        "illustration": data["set"],
        "clear": data["own"],
        "consistent": data["set"],
    }


def test_only_drawn_styles_need_their_reference(tmp_path: Path, users: Path) -> None:
    """A style that is not drawn may name a file that is missing."""
    text = 'draw = ["clear"]\n[styles.consistent]\nstyle_reference = "missing.png"\n'
    assert references(tmp_path, text) == {}


def test_a_style_without_a_table_has_the_project_s_reference(tmp_path: Path) -> None:
    """An added style is served as the built-in ones are."""
    (tmp_path / "r.png").write_bytes(picture())
    settings = Settings(style_reference="r.png", styles={"noir": Style()})
    assert set(style_references(ProjectPaths(tmp_path), settings)) == {"noir"}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_reference_is_sent_as_what_it_is(tmp_path: Path, users: Path, kind: str) -> None:
    """A JPEG that is called .png is sent as JPEG, byte by byte."""
    data = picture(kind=kind)
    (tmp_path / "style_reference.png").write_bytes(data)
    found = style_references(ProjectPaths(tmp_path), Settings())["clear"]
    assert found == Reference(f"image/{kind.lower()}", data)


@pytest.mark.parametrize(
    "setting", ['style_reference = "{}"', '[styles.clear]\nstyle_reference = "{}"']
)
def test_a_named_reference_must_be_there(tmp_path: Path, users: Path, setting: str) -> None:
    """A missing file, or a folder, that a setting names is refused; nothing replaces it."""
    (tmp_path / "style_reference.png").write_bytes(picture())
    (tmp_path / "folder").mkdir()
    assert "no such file" in refused(tmp_path, setting.format("missing.png"))
    assert "no such file" in refused(tmp_path, setting.format("folder"))
    assert "is an address" in refused(tmp_path, setting.format("https://example.com/a.png"))


def test_a_project_names_no_file_outside_of_it(tmp_path: Path, users: Path) -> None:
    """What is outside the project is not sent, neither by path nor through a link."""
    project, outside = tmp_path / "project", tmp_path / "outside.png"
    project.mkdir()
    outside.write_bytes(picture())
    (project / "link.png").symlink_to(outside)
    for path in ("../outside.png", outside.as_posix(), "link.png"):
        assert "is outside the project" in refused(project, f'style_reference = "{path}"')
    (project / "style_reference.png").symlink_to(outside)
    assert "leads out of the project" in refused(project)


@pytest.mark.parametrize("written", ["a\\u0000b.png", "round/a.png"])
def test_what_is_no_path_is_refused(tmp_path: Path, users: Path, written: str) -> None:
    """A null character, or links that lead in a circle, end in words."""
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert "style_reference" in refused(tmp_path, f'style_reference = "{written}"')


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="it is as good as missing since 3.13")
def test_a_style_reference_that_is_a_link_to_itself_is_refused(tmp_path: Path, users: Path) -> None:
    """A link in a circle ends in words."""
    (tmp_path / "style_reference.png").symlink_to(tmp_path / "style_reference.png")
    assert "is not a valid path" in refused(tmp_path)


def test_a_reference_may_be_a_link_within_the_project(tmp_path: Path, users: Path) -> None:
    """A link that stays in the project is followed."""
    (tmp_path / "real.png").write_bytes(picture())
    (tmp_path / "style_reference.png").symlink_to(tmp_path / "real.png")
    assert references(tmp_path) == dict.fromkeys(STYLES, picture())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be sent"),
        (b"<svg></svg>", "cannot be sent"),
        (b"\0\0\0\x18ftypheic" + bytes(7 * 1024 * 1024), "larger than 7 MB"),
        (picture()[:40], "is torn"),
    ],
)
def test_a_reference_that_the_service_would_refuse_is_refused_before(
    tmp_path: Path, users: Path, data: bytes, words: str
) -> None:
    """A file that is too large or no picture costs no request."""
    (tmp_path / "style_reference.png").write_bytes(data)
    assert words in refused(tmp_path)
