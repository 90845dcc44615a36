"""What a person settles beat by beat, in overrides.toml."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import platformdirs
import pytest

from builders import picture
from imagegen import files
from imagegen.editing import settle as settling
from imagegen.errors import InvalidInputError, UsageError
from imagegen.images import png
from imagegen.project import overrides
from imagegen.project.beat_status import Status
from imagegen.project.layout import ProjectPaths
from imagegen.project.overrides import Accepted, Override
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat, BeatAddress
from imagegen.project.storyboard.hashing import words_hash
from imagegen.prompts.composer import LOOKS
from imagegen.workspace.credentials import CredentialOptions
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project

WALL = 4_000_000_000.0
"""Long after every file of a test was written."""
ONE = BeatAddress("clear", "1", "1.1")
TWO = BeatAddress("clear", "1", "1.2")
ACCEPTED = Accepted(drawn="d", now="n", words="w")
WRITTEN = """\
# Mine: see the minutes of May 4th.

["clear/2/2.1"]  # the finale
waived = true    # too sad

# Later.
["clear/1/1.1"]
of = "beef"
prompt = '''
A boat,
far away.'''

["clear/1/1.2"]
accepted = { now = "n", words = "w", drawn = "d" } # by mail
"""
SAYS = {
    ("clear", "2", "2.1"): Override(waived=True),
    ONE: Override(prompt="A boat,\nfar away.", words_hash="beef"),
    TWO: Override(accepted=ACCEPTED),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project that draws one style."""
    folder, config = tmp_path / "my-video", tmp_path / "config"
    folder.mkdir()
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: config)
    (folder / "imagegen.toml").write_text('provider = "sketch"\ndraw = ["clear"]\n')
    return folder


def write(root: Path, text: str) -> None:
    """Put this into overrides.toml."""
    (root / overrides.FILE).write_text(text, encoding="utf-8")


def text(root: Path) -> str:
    """Return what overrides.toml holds."""
    return (root / overrides.FILE).read_text(encoding="utf-8")


def board(root: Path, *words: str) -> None:
    """Write a storyboard of one shot with these words."""
    rows = [
        {"shot_number": 1, "beat_number": f"1.{n}", "transition_type": "C", "ai_prompt": one}
        for n, one in enumerate(words, 1)
    ]
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")


def project(root: Path, *beats: str) -> Project:
    """Read the project, to ask for these beats or for all."""
    return read_project(root, DrawRequest(beats=beats))


def faults(root: Path, written: str) -> list[tuple[str, str | None, str]]:
    """Return file, field and message of everything that is wrong with an overrides.toml."""
    write(root, written)
    with pytest.raises(InvalidInputError) as caught:
        overrides.load(root)
    return [(fault.file, fault.field, fault.message) for fault in caught.value.faults]


def settled(root: Path) -> dict[str, Override]:
    """Return what is settled for each number of the storyboard as it is now."""
    return {number: one for (_, _, number), one in project(root).overrides.overrides.items()}


def words(root: Path) -> list[str]:
    """Return the words that are sent for each beat."""
    return [beat.words for beat in project(root).beats["clear"]]


def settle(root: Path, *numbers: str, prompt: str | None = None, waived: bool = False) -> None:
    """Settle these beats as commands do."""

    def new(had: Override, beat: Beat) -> Override:
        return msgspec.structs.replace(
            had, prompt=prompt and f"{prompt} {beat.beat}", waived=waived
        )

    read = project(root, *numbers)
    overrides.edit(read.layout, read.overrides.changed(read.selected_beats(), new))


def draw(root: Path) -> None:
    """Draw every beat as a run would."""
    read = project(root)
    for beat in read.beats["clear"]:
        path = read.layout.picture(*beat.address)
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = read.composer.texts(beat, WALL)
        path.write_bytes(b"".join(png.add_metadata(picture(), read.expected(beat), texts)))


