"""ffmpeg as a process: which one, encoding a clip, joining clips.

It runs in the folder of the clips and gets names relative to it, so the characters in the
project's own path do not matter.
"""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from imagegen import files
from imagegen.errors import ImagegenError, UsageError
from imagegen.export.animatic.clips import Look

_QUIET: Final = ("-hide_banner", "-loglevel", "error", "-y")
_COLOURS: Final = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
_LEAST_TICKS: Final = 10_000


class MissingError(Exception):
    """There is no ffmpeg."""


class Ffmpeg:
    """One ffmpeg executable. Raises `UsageError` if it does not start."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            result = subprocess.run(  # noqa: S603  # no shell
                [path, "-version"], capture_output=True, check=True, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"{path} cannot be started: {error}") from error
        words = result.stdout.decode("utf-8", "replace").split()
        self.version = words[2] if len(words) > 2 else ""

    def encode(self, frames: Iterable[bytes], target: Path, look: Look, rate: Fraction) -> None:
        """Write frames as a clip, whole or not at all. Raises `StorageError`, `UsageError`.

        Clips have no B-frames: joined, each begins with the frame that it has first.
        """
        temporary = _temporary(target)
        ticks = _ticks(rate)
        command = [
            *(self.path, *_QUIET),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{look.width}x{look.height}"),
            *("-r", f"{rate.numerator}/{rate.denominator}", "-i", "pipe:0"),
            *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
            *("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-bf", "0"),
            *("-threads", "1", *_COLOURS, "-video_track_timescale", str(ticks)),
            *("-f", "mp4", temporary.name),
        ]
        with _publish(target, temporary), _process(command, target, subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101  # for the type checker
            # If it ends early, its exit code says so.
            with contextlib.suppress(BrokenPipeError), process.stdin:
                for frame in frames:
                    process.stdin.write(frame)

    def convert(self, sound: str, target: Path) -> None:
        """Write a recording as WAV of 48 kHz, stereo, 16 bits. `sound` is relative to the target.

        Raises `StorageError`, `UsageError`.
        """
        temporary = _temporary(target)
        command = [
            *(self.path, *_QUIET, "-i", sound, "-ar", "48000", "-ac", "2", "-c:a", "pcm_s16le"),
            *("-f", "wav", temporary.name),
        ]
        with _publish(target, temporary), _process(command, target, subprocess.DEVNULL):
            pass

    def join(
        self,
        folder: Path,
        clips: Sequence[str],
        sounds: Sequence[str],
        target: Path,
        *,
        rate: Fraction,
        frames: int,
        title: str,
    ) -> None:
        """Write a film of clips in `folder`. `sounds` are played one after the other.

        Names are relative to `folder`. Sounds have one format: ffmpeg would read the others as
        if they had that of the first. Raises `StorageError`, `UsageError`.
        """
        _write_list(folder / "clips.txt", clips)
        _write_list(folder / "sounds.txt", sounds)
        temporary = _temporary(target)
        ticks = _ticks(rate)
        in_a_frame = ticks * rate.denominator // rate.numerator
        command = [
            *(self.path, *_QUIET),
            *("-f", "concat", "-safe", "0", "-i", "clips.txt"),
            *(("-f", "concat", "-safe", "0", "-i", "sounds.txt") if sounds else ()),
            *("-map", "0:v:0", *(("-map", "1:a:0") if sounds else ()), "-c:v", "copy"),
            # Clips are joined by times rounded to microseconds: frames are counted here.
            *("-bsf:v", f"setts=ts=N*{in_a_frame}", "-video_track_timescale", str(ticks)),
            *(("-c:a", "aac", "-b:a", "160k", "-ar", "48000", "-ac", "2") if sounds else ()),
            *("-t", f"{float(frames / rate):.6f}", "-movflags", "+faststart"),
            *("-metadata", f"title={title}", "-f", "mp4", f"file:{temporary}"),
        ]
        with _publish(target, temporary), _process(command, target, subprocess.DEVNULL, folder):
            pass


def _temporary(target: Path) -> Path:
    return target.with_name(f"{files.TEMP_PREFIX}{target.stem}.tmp")


@contextlib.contextmanager
def _process(
    command: Sequence[str], target: Path, stdin: int, folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ffmpeg while the block runs, and until it ends. Raises what `_error` returns."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603  # no shell
            command,
            cwd=folder or target.parent,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=output,
            # Away from the terminal: Ctrl-C is for the command, which ends it.
            start_new_session=True,
        )
        try:
            yield process
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code:
            output.seek(0)
            raise _error(output.read().decode("utf-8", "replace").strip(), target)


@contextlib.contextmanager
def _publish(target: Path, temporary: Path) -> Iterator[None]:
    """Give a file its name when the block has written it. Raises `StorageError`."""
    try:
        yield
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        files.replace(temporary, target)
        files.sync_folder(target.parent)
    except OSError as error:
        raise files.storage_error(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def find() -> Ffmpeg:
    """Return the ffmpeg of the extra `film`, else that of the system.

    Raises `MissingError`, and `UsageError` if it does not start.
    """
    with contextlib.suppress(ImportError, RuntimeError):
        import imageio_ffmpeg  # noqa: PLC0415  # an extra

        return Ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
    path = shutil.which("ffmpeg")
    if path is None:
        raise MissingError
    return Ffmpeg(path)


def _ticks(rate: Fraction) -> int:
    """Return how many parts of a second times are written in: a frame is a whole number."""
    return rate.numerator if rate.numerator >= _LEAST_TICKS else rate.numerator * 1000


def _write_list(path: Path, names: Iterable[str]) -> None:
    """Write a list for ffmpeg's concat, whose names may be in single quotes."""
    quoted = (name.replace("'", r"'\''") for name in names)
    files.write(path, "".join(f"file '{name}'\n" for name in quoted).encode("utf-8", "replace"))


def _error(output: str, target: Path) -> ImagegenError:
    """Return what ffmpeg ended with."""
    if "No space left" in output:
        return files.storage_error(OSError(errno.ENOSPC, "no space left"), target)
    last = output.splitlines()[-1] if output else "it gave no reason"
    return UsageError(f"ffmpeg cannot write {target}: {last}")
