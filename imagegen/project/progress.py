"""image_progress_{style}.json: what is drawn, for the next step of the pipeline and for us.

`completedBeats` and `lastUpdated` are what other tools read; the rest is ours. The images
on disk are the truth: the file follows them and is rebuilt from them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from imagegen import encoding, files
from imagegen.project.storyboard import Beat, BeatKey
from imagegen.times import iso

PATTERN: Final = "image_progress_*.json"
_MAX_BYTES: Final = 256 * 1024 * 1024


class BeatError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a beat has no image: `cause` for grouping, `reason` short, `message` a sentence."""

    cause: str
    reason: str
    message: str


class _Failed(msgspec.Struct, frozen=True, kw_only=True):
    shot: str
    beat: str
    cause: str
    reason: str
    message: str
    words: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    completed_beats: list[str] = []
    last_updated: str = ""
    schema: int = 1
    drawn: list[BeatKey] = []
    errors: list[_Failed] = []
    words: dict[str, str] = {}


class _Read(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is read of a file; a hash for every image is left unread."""

    completed_beats: list[str] = []
    last_updated: str = ""
    drawn: list[BeatKey] = []
    errors: list[_Failed] = []


class ProgressFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a progress file: beats drawn, and errors, by shot and beat number.

    `words` are the hashes of the prompts that went wrong, if known.
    """

    drawn: frozenset[BeatKey] = frozenset()
    errors: dict[BeatKey, BeatError] = {}
    words: dict[BeatKey, str] = {}
    last_updated: str = ""


def read(path: Path) -> ProgressFile | None:
    """Read a progress file of ours or of an older tool; None if missing, torn or foreign."""
    data = files.read(path, _MAX_BYTES)
    if data is None:
        return None
    try:
        file = msgspec.json.decode(data, type=_Read)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    errors = {
        (failed.shot, failed.beat): BeatError(
            cause=failed.cause, reason=failed.reason, message=failed.message
        )
        for failed in file.errors
    }
    return ProgressFile(
        drawn=frozenset(file.drawn),
        errors=errors,
        words={(failed.shot, failed.beat): failed.words for failed in file.errors if failed.words},
        last_updated=file.last_updated,
    )


def render(
    beats: Iterable[Beat],
    drawn: set[BeatKey],
    errors: Mapping[BeatKey, BeatError],
    words: Mapping[BeatKey, str],
    now: float,
) -> bytes:
    """Return a progress file's bytes.

    `words` has the hash of the prompt that an image was drawn from, or that went wrong, if
    it is known. A number is complete only when all beats with it are drawn. `now` is the wall
    clock's time, in seconds.
    """
    pairs, numbers, missing = [], [], set()
    for beat in beats:
        # Not `beat.key`: of 300,000 beats that takes a tenth of a second.
        key = (beat.shot, beat.beat)
        if key in drawn:
            pairs.append(key)
            numbers.append(beat.written)
        else:
            missing.add(beat.written)
    file = _File(
        completed_beats=[number for number in dict.fromkeys(numbers) if number not in missing],
        last_updated=iso(now),
        drawn=pairs,
        errors=[
            _Failed(
                shot=key[0],
                beat=key[1],
                cause=error.cause,
                reason=error.reason,
                message=error.message,
                words=words.get(key, ""),
            )
            for key, error in errors.items()
        ],
        words={"/".join(key): words[key] for key in pairs if key in words},
    )
    return encoding.to_indented_json(file)
