"""What a project's disk shows while runs on it are killed, held against what it showed before.

Nothing of the product is used to judge it: files are read and measured here anew.
"""

import hashlib
import json
import os
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from commands import picture

LOST = "pictures lost"
TORN = "pictures torn"
CHANGED = "pictures changed after they were saved"
REDRAWN = "pictures drawn again that were there"
OLD_LOST = "replaced pictures not in old_images"
UNSAVED = "answers not saved in time"
AGAIN = "requests sent again beyond those in flight"
UNREADABLE = "own files unreadable"
BEHIND = "progress files wrong"
STRAYS = "temporary files that stayed"
LOCKED = "starts that failed"
UNTRUE = "status wrong or hanging"
OVER = "requests over a key's budget"
WRONG = "pictures that answer another prompt"

FAULTS = (
    LOST, TORN, CHANGED, REDRAWN, OLD_LOST, UNSAVED, AGAIN, UNREADABLE, BEHIND, STRAYS, LOCKED,
    UNTRUE, OVER, WRONG,
)  # fmt: skip
"""Every promise that can be seen broken."""


@dataclass
class Report:
    """What was counted: faults by promise with the first few examples, and how much was done."""

    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def fault(self, promise: str, detail: object) -> None:
        """Count a broken promise."""
        self.faults[promise] += 1
        if self.faults[promise] <= 3:
            self.examples.append(f"{promise}: {detail}")


@dataclass(frozen=True)
class Identity:
    """What tells one state of a file from every other."""

    inode: int
    changed: int
    size: int


@dataclass
class Place:
    """Where one beat's picture belongs.

    `before` is what lay there at first, `drawn` whether that is to give way to a new picture.
    `saved` is the picture that must stay, once it was seen.
    """

    path: Path
    before: bytes | None = None
    drawn: bool = True
    seen: Identity | None = None
    saved: Identity | None = None
    digest: bytes = b""


