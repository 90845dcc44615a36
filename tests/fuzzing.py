"""Every reader of outside data, each with what to feed it: seeds, pieces and mutations.

`READERS` is what both the tests and `bench/fuzz.py` drive. A reader may raise what it says it
raises; anything else is a fault of ours.
"""

import base64
import io
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from hypothesis import strategies as st

from builders import picture, provenance
from fuzz_cases import DOCUMENTS, NASTY, WORDS, Case, as_json, blobs, mutated
from gemini_replies import Answer, encoded, success
from imagegen import errors, secret, toml
from imagegen.clock import SystemClock
from imagegen.display.text import sanitize
from imagegen.display.views import log
from imagegen.events.journal import Journal
from imagegen.images import formats, png
from imagegen.keys import keyfile
from imagegen.project import progress, record, settings, storyboard
from imagegen.project.index import Index
from imagegen.project.layout import ProjectPaths
from imagegen.providers.gemini import responses
from imagegen.providers.http import Http, Reply
from imagegen.quota.ledger import Ledger
from imagegen.quota.store import MemoryStore, digest

STYLES = ("illustration", "clear", "consistent")
FORMATS = Path(__file__).parent / "formats"


@dataclass(frozen=True)
class Reader:
    """One reader: its name, the cases it is fed, and how. `costly` ones get fewer cases."""

    name: str
    cases: st.SearchStrategy[Case]
    read: Callable[..., object]
    costly: bool = False


def _formats(pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(FORMATS.rglob(pattern)) if path.is_file()][:6]


# Readers of a project's files.


