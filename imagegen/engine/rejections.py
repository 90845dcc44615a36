"""Distinguish the rejection of one beat from a service that rejects every request.

A service may reject requests because of the account, the place or the settings, in words that
cannot be foreseen. But then it does so for every beat. So rejections are grouped by their
words: when `ALIKE` different beats were rejected alike and no image came in between, nothing
more is sent until what is in flight is answered. If an image is among that, the rejections were
the beats' own after all. If not, the run ends, and beats that were not charged stay pending.

Charged answers without a usable image are counted in the same way.
A refusal by a safety rule never counts: it is about the prompt, and may affect a whole scene.
Pure state: the owner calls it under one lock and acts on the results.
"""

import math
import re
from typing import Final, Generic, TypeVar

from imagegen.providers.base import ProviderError

ALIKE: Final = 3
"""Different beats that are rejected alike before the run asks whether it is the prompt at all."""

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”")
_WORD: Final = re.compile(r"\S+")

T = TypeVar("T")


class _Group(Generic[T]):
    def __init__(self) -> None:
        self.beats: set[object] = set()
        self.charged = 0
        self.spared: set[T] = set()


class Rejections(Generic[T]):
    """The rejections since the last image. `T` identifies a beat of one style.

    `suspect` is the error that may affect every request, until that is known.
    """

    def __init__(self) -> None:
        self.suspect: ProviderError | None = None
        self._last_image = -math.inf
        self._groups: dict[str, _Group[T]] = {}
        self._spared_words: dict[T, str] = {}

    def charges(
        self, task: T, beat: object, fault: ProviderError, prompt: str = "", *, limit: int = ALIKE
    ) -> bool:
        """Record a rejection; returns whether it counts against the beat.

        `beat` identifies the beat across styles, for one prompt that is rejected in all of
        them says nothing of others. After `limit` different ones no more are charged.
        """
        words = words_alike(fault, prompt)
        if self._spared_words.get(task) == words:
            # An image came after it was spared: this says nothing of other beats.
            return True
        group = self._groups.setdefault(words, _Group())
        group.beats.add(beat)
        if len(group.beats) >= limit:
            self.suspect = self.suspect or fault
        last = len(group.beats) >= limit and limit < ALIKE
        if task in group.spared or (group.charged < ALIKE and not last):
            group.charged += 1
            return True
        group.spared.add(task)
        return False

    def note(
        self, beat: object, fault: ProviderError, prompt: str = "", *, sent_at: float = math.inf
    ) -> None:
        """Record a useless answer, without asking `charges`.

        It is retried as any temporary error; different beats with the same one are suspect.
        A request sent before the last image came, at `sent_at` on the monotonic clock, does not
        count: large answers are read last.
        """
        if sent_at < self._last_image:
            return
        group = self._groups.setdefault(words_alike(fault, prompt), _Group())
        group.beats.add(beat)
        if len(group.beats) >= ALIKE:
            self.suspect = self.suspect or fault

    def drawn(self, now: float = -math.inf) -> bool:
        """Record an image; returns whether paused sending may continue.

        `now` is the monotonic clock's time.
        """
        self._last_image = max(self._last_image, now)
        stopped = self.suspect is not None
        self.suspect = None
        for words, group in self._groups.items():
            self._spared_words |= dict.fromkeys(group.spared, words)
        self._groups.clear()
        return stopped


def words_alike(fault: ProviderError, prompt: str = "") -> str:
    """Return what the words of two errors have in common if they say the same.

    Without what differs between requests: the prompt, quotations, numbers, ids, addresses.
    """
    message = fault.message
    if prompt:
        message = message.replace(prompt, "")
    message = _QUOTED.sub("", message.casefold())
    words = [word.strip(".,:;!?()[]{}") for word in _WORD.findall(message)]
    common = [word for word in words if not any(c.isdigit() or c in "/\\_=" for c in word)]
    return f"{fault.kind} {' '.join(filter(None, common))}"
