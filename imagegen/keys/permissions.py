"""Keys files that another user could read."""

import os
import stat
from pathlib import Path
from typing import Final

_GIT_SECONDS: Final = 5


def warnings(path: Path, label: str) -> list[str]:
    """Warn of a keys file that others can read, or that git would publish."""
    messages = []
    if open_to_others(path):
        messages.append(f"{label} can be read by other users: chmod 600 {label}")
    if _tracked_by_git(path):
        messages.append(
            f"{label} is tracked by git: git rm --cached it, and make new keys if it was pushed"
        )
    return messages


def open_to_others(path: Path) -> bool:
    """Return whether other users may read or change a file, where the system knows that."""
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _tracked_by_git(path: Path) -> bool:
    path = path.resolve()
    folder = path.parent
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return False
    # Slow to import, and most folders are no repository.
    import shutil  # noqa: PLC0415
    import subprocess  # noqa: PLC0415

    git = shutil.which("git")
    # Windows looks in the current folder first, and that may be another user's project.
    if git is None or Path(git).resolve().parent in {Path.cwd(), folder}:
        return False
    # The repository may be another user's: none of its settings may start a program, and
    # the child sees no variable that could hold a key.
    quiet = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.devnull]
    command = [git, "--no-optional-locks", *quiet, "ls-files", "--error-unmatch", "--", path.name]
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ
    }
    # Nor may it fetch: a repository may be made so that listing it needs an object which it
    # lacks, to be fetched by a command that its settings name.
    environment |= {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command, no shell
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