def test_without_a_file_nothing_is_settled(root: Path) -> None:
    """A project needs no overrides.toml, and an empty one says nothing."""
    assert overrides.load(root) == {}
    write(root, "# Nothing yet.\n")
    assert overrides.load(root) == {}


def test_a_file_is_read_as_a_person_writes_it(root: Path) -> None:
    """Each entry says what was settled for one beat, with or without the row's hash."""
    write(root, WRITTEN)
    assert overrides.load(root) == SAYS
    (root / overrides.FILE).write_bytes(b"\xef\xbb\xbf" + WRITTEN.encode())
    assert overrides.load(root) == SAYS


@pytest.mark.parametrize(
    ("written", "field", "message"),
    [
        ('["clear/1"]\nwaived = true', "clear/1", "expected a table named by style, shot and beat"),
        ("waived = true", "waived", "expected a table named by style, shot and beat"),
        ('"clear/1/1.1" = true', "clear/1/1.1", "expected a table named by style, shot and beat"),
        ('["clear//1.1"]', "clear//1.1", "expected a table named by style, shot and beat"),
        ('["clear/1/1.1/x"]', "clear/1/1.1/x", "expected a table named by style, shot and beat"),
        ("[clear.1.1]", "clear", "expected a table named by style, shot and beat"),
        ('["clear/1/1.1"]\nwaved = true', "clear/1/1.1.waved", "unknown setting"),
        ('["clear/1/1.1"]\nprompt = 7', "clear/1/1.1.prompt", "expected text, got a whole number"),
        ('["clear/1/1.1"]\nprompt = " "', "clear/1/1.1.prompt", "is empty"),
        ('["clear/1/1.1"]\nprompt = "a\\u0000"', "clear/1/1.1.prompt", "holds a NUL character"),
        (
            '["clear/1/1.1"]\nwaived = "yes"',
            "clear/1/1.1.waived",
            "expected true or false, got text",
        ),
        (
            '["clear/1/1.1"]\naccepted = { drawn = "d", now = "n" }',
            "clear/1/1.1.accepted",
            "object missing required field words",
        ),
        (
            '["clear/1/1.1"]\naccepted = { drawn = 1, now = "n", words = "w" }',
            "clear/1/1.1.accepted.drawn",
            "expected text, got a whole number",
        ),
    ],
)
def test_a_fault_is_told_with_its_field(root: Path, written: str, field: str, message: str) -> None:
    """What is wrong is told with the file, the entry and its field."""
    found = faults(root, written)
    assert [(file, place) for file, place, _ in found] == [(str(root / overrides.FILE), field)]
    assert found[0][2].startswith(message)


def test_all_faults_are_told_together(root: Path) -> None:
    """One reading tells everything that has to be mended, in overrides and beats alike."""
    written = 'odd = 1\n["clear/1/1.1"]\nprompt = ""\nwaived = 0\n["clear/1/1.2"]\nx = 1'
    assert [field for _, field, _ in faults(root, written)] == [
        "odd",
        "clear/1/1.1.waived",
        "clear/1/1.1.prompt",
        "clear/1/1.2.x",
    ]
    (root / "beats.json").write_text('[{"shot_number": 1, "beat_number": "1.1"}]')
    with pytest.raises(InvalidInputError) as caught:
        project(root)
    assert {Path(fault.file).name for fault in caught.value.faults} == {
        "overrides.toml",
        "beats.json",
    }


def all_faults(root: Path, settings: str) -> set[tuple[str, str | None]]:
    """Return file and field of everything that is wrong with a project of these settings."""
    (root / "imagegen.toml").write_text(settings)
    (root / "keys.toml").write_text("odd = 1")
    (root / "keys.toml").chmod(0o600)
    (root / "beats.json").write_text('[{"shot_number": 1, "beat_number": "1.1"}]')
    write(root, "odd = 1")
    with pytest.raises(InvalidInputError) as caught:
        read_project(root, DrawRequest(), CredentialOptions())
    return {(Path(fault.file).name, fault.field) for fault in caught.value.faults}


