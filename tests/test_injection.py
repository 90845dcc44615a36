"""Every command that changes files, with a fault or a kill at each of its calls.

The promises of docs/crash-safety.md are held after each: nothing drawn is lost or torn, what is
moved together is moved or not, an exit code of 0 means that it is done, and the next commands
leave the project as it should be, without a file of ours that was half-written.
"""

import contextlib
import gc
import hashlib
import io
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from builders import picture
from commands import row
from crashing import Crash
from imagegen import files
from imagegen.cli import entry
from imagegen.errors import Exit
from imagegen.images import formats, png
from injecting import EACCES, EIO, EMFILE, ENOSPC, Calls, killed
from sweep import SWEEP

KEY: Final = "test-key-of-the-sweep-000001"
SETTINGS: Final = (
    'provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n'
    '[characters.mara]\nabout = "A keeper."\n'
)
RUN: Final = ("--progress", "none", "--yes")
_FEW: Final = 2
"""How many calls of each command fail, evenly spread; in a sweep every call does."""


Check = Callable[[bool, str], None]
"""Fails unless a promise, in words, is kept."""


class Way(NamedTuple):
    """How calls fail: with what, whether all after it do too, and whether those that read."""

    raising: Callable[[str], BaseException]
    lasting: bool = False
    reads: bool = False


WAYS: Final = {
    "EIO": Way(EIO),
    "EACCES": Way(EACCES),
    "ENOSPC": Way(ENOSPC, lasting=True),
    "kill": Way(killed, lasting=True),
    "EIO reading": Way(EIO, reads=True),
    "EMFILE reading": Way(EMFILE, reads=True),
}


class Case(NamedTuple):
    """A command, what it is run on, and what it must be given again to be finished.

    `before` makes the project. `piped` is what it reads. `again` tells that the same command once
    more does what is left, and nothing where nothing is.
    """

    arguments: Sequence[str]
    before: Callable[[Path], None]
    piped: bytes = b""
    again: bool = True


def command(*arguments: object, piped: bytes = b"") -> int:
    """Run a command in this process; returns its exit code."""
    # A new process has swept nothing.
    files.swept_folders.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        patch.setattr(sys, "argv", ["imagegen", *map(str, arguments)])
        return entry.run(list(map(str, arguments)))


def storyboard(root: Path, *words: str) -> None:
    """Write beats with these words."""
    rows = [row(n, ai_prompt=one) for n, one in enumerate(words)]
    (root / "beats.json").write_text(json.dumps(rows), encoding="utf-8")


def fresh(root: Path) -> None:
    """Make a project that nothing is drawn of."""
    root.mkdir()
    (root / "imagegen.toml").write_text(SETTINGS, encoding="utf-8")
    storyboard(root, "a", "b", "c")


def drawn(root: Path) -> None:
    """Make one that is drawn."""
    fresh(root)
    assert command("run", root, *RUN) == 0


def edited(root: Path) -> None:
    """Make one that is drawn, and has other words since."""
    drawn(root)
    storyboard(root, "a", "other", "new")


def chosen(root: Path) -> None:
    """Make one whose images are chosen."""
    drawn(root)
    assert command("choose", root, "--all", "clear") == 0


def moved(root: Path) -> None:
    """Make one whose numbers have changed, with choices."""
    chosen(root)
    assert command("skip", root, "--undo", "clear/1.1") == 0
    storyboard(root, "first", "a", "b", "c")


def shortened(root: Path) -> None:
    """Make one with an image and a choice of a beat that is gone."""
    chosen(root)
    storyboard(root, "a", "b")


def redrawn(root: Path) -> None:
    """Make one whose last step drew two images again."""
    edited(root)
    assert command("run", root, "--outdated", *RUN) == 0


def renumbered(root: Path) -> None:
    """Make one whose last step moved images."""
    moved(root)
    assert command("renumber", root) == 0


def with_own(root: Path) -> None:
    """Make one beside an image of a person's own."""
    drawn(root)
    (root.parent / "own.png").write_bytes(picture(160, 90))


def tried(root: Path) -> None:
    """Make one with a look that was tried."""
    drawn(root)
    assert command("try", root, "--style", "clear", "--look", "Ink.", *RUN[:2]) == 0


def with_keys(root: Path) -> None:
    """Make one with a key already."""
    fresh(root)
    first = (b"test-key-of-the-sweep-000000\n", 0)
    assert (
        command("keys", "add", "clear", "--provider", "gemini", "--project", root, piped=first[0])
        == 0
    )


def nowhere(_: Path) -> None:
    """Make no project."""


