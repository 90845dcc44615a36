"""However a storyboard is edited, its pictures come along, and none is lost or paid for twice."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import picture
from imagegen import files
from imagegen.editing import renumber as renumbering
from imagegen.editing import undo as undoing
from imagegen.images import png
from imagegen.project import steps
from imagegen.project.layout import ProjectPaths
from imagegen.project.record import DrawRequest
from imagegen.project.storyboard import Beat
from imagegen.project.storyboard.hashing import words_hash
from imagegen.workspace.project import Project
from imagegen.workspace.reading import read_project
from imagegen.workspace.survey import inspect_image
from sweep import examples

STYLES = ("clear", "consistent")
SETTINGS = f'provider = "sketch"\nimage_size = "512"\ndraw = {json.dumps(STYLES)}\n'
WALL = 1_790_000_000.0
PIXELS = picture()
MOST = 8
SHOTS = 3
SUBJECTS = ("A red boat lies on the shore", "猫が赤い椅子に座っている", "Two dogs run over a field")
ENDINGS = ("", " at dawn", " in the rain, seen from far above")

Tree = dict[str, bytes]
Words = Mapping[str, Counter[str]]
"""How often each text is there, by style."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the storyboard; `own` are words for one style alone. Its number is its place."""

    shot: int
    words: str
    own: str | None = None
    name: str


@dataclass
class Board:
    """A storyboard and its project on the disk; `drawn` is every picture that was ever drawn."""

    root: Path
    ids: str
    by_shot: bool = True
    rows: list[Row] = field(default_factory=list)
    drawn: set[bytes] = field(default_factory=set)
    made: int = 0

    def __post_init__(self) -> None:
        (self.root / "imagegen.toml").write_text(SETTINGS)

    def new(self, shot: int, words: str, own: str | None = None) -> Row:
        """Return a row that was never there."""
        self.made += 1
        return Row(shot=shot, words=words, own=own, name=f"row-{self.made}")

    def project(self) -> Project:
        """Write the storyboard down, and read it."""
        (self.root / "beats.json").write_text(json.dumps(self._numbered()), encoding="utf-8")
        return read_project(self.root, DrawRequest(outdated=True))

    def _numbered(self) -> list[dict[str, object]]:
        """Give every row its number: its place in the shot, or in all."""
        counts: Counter[int] = Counter()
        found: list[dict[str, object]] = []
        for at, row in enumerate(self.rows, 1):
            counts[row.shot] += 1
            number = f"{row.shot}.{counts[row.shot]}" if self.by_shot else str(at)
            fields = {"shot_number": row.shot, "beat_number": number, "ai_prompt": row.words}
            if row.own is not None:
                fields["ai_prompts"] = {"consistent": row.own}
            if self.ids:
                fields["id"] = row.name if self.ids == "stable" else at
            found.append(fields)
        return found

    def draw(self) -> int:
        """Draw what a run would, with what is outdated, and return how many requests that took."""
        project = self.project()
        plan = project.plan(project.survey(WALL).beats)
        wanted = [one.beat for own in plan.styles.values() for one in own if one.draw]
        old = steps.new_folder(project.layout, WALL) if plan.again else None
        for beat in wanted:
            path = project.layout.picture(beat.style, *beat.key)
            files.make_folder(path.parent)
            if path.exists():
                assert old is not None
                files.archive_copy(path, old / path.relative_to(project.layout.pictures))
            data = self._picture(project, beat)
            files.write(path, data)
            self.drawn.add(data)
        return len(wanted)

    def _picture(self, project: Project, beat: Beat) -> bytes:
        """Return a picture unlike every other, that tells what it was drawn from."""
        texts = project.composer.texts(beat, WALL + len(self.drawn))
        return b"".join(png.add_metadata(PIXELS, project.expected(beat), texts))

    def tree(self, folder: str = "generated_images") -> Tree:
        """Return every picture in a folder of the project."""
        every = (path for path in (self.root / folder).rglob("*.png") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in every}

    def wanted(self) -> dict[str, Counter[str]]:
        """Return the hashes of the words of all rows, by style."""
        beats = self.project().beats
        return {style: Counter(words_hash(b.words) for b in own) for style, own in beats.items()}

    def there(self) -> dict[str, Counter[str]]:
        """Return the hashes of the words of all pictures in place or left over, by style."""
        found: dict[str, Counter[str]] = {style: Counter() for style in STYLES}
        for path in self.tree():
            found[path.split("/")[1]][drawn_from(self.root / path)] += 1
        return found

    def renumber(self) -> renumbering.Renumbered:
        """Move pictures to the numbers that their beats have now."""
        return renumbering.renumber(self.project(), WALL)


def drawn_from(path: Path) -> str:
    """Return the hash of the words that a picture says it was drawn from."""
    _, whole = inspect_image(path)
    assert whole is not None
    assert whole.provenance is not None
    return whole.provenance.words.sha256


def least(wanted: Words, there: Words) -> int:
    """Return how many rows no picture can be found for."""
    return sum((wanted[style] - there[style]).total() for style in STYLES)


