"""A project on disk, read whole: settings, beats, keys, references."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from imagegen import providers
from imagegen.errors import InvalidInputError, UsageError
from imagegen.images import png
from imagegen.images.png import Provenance
from imagegen.keys.address import address, plaintext_warning
from imagegen.keys.keyring import Keyring
from imagegen.project import overrides, settings, storyboard
from imagegen.project.beat_ids import BeatId, BeatIndex, of_same_rows
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.project.overrides import Override
from imagegen.project.progress import BeatError
from imagegen.project.record import DrawRequest, DrawSettings, RunRecord
from imagegen.project.selections import file as selections
from imagegen.project.storyboard import Beat, BeatAddress, BeatKey, Storyboard
from imagegen.project.storyboard.transitions import unknown as unknown_transitions
from imagegen.prompts import references
from imagegen.prompts.appearances import Appearance, appearances
from imagegen.prompts.composer import Composer
from imagegen.prompts.continuity import Predecessors, predecessors
from imagegen.prompts.references import ReferenceLimits
from imagegen.providers.base import Price, Provider, ProviderOptions
from imagegen.providers.models import Catalogue, Model
from imagegen.workspace import credentials, last_run
from imagegen.workspace import plan as plans
from imagegen.workspace import settings as ownsettings
from imagegen.workspace.beat_filter import BeatAddresses, Selection
from imagegen.workspace.fault_collector import FaultCollector
from imagegen.workspace.file_watch import FileWatch
from imagegen.workspace.older_layout import no_beats_hint
from imagegen.workspace.outdated import Expectation, mark_outdated
from imagegen.workspace.plan import Plan, RedrawPolicy
from imagegen.workspace.pricing import expected
from imagegen.workspace.resolved_overrides import Resettle, resolve
from imagegen.workspace.shards import Shard, assign
from imagegen.workspace.survey import BeatImage, Survey, inspect_image, survey

_NAMED: Final = 3


class CredentialOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where this command finds keys and sends them; never remembered."""

    file: Path | None = None
    base_url: str | None = None


