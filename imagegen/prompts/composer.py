"""Compose the request of a beat: its prompt, its style's look, its reference images."""

import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from imagegen import __version__, files
from imagegen.images import formats, png, scaling
from imagegen.project.layout import ProjectPaths
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.project.storyboard.hashing import words_hash
from imagegen.project.storyboard.transitions import CHOICES, was_continuation, was_hard_cut
from imagegen.prompts.continuity import Predecessors
from imagegen.prompts.references import ReferenceLimits, References
from imagegen.providers.base import Reference, ReferenceRole, Request
from imagegen.providers.models import Model

LOOKS: Final = {
    "illustration": (
        "Style: a hand-drawn illustration with visible strokes, vibrant colours and "
        "expressive light. No lettering in the picture."
    ),
    "clear": (
        "Style: clean and minimal, one clear focus, few shapes, calm background, generous "
        "empty space. No lettering in the picture."
    ),
    "consistent": (
        "Style: one uniform professional look throughout, with the same palette, line "
        "weight, lighting and level of detail in every picture. No lettering in the picture."
    ),
}
"""Added to prompts that the styles share, if the project has no look of its own."""


_CHOICES: Final = ("provider", "model", "aspect_ratio", "image_size")


class NoPredecessorError(Exception):
    """The image that a beat continues cannot be read; the message says which and why."""


