"""Characters: how they are written down, and whom a text names."""

from pathlib import Path
from typing import Any

import pytest

from builders import beat, picture
from imagegen import providers
from imagegen.errors import InvalidInputError
from imagegen.project.characters import Character, Mentions
from imagegen.project.layout import ProjectPaths
from imagegen.project.settings import Settings, load
from imagegen.prompts.composer import Composer
from imagegen.prompts.references import ReferenceLimits, References, gather
from imagegen.providers.base import ReferenceRole, Request


def named(words: str, **names: tuple[str, ...]) -> tuple[str, ...]:
    """Return whom words name, of characters with these names."""
    return Mentions({who: Character(names=own) for who, own in names.items()}).within(words)


HEIC = b"\0\0\0\x18ftypheic" + bytes(40)
MARA = ("Mara", "the keeper")


@pytest.mark.parametrize(
    "words",
    [
        *("Mara", "Mara's lamp", "Mara\u2019s lamp", "(Mara)", "*Mara*", "_Mara_", "Mara-like"),
        *("MARA ENTERS", "and Mara.", "\u201cMara\u201d", "Mara\u2014alone", "der Mara", "X\nMara"),
        *("the keeper", "The keeper", "THE KEEPER'S", "the\n  keeper", "The Keeper", "the Keeper"),
        *("\uff2d\uff41\uff52\uff41",),
        *("Mara\u8d70\u8fdb\u6765", "\u8d70Mara", "Mara\u306e"),
    ],
)
def test_a_name_is_found_as_a_word(words: str) -> None:
    """With what follows it in English, in markup, in capitals, beside scripts without blanks."""
    assert named(words, mara=MARA) == ("mara",)


@pytest.mark.parametrize(
    "words",
    [
        *("Maradona", "Samara", "Tamara", "Mara2", "mara", "M ara", "Maras", "\u00fcMara", ""),
        *("the keepers", "bookkeeper", "the  old keeper", "Mara\u0301"),
    ],
)
def test_a_name_in_another_word_is_not_found(words: str) -> None:
    """Nor one that begins with a small letter where the name has a capital."""
    assert named(words, mara=MARA) == ()


@pytest.mark.parametrize(
    ("name", "found", "others"),
    [
        ("\u739b\u62c9", "\u739b\u62c9\u8d70\u8fdb\u706f\u5854", "\u739b\u4e3d"),
        ("\ub9c8\ub77c", "\ub9c8\ub77c\ub294 \uac77\ub294\ub2e4", "\uc5c4\ub9c8\ub77c\ub294"),
        ("\u30de\u30e9", "\u30de\u30e9\u304c\u6b69\u304f", "\u30de\u30e9\u30bd\u30f3"),
        ("\u307e\u3089", "\u5c11\u5973\u307e\u3089\u306f", "\u307e\u308a"),
        (
            "\u041c\u0430\u0440\u0430",
            "\u0418 \u041c\u0430\u0440\u0430.",
            "\u041c\u0430\u0440\u0430\u0434\u043e\u043d\u0430",
        ),
        ("\u0e21\u0e32\u0e23\u0e32", "\u0e21\u0e32\u0e23\u0e32\u0e40\u0e14\u0e34\u0e19", "\u0e21"),
        (
            "\u0645\u0627\u0631\u0627",
            "\u0647\u0630\u0647 \u0645\u0627\u0631\u0627\u060c",
            "\u0645\u0627\u0631\u0627\u062f\u0648\u0646\u0627",
        ),
        (
            "\u039c\u03b1\u03c1\u03af\u03b1",
            "\u0397 \u039c\u03b1\u03c1\u03af\u03b1!",
            "\u039c\u03b1",
        ),
    ],
    ids=["Han", "Hangul", "Katakana", "Hiragana", "Cyrillic", "Thai", "Arabic", "Greek"],
)
def test_names_of_other_scripts(name: str, found: str, others: str) -> None:
    """Where a script has blanks, they are the edge; where it has none, there is no edge."""
    assert named(found, one=(name,)) == ("one",)
    assert named(others, one=(name,)) == ()


def test_composed_and_decomposed_letters_are_the_same() -> None:
    """Whoever types a name on another system types other bytes."""
    assert named("Zoe\u0308 waits", zoe=("Zo\u00eb",)) == ("zoe",)
    assert named("Zo\u00eb waits", zoe=("Zoe\u0308",)) == ("zoe",)


