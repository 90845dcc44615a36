"""Find images with changed inputs, and those that belong to other beats now.

An image is *outdated* if what the user chose changed since it was drawn: prompt, look,
references, provider, model, thinking, size or ratio, or the image that it continues. A changed
default does not count. An image with the prompt of another beat has *moved*.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from operator import attrgetter
from typing import Final

import msgspec

from imagegen.images.png import Hash, Provenance
from imagegen.project.overrides import Accepted
from imagegen.project.storyboard import Beat, BeatAddress, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.project.storyboard.transitions import was_continuation
from imagegen.prompts.continuity import Predecessors
from imagegen.workspace import renames
from imagegen.workspace.renames import UnmatchedBeat, UnmatchedImage
from imagegen.workspace.resolved_overrides import ResolvedOverrides
from imagegen.workspace.survey import BeatImage, OrphanImage, Survey

USER_SUPPLIED: Final = "own"
"""The provider of an image that the user supplied."""

ADOPTED: Final = "adopted"
"""The provider of an image that was taken over from an older tool's folder."""


class Reason(StrEnum):
    """What has changed since an image was drawn."""

    WORDS = "words"
    LOOK = "look"
    REFERENCES = "references"
    PROVIDER = "provider"
    MODEL = "model"
    THINKING = "thinking"
    SIZE = "size"
    ASPECT_RATIO = "aspect ratio"
    PREDECESSOR = "predecessor"
    """The image before it, which it continues, changed or is about to."""


def changed_label(changed: Iterable[str]) -> str:
    """Return why an image is outdated: `prompt and size`. JSON calls a prompt `words`."""
    return " and ".join("prompt" if reason == Reason.WORDS else reason for reason in changed)


_WORDS: Final = (Reason.WORDS,)
_MANY: Final = 20_000
"""Beats without an image, above which only certain matches are searched."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What images are compared with.

    `target` returns what a beat would be drawn from now, except for the image that it continues:
    the same for all beats of a style of the same `kind`, except for their prompts. `before`
    says which beats continue which. Images by one of the providers `placeholders` stand in for
    others. `older` returns what an image that was drawn under the rule of 0.1.0 says of its
    references: such an image is not outdated by what transitions mean today. None: it is.
    """

    target: Callable[[Beat], Provenance]
    kind: Callable[[Beat], tuple[object, ...]]
    before: Predecessors = {}  # copied by msgspec
    placeholders: frozenset[str] = frozenset()
    older: Callable[[Beat], Hash | None] | None = None


def mark_outdated(
    survey: Survey,
    judging: Expectation,
    settled: ResolvedOverrides,
    text_of: Callable[[str, BeatKey], str | None],
) -> Survey:
    """Return the survey with what is outdated, waived and moved.

    `text_of` returns the prompt that the image of a style and place was drawn from, if it
    holds it.
    """
    beats, moves, hashes, pairing = {}, {}, _HashCache(), _MatchCache()
    older = 0
    for style, images in survey.beats.items():
        comparison = _StyleComparison(style, judging, settled, hashes)
        beats[style] = [comparison.compare(image) for image in images]
        older += comparison.older
        rows, pictures = comparison.unmatched(images, survey.strays.get(style, ()))
        pairs = pairing.moves(rows, pictures, partial(_text, text_of, style))
        if pairs:
            moves[style] = pairs
    return msgspec.structs.replace(survey, beats=beats, moves=moves, older=older)


class _HashCache(dict[str, str]):
    """The hashes of prompts, which styles mostly share."""

    def __missing__(self, words: str) -> str:
        computed = self[words] = words_hash(words)
        return computed


def _text(
    text_of: Callable[[str, BeatKey], str | None], style: str, picture: UnmatchedImage
) -> str | None:
    return text_of(style, picture.key)