class Composer:
    """Makes requests for the beats of one project, for one model.

    `predecessors` says for styles with continuity which beats continue which; their
    images are in `pictures`; a beat that would continue another but has none before
    it counts as a hard cut.
    """

    def __init__(
        self,
        settings: Settings,
        references: References,
        predecessors: Predecessors | None = None,
        limits: ReferenceLimits | None = None,
        *,
        pictures: ProjectPaths | None = None,
        model: Model | None = None,
    ) -> None:
        self._settings = settings
        self._model = model or Model(name="")
        self.references = references
        self._predecessors: Mapping[str, Mapping[BeatKey, BeatKey]] = predecessors or {}
        self.limits = limits or ReferenceLimits()
        self._pictures = pictures
        defaults = Settings()
        self._chosen = tuple(
            name for name in _CHOICES if getattr(settings, name) != getattr(defaults, name)
        )

    def with_predecessors(self, predecessors: Predecessors) -> "Composer":
        """Return one with the same references, for other beats that continue these."""
        return Composer(
            self._settings,
            self.references,
            predecessors,
            self.limits,
            pictures=self._pictures,
            model=self._model,
        )

    def before(self, beat: Beat) -> BeatKey | None:
        """Return shot and number of the beat that this one is drawn from."""
        return self._predecessors.get(beat.style, {}).get(beat.key)

    def hard_cut(self, beat: Beat) -> bool:
        """Return whether a beat begins something new, with the style reference."""
        if beat.hard_cut:
            return True
        continued = self._predecessors.get(beat.style)
        return continued is not None and beat.continues and beat.key not in continued

    def was_hard_cut(self, beat: Beat) -> bool:
        """Return whether it did under the rule of 0.1.0, which knew three transitions."""
        if was_hard_cut(beat.transition):
            return True
        continued = self._predecessors.get(beat.style)
        follows = continued is not None and was_continuation(beat.transition)
        return follows and beat.key not in (continued or ())

    def older_references(self, beat: Beat) -> png.Hash | None:
        """Return what an image drawn under the rule of 0.1.0 says of its references."""
        sent = self._sent(beat, hard_cut=self.was_hard_cut(beat))
        return _hash_of(sent)

    def unused_style_references(self, beats: Mapping[str, Iterable[Beat]]) -> str | None:
        """Return a note if a style reference goes with no beat of its style, or None."""
        unused = [
            style
            for style, style_beats in beats.items()
            if self.references.has_style_reference(style)
            and (listed := list(style_beats))
            and not any(map(self.hard_cut, listed))
        ]
        if not unused:
            return None
        return (
            f"the style reference goes with no beat of {', '.join(unused)}: no transition_type "
            f"begins a new image ({CHOICES})"
        )

    def kind(self, beat: Beat) -> tuple[object, ...]:
        """Return what is the same for beats of a style that differ in their prompts alone."""
        if not self.references and beat.style not in self._predecessors:
            # Of very many beats, comparing texts is much faster than understanding them.
            return beat.own_words, beat.transition
        continues = self.before(beat) is not None
        rules = self.hard_cut(beat), self.was_hard_cut(beat)
        return beat.own_words, *rules, continues, *self.references.kind(beat)

    def predecessor(self, beat: Beat) -> Reference | None:
        """Return the image that a beat continues: its bytes, unless they are too many.

        None if it continues none. Raises `NoPredecessorError` where it is not there.
        """
        before = self.before(beat)
        if before is None or self._pictures is None:
            return None
        data = files.read(self._pictures.picture(beat.style, *before), png.MAX_BYTES)
        whole = png.read_info(io.BytesIO(data)) if data else None
        if data is None or whole is None:
            name = "/".join(before)
            raise NoPredecessorError(f"the image of {name}, which it continues, is missing")
        original = None
        if len(data) > self.limits.bytes:
            try:
                data = scaling.scale_to_bytes(data, self.limits.bytes)
            except formats.NotAPictureError as error:
                raise NoPredecessorError(f"the image before it cannot be sent: {error}") from None
            original = f"{whole.pixel_checksum:08x}"
        return Reference(
            formats.Format.PNG.value,
            data,
            ReferenceRole.PREDECESSOR,
            original=original,
            content=whole.pixel_checksum,
        )

    def predecessor_shown(self, beat: Beat) -> Reference | None:
        """Return the image that a beat continues; without bytes while it is not there."""
        try:
            return self.predecessor(beat)
        except NoPredecessorError:
            return Reference(formats.Format.PNG.value, b"", ReferenceRole.PREDECESSOR)

    def request(self, beat: Beat, predecessor: Reference | None = None) -> Request:
        """Return what is sent for a beat, with the image that it continues if there is one."""
        look, _ = self._look(beat)
        first = (predecessor,) if predecessor is not None else ()
        return Request(
            style=beat.style,
            shot=beat.shot,
            beat=beat.beat,
            words=beat.words,
            look=look,
            references=(*first, *self._sent(beat)),
            aspect_ratio=self._settings.aspect_ratio,
            image_size=self._settings.image_size,
            thinking=self._settings.thinking_in(beat.style),
        )

    def short(self, beats: Iterable[Beat]) -> str | None:
        """Return a warning if some beats have more references than can be sent."""
        first = self._first(beats, lambda beat: bool(self.left_out(beat)))
        if first is None:
            return None
        name, count = first[0].address, first[1]
        many = "1 beat has" if count == 1 else f"{count:,} beats have"
        return (
            f"{many} larger references than one request takes ({self.limits.in_all // 1024**2} "
            f"MB): the last are left out (check --show {name})"
        )

    def excess(self, beats: Iterable[Beat]) -> tuple[Beat, int] | None:
        """Return the first beat with more references than the model takes, and how many have.

        More of one kind than it takes count too. None if there are none.
        """
        return self._first(beats, lambda beat: not self._model.takes(self._all(beat)))

    def reference_counts(self, beats: Iterable[Beat]) -> Counter[int]:
        """Return how many beats are sent with how many reference images."""
        counts: Counter[int] = Counter()
        if self.references.empty and not self._predecessors:
            return counts
        count_by_kind: dict[tuple[object, ...], int] = {}
        for beat in beats:
            kind = (beat.style, *self.kind(beat))
            if kind not in count_by_kind:
                count_by_kind[kind] = len(self._sent(beat)) + (self.before(beat) is not None)
            counts[count_by_kind[kind]] += 1
        return counts

    def _first(
        self, beats: Iterable[Beat], is_one: Callable[[Beat], bool]
    ) -> tuple[Beat, int] | None:
        """Return the first of such beats and their number; beats of one kind are all alike."""
        if not self.references:
            # None has more than one.
            return None
        by_kind: dict[tuple[object, ...], bool] = {}
        count, first = 0, None
        for beat in beats:
            kind = (beat.style, *self.kind(beat))
            if kind not in by_kind:
                by_kind[kind] = is_one(beat)
            if by_kind[kind]:
                count, first = count + 1, first or beat
        return None if first is None else (first, count)

    def left_out(self, beat: Beat) -> tuple[Reference, ...]:
        """Return the references that are not sent, because the service takes no more."""
        return self._other_references(beat)[len(self._sent(beat)) :]

    def _all(self, beat: Beat) -> tuple[Reference, ...]:
        """Return all references of a beat, even if more than the model takes."""
        before = self.before(beat)
        first = () if before is None else (Reference("image/png", b"", ReferenceRole.PREDECESSOR),)
        return (*first, *self._other_references(beat))

    def _other_references(
        self, beat: Beat, *, hard_cut: bool | None = None
    ) -> tuple[Reference, ...]:
        begins = self.hard_cut(beat) if hard_cut is None else hard_cut
        return self.references.of(beat, hard_cut=begins)

    def _sent(self, beat: Beat, *, hard_cut: bool | None = None) -> tuple[Reference, ...]:
        """Return the references that are sent, beside the image that the beat continues.

        Room is kept for the largest such image: what goes with it must not depend on it,
        or it would be outdated at once.
        """
        continues = self.before(beat) is not None
        references = self._other_references(beat, hard_cut=hard_cut)
        room = self.limits.in_all - continues * self.limits.bytes
        sizes = itertools.accumulate(len(reference.data) for reference in references)
        return references[: sum(size <= room for size in sizes)]

    @property
    def image_size(self) -> str:
        """The size that images are asked for in: 512, 1K, 2K or 4K."""
        return self._settings.image_size

    @property
    def aspect_ratio(self) -> str:
        """The ratio that images are asked for in, as 16:9."""
        return self._settings.aspect_ratio

    def provenance(
        self, beat: Beat, request: Request, *, provider: str, model: str, run: str
    ) -> png.Provenance:
        """Return what an image drawn by `request` says of its origin."""
        look, by_user = self._look(beat)
        first = request.references[:1]
        predecessor = next(
            (reference for reference in first if reference.role is ReferenceRole.PREDECESSOR), None
        )
        references = request.references[1:] if predecessor else request.references
        return png.Provenance(
            style=beat.style,
            shot=beat.shot,
            beat=beat.beat,
            provider=provider,
            model=model,
            aspect_ratio=request.aspect_ratio,
            image_size=request.image_size,
            words=png.Hash(words_hash(beat.words)),
            look=png.Hash(words_hash(look), "user" if by_user else "default") if look else None,
            references=_hash_of(references),
            # Asking for what the model does unasked makes no other image.
            thinking=None if request.thinking == self._model.default_thinking else request.thinking,
            run=run,
            id=beat.id,
            chosen=self._chosen,
            continues=predecessor.content if predecessor else None,
            scaled=any(reference.original for reference in request.references),
        )

    def texts(self, beat: Beat, created: float) -> png.TextFields:
        """Return the metadata of a beat's image; its prompt only if the settings allow it.

        `created` is the wall clock's time in seconds.
        """
        return png.TextFields(
            software=f"imagegen {__version__}",
            description=png.truncate_text(beat.words) if self._settings.provenance else None,
            created=created,
        )

    def _look(self, beat: Beat) -> tuple[str, bool]:
        """Return the style's look for this beat, and whether the user wrote it."""
        style = self._settings.styles.get(beat.style)
        if style is not None and style.look:
            return style.look, True
        return ("", False) if beat.own_words else (LOOKS.get(beat.style, ""), False)


def _hash_of(references: Iterable[Reference]) -> png.Hash | None:
    """Return what an image says of the references that were sent along, in their order."""
    together = "".join(reference.digest for reference in references)
    return png.Hash(words_hash(together)) if together else None