def _in_project(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def feed(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            try:
                return read(Path(folder))
            except errors.ImagegenError as error:
                return _shown(error)

    return feed


def _shown(error: errors.ImagegenError) -> object:
    """Show an error as the terminal and the event stream do."""
    faults = error.faults if isinstance(error, errors.InvalidInputError) else ()
    for fault in faults[:100]:
        msgspec.json.encode(fault)
        sanitize.sanitize(f"{fault.file} {fault.field} {fault.message} {fault.hint}")
    assert isinstance(error, errors.UsageError), repr(error)
    joiners = dict.fromkeys(map(ord, "\u200c\u200d"))
    assert sanitize.sanitize(error.message).translate(joiners).isprintable()
    return msgspec.json.encode(error.message)


def _storyboard(root: Path) -> object:
    read = storyboard.load(root, STYLES)
    for beats in read.beats.values():
        for beat in beats:
            path = ProjectPaths(root).picture(beat.style, *beat.key)
            assert path.parent.parent.parent.parent == root.resolve()
            beat.words.encode()
            sanitize.sanitize(beat.script_phrase)
    return read


def _keys(root: Path) -> object:
    (root / "keys.toml").chmod(0o600)
    ring = keyfile.load(root, STYLES, environ={"HOME": "x", "PATH": ""})
    return [ring.pool(style) for style in STYLES], ring.price("m", "1K")


def _toml(root: Path) -> object:
    faults: list[errors.InputError] = []
    return toml.read(root / "any.toml", "any.toml", faults), faults


def _progress(root: Path) -> object:
    return progress.read(root / "image_progress_clear.json")


def _record(root: Path) -> object:
    return record.read(ProjectPaths(root))


def _journal(root: Path) -> object:
    journal = Journal(root / "j.jsonl")
    try:
        return [log.describe(event) for event in journal.events()]
    finally:
        journal.close()


def _index(root: Path) -> object:
    index = Index(root)
    index.save()
    return index


# Readers of pictures, answers and the ledger.


def _png(data: bytes) -> object:
    return png.read_info(io.BytesIO(data))


def _picture(data: bytes) -> object:
    try:
        whole = formats.as_png(data)
    except formats.NotAPictureError as error:
        return sanitize.sanitize(str(error))
    assert png.read_info(io.BytesIO(whole)) is not None
    return None


def _answer(data: bytes) -> object:
    outcome = responses.outcome(data)
    return msgspec.json.encode(outcome.usage)


def _fault(status: int, headers: dict[str, str], data: bytes) -> object:
    fault = responses.fault(Reply(status, headers, data), "https://example.com")
    assert len(fault.message) < 1000
    return msgspec.json.encode(secret.redact(fault.message))


class _Wire:
    """A socket that sends given bytes to whoever asks for anything."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.data = b""
        self.http = Http(
            f"http://127.0.0.1:{self._listening.getsockname()[1]}", width=2, limit=2**20
        )
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listening.accept()
            try:
                connection.recv(65536)
                connection.sendall(self.data)
            except OSError:
                # The client has had enough.
                continue
            finally:
                connection.close()


_wires: list[_Wire] = []


def _wire(data: bytes) -> object:
    if not _wires:
        _wires.append(_Wire())
    _wires[0].data = data
    reply = _wires[0].http.exchange(
        "GET", "/", headers={}, timeout=5.0, sent=lambda: None, body=b"{}"
    )
    if isinstance(reply, Reply):
        assert len(reply.body) <= 2**20
        return responses.outcome(reply.body), responses.fault(reply, "https://example.com")
    return reply


def _ledger(row: bytes) -> object:
    store, clock = MemoryStore(), SystemClock()
    owner = ("gemini", "key", "k", "m")
    store.swap(digest(store.salt, *owner), 0, row)
    ledger = Ledger(store, clock, lambda _: None)
    account = ledger.account(*owner)
    now = clock.now()
    ledger.update(account, lambda budget: budget.record_429(1, now, 9, None, 1.0))
    budget = account.budget
    budget.free_slots(now, 9)
    return budget.free_at(now, 9), budget.remaining(now, 9), budget.used_today(clock.wall())


_BEATS = [
    *_formats("beats*.json"),
    b'[{"shot_number":1,"beat_number":"1.1","transition_type":"H","ai_prompt":"x"}]',
    b'{"beats":[{"shot_number":"Shot 1","beat_number":1.5,"ai_prompts":{"clear":"x"}}]}',
]
_TOML = [
    b'provider = "gemini"\ntimeout = 120\ndraw = ["clear"]\n[styles.clear]\nlook = "x"\n',
    b'requests_per_minute = 9\n[keys]\nclear = ["env:HOME", {key = "AIzaxxxx", project = "p"}]\n',
    b'[prices]\n"m" = {1K = 0.1}\n[keys]\ndefault = ["k"]\n',
    b"a.b.c = [1, 2.5, 1979-05-27T07:32:00Z]\n[[x]]\ny = '''z'''\n",
]
_RECORD = msgspec.json.encode(
    record.RunRecord(
        run="r", root_run="l", pid=1, started="s", asked=record.DrawRequest(styles=("clear",))
    )
)
_EVENTS = (
    b'{"type":"progress","style":"clear","shot_number":"1","beat_number":"1.1","status":"error",'
    b'"completed":1,"total":2,"error":{"cause":"refused","reason":"x","message":"y"}}\n'
    b'{"type":"wait","reason":"x","seconds":1.5,"message":"y"}\n{"type":"warning","message":"z"}\n'
    b'{"type":"complete","exit_code":0,"reason":"done","counts":{},"seconds":1,"requests":1,"limited":0}\n'
)
_PICTURES = [
    picture(),
    b"".join(png.add_metadata(picture(), provenance())),
    picture(kind="JPEG"),
    picture(kind="WEBP"),
    picture(kind="WEBP", mode="RGBA", lossless=True),
    picture(kind="PNG", mode="P"),
]
_ANSWERS = [
    encoded(success(kind, "x"))
    for kind in (Answer.PICTURE, Answer.REFUSED, Answer.BLOCKED, Answer.TEXT_ONLY, Answer.WEBP)
]
_ERRORS = [
    (
        b'{"error":{"code":429,"message":"limit: 0","status":"RESOURCE_EXHAUSTED","details":['
        b'{"violations":[{"quotaId":"PerDay","quotaValue":"0"}]},{"retryDelay":"34.5s"},'
        b'{"reason":"API_KEY_INVALID"}]}}'
    )
]
_MODELS = [
    (
        b'{"models":[{"name":"models/x-image","supportedGenerationMethods":["generateContent"]}],'
        b'"nextPageToken":"x"}'
    )
]
_STATUSES = st.sampled_from(
    [100, 204, 301, 302, 400, 401, 403, 404, 408, 418, 429, 500, 503, 599, 999]
)
_HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Location"]),
    NASTY
    | st.sampled_from(
        ["34", "1e9", "-1", "9" * 30, "http://[", "//x", "http://a:b@c:99999/", "Wed, 21 Oct"]
    )
    | st.text(max_size=20),
)
_ENTRY = [8, 1, [8, 5, None]]
_GRANT = [1, 2.0, "", False]
_BUDGET = {"boot": "b", "now": 1.0, "wall": 1.0, "grants": [_GRANT], "limits": {"x": 3}, "pace": 4}
_MSGPACK_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats()
_MSGPACK = st.recursive(
    st.none() | _MSGPACK_NUMBERS | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)
_BUDGETS = st.fixed_dictionaries(
    {"boot": st.text(max_size=3), "now": st.floats(), "wall": st.floats()},
    optional={
        "grants": st.lists(
            st.tuples(
                st.integers(0, 99), st.floats(), st.sampled_from(["", "dead"]), st.booleans()
            ),
            max_size=12,
        ),
        "limits": st.dictionaries(
            st.text(max_size=3), st.integers(-(2**63), 2**63 - 1), max_size=3
        ),
        "cool_until": st.floats(),
        "strikes": st.integers(-(2**63), 2**63 - 1),
        "burst_limit": st.integers(-(2**63), 2**63 - 1),
        "pace": st.integers(-(2**63), 2**63 - 1),
        "pace_grows_at": st.floats(),
        "spent_wall": st.floats(),
        "day": st.text(max_size=10),
        "day_used": st.integers(-(2**63), 2**63 - 1),
    },
)


def _packed(seed: object) -> st.SearchStrategy[Case]:
    seeds = [msgspec.msgpack.encode(seed)]
    any_bytes = mutated(seeds) | _MSGPACK.map(msgspec.msgpack.encode) | st.binary(max_size=60)
    return any_bytes.map(lambda data: (data,))


_HTTP = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 429 No\r\nRetry-After: 9\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nSet-Cookie: a=b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + base64.b64encode(bytes(300)),
]

_STORYBOARD = {
    "beats.json": _BEATS,
    "beats.csv": [
        *_formats("beats*.csv"),
        b"sep=;\r\nshot_number;beat_number;ai_prompt\r\n1;1.1;x",
    ],
    "prompts/prompts-clear.json": _formats("prompts-clear.json") or _BEATS,
    "prompts/prompts-clear.js": [*_formats("prompts-clear.js"), b"export default [{a: `x`}];"],
    "storyboards/clear.json": _formats("storyboards/*.json") or _BEATS,
}

READERS = (
    *(
        Reader(name, blobs(seeds), _in_project(name, _storyboard))
        for name, seeds in _STORYBOARD.items()
    ),
    Reader("imagegen.toml", blobs(_TOML), _in_project("imagegen.toml", settings.load)),
    Reader("keys.toml", blobs(_TOML), _in_project("keys.toml", _keys)),
    Reader("any TOML", blobs(_TOML), _in_project("any.toml", _toml)),
    Reader(
        "progress file",
        blobs([b'{"completedBeats":["1"],"drawn":[["1","1"]],"errors":[]}']),
        _in_project("image_progress_clear.json", _progress),
    ),
    Reader("run.json", blobs([_RECORD]), _in_project(".imagegen/run.json", _record)),
    Reader("journal", blobs([_EVENTS]), _in_project("j.jsonl", _journal)),
    Reader(
        "index",
        _packed({"schema": 1, "entries": {"a.png": _ENTRY}}),
        _in_project("index", _index),
    ),
    Reader("ledger row", _packed(_BUDGET), _ledger),
    Reader(
        "ledger row of odd numbers",
        _BUDGETS.map(lambda budget: (msgspec.msgpack.encode(budget),)),
        _ledger,
    ),
    Reader("PNG", blobs(_PICTURES[:2]), _png),
    Reader("picture of any type", blobs(_PICTURES), _picture),
    Reader("answer", blobs(_ANSWERS), _answer),
    Reader(
        "error answer",
        st.tuples(_STATUSES, _HEADERS, mutated(_ERRORS) | DOCUMENTS.map(as_json)),
        _fault,
    ),
    Reader("list of models", blobs(_MODELS), responses.listed_models),
    Reader("HTTP", mutated(_HTTP).map(lambda data: (data,)), _wire, costly=True),
)
