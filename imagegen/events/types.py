"""What happens in a run, as values: the only thing that displays and the journal read."""

from collections.abc import Mapping

import msgspec

from imagegen.errors import InputError, encodable
from imagegen.project.beat_status import Status, StatusCounts
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import BeatAddress
from imagegen.secret import redact

SCHEMA = 1


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Anything that happens. `seq` counts from 1 within the run `run`; `time` is UTC."""

    schema: int = SCHEMA
    run: str = ""
    seq: int = 0
    time: str = ""


class BeatCounts(StatusCounts, frozen=True, kw_only=True):
    """A style's beats in this run by what has become of them; `complete` ones were drawn by it."""

    skipped: int = 0
    """Had its image before."""

    @property
    def there(self) -> int:
        """How many have an image that was not to be drawn again."""
        return super().there + self.skipped


class Start(Event, frozen=True, kw_only=True, tag="start"):
    """The run begins: what it will draw, and what is there already."""

    project: str
    provider: str
    model: str
    image_size: str = ""
    aspect_ratio: str = ""
    price: float | None = None
    """US dollars an image, about; None if it is not known."""
    resumes: str | None = None
    reused: int = 0
    """Images that were drawn before from the same inputs, and taken from there; they exist now."""
    shard: str | None = None
    """The part of the storyboard that this run draws, such as `2/5`; None: all of it."""
    styles: Mapping[str, BeatCounts]


class Progress(Event, frozen=True, kw_only=True, tag="progress"):
    """A beat changed. `completed` counts the style's beats that need nothing more of this run.

    A `pending` one with an `error` will be tried again; a `blocked` one waits for the beat
    `blocked_by` of its shot. If a request was answered, `key`
    is the tail of the key that it used, `seconds` how long it took, `bytes` the image's
    size, `width` and `height` its pixels. `misfit` says how it differs from the request, `cost`
    about how many US dollars it took (None if prices are not known).
    """

    style: str
    shot_number: str
    beat_number: str
    status: Status
    completed: int
    total: int
    image_path: str | None = msgspec.field(default=None, name="imagePath")
    error: BeatError | None = None
    blocked_by: str | None = None
    attempt: int = 0
    key: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    misfit: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    @property
    def address(self) -> BeatAddress:
        """The beat that changed."""
        return BeatAddress(self.style, self.shot_number, self.beat_number)


class Waiting(Event, frozen=True, kw_only=True, tag="wait"):
    """Nothing can be sent for a while, and why. `style` is None if it concerns all styles."""

    style: str | None = None
    reason: str
    message: str
    seconds: float | None = None
    until: str | None = None


class KeyChange(Event, frozen=True, kw_only=True, tag="key"):
    """A key's state: each key's once at the start, and whenever it comes into another.

    `until` is when it will be ready again, in `seconds` from now, if that is known;
    `per_minute` how many requests it may send a minute at present.
    """

    style: str
    key: str
    state: str
    message: str = ""
    per_minute: int | None = None
    seconds: float | None = None
    until: str | None = None


class Forecast(Event, frozen=True, kw_only=True, tag="forecast"):
    """How long the run will take and what it will cost, as far as is known.

    `seconds` are until the last image, `styles` the same for each style, judged by what
    the keys allow and by how long answers take; None if unknown. `cost` is
    about how many US dollars have been spent, `cost_in_all` includes what is left to draw.
    """

    seconds: float | None = None
    styles: Mapping[str, float | None] = {}  # copied by msgspec
    cost: float | None = None
    cost_in_all: float | None = None


class WarningEvent(Event, frozen=True, kw_only=True, tag="warning"):
    """A warning, which stops nothing; with `note` it only says how files were read."""

    message: str
    note: bool = False

    def __post_init__(self) -> None:
        # It may quote what a library or the service said.
        msgspec.structs.force_setattr(self, "message", redact(encodable(self.message)))


class Complete(Event, frozen=True, kw_only=True, tag="complete"):
    """The run has ended, however it did. `messages` say why, in sentences.

    `resume_after` is the time from which `resume` can continue; None if nothing is left or
    you must act first. `answers` counts answers by kind: `picture`, or an error's
    cause; `limited` those that were a 429, `misfits` the images that differ from the
    request. `cost` is an estimate in US dollars.
    """

    exit_code: int
    reason: str
    messages: tuple[str, ...] = ()
    counts: Mapping[str, BeatCounts]
    resume_after: str | None = None
    seconds: float = 0.0
    requests: int = 0
    limited: int = 0
    misfits: int = 0
    answers: Mapping[str, int] = {}  # copied by msgspec
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None


class StartFailed(Event, frozen=True, kw_only=True, tag="error"):
    """Nothing started, and why; `faults` are those of the project's files."""

    exit_code: int
    message: str
    hint: str | None = None
    faults: tuple[InputError, ...] = ()


AnyEvent = Start | Progress | Waiting | KeyChange | Forecast | WarningEvent | Complete | StartFailed
