"""The product with one of its promises broken on purpose, to see that a test would notice.

Each break is a few lines that Python runs at the start of every process that finds them:
`folder(path, name)` makes a folder to put on PYTHONPATH.
"""

from pathlib import Path
from textwrap import dedent

BREAKS = {
    "in place": """
        def write(path, data, mode=0o666):
            with open(path, "wb", buffering=0) as file:
                for at in range(0, len(data), 65536):
                    file.write(data[at:at + 65536])
        files.write = write
    """,
    "rename first": """
        def write(path, data, mode=0o666):
            temporary = path.with_name(files.TEMP_PREFIX + path.name + ".tmp")
            with open(temporary, "wb", buffering=0) as file:
                os.replace(temporary, path)
                for at in range(0, len(data), 65536):
                    time.sleep(0.005)
                    file.write(data[at:at + 65536])
        files.write = write
    """,
    "delete first": """
        whole = files.write
        def write(path, data, mode=0o666):
            path.unlink(missing_ok=True)
            time.sleep(0.02)
            whole(path, data, mode)
        files.write = write
    """,
    "old ones not kept": """
        files.archive_copy = lambda path, old: None
    """,
    "no provenance": """
        from imagegen.images import png
        png.add_metadata = lambda data, *told: (data, memoryview(b""))
    """,
    "not swept": """
        files.remove_stale = lambda folder: None
    """,
    "saved late": """
        import threading
        whole = files.write
        def write(path, data, mode=0o666):
            if path.suffix == ".png":
                threading.Timer(5.0, whole, (path, data, mode)).start()
            else:
                whole(path, data, mode)
        files.write = write
    """,
    "all drawn anew": """
        from imagegen.workspace import plan
        whole = plan.make_plan
        def make_plan(*args, force, **more):
            return whole(*args, force=True, **{**more, "lineage": "none"})
        plan.make_plan = make_plan
    """,
    "progress follows late": """
        from imagegen.runs import recorder
        recorder.Recorder.write_all = lambda self: None
    """,
    "lock by a file": """
        from imagegen.errors import RunActiveError
        from imagegen.project import record
        def acquire(self):
            try:
                os.close(os.open(self._layout.state_dir / "taken", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                raise RunActiveError("another run is active")
        record.RunLock.acquire = acquire
        record.RunLock.release = lambda self: (self._layout.state_dir / "taken").unlink(True)
    """,
    "budgets forgotten": """
        from imagegen.quota import store
        store.SqliteStore.load = lambda self, name: None
        store.SqliteStore.swap = lambda self, name, version, row: True
    """,
}


NO_HARD_LINKS = """
        def link(*args, **more):
            raise OSError(1, "Operation not permitted")
        os.link = link
"""
"""No break, but how FAT and some network file systems are."""


def folder(path: Path, name: str) -> Path:
    """Make a folder that breaks the product in this way, and return it."""
    return changed(path, BREAKS[name])


def changed(path: Path, lines: str) -> Path:
    """Make a folder with what Python is to run at its start, and return it."""
    path.mkdir(parents=True)
    (path / "sitecustomize.py").write_text(patch(lines), encoding="utf-8")
    return path


def patch(lines: str) -> str:
    """Return lines that change the product as a program, with the modules that they change."""
    return f"import os, time\nfrom imagegen import files\n{dedent(lines)}"
