"""Runs that are killed at random moments, again and again, until their storyboard is drawn.

    with Killing(folder, seed=7) as killing:
        killing.storyboard("plain", kills=5)
        assert not killing.report.faults

A life is one process of the real command on a real project, against the model of the Gemini
API. Aims are moments: while it starts, at any time, right after an answer, at the end.
"""

import io
import json
import os
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from PIL import Image

import evidence
from broken import NO_HARD_LINKS, changed
from commands import STYLES, Commands, picture, row
from evidence import Evidence, Report
from gemini_server import GeminiServer, Recorded, answers
from lives import Life, watching

KINDS = ("plain", "force", "jpeg", "copied", "tight")
"""Storyboards: drawn anew, drawn again, with pictures to convert, drawn again where there are no
hard links, with a budget that binds."""
_AGAIN = ("force", "copied")

_SECONDS = 90.0
"""A life that lasts longer has hung; one that waits for its budget needs a minute."""
_TIGHT, _WIDE = 6, 150
"""Requests a minute that a key allows."""
_PICTURES = (100_000, 400_000, 800_000, 1_500_000)


class _Server(GeminiServer):
    """Answers after a jittered moment with pictures of several sizes; remembers when."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.answered_at: dict[int, float] = {}
        self.answers = threading.Semaphore(0)
        super().__init__()
        self.on_answered = self._note

    @property
    def picture_bytes(self) -> int:
        return self._rng.choice(_PICTURES)

    @picture_bytes.setter
    def picture_bytes(self, _: int) -> None:
        pass

    def wait_before_answering(self) -> None:
        self.ending.wait(self._rng.uniform(0.02, 0.4))

    def _note(self, request: Recorded) -> None:
        self.answered_at[id(request)] = time.monotonic()
        self.answers.release()


class Killing:
    """Lives and deaths in one folder, with everything that is counted in `report`.

    `broken` is a folder with a `sitecustomize` that breaks the product. `settle` is how
    long an answer may take to be on the disk, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        beats: int = 20,
        settle: float = 2.0,
        broken: Path | None = None,
    ) -> None:
        self.report = Report()
        self._rng = random.Random(seed)
        self._beats = beats
        self._settle = settle
        self._commands = Commands(folder)
        self._broken = broken
        self._unlinked = changed(folder / "unlinked", NO_HARD_LINKS)
        self._env = _environment(broken)
        self._server = _Server(random.Random(seed))
        self._starts = [0.6]
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def storyboard(self, kind: str, kills: int) -> None:
        """Draw a storyboard through at most so many kills; afterwards runs are let be."""
        self._count += 1
        styles = ("clear",) if kind == "tight" else STYLES
        root = self._project(kind, styles)
        self._env = _environment(self._broken or (self._unlinked if kind == "copied" else None))
        if kind in _AGAIN:
            self._commands.run("run", root, "--base-url", self._server.address, env=self._env)
        if kind == "jpeg":
            _put_others(root)
        watched = Evidence(root, styles, self._beats, self.report, force=kind in _AGAIN)
        story = _Story(kind, watched, len(self._server.requests))
        with watching(watched):
            while not story.over:
                self._live(story, killed=story.kills < kills)
                if kind == "tight" and story.kills == kills:
                    # The rest would take minutes, and the budget has been seen.
                    break
        self._sum_up(story)
        shutil.rmtree(root)

    def _project(self, kind: str, styles: tuple[str, ...]) -> Path:
        keys = {style: [f"kill-key-{style}-{self._count:06d}"] for style in styles}
        # So that a style has ten requests in flight at most.
        settings = f"draw = {json.dumps(styles)}\ntimeout = 4\n"
        return self._commands.project(
            f"story-{self._count}",
            beats=[self._row(number, styles) for number in range(self._beats)],
            keys=keys,
            per_minute=_TIGHT if kind == "tight" else _WIDE,
            settings=settings,
        )

    def _row(self, number: int, styles: tuple[str, ...]) -> dict[str, object]:
        """Return a row whose words tell which picture of which storyboard they are for."""
        words = {style: f"story {self._count} {style} <{number}>" for style in styles}
        return row(number, ai_prompt=None, ai_prompts=words)

    def _live(self, story: "_Story", *, killed: bool) -> None:
        """Let one process live until it is killed, or to its end."""
        aim = self._aim(story.kind) if killed else "none"
        self.report.done["lives"] += 1
        while self._server.answers.acquire(blocking=False):
            pass
        life = Life(
            self._commands.start(
                *story.command(),
                "--base-url",
                self._server.address,
                "--progress",
                "json",
                env=self._env,
            ),
            story.watched,
            story.must_stay,
        )
        try:
            self._wait(life, aim, story)
        except subprocess.TimeoutExpired:
            self.report.fault(evidence.LOCKED, f"a run hangs: {life.events}")
        at = time.monotonic()
        died = life.kill()
        if life.started_after:
            self._starts.append(life.started_after)
        if died:
            story.kills += 1
            self.report.done["kills"] += 1
            self.report.done[f"kills {aim}"] += 1
            self._after_kill(story, at)
        else:
            story.over = True
            self.report.done["storyboards"] += 1
            if life.process.returncode != 0:
                said = f"exit {life.process.returncode}: {life.said}"
                self.report.fault(evidence.LOCKED, said)

    def _aim(self, kind: str) -> str:
        weights = {"start": 3, "any": 4, "save": 4, "end": 1}
        if kind == "jpeg":
            weights["start"] = 9
        return self._rng.choices(list(weights), list(weights.values()))[0]

    def _wait(self, life: Life, aim: str, story: "_Story") -> None:
        """Wait for the moment that is aimed at, or for the life's end."""
        rng = self._rng
        if aim == "none":
            life.process.wait(_SECONDS)
        elif aim == "start":
            life.ended_in(rng.uniform(0.0, 1.1 * statistics.median(self._starts[-20:])))
        elif not life.start.wait(_SECONDS) or life.process.poll() is not None:
            life.process.wait(_SECONDS)
        elif aim == "any":
            life.ended_in(rng.expovariate(1 / (0.1 if story.kind == "tight" else 0.4)))
        elif aim == "save":
            for _ in range(1 if story.kind == "tight" else rng.randint(1, 12)):
                if not self._server.answers.acquire(timeout=0.5):
                    break
            life.ended_in(rng.uniform(0.0, 0.03))
        elif aim == "end":
            life.complete.wait(1.0 if story.kind == "tight" else _SECONDS)
            life.ended_in(rng.uniform(0.0, 0.05))

    def _after_kill(self, story: "_Story", at: float) -> None:
        watched = story.watched
        watched.look()
        watched.look_at_journals()
        story.temporary = watched.temporary()
        self.report.done["half-written files at kills"] += len(story.temporary)
        self._ask_status(watched)
        saved = watched.saved
        life, story.read = self._requests(story.read)
        in_flight = [request for request in life if _place(request) not in saved]
        story.in_flight += len(in_flight)
        for request in in_flight:
            answered = self._server.answered_at.get(id(request), at)
            if answered < at - self._settle:
                self.report.fault(evidence.UNSAVED, f"{at - answered:.1f} s: {_place(request)}")
        self._count_redrawn(story, life)
        story.must_stay = saved

    def _ask_status(self, watched: Evidence) -> None:
        """`status` right after a kill ends, and tells what is there."""
        asking = self._commands.start("status", watched.root, "--json", env=self._env)
        try:
            out, err = asking.communicate(timeout=_SECONDS)
            told = json.loads(out)
        except (subprocess.TimeoutExpired, ValueError) as error:
            asking.kill()
            self.report.fault(evidence.UNTRUE, error)
            return
        if asking.returncode or err:
            self.report.fault(evidence.UNTRUE, f"exit {asking.returncode}: {err}")
        if told["active"]:
            self.report.fault(evidence.UNTRUE, "a dead run is active")
        for style, standing in told["styles"].items():
            complete = sum(beat["status"] == "complete" for beat in standing["beats"])
            there = sum(
                place.path.exists() and _picture(place.path)
                for (own, _), place in watched.places.items()
                if own == style
            )
            if not complete == standing["complete"] == there:
                self.report.fault(evidence.UNTRUE, f"{style}: {complete} complete, {there} there")

    def _requests(self, read: int) -> tuple[list[Recorded], int]:
        """Return the requests since, but for those that a kill cut before their words."""
        every = self._server.requests
        return [request for request in every[read:] if request.prompt], len(every)

    def _count_redrawn(self, story: "_Story", life: list[Recorded]) -> None:
        counts = Counter(map(_place, life))
        for place, count in counts.items():
            story.sent[place] += count
            known = story.watched.places[place]
            if place in story.must_stay or not known.drawn or count > 1:
                self.report.fault(evidence.REDRAWN, f"{place}, {count} requests")

    def _sum_up(self, story: "_Story") -> None:
        """Hold all that was sent for a storyboard against what was in flight at its kills."""
        life, _ = self._requests(story.read)
        self._count_redrawn(story, life)
        report, watched = self.report, story.watched
        again = sum(count - 1 for count in story.sent.values())
        report.done["requests"] += story.sent.total()
        report.done["in flight at kills"] += story.in_flight
        report.done["sent again"] += again
        if again > story.in_flight:
            report.fault(evidence.AGAIN, f"{again}, {story.in_flight} in flight")
        report.done["pictures"] += len(watched.saved)
        self._hold_budget(story)
        if story.over:
            prompts = {
                _place(r): r.prompt for r in self._requests(0)[0] if _story(r) == self._count
            }
            watched.finished(prompts)
            for place, prompt in prompts.items():
                known = watched.places[place]
                if known.saved and not answers(known.path.read_bytes(), prompt):
                    report.fault(evidence.WRONG, known.path)

    def _hold_budget(self, story: "_Story") -> None:
        """No key had more requests in any rolling minute than its budget allows."""
        limit = _TIGHT if story.kind == "tight" else _WIDE
        arrivals: dict[str | None, list[float]] = defaultdict(list)
        for request in self._requests(0)[0]:
            if _story(request) == self._count:
                arrivals[request.key].append(request.arrived)
        for key, times in arrivals.items():
            for first, last in zip(times, times[limit:], strict=False):
                if last - first < 60.0:
                    self.report.fault(evidence.OVER, f"{key}: {limit + 1} in {last - first:.1f} s")