def test_the_longest_name_counts_and_the_order_is_that_of_the_words() -> None:
    """Anna-Maria is not Anna as well; who is named twice counts once."""
    cast = {"anna": ("Anna",), "both": ("Anna-Maria",), "tom": ("Tom",)}
    assert named("Tom, Anna-Maria and Tom", **cast) == ("tom", "both")
    assert named("Anna meets Anna-Maria", **cast) == ("anna", "both")
    assert named("Anna\u2011Maria", **cast) == named("Anna\u2010Maria", **cast) == ("both",)


def test_names_that_mean_something_to_a_pattern_are_names() -> None:
    """Points, brackets and stars stand for themselves."""
    assert named("J.R. (the 2nd) nods", jr=("J.R. (the 2nd)",)) == ("jr",)
    assert named("JxRx nods", jr=("J.R.",)) == ()


# -- in imagegen.toml ------------------------------------------------------------------


def faults(folder: Path, text: str) -> list[str]:
    """Return the faults of an imagegen.toml, as field and message."""
    (folder / "imagegen.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError) as caught:
        load(folder)
    return [f"{fault.field}: {fault.message}" for fault in caught.value.faults]


def test_a_character_without_names_is_called_by_its_table(tmp_path: Path) -> None:
    """One name may stand without brackets."""
    (tmp_path / "imagegen.toml").write_text(
        '[characters.old_tom]\nabout = "A cat."\n[characters.mara]\nnames = "Mara"\n'
    )
    cast = load(tmp_path).characters
    assert {name: one.names for name, one in cast.items()} == {
        "old_tom": ("Old tom",),
        "mara": ("Mara",),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("characters = 3", "characters: expected tables"),
        ("[characters]\nmara = 3", "characters.mara: expected a table"),
        ('[characters."M a"]\n', "characters.M a: this name"),
        ("[characters.mara]\nname = 'x'", "characters.mara.name: unknown setting"),
        ("[characters.mara]\nnames = []", "characters.mara.names"),
        ("[characters.mara]\nnames = ['']", "characters.mara.names"),
        ("[characters.mara]\nnames = ['...']", 'characters.mara.names: "..." has no letter'),
        ("[characters.mara]\npicture = 3", "characters.mara.picture"),
        (
            "[characters.mara]\npicture = { cleer = 'x.png' }",
            'characters.mara.picture: unknown style "cleer"',
        ),
        (
            "[characters.a]\nnames = ['Mara']\n[characters.b]\nnames = ['Mara']",
            'characters.b.names: "Mara" is also a name of a',
        ),
        ("references = 'x.png'", "references: expected a list"),
        ("continuity = 'yes'", "continuity: expected true or false"),
    ],
)
def test_faults_of_characters_are_told(tmp_path: Path, text: str, told: str) -> None:
    """Each with the setting that is wrong."""
    assert any(one.startswith(told) for one in faults(tmp_path, text)), faults(tmp_path, text)


# -- what is sent ----------------------------------------------------------------------


