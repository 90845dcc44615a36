"""Which pictures are of something else than would be drawn now, and which are left over."""

import json
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest

from builders import picture
from imagegen.editing import renumber as renumbering
from imagegen.editing import settle, use
from imagegen.errors import UsageError
from imagegen.images import png
from imagegen.project import overrides
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat
from imagegen.prompts import composer
from imagegen.providers.models import Catalogue, Model
from imagegen.providers.sketch.provider import Sketch
from imagegen.workspace.outdated import Reason
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from imagegen.workspace.survey import BeatImage, Survey

NEW = Model(name="sketch-2", sizes={"1K": 0.0}, thinking=("high",))
WALL = 4_000_000_000.0
"""Long after every file of a test was written."""
SKETCH = 'provider = "sketch"\ndraw = ["clear"]\n'
BOAT = "A red boat lies on the shore."

Rows = Sequence[dict[str, object]]


def rows(*words: str, **fields: object) -> Rows:
    """Return rows of shot 1 with these words."""
    return [
        {"shot_number": 1, "beat_number": f"1.{n}", "transition_type": "C", "ai_prompt": w} | fields
        for n, w in enumerate(words, 1)
    ]


class Board:
    """A project on the disk whose storyboard and settings a test edits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(rows("a", "b", "c"))
        self.set()

    def write(self, beats: Rows) -> None:
        """Put these rows into the storyboard."""
        (self.root / "beats.json").write_text(json.dumps(beats), encoding="utf-8")

    def set(self, text: str = "", *, start: str = SKETCH) -> None:
        """Put this into imagegen.toml."""
        (self.root / "imagegen.toml").write_text(start + text, encoding="utf-8")

    def project(self, *beats: str) -> Project:
        """Read the project, to ask for these beats or for all."""
        return read_project(self.root, DrawRequest(beats=beats))

    def survey(self) -> Survey:
        """Look at every picture."""
        return self.project().survey(WALL)

    def at(self, number: str, shot: str = "1") -> Path:
        """Return where the picture of a beat lies."""
        return self.root / "generated_images" / "clear" / f"Shot_{shot}" / f"Beat_{number}.png"

    def draw(self, *numbers: str, **told: Any) -> None:
        """Draw these beats or all, as a run would, but for what the pictures say of it."""
        project = self.project()
        for beat in project.beats["clear"]:
            if not numbers or beat.beat in numbers:
                origin = msgspec.structs.replace(project.expected(beat), **told)
                self.put(beat, png.add_metadata(picture(), origin, told_by(project, beat)))

    def put(self, beat: Beat, parts: Sequence[bytes | memoryview]) -> None:
        """Put a picture in a beat's place."""
        path = self.at(beat.beat, beat.shot)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(parts))

    def changed(self) -> dict[str, tuple[str, ...]]:
        """Return the outdated beats, and what has changed."""
        return {one.beat.beat: one.changed for one in self.survey().beats["clear"] if one.changed}

    def moves(self) -> dict[str, str]:
        """Return from which number to which pictures belong."""
        found = self.survey().moves.get("clear", {})
        return {was: now for (_, was), (_, now) in found.items()}

    def accept(self, *beats: str) -> list[BeatImage]:
        """Let these pictures count as current."""
        return settle.accept(self.project(*beats), WALL)