OTHERS = {("keys.toml", "odd"), ("overrides.toml", "odd"), ("beats.json", "ai_prompt")}


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ("timeout = 0\nodd = 1", {"timeout", "odd"}),
        ("[styles.clear]\nlook = 7", {"styles.clear.look"}),
        ('draw = ["claer"]', {"draw"}),
    ],
)
def test_faults_of_settings_hide_no_others(root: Path, settings: str, fields: set[str]) -> None:
    """Whatever does not decide which beats are meant is told together with theirs."""
    assert all_faults(root, settings) == {("imagegen.toml", one) for one in fields} | OTHERS


@pytest.mark.parametrize("provider", ['"gemni"', "7"])
def test_keys_of_an_unknown_provider_are_not_judged(root: Path, provider: str) -> None:
    """Nobody knows which part of keys.toml is meant; the beats are the same for each."""
    others = OTHERS - {("keys.toml", "odd")}
    found = all_faults(root, f"timeout = 0\nprovider = {provider}")
    assert found == {("imagegen.toml", "timeout"), ("imagegen.toml", "provider")} | others


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ("beats = 7", "beats"),
        ("beats = ", None),
        ("styles = 7", "styles"),
        ("[styles.Noir]", "styles.Noir"),
    ],
)
def test_where_it_is_open_which_beats_are_meant_none_are_judged(
    root: Path, settings: str, field: str | None
) -> None:
    """Faults of the wrong file, or of words for a style that is misspelt, would help nobody."""
    assert all_faults(root, settings) == {("imagegen.toml", field)}


def test_what_cannot_be_read_at_all_hides_no_fault(root: Path) -> None:
    """A project without beats has the faults of its other files told all the same."""
    write(root, "odd = 1")
    with pytest.raises(InvalidInputError) as caught:
        project(root)
    assert [fault.field for fault in caught.value.faults] == ["odd"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[", "is not valid TOML"),
        (b"\xff", "byte 1 is not UTF-8"),
        (b"a = " + b"[" * 100_000, "is not valid TOML"),
        (b"a = " + b"9" * 5_000, "is not valid TOML"),
        (b".".join([b"a"] * 100) + b" = 1", "has a name of more than 64 parts"),
        (b"#" * (4 * 1024 * 1024 + 1), "is larger than 4 MiB"),
    ],
    ids=["torn", "bytes", "deep", "digits", "parts", "large"],
)
def test_a_file_that_was_made_to_harm_is_refused(root: Path, data: bytes, message: str) -> None:
    """Whatever somebody puts there ends in words that name the file."""
    (root / overrides.FILE).write_bytes(data)
    with pytest.raises(InvalidInputError) as caught:
        overrides.load(root)
    (fault,) = caught.value.faults
    assert fault.file == str(root / overrides.FILE)
    assert fault.message.startswith(message)


def test_an_entry_leads_nowhere(root: Path) -> None:
    """An entry for what is no beat of the project settles nothing and touches no file."""
    board(root, "a")
    write(root, '["../../etc"]\nwaived = true\n["clear/../x"]\nwaived = true\n')
    assert settled(root) == {}
    assert words(root) == ["a"]


def test_very_many_faults_stay_few_to_read(root: Path) -> None:
    """A file of nothing but faults is not told in full."""
    found = faults(root, '["clear/1/1.1"]\n' + "".join(f"x{n} = 1\n" for n in range(5_000)))
    assert len(found) <= 1_001
    assert found[-1][2] == "too many errors: the rest is not read"


def test_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    """What a link leads to is neither read nor written, wherever that is."""
    outside = tmp_path / "outside.toml"
    outside.write_text(WRITTEN)
    (root / overrides.FILE).symlink_to(outside)
    with pytest.raises(InvalidInputError) as caught:
        overrides.load(root)
    assert [fault.message for fault in caught.value.faults] == ["is a symbolic link"]
    with pytest.raises(UsageError, match="is a link"):
        overrides.edit(ProjectPaths(root), {ONE: None})
    assert outside.read_text() == WRITTEN