class _MatchCache:
    """Finds moved images; styles mostly have the same rows and images."""

    def __init__(self) -> None:
        self._last: tuple[list[UnmatchedBeat], list[UnmatchedImage]] = [], []
        self._found: dict[BeatKey, BeatKey] = {}

    def moves(
        self,
        rows: list[UnmatchedBeat],
        pictures: list[UnmatchedImage],
        text_of: Callable[[UnmatchedImage], str | None],
    ) -> dict[BeatKey, BeatKey]:
        """Return the moves, as (from, to) pairs of places."""
        if (rows, pictures) != self._last:
            self._last = rows, pictures
            self._found = renames.match_moves(rows, pictures, text_of) if pictures else {}
        return self._found


class _StyleComparison:
    """Compares one style's images with what would be drawn now."""

    def __init__(
        self, style: str, judging: Expectation, settled: ResolvedOverrides, hashes: _HashCache
    ) -> None:
        self._style = style
        self._hashes = hashes
        self._judging = judging
        self._settled = settled
        self._before = judging.before.get(style, {})
        self._seen: dict[BeatKey, BeatImage] = {}
        self._templates: dict[tuple[object, ...], Provenance] = {}
        self._known: dict[tuple[object, ...], tuple[Reason, ...]] = {}
        self._older: dict[tuple[object, ...], Hash | None] = {}
        self.older = 0
        """Images that are current by the rule of 0.1.0 alone."""
        self._accepted = any(o.accepted for a, o in settled.overrides.items() if a[0] == style)
        self._doubtful: list[BeatImage] = []
        self._astray: dict[str, str] = {}

    def compare(self, image: BeatImage) -> BeatImage:
        """Return whether a beat is waived, or its image outdated. Call it in file order."""
        judged = self._judged(image)
        if self._before:
            self._seen[image.key] = judged
        return judged

    def _judged(self, image: BeatImage) -> BeatImage:
        drawn, beat = image.provenance, image.beat
        if drawn is None:
            waived = not image.has_image and self._settled.waived(beat)
            return msgspec.structs.replace(image, waived=True) if waived else image
        words = self._hashes[beat.words]
        same_words = drawn.words.sha256 == words
        if not same_words or (drawn.id != beat.id and _differ(drawn.id, beat.id)):
            self._doubtful.append(image)
        if drawn.provider in self._judging.placeholders and not self._holds(beat, drawn, words):
            return msgspec.structs.replace(
                image, placeholder=True, waived=self._settled.waived(beat)
            )
        if drawn.provider in {USER_SUPPLIED, ADOPTED}:
            # A user's own image is what they want; of another tool's the inputs are unknown.
            return image
        template = self._template(beat)
        reasons = self._differences(drawn, template)
        before = self._before.get(beat.key) if self._before else None
        if before is not None or drawn.continues is not None:
            reasons += self._followed(drawn, before)
        if reasons and self._judging.older is not None:
            reasons = self._but_older(reasons, image, drawn)
        if same_words and not reasons:
            return image
        if self._holds(beat, drawn, words):
            # A redraw of the image before it counts as a change all the same.
            is_current = before is None or self._stays(before)
            return image if is_current else self._outdated(image, (Reason.PREDECESSOR,))
        if not same_words:
            reasons = (Reason.WORDS, *reasons) if reasons else _WORDS
        return self._outdated(image, reasons)

    def _holds(self, beat: Beat, drawn: Provenance, words: str) -> bool:
        """Return whether the user accepted the image as it is, and what it is compared with."""
        if not self._accepted:
            return False
        before = self._before.get(beat.key) if self._before else None
        now = msgspec.structs.replace(
            self._template(beat), words=Hash(words), continues=self._content(before)
        )
        return self._is_accepted(beat, drawn, now)

    def _but_older(
        self, changed: tuple[Reason, ...], image: BeatImage, drawn: Provenance
    ) -> tuple[Reason, ...]:
        """Return what has changed but for what transitions mean since 0.1.0."""
        beat, older = image.beat, self._judging.older
        explained = set()
        if Reason.REFERENCES in changed and older is not None:
            kind = self._judging.kind(beat)
            if kind not in self._older:
                self._older[kind] = older(beat)
            if _same(drawn.references, self._older[kind]):
                explained.add(Reason.REFERENCES)
        unlinked = drawn.continues is None and not was_continuation(beat.transition)
        if Reason.PREDECESSOR in changed and unlinked:
            explained.add(Reason.PREDECESSOR)
        self.older += bool(explained)
        return tuple(reason for reason in changed if reason not in explained)

    def _outdated(self, image: BeatImage, changed: tuple[Reason, ...]) -> BeatImage:
        return BeatImage(image.beat, image.found, image.whole, changed)

    def unmatched(
        self, images: Sequence[BeatImage], strays: Sequence[OrphanImage]
    ) -> tuple[list[UnmatchedBeat], list[UnmatchedImage]]:
        """Return images that are not surely in place, and the beats they may belong to."""
        if self._accepted:
            self._note_astray([*images, *strays])
        pictures = [*self._lying(self._doubtful), *self._lying(strays)]
        if not pictures:
            return [], []
        beats = [image.beat for image in self._doubtful]
        beats += (image.beat for image in images if not image.has_image)
        beats.sort(key=attrgetter("row"))
        return self._rows(beats, {picture.words for picture in pictures}), pictures

    def _lying(self, pictures: Sequence[BeatImage | OrphanImage]) -> Iterator[UnmatchedImage]:
        for image in pictures:
            drawn = image.provenance
            if drawn is not None:
                key = image.key
                words = self._words_of(key, drawn) if self._accepted else drawn.words.sha256
                yield UnmatchedImage(key, words, drawn.id)

    def _words_of(self, key: BeatKey, drawn: Provenance) -> str:
        """Return the hash of the prompt that an image belongs to."""
        bears, accepted = fingerprint(drawn), self._accepted_at(key)
        if accepted is not None and accepted.drawn == bears:
            return accepted.words
        return self._astray.get(bears, drawn.words.sha256)

    def _accepted_at(self, key: BeatKey) -> Accepted | None:
        override = self._settled.placed.get(BeatAddress(self._style, *key))
        return override.accepted if override else None

    def _note_astray(self, pictures: Sequence[BeatImage | OrphanImage]) -> None:
        """Record accepted images that are elsewhere than the file says.

        Overrides follow their beat with the next command that changes overrides.
        """
        at_home = {
            image.key
            for image in pictures
            if (accepted := self._accepted_at(image.key)) is not None
            and image.provenance is not None
            and accepted.drawn == fingerprint(image.provenance)
        }
        self._astray = {
            override.accepted.drawn: override.accepted.words
            for place, override in self._settled.placed.items()
            if place.style == self._style and override.accepted and place.key not in at_home
        }

    def _rows(self, beats: Sequence[Beat], drawn: Collection[str]) -> list[UnmatchedBeat]:
        """Return the beats that images may belong to; of very many, only certain ones."""
        is_small, owns = len(beats) <= _MANY, self._settled.own_hashes
        if not is_small and not owns:
            # The same for very many, without what only few have.
            cache = self._hashes
            return [
                UnmatchedBeat((beat.shot, beat.beat), (prompt_hash,), beat.words, beat.id)
                for beat in beats
                if (prompt_hash := cache[beat.words]) in drawn or beat.id
            ]
        rows = []
        for beat in beats:
            words = self._hashes[beat.words]
            row_hash = owns.get(beat.address) if owns else None
            if is_small or words in drawn or row_hash in drawn or beat.id:
                hashes = (words, row_hash) if row_hash else (words,)
                rows.append(UnmatchedBeat(beat.key, hashes, beat.words, beat.id))
        return rows

    def _template(self, beat: Beat) -> Provenance:
        """Return what all such beats would be drawn from, except for their prompts."""
        kind = self._judging.kind(beat)
        if kind not in self._templates:
            self._templates[kind] = self._judging.target(beat)
        return self._templates[kind]

    def _followed(self, drawn: Provenance, before: BeatKey | None) -> tuple[Reason, ...]:
        """Return whether an image continues another than it would now.

        One that is about to be drawn again counts as another, too.
        """
        if before is None or drawn.continues is None or not self._stays(before):
            return (Reason.PREDECESSOR,)
        same = self._content(before) in {drawn.continues, None}
        return () if same else (Reason.PREDECESSOR,)

    def _stays(self, key: BeatKey) -> bool:
        """Return whether a beat has an image that no run would draw again."""
        image = self._seen.get(key)
        return image is not None and image.has_image and not image.changed

    def _content(self, key: BeatKey | None) -> int | None:
        """Return what identifies a beat's image; None if it is not known."""
        image = self._seen.get(key) if key is not None else None
        return image.whole.pixel_checksum if image is not None and image.whole is not None else None

    def _differences(self, drawn: Provenance, now: Provenance) -> tuple[Reason, ...]:
        """Compare all but the prompt; of 100,000 images few were drawn differently."""
        if (
            drawn.look == now.look
            and drawn.references == now.references
            and drawn.model == now.model
            and drawn.provider == now.provider
            and drawn.thinking == now.thinking
            and drawn.image_size == now.image_size
            and drawn.aspect_ratio == now.aspect_ratio
        ):
            return ()
        pair = (
            *(drawn.look, drawn.references, drawn.provider, drawn.model),
            *(drawn.image_size, drawn.aspect_ratio, drawn.chosen, now.look, now.references),
            *(drawn.thinking, now.thinking),
        )
        if pair not in self._known:
            self._known[pair] = tuple(_differences(drawn, now))
        return self._known[pair]

    def _is_accepted(self, beat: Beat, drawn: Provenance, now: Provenance) -> bool:
        accepted = self._settled.of(beat).accepted
        return (
            accepted is not None
            and accepted.drawn == fingerprint(drawn)
            and accepted.now == fingerprint(now)
        )