def told_by(project: Project, beat: Beat) -> png.TextFields:
    """Return what image tools show of a beat's picture."""
    return project.composer.texts(beat, WALL)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Return a project of three beats, none of which is drawn."""
    folder, config = tmp_path / "my-video", tmp_path / "config"
    folder.mkdir()
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: config)
    return Board(folder)


def test_what_was_just_drawn_is_current(board: Board) -> None:
    """A picture of what would be drawn now is not outdated, whatever the user chose."""
    board.set('model = "m"\nimage_size = "2K"\naspect_ratio = "1:1"\n[styles.clear]\nlook = "L."')
    (board.root / "style_reference.png").write_bytes(picture())
    board.write(rows("a", "b", transition_type="H", id=7))
    board.draw()
    assert board.changed() == {}
    assert board.survey().moves == {}


def edit_words(board: Board) -> None:
    """Mend the words of one beat."""
    board.write(rows("a", "edited", "c"))


def add_look(board: Board) -> None:
    """Give the style a look."""
    board.set('[styles.clear]\nlook = "Flat."')


def choose(line: str) -> Callable[[Board], None]:
    """Return what adds a setting."""
    return lambda board: board.set(line)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (edit_words, {"1.2": ("words",)}),
        (add_look, dict.fromkeys(("1.1", "1.2", "1.3"), ("look",))),
        (choose('model = "m"'), dict.fromkeys(("1.1", "1.2", "1.3"), ("model",))),
        (choose('image_size = "2K"'), dict.fromkeys(("1.1", "1.2", "1.3"), ("size",))),
        (choose('aspect_ratio = "1:1"'), dict.fromkeys(("1.1", "1.2", "1.3"), ("aspect ratio",))),
    ],
    ids=["words", "look", "model", "size", "shape"],
)
def test_what_the_user_has_changed_is_the_reason(
    board: Board, edit: Callable[[Board], None], expected: Mapping[str, tuple[str, ...]]
) -> None:
    """A picture is outdated for just what has changed since, and no other is."""
    board.draw()
    edit(board)
    assert board.changed() == expected


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ('model = "m"', "model"),
        ('image_size = "2K"', "size"),
        ('aspect_ratio = "1:1"', "aspect ratio"),
        ('[styles.clear]\nlook = "Flat."', "look"),
    ],
)
def test_what_the_user_has_taken_back_is_the_reason(
    board: Board, setting: str, reason: str
) -> None:
    """A picture is outdated where it was drawn with a choice that is given up since."""
    board.set(setting)
    board.draw()
    board.set()
    assert board.changed() == dict.fromkeys(("1.1", "1.2", "1.3"), (reason,))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ('model = "{}"', "model"),
        ('image_size = "{}"', "size"),
        ('aspect_ratio = "{}"', "aspect ratio"),
        ('[styles.clear]\nlook = "{}"', "look"),
    ],
)
def test_pictures_that_were_drawn_differently_are_told_apart(
    board: Board, setting: str, reason: str
) -> None:
    """Each picture is held against what it was drawn with, not against what others were."""
    first, second = ("1:1", "4:3") if "aspect" in setting else ("2K", "4K")
    board.set(setting.format(first))
    board.draw("1.1", "1.3")
    board.set(setting.format(second))
    board.draw("1.2")
    assert board.changed() == {"1.1": (reason,), "1.3": (reason,)}
    board.set(setting.format(first))
    assert board.changed() == {"1.2": (reason,)}


def test_a_look_that_was_reworded_outdates_its_style(board: Board) -> None:
    """Another look of the user's is another picture, also of words of its style alone."""
    board.write([*rows("a"), dict(rows("", "")[1], ai_prompts={"clear": "own"})])
    board.set('[styles.clear]\nlook = "Flat."')
    board.draw()
    board.set('[styles.clear]\nlook = "Round."')
    assert board.changed() == {"1.1": ("look",), "1.2": ("look",)}
    board.set('[styles.clear]\nlook = "Flat."\n[styles.consistent]\nlook = "Round."')
    assert board.changed() == {}


def test_another_provider_is_the_only_reason(board: Board) -> None:
    """What another provider drew is outdated for that alone: its models are others anyway."""
    board.set('model = "m"\nimage_size = "2K"')
    board.draw(provider="openai")
    board.set('draw = ["clear"]\nmodel = "n"\nprovider = "gemini"', start="")
    assert board.changed() == dict.fromkeys(("1.1", "1.2", "1.3"), ("provider",))


def test_a_sketch_is_no_image_of_another_provider_s(board: Board) -> None:
    """It stands in for one: it is not outdated, but it moves with its beat."""
    board.draw()
    board.set('draw = ["clear"]\nprovider = "gemini"', start="")
    board.write(rows("b", "a", "new"))
    found = board.survey()
    assert [one.placeholder for one in found.beats["clear"]] == [True] * 3
    assert not any(one.has_image or one.changed for one in found.beats["clear"])
    assert found.moves["clear"] == {("1", "1.1"): ("1", "1.2"), ("1", "1.2"): ("1", "1.1")}
    assert found.there == {"clear": {}}


def test_all_reasons_are_told_together(board: Board) -> None:
    """Of a picture that differs in everything, everything is told, in the same order always."""
    board.write(rows("a", "b", transition_type="H"))
    board.draw()
    board.write(rows("edited", "b", transition_type="H"))
    (board.root / "style_reference.png").write_bytes(picture())
    board.set(
        'model = "m"\nimage_size = "2K"\naspect_ratio = "1:1"\nthinking = "high"\n'
        '[styles.clear]\nlook = "L."'
    )
    others = ("look", "references", "model", "size", "aspect ratio", "thinking")
    assert board.changed() == {"1.1": ("words", *others), "1.2": others}
    assert {*others, "words", "provider", "predecessor"} == set(Reason)