def test_what_cannot_be_read_is_not_written_over(root: Path) -> None:
    """An edit of a torn file is refused, and the file stays as it is."""
    write(root, '["clear/1/1.1"]\nprompt = ')
    with pytest.raises(UsageError, match="error"):
        overrides.edit(ProjectPaths(root), {TWO: Override(waived=True)})
    assert text(root) == '["clear/1/1.1"]\nprompt = '


def test_an_edit_changes_what_it_says_and_nothing_else(root: Path) -> None:
    """Comments, order and every other entry stay as a person has written them."""
    write(root, WRITTEN)
    overrides.edit(ProjectPaths(root), {BeatAddress("clear", "3", "3.1"): Override(waived=True)})
    assert text(root).startswith(WRITTEN)
    overrides.edit(ProjectPaths(root), {ONE: Override(prompt="Mine.", words_hash="beef")})
    expected = WRITTEN.replace("'''\nA boat,\nfar away.'''", '"Mine."')
    assert text(root).startswith(expected)
    assert overrides.load(root) == {
        **SAYS,
        ONE: Override(prompt="Mine.", words_hash="beef"),
        ("clear", "3", "3.1"): Override(waived=True),
    }


def test_an_edit_leaves_what_is_said_already_as_it_is_written(root: Path) -> None:
    """Words over several lines stay so where something else is settled for their beat."""
    write(root, WRITTEN)
    overrides.edit(ProjectPaths(root), {ONE: msgspec.structs.replace(SAYS[ONE], waived=True)})
    assert "prompt = '''\nA boat,\nfar away.'''\n" in text(root)
    assert overrides.load(root)[ONE].waived


def test_an_edit_takes_out_what_is_not_said_any_more(root: Path) -> None:
    """A field that is settled no more goes alone; an entry that says nothing goes whole."""
    write(root, WRITTEN)
    changes = {
        ONE: Override(waived=True),
        TWO: None,
        BeatAddress("clear", "2", "2.1"): Override(words_hash="beef"),
    }
    overrides.edit(ProjectPaths(root), changes)
    assert overrides.load(root) == {ONE: Override(waived=True)}


def test_a_comment_above_an_entry_stays_where_the_one_before_it_goes(root: Path) -> None:
    """Taking an entry out takes no line that a person wrote over another."""
    write(root, WRITTEN)
    overrides.edit(ProjectPaths(root), {BeatAddress("clear", "2", "2.1"): None})
    assert text(root).startswith("# Mine: see the minutes of May 4th.")
    assert '\n# Later.\n["clear/1/1.1"]\n' in text(root)


@pytest.mark.parametrize(
    "override",
    [
        Override(prompt="\"\"\"\\ ''' # = [x]\n\t\U0001f6a2 …\r\n", words_hash='"'),
        Override(prompt="猫が赤い椅子に座っている。", waived=True),
        Override(accepted=ACCEPTED, words_hash="beef"),
    ],
)
def test_what_was_settled_is_read_back_the_same(root: Path, override: Override) -> None:
    """Words with quotes, escapes and line ends come back as they went in."""
    where = BeatAddress("clear", 'é "q"', "1.]=#'")
    overrides.edit(ProjectPaths(root), {where: override, TWO: Override(waived=True)})
    assert overrides.load(root) == {where: override, TWO: Override(waived=True)}
    overrides.edit(ProjectPaths(root), {TWO: None})
    assert overrides.load(root) == {where: override}