def _differences(drawn: Provenance, now: Provenance) -> Iterator[Reason]:
    if drawn.look != now.look and not _same(drawn.look, now.look):
        yield Reason.LOOK
    if drawn.references != now.references and not _same(drawn.references, now.references):
        yield Reason.REFERENCES
    if drawn.provider != now.provider:
        yield Reason.PROVIDER
        return
    for name, reason in _SETTINGS.items():
        chosen = name in drawn.chosen or name in now.chosen
        if chosen and getattr(drawn, name) != getattr(now, name):
            yield reason
    if drawn.thinking != now.thinking:
        yield Reason.THINKING


_SETTINGS = {"model": Reason.MODEL, "image_size": Reason.SIZE, "aspect_ratio": Reason.ASPECT_RATIO}


def _same(drawn: Hash | None, now: Hash | None) -> bool:
    """Return whether two are the same, or differ in a default alone."""
    alike = drawn is not None and now is not None and drawn.sha256 == now.sha256
    return alike or _users(drawn) == _users(now)


def _users(of: Hash | None) -> str | None:
    """Return the hash of what the user chose; None of a default, which may change."""
    return of.sha256 if of is not None and of.origin == "user" else None


def _differ(left: str | None, other: str | None) -> bool:
    return left is not None and other is not None and left != other


def fingerprint(drawn: Provenance) -> str:
    """Return a hash of all that the user chose of what an image is drawn from."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which few images need

    parts = [drawn.words.sha256, _users(drawn.look), _users(drawn.references), drawn.provider]
    parts += [getattr(drawn, name) if name in drawn.chosen else None for name in _SETTINGS]
    if drawn.continues is not None:
        parts.append(f"{drawn.continues:08x}")
    if drawn.thinking is not None:
        parts.append(f"thinking {drawn.thinking}")
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def older_rule(count: int) -> str:
    """Return a note on images without a reference that 0.1.0 introduced."""
    pictures = "1 image was" if count == 1 else f"{count:,} images were"
    return (
        f"{pictures} drawn without the style reference, as before Fade, Wipe and the like began a "
        "new image: still up to date, unless imagegen.toml says strict_references = true"
    )