def test_a_reference_that_comes_changes_or_goes_outdates_hard_cuts(board: Board) -> None:
    """What goes with a hard cut is part of it; the beats that continue go without it."""
    cut, rest = rows("a", "b")
    board.write([{**cut, "transition_type": "H"}, rest])
    reference = board.root / "style_reference.png"
    outdated = {"1.1": ("references",)}
    board.draw()
    reference.write_bytes(picture(4))
    assert board.changed() == outdated
    board.draw()
    assert board.changed() == {}
    reference.write_bytes(picture(5))
    assert board.changed() == outdated
    reference.write_bytes(picture(4))
    assert board.changed() == {}
    reference.unlink()
    assert board.changed() == outdated


def test_a_picture_of_the_older_rule_is_outdated_only_if_asked_for(board: Board) -> None:
    """Fade went without the style reference in 0.1.0: that is counted, and not redrawn."""
    board.write(rows("a", transition_type="Fade"))
    board.draw()
    (board.root / "style_reference.png").write_bytes(picture())
    assert board.changed() == {}
    assert board.survey().older == 1
    board.set("strict_references = true\n")
    assert board.changed() == {"1.1": ("references",)}
    board.draw()
    board.set()
    assert board.changed() == {}
    assert board.survey().older == 0


def test_a_picture_that_continued_nothing_before_is_outdated_only_if_asked_for(
    board: Board,
) -> None:
    """Same continues today, and was a transition of no meaning."""
    board.set("continuity = true\n")
    board.write(rows("a", "b", transition_type="H"))
    board.draw()
    first, second = rows("a", "b", transition_type="H")
    board.write([first, second | {"transition_type": "Same"}])
    assert board.changed() == {}
    assert board.survey().older == 1
    board.write([first, second | {"transition_type": "C"}])
    assert board.changed() == {"1.2": ("predecessor",)}


@pytest.mark.parametrize(("was", "now"), [("C", "H"), ("H", "C")])
def test_another_transition_outdates_where_there_is_a_reference(
    board: Board, was: str, now: str
) -> None:
    """A beat that becomes a hard cut, or is none any more, matters for the reference alone."""
    board.write(rows("a", transition_type=was))
    board.draw()
    board.write(rows("a", transition_type=now))
    assert board.changed() == {}
    (board.root / "style_reference.png").write_bytes(picture())
    board.write(rows("a", transition_type=was))
    board.draw()
    board.write(rows("a", transition_type=now))
    assert board.changed() == {"1.1": ("references",)}


def test_a_built_in_look_that_changed_outdates_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own wording of a style is no choice of the user's."""
    board.draw()
    monkeypatch.setitem(composer.LOOKS, "clear", "Another look.")
    assert board.changed() == {}


def test_words_that_become_a_style_s_own_are_the_same_words(board: Board) -> None:
    """A built-in look that is not added any more is no choice of the user's either."""
    board.write(rows("a"))
    board.draw()
    board.write(rows("other", ai_prompts={"clear": "a"}))
    assert board.changed() == {}