@pytest.mark.parametrize(
    "written",
    [
        '"clear/1/1.1" = { waived = true }',
        '"clear/1/1.1".waived = true\n"clear/1/1.1".of = "beef"\n',
        '["clear/1/1.1"]\r\nwaived = true\r\n',
        "['clear/1/1.1']\nwaived = true # end",
        '["clear/1/1.1"]\n["clear/1/1.1".accepted]\ndrawn="d"\nnow="n"\nwords="w"\n',
    ],
    ids=["inline", "dotted", "carriage returns", "no last line end", "a table of its own"],
)
@pytest.mark.parametrize(
    "override", [Override(prompt="Mine."), Override(accepted=ACCEPTED, words_hash="b"), Override()]
)
def test_whatever_way_an_entry_is_written_it_can_be_edited(
    root: Path, written: str, override: Override
) -> None:
    """TOML knows several ways to say the same, and people use them."""
    write(root, written)
    overrides.edit(ProjectPaths(root), {ONE: override, TWO: Override(waived=True)})
    left = {ONE: override} if override.is_set else {}
    assert overrides.load(root) == left | {TWO: Override(waived=True)}


def test_a_new_file_says_what_it_is(root: Path) -> None:
    """Who finds the file is told who writes it."""
    overrides.edit(ProjectPaths(root), {ONE: Override(waived=True)})
    assert text(root).startswith("# Overrides of single beats, ")
    overrides.edit(ProjectPaths(root), {TWO: Override(waived=True)})
    assert text(root).count("#") == 1


def test_no_change_writes_no_file(root: Path) -> None:
    """A command that settles nothing leaves nothing behind."""
    overrides.edit(ProjectPaths(root), {})
    assert not (root / overrides.FILE).exists()


@pytest.mark.slow
def test_a_file_does_not_grow_beyond_what_is_read(root: Path) -> None:
    """What would be refused by the next command is not written by this one."""
    write(root, WRITTEN)
    with pytest.raises(UsageError, match="larger than 4 MiB"):
        overrides.edit(ProjectPaths(root), {ONE: Override(prompt="x" * (4 * 1024 * 1024))})
    assert text(root) == WRITTEN