class _Story:
    """One storyboard through its lives."""

    def __init__(self, kind: str, watched: Evidence, read: int) -> None:
        self.kind = kind
        self.watched = watched
        self.read = read
        self.over = False
        self.kills = 0
        self.in_flight = 0
        self.sent: Counter[tuple[str, int]] = Counter()
        self.must_stay: set[tuple[str, int]] = set()
        self.temporary: set[Path] = set()
        self._before = _record(watched.root).get("run")

    def command(self) -> tuple[object, ...]:
        """Return what a user would type next."""
        root, record = self.watched.root, _record(self.watched.root)
        if record.get("run") == self._before:
            # Killed before it had written down what it was asked.
            return ("run", root, *(("--force", "--yes") if self.kind in _AGAIN else ()))
        if self.kind in _AGAIN:
            return ("resume", root, "--yes")
        return ("resume" if self.kills % 2 else "run", root)


def _environment(first: Path | None) -> dict[str, str]:
    """Return what makes Python look into a folder first, and then where the caller wants it."""
    paths = [str(first) if first else "", os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _record(root: Path) -> Mapping[str, object]:
    try:
        read: Mapping[str, object] = json.loads((root / ".imagegen" / "run.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return read


def _put_others(root: Path) -> None:
    """Put JPEGs where PNGs belong, as an older tool left them, and a torn picture."""
    for style in STYLES:
        for number in range(5):
            path = picture(root, style, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            out = io.BytesIO()
            image = Image.effect_noise((640, 360), 40 + number).convert("RGB")
            image.save(out, "JPEG", quality=90)
            path.write_bytes(out.getvalue() if number else b"\x89PNG\r\n\x1a\n torn")


def _picture(path: Path) -> bool:
    data = path.read_bytes()
    return evidence.whole(data) or data.startswith(b"\xff\xd8")


def _place(request: Recorded) -> tuple[str, int]:
    """Return the style and the row's number that a request is for."""
    _, _, style, number = request.prompt.split()[:4]
    return style, int(number.strip("<>"))


def _story(request: Recorded) -> int:
    return int(request.prompt.split()[1])
