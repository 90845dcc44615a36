"""A project as a command sees it: settings, beats, keys, references."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from imagegen import providers
from imagegen.errors import StorageError, UsageError
from imagegen.images import png
from imagegen.images.png import Provenance
from imagegen.keys.keyring import ApiKey, Keyring
from imagegen.project import record, storyboard
from imagegen.project.beat_ids import BeatId, BeatIndex, of_same_rows
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.project.overrides import Override
from imagegen.project.progress import BeatError
from imagegen.project.record import DrawRequest, DrawSettings, RunRecord
from imagegen.project.selections import file as selections
from imagegen.project.settings import Settings
from imagegen.project.storyboard import Beat, BeatAddress, BeatKey, Storyboard
from imagegen.prompts import references
from imagegen.prompts.appearances import Appearance, appearances
from imagegen.prompts.composer import Composer
from imagegen.prompts.continuity import Predecessors, predecessors
from imagegen.prompts.references import ReferenceLimits
from imagegen.providers.base import Price, Provider, ProviderOptions
from imagegen.providers.models import Catalogue, Model
from imagegen.workspace import last_run
from imagegen.workspace import plan as plans
from imagegen.workspace.beat_filter import BeatAddresses, Selection
from imagegen.workspace.credentials import Credentials
from imagegen.workspace.file_watch import FileWatch
from imagegen.workspace.outdated import Expectation, mark_outdated
from imagegen.workspace.plan import Plan, RedrawPolicy
from imagegen.workspace.pricing import Pricing
from imagegen.workspace.resolved_overrides import Resettle, ResolvedOverrides
from imagegen.workspace.shards import Shard, assign
from imagegen.workspace.survey import BeatImage, Survey, inspect_image, survey


class Project(msgspec.Struct, frozen=True, kw_only=True, eq=False, dict=True):
    """A project as it was read for a command; `reading.read_project` makes it.

    It does not change: what a command writes is read again. `root` is its folder as typed.
    `storyboard` has the prompts that are sent, after `overrides`. `raw_overrides` is what
    overrides.toml says, `override_changes` what the run that draws the project writes there.
    `file_watch` notices when what it was read from is edited.

    Candidates and sheets are a project beside `origin`: other beats, another folder, and the
    same references. `continued` are the beats of `origin` whose images they continue.
    """

    root: Path
    layout: ProjectPaths
    request: DrawRequest
    settings: Settings
    styles: tuple[str, ...]
    credentials: Credentials
    storyboard: Storyboard
    raw_overrides: Mapping[BeatAddress, Override]
    overrides: ResolvedOverrides
    override_changes: Mapping[BeatAddress, Override | None]
    edit_override: Resettle | None = None
    default_model: str | None = None
    file_watch: FileWatch
    index: Index
    origin: "Project | None" = None
    continued: Predecessors = {}  # copied by msgspec

    @property
    def is_scratch(self) -> bool:
        """Whether it is drawn beside another project: nothing is resumed, reused or reloaded."""
        return self.origin is not None

    @property
    def ring(self) -> Keyring:
        """Its keys; none if they were not asked for."""
        return self.credentials.ring

    @property
    def key_pools(self) -> dict[str, tuple[ApiKey, ...]]:
        """Each style's keys; those of styles that are not drawn may be lent."""
        return {style: self.ring.pool(style) for style in self.settings.styles}

    @cached_property
    def other_prompts(self) -> dict[str, str]:
        """The places with other prompts than those that are used, each with a note on it."""
        beats_file = self.request.beats_file or self.settings.beats
        return storyboard.differences(
            self.root, self.storyboard, tuple(self.styles), beats_file=beats_file
        )

    def selected_beats(self) -> list[Beat]:
        """Return the beats that were asked for, of the styles that are drawn."""
        chosen = Selection(self.request, self.beats, lambda: self.beat_index)
        return [beat for style_beats in self.beats.values() for beat in style_beats if chosen(beat)]

    @property
    def named_beats(self) -> list[str]:
        """The options that name the beats file in a command, if this command was given one."""
        if self.request.beats_file is None:
            return []
        return ["--beats", str(self.root / self.storyboard.source)]

    @property
    def model(self) -> str:
        """The model that draws: the one that is named, else the provider's default."""
        default_model = self.default_model
        # It may be another provider's, and is read from files that may come from another user.
        default = (
            default_model
            if default_model and self.catalogue.find(default_model).known
            else self.catalogue.default.name
        )
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
        return {
            style: frozenset(beat.key for beat in style_beats)
            for style, style_beats in self.beats.items()
        }

    @cached_property
    def beat_ids(self) -> tuple[BeatId, ...]:
        """Every beat of the styles that are drawn once, in file order."""
        return self.beat_index.ids(self.styles)

    @property
    def beat_count(self) -> int:
        """How many beats there are, counted once for all styles."""
        first, *rest = [style_beats for style_beats in self.beats.values() if style_beats] or [()]
        same = all(of_same_rows(first, style_beats) for style_beats in rest)
        return len(first) if same else len(self.beat_ids)

    def label(self, beat: BeatAddress) -> str:
        """Return a beat's name as it may be typed: clear/7.3, or clear/2/7.3 if 7.3 is not one."""
        shot, number = beat.key
        index = self.beat_index
        short = index.id_of(beat.key) if index.has_number(number) else f"{shot}/{number}"
        return f"{beat.style}/{short}"

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
        written: dict[BeatId, str] = {}
        for style_beats in self.storyboard.beats.values():
            for beat in style_beats:
                written.setdefault(self.beat_index.id_of(beat.key), beat.written)
        return written

    @cached_property
    def addresses(self) -> BeatAddresses:
        """What finds beats by what a person types."""
        return BeatAddresses(self.beats, self.beat_index)

    def request_for_record(self) -> DrawRequest:
        """Return what was asked for as a run's record keeps it: paths within the project."""
        path = self.request.beats_file
        if path is None or not Path(path).resolve().is_relative_to(self.layout.root):
            return self.request
        inside = self.layout.relative(Path(path).resolve())
        return msgspec.structs.replace(self.request, beats_file=inside)

    @cached_property
    def last_run(self) -> RunRecord | None:
        """The record of the last run, as it was when it was first needed."""
        return record.read(self.layout)

    @property
    def draw_settings(self) -> DrawSettings:
        """Who draws the project, by whom its images are judged.

        Single beats may be drawn by another without all others being outdated for it.
        """
        if self.request.beats and self.last_run is not None:
            return self.last_run.draw_settings
        request = self.request_for_record()
        return DrawSettings(
            provider=request.provider,
            model=request.model,
            continuity=request.continuity,
            beats_file=request.beats_file,
        )

    @property
    def placeholders(self) -> frozenset[str]:
        """The providers whose images stand in for those of the project's own provider."""
        return providers.PLACEHOLDERS - {self.settings.provider}

    def survey(self, now: float) -> Survey:
        """Read every image, and compare it with what would be drawn now.

        What it learns of the images is kept for the next command, if the disk allows that.
        `now` is the wall clock's time, in seconds. Raises `UsageError` for folders or
        reference images that cannot be read.
        """
        surveyed = survey(self.layout, self.beats, self.index, now)
        if self.index.has_changed:
            with contextlib.suppress(StorageError, UsageError):
                self.layout.prepare()
                self.index.save()
        return self._judged(surveyed, self._text_of)

    def survey_copy(self, layout: ProjectPaths, now: float) -> Survey:
        """Look at another copy of the project as at this one, by this one's beats and settings.

        Its index is not used: the copy may be another user's. Raises as `survey` does.
        """
        surveyed = survey(layout, self.beats, Index(None), now)
        return self._judged(surveyed, lambda _style, _key: None)

    def _judged(self, surveyed: Survey, text_of: Callable[[str, BeatKey], str | None]) -> Survey:
        judging = Expectation(
            target=self.expected,
            kind=self.composer.kind,
            before=self.predecessors,
            placeholders=self.placeholders,
            older=None if self.settings.strict_references else self.composer.older_references,
        )
        return mark_outdated(surveyed, judging, self.overrides, text_of)

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
            style: last_run.errors(self.layout, style, style_beats)
            for style, style_beats in self.beats.items()
        }

    @cached_property
    def composer(self) -> Composer:
        """What makes requests. Raises `UsageError` for faulty reference images."""
        if self.origin is not None:
            return self.origin.composer.with_predecessors(self.continued)
        provider = providers.provider_class(self.settings.provider)
        limits = ReferenceLimits(
            bytes=provider.largest_reference,
            in_all=provider.largest_references,
            types=provider.reference_types,
            by=provider.name,
        )
        reference_files = references.gather(self.layout, self.settings, self.beats, limits)
        return Composer(
            self.settings,
            reference_files,
            self.predecessors,
            limits,
            pictures=self.layout,
            model=self.table_entry,
        )

    @cached_property
    def predecessors(self) -> Predecessors:
        """Which beats of each style continue which, in styles that have continuity."""
        if self.is_scratch:
            return {}
        return {
            style: predecessors(beats, self.overrides.waived)
            for style, beats in self.beats.items()
            if self.settings.continuous(style)
        }

    def continues(self, beat: Beat) -> bool:
        """Return whether the beat is drawn from another beat's image."""
        return beat.key in self.predecessors.get(beat.style, ())

    def characters_in(
        self, beats: Iterable[Beat], more_beats: Iterable[Beat] = ()
    ) -> tuple[Appearance, ...]:
        """Return the project's characters, and which of these beats and others name each."""
        if not self.settings.characters:
            return ()
        references = self.composer.references
        return appearances(self.settings, references, self.beat_index, beats, more_beats)

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
            redraws=RedrawPolicy(
                force=self.request.force,
                outdated=self.request.outdated,
                own=bool(self.request.beats),
                lineage=lineage,
            ),
            limit=limit,
            predecessors=self.predecessors,
        )
        return msgspec.structs.replace(plan, shard=self.request.shard)

    def select(self, request: DrawRequest) -> Callable[[Beat], bool]:
        """Return a predicate: whether these options select a beat. Raises `UsageError`."""
        selected = Selection(request, self.beats, lambda: self.beat_index, self.continues)
        if request.shard is None:
            return selected
        in_shard = self.in_shard(Shard.parse(request.shard))
        return lambda beat: in_shard(beat) and selected(beat)

    def in_shard(self, shard: Shard) -> Callable[[Beat], bool]:
        """Return a predicate: whether a beat is in a shard of the styles that are drawn."""
        numbers = assign(self.beats, self.predecessors, shard.count)
        return lambda beat: numbers[beat.style][beat.key] == shard.number

    @property
    def pricing(self) -> Pricing:
        """What its images cost, by model."""
        return Pricing(self.ring, self.settings.image_size)

    @property
    def price(self) -> Price | None:
        """What an image costs: from the keys file if it was read, else the list price."""
        return self.pricing.price(self.table_entry)

    def provider(self) -> Provider:
        """Return the provider that the project or the command names."""
        options = ProviderOptions(
            model=self.model,
            base_url=self.credentials.base_url,
            store=self.settings.store,
            timeout=self.settings.timeout,
        )
        return providers.create(self.settings.provider, options)