def test_edits_at_the_same_time_all_survive(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that settles something while another does waits for it, and both are kept."""
    second = threading.Thread(
        target=overrides.edit, args=(ProjectPaths(root), {TWO: Override(waived=True)})
    )
    real = files.write

    def meanwhile(path: Path, *parts: bytes | memoryview, mode: int = 0o666) -> None:
        if path.name == overrides.FILE and threading.current_thread() is not second:
            second.start()
            # Long enough for what does not wait.
            second.join(0.5)
        real(path, *parts, mode=mode)

    monkeypatch.setattr(files, "write", meanwhile)
    overrides.edit(ProjectPaths(root), {ONE: Override(prompt="Mine.")})
    second.join()
    assert overrides.load(root) == {ONE: Override(prompt="Mine."), TWO: Override(waived=True)}


def test_many_edits_at_the_same_time_all_survive(root: Path) -> None:
    """Several commands that settle something at once lose nothing of each other."""
    together = threading.Barrier(4)

    def edit(shot: int) -> None:
        together.wait()
        for beat in range(3):
            change = Override(prompt=f"{shot} {beat}")
            overrides.edit(ProjectPaths(root), {BeatAddress("clear", str(shot), str(beat)): change})

    threads = [threading.Thread(target=edit, args=(shot,)) for shot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overrides.load(root) == {
        ("clear", str(shot), str(beat)): Override(prompt=f"{shot} {beat}")
        for shot in range(4)
        for beat in range(3)
    }


def test_a_prompt_is_sent_instead_of_the_row_s_words(root: Path) -> None:
    """Settled words get the style's look as the row's own would, and no other beat is touched."""
    board(root, "a", "b")
    settle(root, "1.2", prompt="Mine")
    read = project(root)
    first, second = (read.composer.request(beat).prompt for beat in read.beats["clear"])
    assert first == f"a\n\n{LOOKS['clear']}"
    assert second == f"Mine 1.2\n\n{LOOKS['clear']}"
    assert read.expected(read.beats["clear"][1]).words == png.Hash(words_hash("Mine 1.2"))
    assert settled(root) == {"1.2": Override(prompt="Mine 1.2", words_hash=words_hash("b"))}


def test_a_prompt_outdates_what_was_drawn_from_the_row(root: Path) -> None:
    """Words that were settled since are words that have changed."""
    board(root, "a", "b")
    draw(root)
    settle(root, "1.2", prompt="Mine")
    found = project(root).survey(WALL)
    assert [one.changed for one in found.beats["clear"]] == [(), ("words",)]
    assert found.moves == {}


def test_a_waived_beat_needs_no_picture(root: Path) -> None:
    """A beat that was settled without a picture is not drawn, until it is wanted after all."""
    board(root, "a", "b")
    settle(root, "1.1", waived=True)
    read = project(root)
    plan = read.plan(read.survey(WALL).beats)
    assert [one.status for one in plan.styles["clear"]] == [Status.WAIVED, Status.PENDING]
    assert (plan.to_draw, plan.waived) == (1, 1)
    settle(root, "1.1", waived=False)
    assert overrides.load(root) == {}
    assert project(root).plan(project(root).survey(WALL).beats).to_draw == 2


def test_a_waived_beat_that_has_a_picture_is_as_any_other(root: Path) -> None:
    """Waiving hides no picture that is there, nor that it is outdated."""
    board(root, "a", "b")
    draw(root)
    project(root).layout.picture("clear", "1", "1.2").write_bytes(picture(kind="JPEG"))
    settle(root, "1.1", "1.2", waived=True)
    board(root, "edited", "b")
    found = project(root).survey(WALL).beats["clear"]
    assert [(one.has_image, one.waived, one.changed) for one in found] == [
        (True, False, ("words",)),
        (True, False, ()),
    ]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (["new", "a", "b", "c"], {"1.3": "b", "1.4": "c"}),
        (["b", "c"], {"1.1": "b", "1.2": "c"}),
        (["c", "b", "a"], {"1.1": "c", "1.2": "b"}),
        (["c", "a", "b"], {"1.1": "c", "1.3": "b"}),
        (["a", "b", "c", "new"], {"1.2": "b", "1.3": "c"}),
    ],
    ids=["inserted", "deleted", "swapped", "in a circle", "at the end"],
)
def test_what_was_settled_follows_its_row(
    root: Path, after: Sequence[str], expected: dict[str, str]
) -> None:
    """Where numbers move, an override goes with the words that it was made for."""
    board(root, "a", "b", "c")
    settle(root, "1.2", "1.3", prompt="Mine")
    board(root, *after)
    mine = {"b": "Mine 1.2", "c": "Mine 1.3"}
    assert {number: one.prompt for number, one in settled(root).items()} == {
        number: mine[row] for number, row in expected.items()
    }
    assert words(root) == [mine.get(row, row) for row in after]


@pytest.mark.parametrize("new", [1, 2, 3])
def test_what_was_settled_follows_each_row_of_the_same_words(root: Path, new: int) -> None:
    """Several beats of the same words keep what was settled: in place, else in their order."""
    board(root, "a", "a", "b")
    settle(root, "1.1", "1.2", prompt="Mine")
    board(root, *["new"] * new, "a", "a", "b")
    assert words(root)[:new] == ["new"] * new
    # With one more row the second is in its place still, and stays there.
    mine = ["Mine 1.2", "Mine 1.1"] if new == 1 else ["Mine 1.1", "Mine 1.2"]
    assert words(root)[new:] == [*mine, "b"]


def test_an_entry_without_a_hash_goes_by_its_number(root: Path) -> None:
    """What a person writes by hand stays with the number that they wrote."""
    board(root, "a", "b")
    write(root, '["clear/1/1.2"]\nprompt = "Mine."\n')
    assert words(root) == ["a", "Mine."]
    board(root, "new", "a", "b")
    assert words(root) == ["new", "Mine.", "b"]


def test_what_follows_its_words_gives_way_to_an_entry_without_a_hash(root: Path) -> None:
    """A number that a person named is not taken over by what was settled for another."""
    board(root, "a", "b")
    settle(root, "1.1", prompt="Follows")
    write(root, text(root) + '["clear/1/1.2"]\nprompt = "Mine."\n')
    board(root, "new", "a", "b")
    assert words(root)[1] == "Mine."


def test_several_that_settle_nothing_are_told_as_several(root: Path) -> None:
    """In one note."""
    board(root, "a", "b")
    settle(root, "1.1", prompt="Mine")
    settle(root, "1.2", prompt="Mine too")
    board(root, "new")
    (note,) = (note for note in project(root).storyboard.notes if "not used" in note)
    assert "clear/1/1.1, clear/1/1.2 are not used: no beats have their numbers and prompts" in note


@pytest.mark.parametrize("after", [["a", "edited", "c"], ["a", "c"]], ids=["edited", "deleted"])
def test_what_was_settled_for_words_that_are_gone_settles_nothing(
    root: Path, after: list[str]
) -> None:
    """Whether a beat was reworded or deleted, its override is no other's; and it is told."""
    board(root, "a", "b", "c")
    settle(root, "1.2", prompt="Mine")
    board(root, *after)
    assert words(root) == after
    assert any("clear/1/1.2 is not used" in note for note in project(root).storyboard.notes)
    board(root, "a", "b", "c")
    assert words(root) == ["a", "Mine 1.2", "c"]
    assert project(root).storyboard.notes == ()


def test_what_was_settled_for_a_number_that_is_gone_waits(root: Path) -> None:
    """An override of a beat that was deleted settles nothing, and is there when it comes back."""
    board(root, "a", "b")
    settle(root, "1.2", prompt="Mine")
    board(root, "a")
    assert words(root) == ["a"]
    settle(root, "1.1", waived=True)
    board(root, "b", "a")
    assert words(root) == ["Mine 1.2", "a"]


def test_an_edit_brings_the_file_up_to_date(root: Path) -> None:
    """Once something is settled anew, every entry stands under the number of its beat."""
    board(root, "a", "b", "c")
    settle(root, "1.1", "1.3", prompt="Mine")
    board(root, "new", "a", "c", "b")
    settle(root, "1.4", waived=True)
    assert overrides.load(root) == {
        ("clear", "1", "1.2"): Override(prompt="Mine 1.1", words_hash=words_hash("a")),
        ("clear", "1", "1.3"): Override(prompt="Mine 1.3", words_hash=words_hash("c")),
        ("clear", "1", "1.4"): Override(waived=True, words_hash=words_hash("b")),
    }


def test_comments_go_along_where_numbers_move(root: Path) -> None:
    """An entry that gets its beat's new number is the entry that it was, a person's remarks too."""
    board(root, "a", "b", "c")
    of = f'of = "{words_hash("a")}"'
    write(root, f'["clear/1/1.1"]\nwaived = true  # too sad\n{of}\n')
    board(root, "new", "a", "b")
    settle(root, "1.3", waived=True)
    assert '["clear/1/1.2"]\nwaived = true  # too sad\n' in text(root)


def test_what_was_settled_in_one_style_is_of_that_style(root: Path) -> None:
    """An override follows words within its style alone."""
    board(root, "a", "b")
    settle(root, "1.1", prompt="Mine")
    board(root, "b", "a")
    (root / "imagegen.toml").write_text('provider = "sketch"\ndraw = ["clear", "consistent"]\n')
    sent = {s: [b.words for b in own] for s, own in project(root).beats.items()}
    assert sent == {"clear": ["b", "Mine 1.1"], "consistent": ["b", "a"]}


def test_skipping_what_has_its_picture_is_refused(root: Path) -> None:
    """A beat that is drawn has nothing to skip, and nothing is written."""
    board(root, "a")
    draw(root)
    with pytest.raises(UsageError, match="nothing to skip"):
        settling.skip(project(root, "1.1"), WALL, undo=False)
    assert not (root / overrides.FILE).exists()