ROOT: Final = "ROOT"
CASES: Final = {
    "init": Case(("init", ROOT), nowhere, again=False),
    "run": Case(("run", ROOT, *RUN), fresh),
    "run --outdated": Case(("run", ROOT, "--outdated", *RUN), edited),
    "run --renumber": Case(("run", ROOT, "--renumber", *RUN), moved),
    "redraw": Case(("redraw", ROOT, "clear/1.2", "--prompt", "x", *RUN), drawn),
    "renumber": Case(("renumber", ROOT), moved),
    "clean": Case(("clean", ROOT), shortened),
    "undo of a run": Case(("undo", ROOT), redrawn, again=False),
    "undo of a renumber": Case(("undo", ROOT), renumbered, again=False),
    "use": Case(("use", ROOT, "clear/1.1", "OWN"), with_own),
    "accept": Case(("accept", ROOT, "--all"), edited),
    "skip": Case(("skip", ROOT, "clear/1.1"), fresh),
    "choose": Case(("choose", ROOT, "1.1", "clear"), drawn),
    "choose --all": Case(("choose", ROOT, "--all", "clear", "--flag"), drawn),
    "choose --flag": Case(("choose", ROOT, "--flag", "1.1"), chosen),
    "choose --none": Case(("choose", ROOT, "--none", "1.1"), chosen),
    "try --keep": Case(("try", ROOT, "--keep", "look"), tried),
    "gallery": Case(("gallery", ROOT), drawn),
    "keys add": Case(
        ("keys", "add", "clear", "--provider", "gemini", "--project", ROOT),
        with_keys,
        piped=f"{KEY}\n".encode(),
    ),
    "keys add, to the user's": Case(("keys", "add", "clear"), fresh, piped=f"{KEY}\n".encode()),
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what makes the folder that a case begins from: made once, to be copied."""
    made: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("templates")

    def template(name: str) -> Path:
        if name not in made:
            place = folder / str(len(made))
            (place / "config").mkdir(parents=True)
            with _at(place):
                CASES[name].before(place / "my-video")
            made[name] = place
        return made[name]

    return template


def _at(place: Path) -> Any:
    patch = pytest.MonkeyPatch.context()
    return _Environment(patch, place)


class _Environment:
    """The user's folders in a place of the test."""

    def __init__(self, patch: Any, place: Path) -> None:
        self._patch, self._place = patch, place

    def __enter__(self) -> None:
        patch = self._patch.__enter__()
        patch.setenv("IMAGEGEN_STATE_DIR", str(self._place / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(self._place / "config"))
        patch.setenv("HOME", str(self._place / "home"))
        for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "IMAGEGEN_KEYS"):
            patch.delenv(name, raising=False)

    def __exit__(self, *error: object) -> None:
        self._patch.__exit__(*error)


def pixels(path: Path) -> str:
    """Return what tells an image's pixels from others', whatever it says of itself."""
    data = path.read_bytes()
    return hashlib.sha256(data[data.index(b"IDAT") :]).hexdigest()[:12]


def essence(place: Path) -> dict[str, object]:
    """Return what a project is, but for old images, times, and what is ours to make again."""
    root = place / "my-video"
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*.png")):
        name = path.relative_to(root).as_posix()
        if name.startswith(("generated_images/", "selected_images/")):
            found[name] = pixels(path)
    for path in (
        *root.glob("*.toml"),
        *root.glob(".gitignore"),
        *root.glob("*.html"),
        place / "config",
    ):
        if path.is_file() and path.suffix != ".html":
            found[path.name] = path.read_bytes()
        elif path.is_file():
            found[path.name] = True
    user = place / "config" / "imagegen" / "keys.toml"
    if user.is_file():
        found["the user's"] = user.read_bytes()
    selections = root / "image_selections.json"
    if selections.is_file():
        entries = json.loads(selections.read_bytes())
        found["choices"] = {
            name: {key: value for key, value in entry.items() if key != "selectedAt"}
            for name, entry in entries.items()
        }
    return found


def drawn_ever(place: Path) -> set[str]:
    """Return the pixels of every image of a project, whatever its file is called meanwhile."""
    found = set()
    for path in (place / "my-video").rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                whole = png.read_info(file)
            if whole is not None:
                found.add(pixels(path))
    return found


class BrokenPromiseError(AssertionError):
    """A promise that was not kept, after the fault at one call."""


def hold(kept: bool, promise: str, seen: Sequence[str], at: int) -> None:  # noqa: FBT001
    """Fail unless a promise is kept; says at which call."""
    if not kept:
        raise BrokenPromiseError(
            f"{promise}: at call {at} of {len(seen)}, {seen[at - 1] if seen else '?'}"
        )


def _arguments(case: Case, place: Path) -> list[str]:
    told = {ROOT: str(place / "my-video"), "OWN": str(place / "own.png")}
    return [told.get(word, word) for word in case.arguments]


def _sound(place: Path, before: set[str], check: Check) -> None:
    """Hold what must be so at every moment: nothing lost, nothing torn."""
    root = place / "my-video"
    check(before <= drawn_ever(place), "no image is lost")
    for path in [*root.glob("generated_images/**/*.png"), *root.glob("selected_images/*.png")]:
        try:
            formats.as_png(path.read_bytes())
        except formats.NotAPictureError as error:
            check(bool(not error), f"{path.name} is whole ({error})")
    for path in [*root.glob("*.json"), *root.glob("old_images/*/step.json")]:
        try:
            json.loads(path.read_bytes())
        except ValueError:
            check(bool(not path), f"{path.name} can be read")


def _left_behind(place: Path) -> list[str]:
    """Return the files that are half-written or on their way still."""
    every = [path for path in place.rglob("*") if not path.is_dir()]
    return [
        str(path)
        for path in every
        if path.name.startswith(files.TEMP_PREFIX)
        or path.parent.name in {"_staged", ".imagegen-new"}
    ]


def sweep(name: str, way: Way, template: Path, folder: Path, points: Iterator[int]) -> int:
    """Let a command fail at these calls, and hold the promises after each; returns how many."""
    case = CASES[name]
    first, wanted = essence(template), _wanted(case, template)
    before, count = drawn_ever(template), 0
    for at in points:
        place = folder / f"at-{at}"
        shutil.copytree(template, place, symlinks=True)
        calls = Calls(place, at, way.raising, lasting=way.lasting, reads=way.reads)
        with _at(place):
            code = _failing(calls, _arguments(case, place), case.piped)
            _let_go(place)
            if len(calls.seen) < at:
                break
            count += 1

            def check(kept: bool, promise: str, at: int = at, seen: Any = calls.seen) -> None:  # noqa: FBT001
                hold(kept, f"{name}: {promise}", seen, at)

            check(code is None or code in _CODES, f"an exit code that is meant, not {code}")
            _sound(place, before, check)
            if code == 0:
                check(essence(place) == wanted, "exit 0 means that it is done")
            _recovers(case, place, (first, wanted), check)
            _sound(place, before, check)
        shutil.rmtree(place)
    return count


def _failing(calls: Calls, arguments: Sequence[str], piped: bytes) -> int | None:
    """Run a command whose calls fail; returns its exit code, or None if it was killed."""
    others = set(threading.enumerate())
    with calls.watched():
        try:
            return command(*arguments, piped=piped)
        except Crash:
            return None
        finally:
            # A process dies with its threads: they meet the same end at their next call.
            for thread in set(threading.enumerate()) - others:
                thread.join(timeout=5)


def _let_go(place: Path) -> None:
    """Close what a killed command has open, and with that its locks, as the system does."""
    gc.collect()
    for one in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if str(one.readlink()).startswith(str(place)):
                os.close(int(one.name))


_CODES: Final = {Exit.OK, Exit.BEATS_IN_ERROR, Exit.USAGE, Exit.ENDED_EARLY}


def _wanted(case: Case, template: Path) -> dict[str, object]:
    """Return what a project is after the command without a fault."""
    place = template.with_name(f"{template.name}-done")
    if not place.is_dir():
        shutil.copytree(template, place, symlinks=True)
        with _at(place):
            assert command(*_arguments(case, place), piped=case.piped) == 0
    return essence(place)


def _recovers(
    case: Case,
    place: Path,
    ends: tuple[dict[str, object], dict[str, object]],
    check: Check,
) -> None:
    """Hold that the next commands find all as it was or as it should be, and clear up."""
    root = place / "my-video"
    before, after = ends
    look = "status" if case.arguments[0] != "keys" else "keys list"
    if (root / "beats.json").is_file():
        check(command(*look.split(), root) == 0, f"{look} works after it")
    now = essence(place)
    if case.arguments[0] not in _PIECEMEAL:
        check(now in (before, after), "all of it or nothing")
    if now != after and (case.again or now == before):
        code = command(*_arguments(case, place), piped=case.piped)
        check(code == 0, f"the same command does the rest, and not exit {code}")
        now = essence(place)
        check(now == after, "the same command does the rest")
    if _left_behind(place):
        command("run", root, "--limit", "0", "--as-is", *RUN)
    check(not _left_behind(place), f"nothing half-written stays ({_left_behind(place)})")


_PIECEMEAL: Final = {"run", "init", "redraw"}
"""Commands that do one thing after another: what is done stays."""


def points(total: int, way: str) -> Iterator[int]:
    """Yield the calls to fail at: all of them, or a few that are evenly spread.

    Each way fails at others.
    """
    step = 1 if SWEEP else max(1, total // _FEW)
    return iter(range(1 + list(WAYS).index(way) % step, total + 1, step))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what is open is not told here")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_no_fault_of_the_disk_breaks_a_promise(
    name: str,
    way: str,
    templates: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """Whatever call of a command fails, and however, everything that was promised holds."""
    template = templates(name)
    place = tmp_path / "counted"
    shutil.copytree(template, place, symlinks=True)
    calls = Calls(place, reads=WAYS[way].reads)
    with _at(place), calls.watched():
        assert command(*_arguments(CASES[name], place), piped=CASES[name].piped) == 0
    total = len(calls.seen)
    assert total
    count = sweep(name, WAYS[way], template, tmp_path, points(total, way))
    # `pytest -rP` shows it.
    print(f"{count} of {total} calls: {name}, {way}")