def test_a_default_model_that_changed_outdates_nothing(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that draws with another model by itself is no choice of the user's."""
    board.draw()
    monkeypatch.setattr(Sketch, "catalogue", Catalogue((NEW,), default="sketch-2", other=NEW))
    assert board.changed() == {}


@pytest.mark.parametrize("was", [{"image_size": "512"}, {"aspect_ratio": "4:3"}])
def test_a_default_that_changed_outdates_nothing(board: Board, was: dict[str, str]) -> None:
    """A size or shape that was the default once is no choice of the user's."""
    board.draw(chosen=(), **was)
    assert board.changed() == {}
    board.draw(chosen=tuple(was), **was)
    assert len(board.changed()) == 3


def test_a_default_that_is_written_down_outdates_nothing(board: Board) -> None:
    """A setting that says what would be drawn anyway changes no picture."""
    board.draw()
    board.set('model = "sketch"\nimage_size = "1K"\naspect_ratio = "16:9"')
    assert board.changed() == {}


def test_a_built_in_look_that_is_written_down_outdates_nothing(board: Board) -> None:
    """A look that says what would be added anyway changes no picture."""
    board.draw()
    board.set(f'[styles.clear]\nlook = "{composer.LOOKS["clear"]}"')
    assert board.changed() == {}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_says_nothing_of_itself_is_current(board: Board, kind: str) -> None:
    """Pictures of other tools stand for whatever the beat says, and never move."""
    for beat in board.project().beats["clear"]:
        board.put(beat, [picture(kind=kind)])
    board.write(rows("new", "a", "b"))
    board.set('model = "m"\n[styles.clear]\nlook = "Flat."')
    assert board.changed() == {}
    assert board.survey().moves == {}
    assert all(one.has_image for one in board.survey().beats["clear"])


def test_a_person_s_own_picture_is_never_outdated(board: Board) -> None:
    """What a person put there is what they want, whatever becomes of words and settings."""
    board.draw("1.1", "1.3")
    use.use_image(board.project("clear/1.2"), picture(kind="JPEG"), WALL, file="own.jpg")
    board.write(rows("x", "y", "z"))
    board.set('model = "m"\n[styles.clear]\nlook = "Flat."')
    assert board.changed() == dict.fromkeys(("1.1", "1.3"), ("words", "look", "model"))


def test_a_person_s_own_picture_moves_with_its_beat(board: Board) -> None:
    """A beat whose picture is a person's own is found by its words as any other."""
    use.use_image(board.project("clear/1.2"), picture(), WALL, file="own.png")
    board.write(rows("new", "a", "b"))
    assert board.moves() == {"1.2": "1.3"}


def test_an_accepted_picture_is_current(board: Board) -> None:
    """Accepting settles just the pictures that were asked for."""
    board.draw()
    board.write(rows("edited", "edited too", "c"))
    (accepted,) = board.accept("1.1")
    assert (accepted.name, accepted.changed) == ("clear/1/1.1", ("words",))
    assert board.changed() == {"1.2": ("words",)}
    board.accept()
    assert board.changed() == {}
    assert board.accept() == []


@pytest.mark.parametrize(
    ("edit", "reasons"),
    [
        (lambda board: board.write(rows("twice", "b", "c")), ("words",)),
        (lambda board: board.write(rows("a", "b", "c")), ()),
        (add_look, ("words", "look")),
        (choose('model = "m"'), ("words", "model")),
    ],
    ids=["words", "back", "look", "model"],
)
def test_an_accepted_picture_is_current_until_something_changes_again(
    board: Board, edit: Callable[[Board], None], reasons: tuple[str, ...]
) -> None:
    """What was accepted is one difference; any other is told again, in full."""
    board.draw("1.1")
    board.write(rows("edited", "b", "c"))
    board.accept("1.1")
    edit(board)
    assert board.changed() == ({"1.1": reasons} if reasons else {})


def test_nothing_is_accepted_where_numbers_have_moved(board: Board) -> None:
    """A picture that lies at another beat's number is not settled for that one by mistake."""
    board.draw()
    board.write(rows("new", "a", "b", "c"))
    with pytest.raises(UsageError, match="beat numbers changed"):
        board.accept()
    assert board.moves() == {"1.1": "1.2", "1.2": "1.3", "1.3": "1.4"}


def test_what_was_accepted_of_one_picture_is_not_of_the_next(board: Board) -> None:
    """A picture that was drawn since was never looked at by whoever accepted."""
    board.draw("1.1")
    board.write(rows("edited", "b", "c"))
    board.accept("1.1")
    board.write(rows("twice", "b", "c"))
    board.draw("1.1")
    assert board.changed() == {}
    board.write(rows("edited", "b", "c"))
    assert board.changed() == {"1.1": ("words",)}


def test_a_default_that_changed_leaves_accepted_what_was(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepting holds through another model, or look, of ours."""
    board.draw("1.1")
    board.write(rows("edited", "b", "c"))
    board.accept("1.1")
    monkeypatch.setattr(Sketch, "catalogue", Catalogue((NEW,), default="sketch-2", other=NEW))
    monkeypatch.setitem(composer.LOOKS, "clear", "Another look.")
    assert board.changed() == {}


def test_an_accepted_picture_moves_with_the_words_it_was_accepted_for(board: Board) -> None:
    """A beat is found by its words though its picture was drawn from others."""
    board.write(rows(BOAT, "b"))
    board.draw()
    board.write(rows("旅", "b"))
    board.accept("1.1")
    board.write(rows("new", "旅", "b"))
    assert board.moves() == {"1.1": "1.2", "1.2": "1.3"}


def test_an_accepted_picture_is_found_after_something_else_was_settled(board: Board) -> None:
    """Where overrides follow their beats before pictures do, an accepted one still moves."""
    board.write(rows(BOAT, "b"))
    board.draw()
    board.write(rows("旅", "b"))
    board.accept("1.1")
    board.write(rows("new", "旅", "b"))
    settle.skip(board.project("1.1"), WALL, undo=True)
    project = board.project("1.3")
    overrides.edit(
        project.layout,
        project.overrides.changed(
            project.selected_beats(), lambda had, _: msgspec.structs.replace(had, waived=True)
        ),
    )
    assert board.moves() == {"1.1": "1.2", "1.2": "1.3"}


def test_only_moved_words_are_moves(board: Board) -> None:
    """A beat that was inserted moves those after it; one that was edited moves none."""
    board.draw()
    board.write(rows("a", "new", "b", "c"))
    assert board.moves() == {"1.2": "1.3", "1.3": "1.4"}
    board.write(rows("a", "new", "c"))
    assert board.survey().moves == {}


def test_a_beat_that_was_edited_while_it_moved_is_found_by_what_its_picture_tells(
    board: Board,
) -> None:
    """The words that a picture holds are enough, where beat numbers changed."""
    board.write(rows("a", BOAT))
    board.draw()
    board.write(rows("new", "a", BOAT.replace("red", "blue")))
    assert board.moves() == {"1.1": "1.2", "1.2": "1.3"}


def test_a_beat_is_found_by_its_id(board: Board) -> None:
    """A row's own id finds its picture, however it was edited."""
    a, b, c = ({**row, "id": f"id-{n}"} for n, row in enumerate(rows("a", "b", "c")))
    board.write([a, b, c])
    board.draw()
    moved = [{**b, "beat_number": "1.1"}, {**c, "beat_number": "1.2", "ai_prompt": BOAT}]
    board.write([*moved, {**a, "beat_number": "1.3"}])
    assert board.moves() == {"1.1": "1.3", "1.2": "1.1", "1.3": "1.2"}


def left_over(board: Board) -> list[str]:
    """Return the shots and numbers of pictures that are no beat's."""
    return ["/".join(one.key) for one in board.survey().strays.get("clear", [])]


def test_pictures_of_beats_that_are_gone_are_left_over(board: Board) -> None:
    """What lies where a beat would be, and is none, is listed in the order that people count."""
    board.draw()
    assert left_over(board) == []
    for shot, number in (("10", "10.1"), ("2", "2.10"), ("2", "2.9"), ("A", "1b"), ("2", "2.9a")):
        board.at(number, shot).parent.mkdir(exist_ok=True)
        board.at(number, shot).write_bytes(picture())
    board.write(rows("a"))
    assert left_over(board) == [
        *("1/1.2", "1/1.3"),
        *("2/2.9", "2/2.9a", "2/2.10"),
        "10/10.1",
        "A/1b",
    ]


def test_what_no_beat_could_have_is_not_left_over(board: Board) -> None:
    """Other files, and folders of other names, are not imagegen's."""
    board.draw()
    for name in ("notes.txt", "Beat_1.9.jpg", "beat.png", ".imagegen-0123456789ab.tmp"):
        board.at("1.1").with_name(name).write_bytes(picture())
    other = board.root / "generated_images" / "clear" / "other" / "Beat_1.1.png"
    other.parent.mkdir()
    other.write_bytes(picture())
    assert left_over(board) == []


def test_a_picture_that_is_left_over_goes_where_its_words_are(board: Board) -> None:
    """A beat that was deleted and comes back elsewhere gets its picture back."""
    board.draw()
    board.write(rows("a", "b"))
    assert (left_over(board), board.moves()) == (["1/1.3"], {})
    board.write(rows("c", "b"))
    assert board.moves() == {"1.3": "1.1"}


def test_pictures_of_one_size_and_time_are_told_apart_once_they_have_moved(board: Board) -> None:
    """What is remembered of a file is not believed of another that has its name now."""
    board.draw()
    for path in board.at("1.1").parent.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    project = board.project()
    project.survey(WALL)
    project.layout.prepare()
    project.index.save()
    board.write(rows("b", "a", "c"))
    assert renumbering.renumber(board.project(), WALL).count == 2
    assert (board.moves(), board.changed()) == ({}, {})


def test_a_picture_under_a_decomposed_name_moves_as_well(board: Board) -> None:
    """Names that were copied from macOS are those of the files, however they are spelled."""
    named = [{**row, "beat_number": f"é{n}"} for n, row in enumerate(rows("a", "b"))]
    board.write(named)
    board.draw()
    for path in list(board.at("é0").parent.iterdir()):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    assert board.changed() == {}
    board.write([{**named[0], "ai_prompt": "b"}, {**named[1], "ai_prompt": "a"}])
    assert renumbering.renumber(board.project(), WALL).count == 2
    assert (board.moves(), board.changed()) == ({}, {})