class Evidence:
    """Watches one project. Calls of `look` never overlap."""

    def __init__(
        self, root: Path, styles: tuple[str, ...], beats: int, report: Report, *, force: bool
    ) -> None:
        self.root = root
        self.report = report
        self.places: dict[tuple[str, int], Place] = {}
        self._progress: dict[str, set[str]] = {}
        self._looking = threading.Lock()
        for style in styles:
            self._progress[style] = set()
            for number in range(beats):
                path = picture(root, style, number)
                there = path.read_bytes() if path.exists() else None
                kept = there is not None and (there.startswith(b"\xff\xd8") and not force)
                self.places[style, number] = Place(path, there, drawn=not kept)

    @property
    def saved(self) -> set[tuple[str, int]]:
        """The places whose picture must stay from now on."""
        return {key for key, place in self.places.items() if place.saved}

    def look(self) -> None:
        """Look at every picture and every file of ours once."""
        with self._looking:
            for style in self._progress:
                self._look_at_progress(style)
            self._look_at_json(self.root / ".imagegen" / "run.json")
            for place in self.places.values():
                self._look_at(place)
            self.report.done["looks"] += 1

    def look_at_journals(self) -> None:
        """Every line of every journal is an event, but for a last one that was cut."""
        for journal in (self.root / ".imagegen" / "runs").glob("*.jsonl"):
            *lines, _rest = journal.read_bytes().split(b"\n")
            for number, line in enumerate(lines):
                try:
                    event = json.loads(line)
                except ValueError:
                    self.report.fault(UNREADABLE, f"{journal.name}, line {number + 1}")
                    continue
                if event.get("seq") != number + 1:
                    self.report.fault(UNREADABLE, f"{journal.name}: {event.get('seq')} skipped")
                drawn = event.get("type") == "progress" and event.get("status") == "complete"
                if drawn and not (self.root / event["imagePath"]).exists():
                    self.report.fault(LOST, f"{event['imagePath']}, which the journal has")

    def started(self, saved: set[tuple[str, int]]) -> None:
        """Hold the progress files, once a run has started, against what was saved before."""
        with self._looking:
            for style in self._progress:
                lacking = _numbers(saved, style) - self._look_at_progress(style)
                if lacking:
                    self.report.fault(BEHIND, f"{style} lacks {sorted(lacking)} after a start")

    def temporary(self) -> set[Path]:
        """Return every half-written file."""
        return {path for path in self.root.rglob(".imagegen-*") if path.is_file()}

    def finished(self, prompts: Mapping[tuple[str, int], str]) -> None:
        """All is drawn: every picture is the one it was when it was saved."""
        self.look()
        self.look_at_journals()
        for path in self.temporary():
            self.report.fault(STRAYS, path)
        kept = self._kept()
        for key, place in self.places.items():
            if place.saved is None or not place.path.exists():
                self.report.fault(LOST, place.path)
                continue
            if hashlib.sha256(place.path.read_bytes()).digest() != place.digest:
                self.report.fault(CHANGED, place.path)
            if place.before is not None and hashlib.sha256(place.before).digest() not in kept:
                self.report.fault(OLD_LOST, place.path)
            if place.drawn and key not in prompts:
                self.report.fault(WRONG, f"{place.path} was never asked for")
        for style, drawn in self._progress.items():
            wanted = _numbers(set(self.places), style)
            if drawn != wanted:
                self.report.fault(BEHIND, f"{style} at the end: {sorted(wanted ^ drawn)}")

    def _look_at(self, place: Place) -> None:
        found = _identity(place.path)
        if found == place.seen:
            return
        if found is None:
            # A torn file may be put aside before its beat is drawn; a picture may not.
            if place.saved or (place.before is not None and _whole_or_jpeg(place.before)):
                self.report.fault(LOST, place.path)
            place.seen = None
            return
        if place.saved:
            self.report.fault(CHANGED, place.path)
        try:
            data, read = _read(place.path)
        except FileNotFoundError:
            # Gone since: the next look tells what that means.
            return
        place.seen = read
        if data == place.before:
            return
        if not whole(data):
            self.report.fault(TORN, f"{place.path}, {len(data)} bytes")
            return
        place.saved = read
        place.digest = hashlib.sha256(data).digest()

    def _kept(self) -> set[bytes]:
        old = (self.root / "old_images").rglob("*.png")
        return {hashlib.sha256(path.read_bytes()).digest() for path in old}

    def _look_at_progress(self, style: str) -> set[str]:
        path = self.root / f"image_progress_{style}.json"
        read = self._look_at_json(path)
        if read is None:
            if self._progress[style]:
                self.report.fault(UNREADABLE, f"{path.name} has gone")
            return self._progress[style]
        drawn = set(read["completedBeats"])
        for beat in drawn - self._progress[style]:
            shot, _, number = beat.partition(".")
            if not picture(self.root, style, 5 * int(shot) + int(number) - 6).exists():
                self.report.fault(BEHIND, f"{path.name} has {beat}, which is not there")
        self._progress[style] = drawn
        return drawn

    def _look_at_json(self, path: Path) -> dict[str, list[str]] | None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            read: dict[str, list[str]] = json.loads(data)
        except ValueError:
            self.report.fault(UNREADABLE, f"{path.name}: {data[:40]!r}")
            return None
        return read


def whole(data: bytes) -> bool:
    """Tell whether bytes are a PNG of whole chunks with right checksums, and nothing more."""
    at, names = 8, []
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = memoryview(data)[at + 4 : at + 8 + length]
        if data[at + 8 + length : at + 12 + length] != struct.pack(">I", zlib.crc32(body)):
            return False
        names.append(bytes(body[:4]))
        at += 12 + length
    ends = names[:1] == [b"IHDR"] and names[-1:] == [b"IEND"] and b"IDAT" in names
    return data.startswith(b"\x89PNG\r\n\x1a\n") and ends and at == len(data)


def _numbers(places: set[tuple[str, int]], style: str) -> set[str]:
    """Return the beat numbers, as the beats file writes them, of a style's places."""
    return {f"{n // 5 + 1}.{n % 5 + 1}" for own, n in places if own == style}


def _whole_or_jpeg(data: bytes) -> bool:
    return whole(data) or (data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9"))


def _identity(path: Path) -> Identity | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return Identity(found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> tuple[bytes, Identity]:
    """Return a file's bytes and the identity of that very file, were it replaced meanwhile."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        return file.read(), Identity(found.st_ino, found.st_mtime_ns, found.st_size)