class Project:
    """A project on disk: its settings, its beats, and its keys if wanted.

    `source` says where to look for keys; without it none are read. Raises
    `InputFaultsError` with every error of imagegen.toml, the beats and the keys files together,
    as far as imagegen.toml says what to read; `UsageError` for what cannot
    be read at all.

    `default_model` draws in place of the provider's default if no model is named.
    `resettle` changes the overrides of the beats asked for; `changes` are then the edits to
    overrides.toml, which is written by the run that draws them.
    """

    resumes: bool = True
    """Whether `resume` carries on a run of it."""
    reuses: bool = True
    """Whether an image that was drawn before from the same inputs is taken and not drawn."""

    def __init__(
        self,
        root: Path,
        asked: DrawRequest,
        source: CredentialOptions | None = None,
        *,
        resettle: Resettle | None = None,
        default_model: str | None = None,
    ) -> None:
        self.layout = ProjectPaths(root)
        self.request = asked
        self._default_model = default_model
        self.root = root
        self._source = source or CredentialOptions()
        self.edit_override = resettle
        self.settings, wrong = ownsettings.read(root, asked)
        self.styles = self.settings.drawn_styles
        faults = FaultCollector(wrong)
        if any(ownsettings.affects_beats(fault, self.settings.styles) for fault in wrong):
            raise InvalidInputError(wrong)
        self.ring = Keyring()
        if source is not None and all(fault.field != "provider" for fault in wrong):
            self.ring = faults.collect(self._keys) or self.ring
        settled = faults.collect(lambda: overrides.load(root))
        read = faults.collect(self._storyboard)
        board = faults.raise_if_any(read)
        self.file_watch = FileWatch(root, (settings.FILE, *board.files))
        """Notices when what it was read from is edited."""
        self.storyboard = board
        self.raw_overrides = settled or {}
        """What overrides.toml says."""
        self.overrides = resolve(board.beats, self.raw_overrides)
        self.override_changes: dict[BeatAddress, Override | None] = {}
        if resettle is not None:
            self.override_changes = self.overrides.changed(
                self._chosen(self.overrides.beats), resettle
            )
            self.overrides = resolve(board.beats, self.overrides.applied(self.override_changes))
        self.storyboard = msgspec.structs.replace(
            board,
            beats=self.overrides.beats,
            notes=(*board.notes, *ownsettings.possible_typos(self.settings), *self._unused()),
        )
        self.index = Index(self.layout.state_dir)

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know of the beats before anything is sent.

        Other files with prompts are read for it. Raises `UsageError` as `composer` does.
        """
        lacking = [
            f"{style}: {len(numbers):,} beat{'s' * (len(numbers) != 1)} of beats.json without a "
            f"prompt ({', '.join(numbers[:_NAMED])}{' …' * (len(numbers) > _NAMED)})"
            for style, numbers in self.without_prompt.items()
        ]
        unknown = unknown_transitions(b.transition for own in self.beats.values() for b in own)
        unused = self.composer.unused_style_references(self.beats)
        files = references.unused_style_files(self.layout, self.settings)
        return (
            *self.storyboard.notes,
            *lacking,
            *self.other_prompts.values(),
            *filter(None, (unknown, unused, *files)),
        )

    @cached_property
    def other_prompts(self) -> dict[str, str]:
        """The places with other prompts than those that are used, each with a note on it."""
        named = self.request.beats_file or self.settings.beats
        return storyboard.differences(self.root, self.storyboard, tuple(self.styles), named=named)

    def reload(self) -> "Project":
        """Return the project as it is on disk now, with its keys.

        Raises as `Project` does.
        """
        return Project(
            self.root,
            self.request,
            self._source,
            resettle=self.edit_override,
            default_model=self._default_model,
        )

    def _unused(self) -> list[str]:
        """Return notes on overrides with a prompt that is no longer in the storyboard."""
        not_drawn = set(self.settings.styles) - set(self.styles)
        unused = [name for name in self.overrides.unused if name.split("/")[0] not in not_drawn]
        if not unused:
            return []
        more = f" and {len(unused) - _NAMED:,} more" if len(unused) > _NAMED else ""
        names = f"{', '.join(unused[:_NAMED])}{more}"
        said = "is not used: no beat has its number and prompt"
        if len(unused) > 1:
            said = "are not used: no beats have their numbers and prompts"
        return [f"{overrides.FILE}: {names} {said}"]

    def selected_beats(self) -> list[Beat]:
        """Return the beats that were asked for, of the styles that are drawn."""
        return self._chosen(self.storyboard.beats)

    def _chosen(self, beats: Mapping[str, tuple[Beat, ...]]) -> list[Beat]:
        drawn = {style: beats.get(style, ()) for style in self.styles}
        chosen = Selection(self.request, drawn, lambda: self.beat_index)
        return [beat for own in drawn.values() for beat in own if chosen(beat)]

    def _storyboard(self) -> Storyboard:
        beats = self.request.beats_file or self.settings.beats
        if beats and not (self.request.beats_file and Path(beats).is_absolute()):
            _inside(self.layout, beats)
        try:
            return storyboard.load(
                self.root,
                tuple(self.settings.styles),
                beats=Path(beats) if beats else None,
            )
        except storyboard.NoBeatsError as error:
            hint = last_run.beats_file_hint(self.root) or no_beats_hint(self.root) or error.hint
            raise UsageError(error.message, hint=hint) from None

    @property
    def named_beats(self) -> list[str]:
        """The options that name the beats file in a command, if this command was given one."""
        if self.request.beats_file is None:
            return []
        return ["--beats", str(self.root / self.storyboard.source)]

    @property
    def output_folder(self) -> str:
        """Where its images are, relative to the project."""
        return self.layout.pictures.name

    @property
    def model(self) -> str:
        """The model that draws: the one that is named, else the provider's default."""
        own = self._default_model
        # It may be another provider's, and is read from files that may come from another user.
        default = own if own and self.catalogue.find(own).known else self.catalogue.default.name
        return self.settings.model or default

    @property
    def catalogue(self) -> Catalogue:
        """The models of the provider."""
        return providers.catalogue(self.settings.provider)

    @property
    def table_entry(self) -> Model:
        """What is known of the model that draws."""
        return self.catalogue.find(self.model)

    @property
    def requires_keys(self) -> bool:
        """Whether the provider needs a key."""
        return bool(providers.key_variables(self.settings.provider))

    @property
    def _takes_address(self) -> bool:
        return providers.named(self.settings.provider).supports_base_url

    @property
    def beats(self) -> dict[str, tuple[Beat, ...]]:
        """The beats of the styles that are drawn."""
        return {style: self.storyboard.beats.get(style, ()) for style in self.styles}

    @property
    def without_prompt(self) -> dict[str, tuple[str, ...]]:
        """The beats, by style that is drawn, that beats.json lists and that have no prompt."""
        lacking = self.storyboard.without_prompt
        return {style: lacking[style] for style in self.styles if style in lacking}

    @cached_property
    def beat_ids_by_style(self) -> dict[str, frozenset[BeatKey]]:
        """The shot and beat numbers of the beats of each style that is drawn."""
        return {style: frozenset(beat.key for beat in own) for style, own in self.beats.items()}

    @cached_property
    def beat_ids(self) -> tuple[BeatId, ...]:
        """Every beat of the styles that are drawn once, in file order."""
        return self.beat_index.ids(self.styles)

    @property
    def beat_count(self) -> int:
        """How many beats there are, counted once for all styles."""
        first, *others = [own for own in self.beats.values() if own] or [()]
        same = all(of_same_rows(first, own) for own in others)
        return len(first) if same else len(self.beat_ids)

    @cached_property
    def beat_index(self) -> BeatIndex:
        """What finds one beat in all styles, also in those that are not drawn."""
        return BeatIndex.of(self.storyboard.beats)

    def selection_key(self, beat: BeatId) -> str:
        """Return the key of a beat without an entry in image_selections.json.

        That is its number as the storyboard writes it, by which other tools know it; if numbers
        repeat, it is shot and number.
        """
        written = self._written.get(beat, beat)
        return beat if selections.is_misnamed(written, beat) else written

    @cached_property
    def _written(self) -> dict[BeatId, str]:
        found: dict[BeatId, str] = {}
        for own in self.storyboard.beats.values():
            for beat in own:
                found.setdefault(self.beat_index.id_of(beat.key), beat.written)
        return found

    @cached_property
    def addresses(self) -> BeatAddresses:
        """What finds beats by what a person types."""
        return BeatAddresses(self.beats, self.beat_index)

    @property
    def base_url(self) -> str | None:
        """Where requests go; None: to the provider's own address. Raises `UsageError`."""
        return address(self._source.base_url, self.ring) if self._takes_address else None

    def address_warnings(self) -> list[str]:
        """Warn of an address to which keys would travel in the clear."""
        warning = plaintext_warning(self.base_url) if self.requires_keys else None
        return [warning] if warning else []

    def request_for_record(self) -> DrawRequest:
        """Return what was asked for as a run's record keeps it: paths within the project."""
        path = self.request.beats_file
        if path is None or not Path(path).resolve().is_relative_to(self.layout.root):
            return self.request
        inside = self.layout.relative(Path(path).resolve())
        return msgspec.structs.replace(self.request, beats_file=inside)

    def drawn_by(self, last: RunRecord | None) -> DrawSettings:
        """Return who draws the project, by whom its images are judged; `last` drew before.

        Single beats may be drawn by another without all others being outdated for it.
        """
        if self.request.beats and last is not None:
            return last.draw_settings
        asked = self.request_for_record()
        return DrawSettings(
            provider=asked.provider,
            model=asked.model,
            continuity=asked.continuity,
            beats_file=asked.beats_file,
        )

    def survey(self, now: float) -> Survey:
        """Read every image, and compare it with what would be drawn now.

        `now` is the wall clock's time, in seconds. Raises `UsageError` for folders or
        reference images that cannot be read.
        """
        found = survey(self.layout, self.beats, self.index, now)
        return self._judged(found, self._text_of)

    def survey_copy(self, layout: ProjectPaths, now: float) -> Survey:
        """Look at another copy of the project as at this one, by this one's beats and settings.

        Its index is not used: the copy may be another user's. Raises as `survey` does.
        """
        found = survey(layout, self.beats, Index(None), now)
        return self._judged(found, lambda _style, _key: None)

    def _judged(self, found: Survey, text_of: Callable[[str, BeatKey], str | None]) -> Survey:
        judging = Expectation(
            target=self.expected,
            kind=self.composer.kind,
            before=self.predecessors,
            placeholders=providers.PLACEHOLDERS - {self.settings.provider},
            older=None if self.settings.strict_references else self.composer.older_references,
        )
        return mark_outdated(found, judging, self.overrides, text_of)

    def expected(self, beat: Beat) -> Provenance:
        """Return what the beat would be drawn from now, except for the image that it continues."""
        return self.composer.provenance(
            beat,
            self.composer.request(beat),
            provider=self.settings.provider,
            model=self.model,
            run="",
        )

    def expected_in_place(self, beat: Beat) -> Provenance:
        """Return what the beat would be drawn from now, after the image before it."""
        before = self.composer.before(beat)
        whole = None
        if before is not None:
            _, whole = inspect_image(self.layout.picture(beat.style, *before))
        continues = whole.pixel_checksum if whole is not None else None
        return msgspec.structs.replace(self.expected(beat), continues=continues)

    def _text_of(self, style: str, key: BeatKey) -> str | None:
        try:
            with self.layout.picture(style, *key).open("rb", buffering=0) as file:
                return png.description(file)
        except OSError:
            return None

    def errors(self) -> dict[str, dict[BeatKey, BeatError]]:
        """Return what went wrong with beats last time, by style."""
        return {
            style: last_run.errors(self.layout, style, own) for style, own in self.beats.items()
        }

    @cached_property
    def composer(self) -> Composer:
        """What makes requests. Raises `UsageError` for faulty reference images."""
        provider = providers.named(self.settings.provider)
        limits = ReferenceLimits(
            bytes=provider.largest_reference,
            in_all=provider.largest_references,
            types=provider.reference_types,
            by=provider.name,
        )
        found = references.gather(self.layout, self.settings, self.beats, limits)
        return Composer(
            self.settings,
            found,
            self.predecessors,
            limits,
            pictures=self.layout,
            model=self.table_entry,
        )

    @cached_property
    def predecessors(self) -> Predecessors:
        """Which beats of each style continue which, in styles that have continuity."""
        return {
            style: predecessors(beats, self.overrides.waived)
            for style, beats in self.beats.items()
            if self.settings.continuous(style)
        }

    def continues(self, beat: Beat) -> bool:
        """Return whether the beat is drawn from another beat's image."""
        return beat.key in self.predecessors.get(beat.style, ())

    def characters_in(
        self, beats: Iterable[Beat], others: Iterable[Beat] = ()
    ) -> tuple[Appearance, ...]:
        """Return the project's characters, and which of these beats and others name each."""
        if not self.settings.characters:
            return ()
        references = self.composer.references
        return appearances(self.settings, references, self.beat_index, beats, others)

    def plan(
        self,
        surveyed: Mapping[str, Sequence[BeatImage]],
        *,
        lineage: str = "",
        limit: int | None = None,
    ) -> Plan:
        """Hold what was asked for against the disk."""
        plan = plans.make_plan(
            surveyed,
            self.select(self.request),
            again=RedrawPolicy(
                force=self.request.force,
                outdated=self.request.outdated,
                own=bool(self.request.beats),
                lineage=lineage,
            ),
            limit=limit,
            predecessors=self.predecessors,
        )
        return msgspec.structs.replace(plan, shard=self.request.shard)

    def select(self, asked: DrawRequest) -> Callable[[Beat], bool]:
        """Return a predicate: whether these options select a beat. Raises `UsageError`."""
        selected = Selection(asked, self.beats, lambda: self.beat_index, self.continues)
        if asked.shard is None:
            return selected
        in_shard = self.in_shard(Shard.parse(asked.shard))
        return lambda beat: in_shard(beat) and selected(beat)

    def in_shard(self, shard: Shard) -> Callable[[Beat], bool]:
        """Return a predicate: whether a beat is in a shard of the styles that are drawn."""
        numbers = assign(self.beats, self.predecessors, shard.count)
        return lambda beat: numbers[beat.style][beat.key] == shard.number

    def _keys(self) -> Keyring:
        return credentials.load(
            self.root,
            self.settings.provider,
            tuple(self.settings.styles),
            named=self._source.file,
        )

    @property
    def price(self) -> Price | None:
        """What an image costs: from the keys file if it was read, else the list price."""
        return self._price_by(self.ring, self.table_entry)

    def picture_price(self) -> float | None:
        """Return about what an image costs with its references, in US dollars.

        None if that is not known.

        The keys file is read for it if it was not.
        """
        ring = self.ring
        if ring.source is None and self.requires_keys:
            try:
                ring = self._keys()
            except UsageError:
                # Its errors are reported when keys are needed.
                return None
        price = self._price_by(ring, self.table_entry)
        counts: Mapping[int, int] = {}
        if price is not None and price.reference:
            beats = itertools.chain.from_iterable(self.beats.values())
            counts = self.composer.reference_counts(beats)
        return expected(price, counts).mean

    def price_of(self, model: Model) -> Price | None:
        """Return the price of an image of a model; see `price`."""
        return self._price_by(self.ring, model)

    def _price_by(self, ring: Keyring, model: Model) -> Price | None:
        size = self.settings.image_size
        own = ring.price(model.name, size)
        return model.price(size) if own is None else Price(picture=own)

    def provider(self) -> Provider:
        """Return the provider that the project or the command names."""
        options = ProviderOptions(
            model=self.model,
            base_url=self.base_url,
            store=self.settings.store,
            timeout=self.settings.timeout,
        )
        return providers.create(self.settings.provider, options)


def _inside(layout: ProjectPaths, beats: str) -> None:
    try:
        inside = (layout.root / beats).resolve().is_relative_to(layout.root)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f'beats = "{beats}" is not a valid path: {error}') from error
    if not inside:
        hint = "name it with --beats instead"
        raise UsageError(f'beats = "{beats}" is outside the project', hint=hint)
