"""A new project: files to begin with."""

import contextlib
import os
from pathlib import Path
from typing import Final

from imagegen import files, providers
from imagegen.errors import StorageError, UsageError
from imagegen.keys.locations import FILE
from imagegen.project import storyboard
from imagegen.project.settings import FILE as SETTINGS
from imagegen.project.settings import STYLES, Settings
from imagegen.shell import project_command
from imagegen.workspace import credentials

_SAMPLE: Final = "beats.json"
_BEATS: Final = """\
[
  {"shot_number": 1, "beat_number": "1.1", "transition_type": "H",
   "script_phrase": "The bakery opened before the sun did.",
   "ai_prompt": "A small corner bakery before dawn, one warm window in a blue street"},
  {"shot_number": 1, "beat_number": "1.2", "transition_type": "C",
   "script_phrase": "Inside, flour hung in the light.",
   "ai_prompt": "Inside the bakery: a baker in an apron, flour in the lamp light, loaves"},
  {"shot_number": 2, "beat_number": "2.1", "transition_type": "H",
   "script_phrase": "The first customer was always a cat.",
   "ai_prompt": "A grey cat at a bakery door at sunrise, looking up, long shadow"}
]
"""

_SETTINGS: Final = f"""\
# What this project draws, and how. Every line is optional. Never write keys in this file.

# provider = "gemini"          # or "openai", "sdwebui"; "sketch": no key, no network
# model = "{providers.catalogue(Settings().provider).default.name}"
# aspect_ratio = "16:9"
# image_size = "1K"            # 1K, 2K (full HD), 4K
# thinking = "medium"          # minimal, medium, high
# style_reference = "style_reference.png"   # sent with every hard cut
# continuity = true                         # a C beat is drawn from the image before it
# draw = ["clear"]             # only these styles

# [styles.illustration]
# look = "Gouache on rough paper, warm evening light."
"""

_IGNORE: Final = """\
keys.toml
.imagegen-*
.imagegen/
generated_images/
old_images/
tries/
image_progress_*.json
gallery.html
gallery.png
"""

_MOST_IGNORED: Final = 1024 * 1024
_SECRET: Final = {
    FILE: frozenset({FILE, "*.toml", "*"}),
    f"{files.TEMP_PREFIX}*": frozenset(
        {f"{files.TEMP_PREFIX}*", f"{files.TEMP_PREFIX}*.tmp", "*.tmp", "*"}
    ),
}
"""What git must leave alone, and the rules that do so: a keys file, and one half written."""


def create(root: Path) -> list[str]:
    """Make a project folder, with a sample unless beats are there; returns notes for the user.

    Raises `UsageError` rather than overwrite anything, and if the disk refuses.
    """
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file, and a project is a folder")
    contents = {_SAMPLE: _BEATS, SETTINGS: _SETTINGS, ".gitignore": _IGNORE}
    if os.path.lexists(root / SETTINGS):
        raise UsageError(
            f"{root} has {SETTINGS} already, and nothing is overwritten",
            hint=f"{project_command('check', root)} reads what is there",
        )
    beats = _beats(root)
    other_files = [] if beats is not None else storyboard.alike(root)
    if beats is not None or other_files:
        # In front of them a sample would be what is drawn, and paid for.
        del contents[_SAMPLE]
    new = not root.exists()
    try:
        files.make_folder(root)
        for name, text in contents.items():
            if not os.path.lexists(root / name):
                files.write(root / name, text.encode())
    except StorageError as error:
        if new:
            # Only as long as nothing is in it.
            with contextlib.suppress(OSError):
                root.rmdir()
        raise UsageError(f"no project can be made: {error.message}", hint=error.hint) from error
    name, draws = (
        root.resolve().name or str(root),
        project_command("run", root, "--provider", "sketch"),
    )
    if other_files:
        head = f"{name} is ready, with {other_files[0]} for its beats: no sample is written."
        draws = project_command(
            "run", root, "--beats", str(root / other_files[0]), "--provider", "sketch"
        )
        then = project_command("check", root, "--beats", str(root / other_files[0]))
        does = "reads them, and draws nothing"
    elif beats is None:
        head = f"{name} is ready: 3 beats in 2 shots, in 3 styles: 9 images."
        then, does = str(root / _SAMPLE), "is yours to edit"
    else:
        head = f"{name} is ready, with the beats of {beats}: no sample is written."
        then, does = project_command("check", root), "reads them, and draws nothing"
    width = max(len(draws), len(then))
    return [
        head,
        "",
        f"  {draws:<{width}}   draws it now, without a key",
        f"  {then:<{width}}   {does}",
        "",
        *_keys(root),
        *_ignore_warnings(root),
    ]


def _beats(root: Path) -> str | None:
    """Return where the folder's beats are read from; None if it has none."""
    places = storyboard.candidate_files(root)
    if not places:
        return None
    try:
        return storyboard.load(root, STYLES).source
    except UsageError:
        # `check` reports their errors.
        return places[0]


def _ignore_warnings(root: Path) -> list[str]:
    """Warn about the user's own .gitignore if it lets git take a keys file."""
    path = root / ".gitignore"
    if FILE not in _lacking(files.read(path, _MOST_IGNORED) or b""):
        return []
    return [f"{path} does not name {FILE}: add it before you put keys there."]


def ignore_keys(root: Path) -> str | None:
    """See to it that git does not take the project's keys file; returns what was done.

    Nor a half-written one, which a crash may leave. Lines are added to its .gitignore unless they
    are there; what else it says stays. Raises `UsageError` if it cannot be read or written.
    """
    path = root / ".gitignore"
    before = b""
    if os.path.lexists(path):
        read = files.read(path, _MOST_IGNORED)
        if read is None:
            raise UsageError(
                f"{path} is a link, too large, or not a file: {FILE} cannot be added to it",
                hint="git does not follow such a link either: make it a file",
            )
        before = read
    lacking = _lacking(before)
    if not lacking:
        return None
    end = b"\r\n" if b"\r\n" in before else b"\n"
    gap = end if before and not before.endswith(b"\n") else b""
    mode = path.stat().st_mode & 0o777 if before else 0o666
    try:
        added = b"".join(name.encode() + end for name in lacking)
        files.write(path, before + gap + added, mode=mode)
    except StorageError as error:
        raise UsageError(f"nothing was changed: {error.message}") from error
    return f"{path} says now that git leaves {' and '.join(lacking)} alone"


def _lacking(text: bytes) -> list[str]:
    """Return what of `_SECRET` a .gitignore does not leave out: the last rule about it counts."""
    is_ignored = dict.fromkeys(_SECRET, False)
    for line in text.decode("utf-8", "replace").removeprefix("\ufeff").splitlines():
        rule = line.rstrip()
        for name, rules in _SECRET.items():
            if rule.removeprefix("!").removeprefix("/") in rules:
                is_ignored[name] = not rule.startswith("!")
    return [name for name, ignored in is_ignored.items() if not ignored]


def _keys(root: Path) -> list[str]:
    try:
        ring = credentials.load(root, Settings().provider, STYLES)
    except UsageError as error:
        # The project is made; `check` reports what is wrong with the keys.
        return [f"The keys file has an error ({error}): run {project_command('check', root)}."]
    if ring.source is None:
        return [
            "No key for Gemini was found. Add one, or set GEMINI_API_KEY:",
            "",
            "  imagegen keys add default",
        ]
    return [f"Keys for Gemini: {ring.source}."]