words = st.builds(str.__add__, st.sampled_from(SUBJECTS), st.sampled_from(ENDINGS))
shots = st.integers(1, SHOTS)
rows = st.tuples(shots, words, st.none() | words)
at = st.integers(0, MOST - 1)
edits = st.one_of(
    st.tuples(st.just("insert"), at, rows),
    st.tuples(st.just("delete"), at),
    st.tuples(st.just("move"), at, at),
    st.tuples(st.just("into shot"), at, shots),
    st.tuples(st.just("swap"), at, at),
    st.tuples(st.just("reword"), at, st.sampled_from(ENDINGS)),
    st.tuples(st.just("rewrite"), at, words),
    st.tuples(st.just("number"), st.booleans()),
)
Edit = tuple[object, ...]


def edit(board: Board, change: Edit) -> None:
    """Edit the storyboard as a person would."""
    match change:
        case ("insert", int(where), (int(shot), str(text), own)) if len(board.rows) < MOST:
            assert own is None or isinstance(own, str)
            board.rows.insert(where, board.new(shot, text, own))
        case ("number", bool(by_shot)):
            board.by_shot = by_shot
        case (str(what), int(where), *more) if where < len(board.rows):
            change_row(board, what, where, more)
        case _:
            pass


def change_row(board: Board, what: str, where: int, more: Sequence[object]) -> None:
    """Edit one row."""
    row = board.rows[where]
    match what, *more:
        case ["delete"]:
            if len(board.rows) > 1:
                del board.rows[where]
        case ["move", int(to)]:
            board.rows.insert(to, board.rows.pop(where))
        case ["into shot", int(shot)]:
            board.rows[where] = msgspec.structs.replace(row, shot=shot)
        case ["swap", int(other)] if other < len(board.rows):
            board.rows[where], board.rows[other] = board.rows[other], row
        case ["reword", str(ending)]:
            board.rows[where] = msgspec.structs.replace(row, words=row.words + ending)
        case ["rewrite", str(text)]:
            board.rows[where] = msgspec.structs.replace(row, words=text)


def begun(root: Path, ids: str, start: Sequence[tuple[int, str, str | None]]) -> Board:
    """Return a storyboard that is fully drawn."""
    board = Board(root, ids)
    board.rows = [board.new(*row) for row in start]
    assert board.draw() == len(STYLES) * len(start)
    return board


def check_pictures(board: Board) -> None:
    """Check that every beat has a picture of its words, and that nothing drawn is gone."""
    survey = board.project().survey(WALL)
    assert survey.moves == {}
    for one in (one for own in survey.beats.values() for one in own):
        assert one.provenance is not None
        assert (one.provenance.words.sha256, one.changed) == (words_hash(one.beat.words), ())
    kept = {*board.tree().values(), *board.tree("old_images").values()}
    assert board.drawn <= kept


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(["", "stable", "counted"]),
    st.lists(rows, min_size=1, max_size=MOST),
    st.lists(st.lists(edits, min_size=1, max_size=6), min_size=1, max_size=3),
)
def test_edited_storyboards_get_right_with_the_fewest_requests(
    ids: str,
    start: list[tuple[int, str, str | None]],
    rounds: list[list[Edit]],
) -> None:
    """After any edits, renumbering and drawing gives every beat its picture; none was wasted.

    Of what is there, each picture whose words any beat has is used, and what has to give way is
    kept. Renumbering twice is renumbering once, and undo takes it back.
    """
    with tempfile.TemporaryDirectory() as folder:
        board = begun(Path(folder), ids, start)
        for changes in rounds:
            for change in changes:
                edit(board, change)
            expected, before = least(board.wanted(), board.there()), board.tree()
            found = board.renumber()
            after = board.tree()
            assert board.renumber().count == 0
            assert board.tree() == after
            if found.count:
                assert undoing.undo(ProjectPaths(board.root), WALL) is not None
                assert board.tree() == before
                assert board.renumber().moves == found.moves
                assert board.tree() == after
            assert board.draw() == expected
            check_pictures(board)


@pytest.mark.parametrize("ids", ["", "stable", "counted"])
def test_a_storyboard_that_is_turned_around_is_drawn_once(tmp_path: Path, ids: str) -> None:
    """What only changed places needs no request, equal words among it."""
    board = begun(
        tmp_path, ids, [(n % SHOTS + 1, SUBJECTS[n % 2] * (n + 1), None) for n in range(6)]
    )
    board.rows.reverse()
    assert board.renumber().count > 0
    assert board.draw() == 0
    check_pictures(board)


def test_drawing_without_renumbering_would_cost_more(tmp_path: Path) -> None:
    """What is held to be the fewest requests is fewer than a run would send by itself."""
    board = begun(tmp_path, "", [(1, subject, None) for subject in SUBJECTS])
    board.rows.insert(0, board.new(1, "new"))
    assert least(board.wanted(), board.there()) == len(STYLES)
    assert board.draw() == len(STYLES) * (len(SUBJECTS) + 1)