class Project:
    """A project with settings and pictures of different sizes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def picture(self, name: str, width: int) -> bytes:
        """Make a picture of this width; returns its bytes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(width, 8))
        return path.read_bytes()

    def settings(self, text: str) -> Settings:
        """Write and read imagegen.toml."""
        (self.root / "imagegen.toml").write_text(text)
        return load(self.root)

    def request(self, text: str, limits: ReferenceLimits | None = None, **fields: Any) -> Request:
        """Return what is sent for a beat."""
        one = beat(**fields)
        settings = self.settings(text)
        found = gather(
            ProjectPaths(self.root), settings, {"clear": [one]}, limits or ReferenceLimits()
        )
        return Composer(settings, found, limits=limits).request(one)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project without pictures."""
    return Project(tmp_path)


CAST = """
[characters.mara]
names = ["Mara"]
picture = "characters/mara.png"
[characters.tom]
names = ["Tom"]
picture = { clear = "tom.png" }
"""


def test_references_go_in_the_order_of_their_weight(project: Project) -> None:
    """A hard cut's style, the row's own, who is named, the style's, the project's."""
    data = [
        project.picture(name, 4 + n)
        for n, name in enumerate(
            ("style_reference.png", "row.png", "tom.png", "characters/mara.png", "s.png", "p.png")
        )
    ]
    text = 'references = ["p.png"]\n[styles.clear]\nreferences = ["s.png"]\n' + CAST
    fields: dict[str, Any] = {
        "words": "Tom sees Mara.",
        "transition": "H",
        "references": ("row.png",),
    }
    request = project.request(text, **fields)
    assert [reference.data for reference in request.references] == data
    room = sum(map(len, data[:4]))
    small = project.request(text, ReferenceLimits(in_all=room), **fields)
    assert [reference.data for reference in small.references] == data[:4]


def test_a_legend_tells_who_is_on_which_picture(project: Project) -> None:
    """Where somebody is named; else the words go out as they are."""
    for n, name in enumerate(("style_reference.png", "tom.png", "characters/mara.png")):
        project.picture(name, 4 + n)
    request = project.request(CAST, words="Mara waits.", transition="H", own_words=True)
    assert request.prompt == (
        "Mara waits.\n\nReference pictures, in their order. 1: the style. 2: Mara (character)."
    )
    plain = project.request(CAST, words="Nobody.", transition="H", own_words=True)
    assert plain.prompt == "Nobody."
    assert len(plain.references) == 1


def test_the_same_picture_is_sent_once(project: Project) -> None:
    """However many settings name it."""
    project.picture("tom.png", 4)
    project.picture("characters/mara.png", 5)
    request = project.request('references = ["tom.png"]\n' + CAST, words="Tom.")
    assert [one.role for one in request.references] == [ReferenceRole.CHARACTER]


def test_room_is_kept_for_the_largest_picture_that_a_beat_may_continue(project: Project) -> None:
    """However large that one is in the end, for what goes with it must not depend on it."""
    data = project.picture("p.png", 4)
    first, second = beat("1.1"), beat("1.2")
    settings = project.settings('references = ["p.png"]\n')
    limits = ReferenceLimits(bytes=1000, in_all=1000 + len(data) - 1)
    found = gather(ProjectPaths(project.root), settings, {"clear": [first, second]}, limits)
    made = Composer(settings, found, {"clear": {second.key: first.key}}, limits)
    assert [one.data for one in made.request(first).references] == [data]
    assert made.request(second).references == ()
    assert [one.data for one in made.left_out(second)] == [data]


def test_larger_references_than_a_request_takes_are_left_out(project: Project) -> None:
    """The last ones; a warning counts the beats."""
    data = project.picture("p.png", 4)
    project.picture("q.png", 5)
    settings = project.settings('references = ["p.png", "q.png"]\n')
    limits = ReferenceLimits(bytes=1000, in_all=len(data))
    found = gather(ProjectPaths(project.root), settings, {"clear": [beat()]}, limits)
    made = Composer(settings, found, None, limits)
    assert [one.data for one in made.request(beat()).references] == [data]
    assert (made.short([beat()]) or "").startswith("1 beat has larger references than one request")
    assert made.excess([beat()]) is None


def test_a_picture_that_is_named_twice_keeps_its_weight(project: Project) -> None:
    """It stands where it was named first, and so gives way last."""
    tom, mara = project.picture("tom.png", 4), project.picture("characters/mara.png", 5)
    text = 'references = ["tom.png"]\n' + CAST
    request = project.request(text, ReferenceLimits(in_all=len(tom)), words="Tom and Mara.")
    assert [one.data for one in request.references] == [tom]
    both = project.request(text, words="Tom and Mara.")
    assert [one.data for one in both.references] == [tom, mara]


def test_a_style_without_a_picture_of_a_character_sends_none(project: Project) -> None:
    """A table of pictures serves the styles that it names."""
    project.picture("tom.png", 4)
    project.picture("characters/mara.png", 5)
    one = beat(style="consistent", words="Tom and Mara.")
    settings = project.settings(CAST)
    found = gather(ProjectPaths(project.root), settings, {"consistent": [one]}, ReferenceLimits())
    request = Composer(settings, found).request(one)
    assert [reference.name for reference in request.references] == ["Mara"]


def told(project: Project, text: str, limits: ReferenceLimits | None = None, **fields: Any) -> str:
    """Return the faults of references that cannot be sent."""
    with pytest.raises(InvalidInputError) as caught:
        gather(
            ProjectPaths(project.root),
            project.settings(text),
            {"clear": [beat(**fields)]},
            limits or ReferenceLimits(),
        )
    return "\n".join(f"{f.file} {f.row} {f.field} {f.message}" for f in caught.value.faults)


@pytest.mark.parametrize("name", providers.NAMES)
def test_a_type_that_the_provider_does_not_take_is_told_before(project: Project, name: str) -> None:
    """With the setting or the row that names it; else each such beat would fail by itself."""
    for path in ("mara.heic", "row.heic"):
        (project.root / path).write_bytes(HEIC + path.encode())
    (project.root / "p.webp").write_bytes(picture(8, 8, kind="WEBP"))
    text = 'references = ["p.webp"]\n[characters.mara]\npicture = "mara.heic"\n'
    limits = ReferenceLimits(types=providers.provider_class(name).reference_types, by=name)
    fields: dict[str, Any] = {"references": ("row.heic",), "row": 7, "file": "beats.json"}
    if name in {"openai", "sdwebui"}:
        first, second = told(project, text, limits, **fields).splitlines()
        assert "characters.mara.picture" in first
        assert f"mara.heic: HEIC is not taken by {name}" in first
        assert second.startswith(f"{project.root / 'beats.json'} 7 references")
        assert f"row.heic: HEIC is not taken by {name}" in second
    else:
        sent = project.request(text, limits, words="Mara.", **fields).references
        assert [one.mime_type for one in sent] == ["image/heic", "image/heic", "image/webp"]


@pytest.mark.parametrize("size", [20, 40, -4])
def test_a_torn_picture_is_told_before(project: Project, size: int) -> None:
    """A PNG is looked at whole, whoever names it: the service would refuse it."""
    data = project.picture("whole.png", 40)
    for path in ("tom.png", "row.png"):
        (project.root / path).write_bytes(data[:size])
    text = '[characters.tom]\npicture = "tom.png"\n'
    first, second = told(project, text, references=("row.png", "whole.png"), row=3).splitlines()
    assert "characters.tom.picture" in first
    assert "tom.png is torn" in first
    assert "row.png is torn" in second


def test_every_picture_that_cannot_be_sent_is_told(project: Project) -> None:
    """All together, each with the setting or the row that names it."""
    (project.root / "words.txt").write_text("no picture")
    (project.root / "characters").mkdir()
    (project.root / "characters/mara.png").write_text("no picture either")
    text = 'references = ["../outside.png"]\n' + CAST
    said = told(project, text, references=("words.txt", "gone.png"), row=7, file="beats.json")
    lines = said.splitlines()
    assert len(lines) == 5
    assert "references" in lines[0]
    assert "outside" in lines[0]
    assert "characters.mara.picture" in lines[1]
    assert "mara.png cannot be sent as a reference" in lines[1]
    assert 'characters.tom.picture "tom.png": no such file' in lines[2]
    row = f"{project.root / 'beats.json'} 7 references"
    assert lines[3].startswith(row)
    assert lines[4] == f'{row} "gone.png": no such file'


def test_a_large_picture_is_scaled_down_once(project: Project) -> None:
    """What is remembered of it is the file's own hash, whatever is sent."""
    data = project.picture("tom.png", 1200)
    one = beat(words="Tom.")
    settings = project.settings('[characters.tom]\npicture = "tom.png"\n')
    limit = len(data) // 2
    found = gather(
        ProjectPaths(project.root), settings, {"clear": [one]}, ReferenceLimits(bytes=limit)
    )
    (sent,) = found.of(one, hard_cut=False)
    assert len(sent.data) <= limit
    whole = gather(
        ProjectPaths(project.root), settings, {"clear": [one]}, ReferenceLimits(bytes=len(data))
    )
    (original,) = whole.of(one, hard_cut=False)
    assert original.data == data
    assert sent.digest == original.digest
    (again,) = found.of(one, hard_cut=False)
    assert again is sent


def test_without_characters_nothing_is_looked_for() -> None:
    """A project without any has no references but its styles'."""
    assert not References()
    assert References().of(beat(words="Mara"), hard_cut=True) == ()
