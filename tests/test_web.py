"""The page's server: what it answers, whom it lets in, and what it streams."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from commands import Commands, picture, pictures, row
from gemini_server import Answer, GeminiServer
from imagegen.cli import extras
from imagegen.errors import UsageError
from imagegen.events.types import WarningEvent
from imagegen.project.record import DrawRequest
from imagegen.web.app import application
from imagegen.web.auth import Auth, is_loopback
from imagegen.web.board import BoardCache
from imagegen.web.follower import Follower, News
from imagegen.web.middleware import MOST_AT_A_TIME, AuthMiddleware
from imagegen.web.stream import EventStream
from imagegen.web.watcher import ChangeWatcher, Snapshot
from serving import Served, Stream, ask, journal, picture_path

POSIX = pytest.mark.skipif(os.name != "posix", reason="names of bytes are POSIX's")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
OUTSIDE = (
    "..%2f..%2fkeys.toml",
    "%2e%2e",
    "..",
    ".",
    "%00",
    "1.1%00",
    "%2fetc%2fpasswd",
    "~",
    "C:",
)
"""Names that lead out of the project, where one is taken for a path."""

SKETCH = 'provider = "sketch"\nimage_size = "512"\n'
PRO = "gemini-3-pro-image"
MEMORY = 100 * 1024 * 1024


@pytest.fixture
def served(commands: Commands) -> Iterator[Served]:
    """Return the server of a small project that draws without a network."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as running:
        yield running


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return the server of a project that is all drawn, and that no test changes."""
    commands = Commands(tmp_path_factory.mktemp("still"))
    root = commands.project(settings=SKETCH)
    assert commands.run("run", root).code == 0
    with Served(commands, root) as running:
        yield running


@pytest.fixture
def held(commands: Commands, server: GeminiServer) -> Iterator[Served]:
    """Return the server of a project whose pictures come from `server`."""
    root = commands.project()
    with Served(commands, root, "--base-url", server.address) as running:
        yield running
        with contextlib.suppress(requests.RequestException):
            running.post("/api/stop-generation")
    commands.run("status", root, "--watch")


def runs(served: Served) -> list[Path]:
    """Return the journals of all runs."""
    return sorted((served.root / ".imagegen" / "runs").iterdir())


def drawn(served: Served) -> Served:
    """Draw all of it."""
    served.generate().to_end()
    return served


# Who is let in


def test_the_address_opens_the_page_and_hides_the_token(still: Served) -> None:
    """The token is in the first address alone; a path and a cookie of its own follow it."""
    with requests.Session() as browser:
        browser.trust_env = False
        first = browser.get(still.address, timeout=10, allow_redirects=False)
        assert first.status_code == 303
        home = first.headers["Location"]
        assert re.fullmatch(r"/[\w-]{22}/", home)
        cookie = first.headers["Set-Cookie"]
        assert f"; Path={home};" in cookie
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        browser.headers["Sec-Fetch-Site"] = "same-origin"
        page = browser.get(still.base + home, timeout=10)
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        for text in (page.text, home, cookie):
            assert still.token not in text


def test_the_cookie_is_of_use_to_nobody_else(still: Served) -> None:
    """It is no token, and counts below the page's path alone, when the page itself asks."""
    first = requests.get(still.address, timeout=10, allow_redirects=False)
    home, cookie = first.headers["Location"], dict(first.cookies)
    (value,) = cookie.values()

    def status(path: str, **headers: str) -> int:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return requests.get(
            still.base + path, headers=named, cookies=cookie, timeout=10
        ).status_code

    assert status(f"{home}api/project", Sec_Fetch_Site="same-origin") == 200
    assert status(home, Sec_Fetch_Site="none") == 200
    # As another server of the machine would try it, that the browser sent it to.
    assert status("/api/project", Sec_Fetch_Site="same-origin") == 401
    assert status("/api/project", Authorization=f"Bearer {value}") == 401
    assert status(f"/?token={value}") == 401
    assert status(f"{home}api/project") == 401
    assert status(f"{home}api/project", Sec_Fetch_Site="same-site") == 403
    assert status(f"/{'x' * 22}/api/project", Sec_Fetch_Site="same-origin") == 401


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/project", "/api/events", "/nothing"])
@pytest.mark.parametrize("given", [None, "wrong", ""])
def test_nothing_is_told_without_the_token(still: Served, path: str, given: str | None) -> None:
    """Every path wants it, the page's own files and those that do not exist too."""
    headers = {} if given is None else {"Authorization": f"Bearer {given}"}
    cookies = {} if given is None else {f"imagegen-{still.port}": given}
    for more in ({"headers": headers}, {"cookies": cookies}, {"params": {"token": given or "x"}}):
        found = requests.get(still.base + path, timeout=10, **more)  # type: ignore[arg-type]
        assert found.status_code == 401
        assert "Set-Cookie" not in found.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_may_not_ask(still: Served, headers: dict[str, str]) -> None:
    """Neither by a name that leads here (DNS rebinding), nor by a form, with the token or not."""
    before = runs(still)
    there = {name: value.format(port=still.port) for name, value in headers.items()}
    for path, method in (("/", "GET"), ("/api/project", "GET"), ("/api/generate-images", "POST")):
        status, said = still.raw(path, method, b"{}" if method == "POST" else None, there)
        assert status == 403, said
        assert json.loads(said)["success"] is False
    assert runs(still) == before


def test_our_own_page_may_ask(still: Served) -> None:
    """By each of the machine's own names, as browsers say it."""
    for name in ("127.0.0.1", "localhost", "[::1]"):
        host = f"{name}:{still.port}"
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert still.raw("/api/project", headers=headers)[0] == 200


def test_a_header_that_stands_twice_is_refused(still: Served) -> None:
    """What is looked at must be what the other side meant."""
    with still.connect("/api/project") as connection:
        connection.recv(1024)
        connection.sendall(
            f"GET /api/project HTTP/1.1\r\nHost: {still.host}:{still.port}\r\n"
            f"Origin: http://{still.host}:{still.port}\r\nOrigin: http://evil.example\r\n"
            f"Authorization: Bearer {still.token}\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"400" in b"".join(iter(lambda: connection.recv(65536), b""))


def test_no_other_site_is_given_leave(still: Served) -> None:
    """There is no CORS: a preflight gets no permission."""
    status = still.session.options(
        still.base + "/api/generate-images",
        headers={"Access-Control-Request-Method": "POST"},
        timeout=10,
    )
    assert status.status_code == 405
    for answer in (status, still.get("/api/project")):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/main.js", "/api/project", "/api/no", "/images/a/b/c.png"])
def test_every_answer_is_locked_down(still: Served, path: str) -> None:
    """No inline script, no frame, no guess at types, no referrer; errors included."""
    for answer in (still.get(path), requests.get(still.base + path, timeout=10)):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_ticket_opens_the_page_once() -> None:
    """By a link too, as from a file; whoever comes second with it gets nothing."""
    access = Auth("127.0.0.1", 8000)
    used: list[bool] = []
    ticket = access.one_time_token(lambda: used.append(True))
    gate = AuthMiddleware(PlainTextResponse("inside"), access)
    status, headers, text = ask(gate, f"/?token={ticket}", sec_fetch_site="cross-site")
    assert status == 200
    assert f"url={access.home}" in text
    assert access.token not in text
    assert used == [True]
    cookie = headers["set-cookie"].partition(";")[0]
    inside = ask(gate, access.home, cookie=cookie, sec_fetch_site="same-origin")
    assert (inside[0], inside[2]) == (200, "inside")
    assert ask(gate, f"/?token={ticket}")[0] == 401
    # The token itself is typed, and no site leads in with it.
    assert ask(gate, f"/?token={access.token}", sec_fetch_site="cross-site")[0] == 403
    assert ask(gate, f"/?token={access.token}", sec_fetch_site="none")[0] == 303
    assert used == [True]


@pytest.mark.parametrize(
    "others",
    [
        'prefs={"theme":"dark"}',
        "foo[bar]=1",
        "a/b=1",
        "name=Zoë",
        "=",
        "lonely",
        'open="',
        "imagegen-8000=of-the-server-before",
    ],
)
def test_other_cookies_of_the_machine_shut_nobody_out(others: str) -> None:
    """They belong to all its ports, and say what they like."""
    access = Auth("127.0.0.1", 8000)
    own = f"{access.cookie}={access.cookie_value}"

    def knows(cookie: str) -> bool:
        return access.has_cookie(
            {"host": "127.0.0.1:8000", "sec-fetch-site": "none"} | {"cookie": cookie}
        )

    assert knows(f"{others}; {own}")
    assert knows(f"{own};{others}")
    assert not knows(others)
    assert not knows(f"{others}; not-{own}; {own}x")


def test_no_more_requests_are_answered_than_there_is_room_for() -> None:
    """Of those who may ask: one more is told so, with every header, and none waits for it."""

    async def flood() -> list[int]:
        done = anyio.Event()
        statuses: list[int] = []
        access = Auth("127.0.0.1", 8000)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await done.wait()
            await PlainTextResponse("done")(scope, receive, send)

        gate = AuthMiddleware(app, access)
        headers = {"host": "127.0.0.1:8000", "authorization": f"Bearer {access.token}"}
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/project",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                assert b"content-security-policy" in dict(message["headers"])

        async with anyio.create_task_group() as tasks:
            for _ in range(MOST_AT_A_TIME + 1):
                tasks.start_soon(gate, scope, receive, send)
            await anyio.wait_all_tasks_blocked()
            assert statuses == [503]
            done.set()
        return statuses

    assert anyio.run(flood) == [503] + [200] * MOST_AT_A_TIME


@pytest.mark.slow
@POSIX
def test_a_folder_whose_name_is_no_text_is_served(commands: Commands) -> None:
    """Whatever an answer tells of it: the board, faults, what helps, a run and a choice."""
    made = commands.project(beats=2, settings=SKETCH)
    folder = Path(os.fsdecode(os.fsencode(made.parent) + b"/caf\xe9"))
    folder.mkdir()
    root = made.rename(folder / os.fsdecode(b"v\xeddeo"))
    with Served(commands, root) as served:
        assert served.get("/api/project").json()["board"]["project"] == "v?deo"
        assert served.generate().to_end()[-1]["exit_code"] == 0
        wanted = {"shot_number": "1", "beat_number": "1.1", "style": "clear"}
        assert served.post("/api/save-image-selection", wanted).ok
        assert served.get(picture_path("clear", "1", "1.1")).ok
        named = {"projectPath": served.get("/api/generation-status").json()["project"]}
        assert served.post("/api/get-generated-images", named).ok
        (root / "beats.json").write_text(json.dumps([row(1, beat_number="1.1")]))
        board = served.get("/api/project").json()["board"]
        assert board["moved"] == 3
        assert "caf?/v?deo" in board["way_out"]
        (root / "beats.json").write_text("[{}]")
        answer = served.get("/api/project")
        assert answer.status_code == 422
        assert "caf?/v?deo" in answer.text
        assert served.generate().to_end()[-1]["type"] == "error"


def test_names_of_a_server_that_others_reach() -> None:
    """By an address, which no name server can point elsewhere; by no name but the machine's."""
    access = Auth("0.0.0.0", 8000)
    assert access.wrong_host({"host": "192.0.2.7:8000"}) is None
    assert access.wrong_host({"host": f"{socket.gethostname()}:8000"}) is None
    assert access.wrong_host({"host": "evil.example:8000"}) is not None
    one = Auth("192.0.2.7", 8000)
    assert one.wrong_host({"host": "192.0.2.7:8000"}) is None
    assert one.wrong_host({"host": "192.0.2.8:8000"}) is not None


def test_the_usual_port_is_left_out_by_browsers() -> None:
    """Of Host and Origin, and of no other port's."""
    usual, another = Auth("127.0.0.1", 80), Auth("127.0.0.1", 8000)
    for name in ("127.0.0.1", "localhost", "[::1]"):
        for host in (name, f"{name}:80"):
            headers = {"host": host, "origin": f"http://{host}"}
            for check in (Auth.wrong_host, Auth.reject_reason):
                assert check(usual, headers) is None
                assert check(another, headers) is not None
        assert usual.wrong_host({"host": f"{name}:8000"}) is not None
        assert usual.reject_reason({"host": name, "origin": f"http://{name}:8000"}) is not None
    assert usual.wrong_host({"host": "evil.example"}) is not None
    assert Auth("0.0.0.0", 80).wrong_host({"host": "192.0.2.7"}) is None


@pytest.mark.parametrize("host", ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:db8::1"])
def test_an_address_is_known_however_it_is_written(host: str) -> None:
    """Browsers say it in one way, whatever a person typed."""
    access = Auth(host, 8000)
    assert access.address("t") == "http://[2001:db8::1]:8000/?token=t"
    for said in ("[2001:db8::1]:8000", "[2001:DB8::1]:8000", "LocalHost:8000"):
        assert access.wrong_host({"host": said}) is None
        assert access.reject_reason({"origin": f"http://{said}"}) is None
    for said in ("[2001:db8::2]:8000", "2001:db8::1:8000", "[2001:db8::1]", "[2001:db8::1", ""):
        assert access.wrong_host({"host": said}) is not None


def test_loopback_addresses_are_told_from_others() -> None:
    """A name is no address: it could lead anywhere."""
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.0.2.7"))
    with pytest.raises(UsageError):
        is_loopback("example.org")


# What is asked for


@pytest.mark.parametrize("template", ["{}/1/1.1", "clear/{}/1.1", "clear/1/{}"])
@pytest.mark.parametrize("kind", ["/images/{}.png", "/thumbnails/{}.jpg"])
def test_no_picture_outside_the_project(still: Served, kind: str, template: str) -> None:
    """What is asked for is looked for among the beats, and makes no path."""
    assert still.raw(kind.format("clear/1/1.1"))[0] == 200
    for outside in OUTSIDE:
        status, said = still.raw(kind.format(template.format(outside)))
        assert status == 404
        assert b"test-key" not in said


def test_no_file_of_the_server_outside_the_page(still: Served) -> None:
    """The page's own files are known by name."""
    for name in (*OUTSIDE, "index.html/", "../api.py", "..%2fapi.py", "__init__.py", "api.py"):
        assert still.raw(f"/{name}")[0] in {307, 404}, name


@pytest.mark.slow
def test_a_folder_that_is_a_link_is_not_followed(served: Served, tmp_path: Path) -> None:
    """A project made by somebody else must not show what lies elsewhere."""
    drawn(served)
    shot = served.root / "generated_images" / "clear" / "Shot_1"
    elsewhere = tmp_path / "elsewhere"
    shot.rename(elsewhere)
    shot.symlink_to(elsewhere)
    assert served.get(picture_path("clear", "1", "1.1")).status_code == 404
    own = served.root / "generated_images" / "illustration" / "Shot_1" / "Beat_1.1.png"
    own.unlink()
    own.symlink_to(elsewhere / "Beat_1.1.png")
    assert served.get(picture_path("illustration", "1", "1.1")).status_code == 404


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fother", "other", "..%2Fmy-video"])
def test_another_project_is_not_known(still: Served, name: str) -> None:
    """A name is compared, and nothing of that name is opened."""
    assert still.raw(f"/api/generation-status/{name}")[0] == 404
    assert still.get("/api/generation-status/my-video").json()["project"] == "my-video"
    assert still.post("/api/get-generation-progress", {"project": name}).status_code == 404
    assert still.post("/api/get-generation-progress", {"project": "my-video"}).ok


@pytest.mark.parametrize(
    "body",
    [
        {"project": "/tmp"},
        {"provider": "gemini"},
        {"keys": "/etc/passwd"},
        {"style": {"a": 1}},
        {"style": "--base-url=http://evil.example"},
        {"beat": 1.1},
        {"beat": "1.1\x00"},
        {"shot": "1\n2"},
        {"force": "yes"},
        {"limit": -1},
        {"limit": 1.5},
        {"beat": ["1.1"] * 1001},
        *({field: empty} for field in ("style", "shot", "beat") for empty in ([], "", " ", [""])),
        [],
        "run",
    ],
)
def test_what_is_not_understood_starts_nothing(still: Served, body: object) -> None:
    """Anything but style, shot, beat, force and limit of the right types is refused."""
    before = runs(still)
    answer = still.post("/api/generate-images", body)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert runs(still) == before


@pytest.mark.parametrize(
    "outside", ["../../x", "/etc/passwd", "..", "-x", "--force", "1.1 --force"]
)
@pytest.mark.parametrize("field", ["style", "shot", "beat"])
def test_names_that_there_are_not_start_nothing(still: Served, field: str, outside: str) -> None:
    """A run says of them what it says in a terminal; none is taken for an option."""
    before = runs(still)
    events = still.generate(**{field: outside}).to_end()
    assert [event["type"] for event in events] == ["error"]
    assert events[0]["exit_code"] == 2
    assert runs(still) == before


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 60_000, b'{"style": "\\ud800"}', b"null"])
def test_torn_bodies_are_refused(still: Served, data: bytes) -> None:
    """Whatever comes, the answer says what is wrong."""
    for path in ("/api/generate-images", "/api/save-image-selection"):
        assert still.session.post(still.base + path, data=data, timeout=10).status_code == 400


@LINUX
@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_request_is_refused_unread(served: Served, *, chunked: bool) -> None:
    """100 MB are turned away by their length, or once they are more than a request may be."""
    before = served.memory()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {100 * 1024**2}"
    sent = 0
    with socket.create_connection((served.host, served.port), timeout=10) as connection:
        connection.sendall(
            f"POST /api/generate-images HTTP/1.1\r\nHost: {served.host}:{served.port}\r\n"
            f"Authorization: Bearer {served.token}\r\n{length}\r\n\r\n".encode()
        )
        piece = b"x" * 65536
        # The server closes the connection: what it does not read cannot be sent.
        with contextlib.suppress(ConnectionError):
            while sent < 100 * 1024**2:
                connection.sendall(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
                sent += len(piece)
    assert sent < 50 * 1024**2
    assert served.memory() - before < 8 * 1024**2
    big = b'{"style": "' + b"x" * 1024**2 + b'"}'
    assert served.session.post(f"{served.base}/api/generate-images", big).status_code == 413


def test_unknown_paths_and_methods_are_told_in_json(still: Served) -> None:
    """As every error is."""
    for answer, status in (
        (still.get("/api/nothing"), 404),
        (still.post("/api/generation-status"), 405),
        (still.get("/api/generate-images"), 405),
        (still.session.delete(still.base + "/"), 405),
    ):
        assert answer.status_code == status
        assert answer.json()["success"] is False
        assert answer.json()["error"]


# Runs


@pytest.mark.slow
def test_a_run_that_the_page_starts_streams_to_its_end(served: Served) -> None:
    """`start` first, `complete` last, the very objects of the journal between them."""
    events = served.generate().to_end()
    assert events[0]["type"] == "start"
    assert events[-1]["type"] == "complete"
    assert events[-1]["exit_code"] == 0
    assert events == journal(served.root, events[0]["run"])
    assert len(pictures(served.root)) == 9
    # By its last word the project is free.
    again = served.generate(style="clear", shot=1, beat="1.2", force=True, limit=1).to_end()
    assert again[-1]["counts"]["clear"]["complete"] == 1


def test_what_cannot_start_is_said_in_one_event(commands: Commands) -> None:
    """As `--progress json` says it."""
    root = commands.project(keys={})
    with Served(commands, root) as served:
        stream = served.generate()
        events = list(stream)
    assert [event["type"] for event in events] == ["error"]
    told = commands.run("run", root, "--progress", "json").events
    assert [_timeless(event) for event in events] == [_timeless(event) for event in told]
    assert "no key" in events[0]["message"]
    assert events[0]["hint"]
    assert events[0]["exit_code"] == 2
    assert not stream.last


def test_faults_that_stop_a_run_are_told_one_by_one(commands: Commands) -> None:
    """The project was edited since it was opened: the event has its file, row and field."""
    root = commands.project()
    with Served(commands, root) as served:
        (root / "beats.json").write_text(json.dumps([row(0), row(1, shot_number=None)]))
        (event,) = served.generate()
    (fault,) = event["faults"]
    assert (fault["row"], fault["field"], fault["message"]) == (2, "shot_number", "missing")
    assert event["message"] == "1 error in the input"


def _timeless(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in {"time", "seq"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "served", "shown", "price"),
    [
        (["--provider", "sketch", "--continuity"], [], (None, None, None), 0.0336),
        (["--model", PRO], [], (None, None, None), 0.0336),
        ([], [], (None, None, None), 0.0336),
        (["--provider", "sketch"], ["--provider", "gemini"], ("gemini", None, None), 0.0336),
        (["--provider", "sketch"], ["--model", PRO], (None, PRO, None), 0.134),
        (["--model", PRO], ["--provider", "sketch"], ("sketch", None, None), 0),
    ],
)
def test_the_page_draws_as_it_shows(
    commands: Commands,
    server: GeminiServer,
    before: list[str],
    served: list[str],
    shown: tuple[object, ...],
    price: float,
) -> None:
    """As it was told, else as imagegen.toml says: nothing is spent that was not shown."""
    root = commands.project()
    address = ("--base-url", server.address)
    assert commands.run("run", root, "--sample", "1", *before, *address).code == 0
    asked = len(server.requests)
    with Served(commands, root, *served, *address) as running:
        board = running.get("/api/project").json()["board"]
        assert (board["provider"], board["model"]) == (shown[0] or "gemini", shown[1])
        assert board["price"] == pytest.approx(price)
        running.generate().to_end()
        running.generate(style="clear", beat="1.1", force=True).to_end()
        assert running.get("/api/project").json()["board"]["price"] == pytest.approx(price)
    assert len(pictures(root)) == 9
    assert (len(server.requests) > asked) == (price > 0)
    run = json.loads((root / ".imagegen" / "run.json").read_text())
    assert [run["asked"].get(n) for n in ("provider", "model", "continuity")] == list(shown)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, {"limit": 0}, {"beat": "1.1"}])
def test_a_run_with_nothing_to_draw_is_told_as_one(
    served: Served, asked: dict[str, object]
) -> None:
    """However soon it ends: its own events, and no error."""
    drawn(served)
    for _ in range(3):
        events = served.generate(**asked).to_end()
        assert events == journal(served.root, events[0]["run"])
        assert [events[0]["type"], events[-1]["type"]] == ["start", "complete"]
        assert events[-1]["exit_code"] == 0
    assert len({one.name for one in runs(served)}) == 4


def test_one_run_at_a_time_that_nobody_need_watch(commands: Commands, server: GeminiServer) -> None:
    """Whoever started it may leave; a second one is refused with 409; `stop` ends it."""
    root = commands.project(beats=8, per_minute=2)
    with Served(commands, root, "--base-url", server.address) as served:
        with server.held():
            first = served.generate()
            run = first.until("start")["run"]
            assert server.wait_for_requests(6)
            first.close()
            refused = served.post("/api/generate-images", {})
            assert refused.status_code == 409
            assert "another run is active" in refused.json()["error"]
            status = served.get("/api/generation-status").json()
            assert (status["active"], status["started_here"], status["run"]) == (True, True, run)
            assert status["styles"]["clear"]["pending"] == 8
            stream = served.events()
            assert served.post("/api/stop-generation").json()["active"]
            stream.until("wait", reason="stopping")
        assert stream.until("complete")["reason"] == "stopped"
        stream.close()
        assert len(pictures(root)) == 6
        assert not served.post("/api/stop-generation").json()["active"]


def test_a_terminals_run_is_followed(
    commands: Commands, held: Served, server: GeminiServer
) -> None:
    """Whoever joins it late hears all of it, and what it prints itself."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    with server.held():
        run = commands.start("run", held.root, "--progress", "json", "--base-url", server.address)
        assert server.wait_for_requests(9)
        stream = held.events()
        assert stream.until("start")["seq"] == 1
        status = held.get("/api/generation-status").json()
        assert status["active"]
        assert status["pid"] == run.pid
        assert not status["started_here"]
    heard = stream.to_end()
    stream.close()
    assert heard == commands.wait(run).events[1:]
    assert held.get("/api/generation-status").json()["exit_code"] == 1


def test_the_pages_run_is_followed_in_a_terminal(
    commands: Commands, held: Served, server: GeminiServer
) -> None:
    """`status --watch` shows it, and the server may end before it does."""
    with server.held():
        run = held.generate().until("start")["run"]
        assert server.wait_for_requests(9)
        watcher = commands.start("status", held.root, "--watch", "--json")
        assert watcher.stdout is not None
        assert json.loads(watcher.stdout.readline())["run"] == run
        done = held.close()
        assert done.code == 0
        assert "continues drawing" in done.out
    assert '"complete"' in commands.wait(watcher).out.splitlines()[-1]
    assert len(pictures(held.root)) == 9


def test_whoever_comes_back_misses_nothing(served: Served) -> None:
    """From the last id on: the rest of that run, and every run since."""
    stream = served.generate(style="clear")
    stream.until("progress", status="complete")
    place = stream.last
    stream.to_end()
    first = journal(served.root, place.split(":")[0])
    second = served.generate(style="consistent").to_end()
    again = served.events(since=place)
    assert again.to_end() == first[int(place.split(":")[1]) :]
    assert again.to_end() == second
    again.close()


@pytest.mark.slow
def test_a_place_that_there_is_not_is_no_place(served: Served) -> None:
    """Nothing that ended before is told then, and no path is made of it."""
    drawn(served)
    places = ["x:1", "../run:1", "../../run.json:1", "1", "a:b", ":", "-:-1"]
    streams = [served.events(since=place) for place in places]
    second = served.generate(style="clear", beat="1.1", force=True).to_end()
    for stream in streams:
        assert stream.to_end() == second
        stream.close()


def test_a_run_that_dies_is_said_to_have(
    commands: Commands, held: Served, server: GeminiServer
) -> None:
    """It has no last word of its own; what was heard before it is not told again."""
    with server.held():
        run = commands.start("run", held.root, "--base-url", server.address)
        assert server.wait_for_requests(9)
        stream = held.events()
        stream.until("start")
        run.kill()
        commands.wait(run)
        event = stream.to_end()[-1]
    assert event["type"] == "error"
    assert "was interrupted" in event["message"]
    place = stream.last
    stream.close()
    back = held.events(since=place)
    assert [one["type"] for one in back.to_end()] == ["error"]
    back.close()
    assert not held.get("/api/generation-status").json()["active"]


def test_a_journal_of_somebody_else_harms_nobody(held: Served, server: GeminiServer) -> None:
    """Lines that are no events are passed over, and none can end a line of the stream."""
    with server.held():
        stream = held.generate()
        run = stream.until("start")["run"]
        with (held.root / ".imagegen" / "runs" / f"{run}.jsonl").open("ab") as file:
            file.write(b'not json\n{"type": "later", "seq": 1}\n\xff\n')
            file.write(b'{"type":"warning","seq":999,"message":"a\\n\\ndata: {}\\n\\nb <b>"}\n')
        warning = stream.until("warning")
        assert warning["message"] == "a\n\ndata: {}\n\nb <b>"
    stream.to_end()


@pytest.mark.slow
@LINUX
def test_fifty_clients_hear_the_same(held: Served, server: GeminiServer) -> None:
    """And one that never reads holds up none of them, nor the server's memory."""
    heard: list[list[object]] = []

    def listen(stream: Stream) -> None:
        heard.append(list(stream.to_end()))
        stream.close()

    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(held.connect())
        with server.held():
            first = held.generate()
            first.until("start")
            streams = [held.events() for _ in range(50)]
            threads = [threading.Thread(target=listen, args=[one]) for one in streams]
            for thread in threads:
                thread.start()
            assert server.wait_for_requests(9)
        rest = first.to_end()
        for thread in threads:
            thread.join()
    assert len(heard) == 50
    assert all(events[1:] == rest for events in heard)
    assert held.memory() < MEMORY


# Pictures


@pytest.mark.slow
def test_pictures_are_sent_again_only_when_they_changed(served: Served) -> None:
    """A whole picture is asked for again each time, and its tag answers with 304."""
    drawn(served)
    path = picture_path("clear", "1", "1.1")
    first = served.get(path)
    file = picture(served.root, "clear", 0)
    assert first.content == file.read_bytes()
    assert first.headers["Content-Type"] == "image/png"
    assert first.headers["Cache-Control"] == "private, no-cache"
    tag = first.headers["ETag"]
    assert served.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert served.session.head(served.base + path).headers["Content-Length"] == str(
        len(first.content)
    )
    served.generate(style="clear", beat="1.1", force=True).to_end()
    changed = served.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.slow
def test_a_thumbnail_is_made_once(served: Served) -> None:
    """It is kept beside the project's own files, and made anew for another picture."""
    drawn(served)
    path = "/thumbnails/clear/1/1.1.jpg"
    small = served.get(path, params={"v": "1"})
    assert small.headers["Content-Type"] == "image/jpeg"
    assert small.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert served.get(path).headers["Cache-Control"] == "private, no-cache"
    kept = list((served.root / ".imagegen" / "thumbnails").rglob("*.jpg"))
    assert len(kept) == 1
    with Image.open(kept[0]) as image:
        assert image.width == 480
    kept[0].write_bytes(b"as it was kept")
    assert served.get(path).content == b"as it was kept"
    served.generate(style="clear", beat="1.1", force=True).to_end()
    assert served.get(path).content.startswith(b"\xff\xd8")
    assert len(list((served.root / ".imagegen" / "thumbnails").rglob("*.jpg"))) == 1


@pytest.mark.slow
def test_what_is_no_picture_is_not_shown(served: Served) -> None:
    """A torn or foreign file is none; the bytes of a JPEG are told by what they are."""
    drawn(served)
    foreign, jpeg = (picture(served.root, "clear", n) for n in (0, 1))
    foreign.write_text("<script>alert(1)</script>")
    Image.new("RGB", (64, 36), "teal").save(jpeg, "JPEG")
    for path in (picture_path("clear", "1", "1.1"), "/thumbnails/clear/1/1.1.jpg"):
        assert served.get(path).status_code == 404
    assert served.get(picture_path("clear", "1", "1.2")).headers["Content-Type"] == "image/jpeg"
    assert served.get("/thumbnails/clear/1/1.2.jpg").ok


# Choices


@pytest.mark.slow
def test_a_choice_is_saved_at_once(served: Served) -> None:
    """It is what `imagegen choose` saves; a mark stays with it, and it can be taken back."""
    drawn(served)
    beat = {"shot_number": "1", "beat_number": "1.1"}
    saved = served.post("/api/save-image-selection", beat | {"style": "clear"}).json()
    assert saved["selection"]["style"] == "clear"
    assert (served.root / "selected_images" / "Beat_1.1.png").is_file()
    served.post("/api/save-image-selection", beat | {"isFlagged": True})
    file = json.loads((served.root / "image_selections.json").read_text())
    assert (file["1.1"]["style"], file["1.1"]["isFlagged"]) == ("clear", True)
    served.generate(style="clear", beat="1.1", force=True).to_end()
    chosen = served.get("/api/image-selections").json()["selections"]
    assert [(one["beat_number"], one["since"]) for one in chosen] == [("1.1", "redrawn")]
    assert served.get("/api/project").json()["chosen"] == chosen
    taken = served.post("/api/save-image-selection", beat | {"style": None}).json()
    assert taken["selection"] is None
    assert json.loads((served.root / "image_selections.json").read_text()) == {}


def test_choices_made_elsewhere_are_told(held: Served, server: GeminiServer) -> None:
    """While a run goes on and while none does; each is no event of a run, and has no place."""
    stream = held.events()
    (held.root / "image_selections.json").write_text("{}")
    assert next(iter(stream)) == {"type": "choices"}
    assert stream.last == ""
    with server.held():
        held.generate()
        stream.until("start")
        place = stream.last
        (held.root / "image_selections.json").unlink()
        stream.until("choices")
        assert stream.last.partition(":")[0] == place.partition(":")[0]
    stream.until("complete")


@pytest.mark.slow
def test_a_torn_file_of_choices_leaves_the_board(served: Served) -> None:
    """It is said with the board; whoever chooses is told, and the file stays as it is."""
    drawn(served)
    torn = served.root / "image_selections.json"
    torn.write_text('{"1.1": ')
    told = served.get("/api/project").json()
    assert torn.name in told["choices_fault"]
    assert told["chosen"] == []
    assert len(told["board"]["rows"]) == 3
    wanted = {"shot_number": "1", "beat_number": "1.1", "style": "clear"}
    for answer in (
        served.get("/api/image-selections"),
        served.post("/api/save-image-selection", wanted),
    ):
        assert answer.status_code == 422
        assert torn.name in answer.json()["error"]
    assert torn.read_text() == '{"1.1": '
    torn.unlink()
    assert "choices_fault" not in served.get("/api/project").json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"shot_number": "1", "beat_number": "1.1", "path": "x"}, 400),
        ({"shot_number": "1", "beat_number": "1.1", "isFlagged": True}, 422),
        ({"shot_number": "1", "beat_number": "1.1", "style": "clear"}, 422),
        ({"shot_number": "../..", "beat_number": "1.1", "style": "clear"}, 422),
        ({"shot_number": "1", "beat_number": "../../x", "style": "clear"}, 422),
        ({"shot_number": "1", "beat_number": "1.1", "style": "../../x"}, 422),
    ],
)
def test_no_choice_of_what_is_not_there(
    served: Served, body: dict[str, object], status: int
) -> None:
    """A beat, a style or a picture that there is not is refused, and nothing is written."""
    answer = served.post("/api/save-image-selection", body)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert not (served.root / "image_selections.json").exists()


# The project


def test_the_board_follows_the_project(served: Served) -> None:
    """What was edited or drawn since is there when it is read again; faults are told."""
    rows = [row(0), row(1, ai_prompts={"clear": "its own words"})]
    (served.root / "beats.json").write_text(json.dumps(rows))
    board = served.get("/api/project").json()["board"]
    assert [one["beat"] for one in board["rows"]] == ["1.1", "1.2"]
    assert board["rows"][1]["cells"]["clear"]["prompt"] == "its own words"
    served.generate(beat="1.1").to_end()
    told = served.get("/api/project").json()
    assert told["ended"]["reason"] == "complete"
    assert told["board"]["styles"]["clear"]["completedBeats"] == ["1.1"]
    assert {cell["status"] for cell in told["board"]["rows"][0]["cells"].values()} == {"complete"}
    (served.root / "beats.json").write_text(json.dumps([{"shot_number": 1}]))
    faulty = served.get("/api/project")
    assert faulty.status_code == 422
    assert faulty.json()["faults"][0]["row"] == 1


def test_beats_elsewhere_in_the_project_are_followed(commands: Commands) -> None:
    """A file or a folder that the settings name, whenever they come to name it."""
    root = commands.project(settings=SKETCH)
    with Served(commands, root) as served:

        def phrases() -> list[str]:
            return [one["phrase"] for one in served.get("/api/project").json()["board"]["rows"]]

        assert phrases() == ["Phrase 0.", "Phrase 1.", "Phrase 2."]
        elsewhere = root / "data" / "beats.json"
        elsewhere.parent.mkdir()
        elsewhere.write_text(json.dumps([row(0, script_phrase="Elsewhere.")]))
        (root / "imagegen.toml").write_text(SKETCH + 'beats = "data/beats.json"\n')
        assert phrases() == ["Elsewhere."]
        elsewhere.write_text(json.dumps([row(0, script_phrase="Edited.")]))
        assert phrases() == ["Edited."]
        elsewhere.unlink()
        assert served.get("/api/project").status_code == 422
        (root / "imagegen.toml").write_text(SKETCH + 'beats = "data"\n')
        for words in ("In a folder.", "Edited there."):
            (root / "data" / "clear.json").write_text(json.dumps([row(0, script_phrase=words)]))
            assert phrases() == [words]


@pytest.mark.slow
def test_a_picture_that_is_saved_in_its_place_is_another(served: Served) -> None:
    """As a painting program saves it: its thumbnail, which is kept for good, has a new address."""
    drawn(served)

    def told() -> tuple[str, str]:
        read = served.get("/api/project").json()
        return read["board"]["rows"][0]["cells"]["clear"]["version"], read["chosen"][0]["since"]

    wanted = {"shot_number": "1", "beat_number": "1.1", "style": "clear"}
    assert served.post("/api/save-image-selection", wanted).ok
    before = told()
    assert before[1] == "same"
    assert told() == before
    Image.new("RGB", (64, 36), "teal").save(picture(served.root, "clear", 0))
    after = told()
    assert after[0] != before[0]
    assert after[1] == "redrawn"


def test_references_that_are_edited_outdate_what_was_drawn(commands: Commands) -> None:
    """Wherever they are named, and wherever they lie; one that is put back makes it as it was."""
    settings = (
        SKETCH
        + 'draw = ["clear"]\nstyle_reference = "art/style.png"\nreferences = ["art/all.png"]\n'
        + '[styles.clear]\nreferences = ["art/own.png"]\n[characters.mara]\n'
        + 'picture = "art/mara.png"\n'
    )
    rows = [row(0, ai_prompt="Mara waits", references=["art/row.png"])]
    root = commands.project(beats=rows, settings=settings)
    (root / "art").mkdir()
    files = [root / "art" / f"{name}.png" for name in ("style", "all", "own", "mara", "row")]
    for number, file in enumerate(files):
        Image.new("RGB", (16, 9), (number, 0, 0)).save(file)
    with Served(commands, root) as served:

        def changed() -> list[str]:
            board = served.get("/api/project").json()["board"]
            return list(board["rows"][0]["cells"]["clear"].get("changed", []))

        served.generate().to_end()
        for file in files:
            assert changed() == []
            before = file.read_bytes()
            Image.new("RGB", (16, 9), "teal").save(file)
            assert changed() == ["references"], file
            file.write_bytes(before)
        assert changed() == []


@pytest.mark.slow
def test_prices_and_references_of_the_users_own_are_followed(commands: Commands) -> None:
    """They lie in the user's folder, outside of every project."""
    root = commands.project(settings='draw = ["clear"]')
    (root / "keys.toml").unlink()
    own = commands.config / "imagegen"
    own.mkdir(parents=True)

    def price(dollars: float) -> None:
        (own / "keys.toml").write_text(f'[prices]\n"gemini-nano-banana-2.1" = {dollars}\n')

    price(0.25)
    with Served(commands, root) as served:
        assert served.get("/api/project").json()["board"]["price"] == 0.25
        price(0.125)
        assert served.get("/api/project").json()["board"]["price"] == 0.125
    with Served(commands, root, "--provider", "sketch") as served:
        served.generate().to_end()
        before = served.get("/api/generation-status").json()["styles"]["clear"]
        assert (before["complete"], before["outdated"]) == (3, 0)
        Image.new("RGB", (16, 9), "teal").save(own / "style_reference.png")
        after = served.get("/api/generation-status").json()["styles"]["clear"]
        assert (after["complete"], after["outdated"]) == (2, 1)


def test_what_stands_in_the_way_is_told(commands: Commands, server: GeminiServer) -> None:
    """Which beat must be mended first, and how many pictures have another beat's words."""
    root = commands.project(settings='continuity = true\ndraw = ["clear"]\n')
    server.fault(lambda request: "<1>" in request.prompt, Answer.BLOCKED)
    # Its run is started with an interpreter of its own, as at a user's.
    with Served(commands, root, "--base-url", server.address, fresh=True) as served:
        served.generate().to_end()
        board = served.get("/api/project").json()["board"]
        cells = [one["cells"]["clear"] for one in board["rows"]]
        assert [one["status"] for one in cells] == ["complete", "error", "blocked"]
        assert [one.get("blocked_by") for one in cells] == [None, None, "1.2"]
        counts = served.get("/api/generation-status").json()["styles"]["clear"]
        assert counts.pop("completedBeats") == ["1.1"]
        assert counts["blocked"] == 1
        assert counts.pop("total") == sum(counts.values()) == 3
        assert board["moved"] == 0
        rows = [row(0, ai_prompt="another"), row(1, ai_prompt="prompt <0>", transition_type="H")]
        (root / "beats.json").write_text(json.dumps(rows))
        board = served.get("/api/project").json()["board"]
        assert board["moved"] == 1
        assert board["way_out"] == f"imagegen renumber {root} moves the images, at no cost"
        choice = {"shot_number": "1", "beat_number": "1.2", "style": "clear"}
        refused = served.post("/api/save-image-selection", choice)
        assert refused.status_code == 422
        assert "beat numbers changed: 1 image now belongs to another beat" in refused.text
        assert not (root / "image_selections.json").exists()


def test_what_helps_where_numbers_have_moved_goes_by_the_beats(commands: Commands) -> None:
    """After a run of other beats these are named, and so they are where the page shows them."""
    root = commands.project(settings='provider = "sketch"\nimage_size = "512"\ndraw = ["clear"]\n')
    other = root / "other.json"
    rows = [row(0, ai_prompt="another"), *(row(n + 1, ai_prompt=f"prompt <{n}>") for n in range(3))]
    other.write_text(json.dumps(rows))
    assert commands.run("run", root, "--beats", other).code == 0
    with Served(commands, root) as served:
        board = served.get("/api/project").json()["board"]
        assert board["moved"] == 3
        helps = f"the last run read other.json, and this command reads beats.json: --beats {other}"
        assert helps in board["way_out"]
    other.write_text((root / "beats.json").read_text())
    with Served(commands, root, "--beats", str(other)) as served:
        board = served.get("/api/project").json()["board"]
        assert board["way_out"].startswith(f"imagegen renumber {root} --beats {other} moves")


def test_the_older_services_names_are_answered(still: Served) -> None:
    """With what the progress files say."""
    told = still.post("/api/get-generation-progress", {}).json()
    assert told["success"]
    assert not told["active"]
    assert told["styles"]["clear"]["completedBeats"] == ["1.1", "1.2", "1.3"]


# The command


def test_nothing_is_sent_to_whoever_has_left() -> None:
    """However much there is to say, and though sending it never has to wait."""

    async def follow() -> int:
        left = anyio.Event()
        sent = 0

        async def events() -> AsyncGenerator[News]:
            for number in range(1000):
                yield WarningEvent(message="", run="run", seq=number + 1)

        async def send(message: Message) -> None:
            nonlocal sent
            sent += 1
            if sent == 5:
                left.set()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        await EventStream(events)({}, receive, send)
        return sent

    assert anyio.run(follow) < 20


@LINUX
def test_a_client_that_has_left_leaves_no_picture_open(still: Served) -> None:
    """Though it took nothing before it left: browsers give up what is scrolled out of sight."""
    boards, access = BoardCache(still.root, DrawRequest()), Auth("127.0.0.1", 80)
    headers = {"host": "127.0.0.1", "authorization": f"Bearer {access.token}"}
    asked = {
        "type": "http",
        "method": "GET",
        "path": picture_path("clear", "1", "1.1"),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        await anyio.sleep_forever()

    async def ask() -> None:
        app = application(boards, access, ChangeWatcher(boards.layout))
        for _ in range(5):
            await app(asked, receive, send)

    anyio.run(ask)
    opened = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    assert not [name for name in opened if name.endswith(".png")]


def test_ctrl_c_ends_the_page(served: Served) -> None:
    """With exit 0, streams that are open included."""
    stream = served.events()
    done = served.close()
    assert done.code == 0
    assert "nothing is running" in done.out
    assert list(stream) == []


def test_faults_are_told_before_the_page_is_served(commands: Commands) -> None:
    """As every command tells them."""
    root = commands.project()
    (root / "beats.json").write_text("[{}]")
    done = commands.run("serve", root, "--no-browser")
    assert done.code == 2
    assert "beats.json" in done.err


def test_other_machines_are_let_in_only_where_that_is_said(commands: Commands) -> None:
    """`--host` alone is not enough."""
    root = commands.project()
    for host in ("0.0.0.0", "::", "192.0.2.7"):
        done = commands.run("serve", root, "--no-browser", "--host", host)
        assert done.code == 2
        assert "--allow-other-machines" in done.err


def test_a_port_that_is_taken_is_said(commands: Commands, still: Served) -> None:
    """And what to do about it."""
    done = commands.run("serve", still.root, "--no-browser", "--port", still.port)
    assert done.code == 2
    assert "--port 0" in done.err


@pytest.mark.slow
def test_without_the_extra_the_command_says_what_to_install(commands: Commands) -> None:
    """And every other command does without it."""
    root = commands.project(settings=SKETCH)
    missing = commands.folder / "missing" / "starlette"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ImportError(name='starlette')")
    done = commands.run("serve", root, env={"PYTHONPATH": str(missing.parent)})
    assert done.code == 2
    assert done.err.splitlines()[1].strip() == extras.missing_extra("serve", "web").hint
    assert commands.run("run", root, env={"PYTHONPATH": str(missing.parent)}).code == 0


def test_no_command_waits_for_what_serves_pages() -> None:
    """Start-up imports none of it."""
    code = (
        "import sys, imagegen.cli.app\n"
        "print({name.split('.')[0] for name in sys.modules} & {'starlette', 'uvicorn', 'anyio'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "set()"


def test_the_address_is_not_in_any_log(served: Served) -> None:
    """Requests are not logged: the first one has the token."""
    requests.get(served.address, timeout=10)
    done = served.close()
    assert served.token not in done.text
    for path in served.root.rglob("*"):
        assert not path.is_file() or served.token.encode() not in path.read_bytes()


# The page's own files


def test_the_page_makes_no_markup_of_text() -> None:
    """Nothing in it turns text into elements or code, and nothing stands inline."""
    folder = resources.files("imagegen.web") / "page"
    sources = {one.name: one.read_text(encoding="utf-8") for one in folder.iterdir()}
    assert {"index.html", "main.js", "style.css"} <= sources.keys()
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\("
        r"|srcdoc|createContextualFragment|setAttribute\(\s*[\"']on|javascript:|https?://(?!www\.w3)"
    )
    for name, text in sources.items():
        assert not forbidden.search(text), name
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", sources["index.html"])


# What is looked at, and how often


def test_one_look_serves_everyone_who_listens(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none is made while nobody does."""
    layout = BoardCache(commands.project(), DrawRequest()).layout
    looks = 0

    def look(of: ChangeWatcher) -> Snapshot:
        nonlocal looks
        looks += 1
        return Snapshot(run="run", size=looks // 5)

    monkeypatch.setattr(ChangeWatcher, "_look", look)
    monkeypatch.setattr("imagegen.web.watcher.LOOK", 0.001)

    async def listen() -> int:
        watcher = ChangeWatcher(layout)
        seen = await watcher.look()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(watcher.news_since, seen, 60.0)
        before = looks
        for _ in range(20):
            await anyio.sleep(0.002)
        return looks - before

    # The one that is under way when the last of them has heard.
    assert anyio.run(listen) <= 1
    assert looks <= 7


def test_a_quiet_stream_says_that_it_is_alive(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a line that begins with a colon, and nothing else."""
    monkeypatch.setattr("imagegen.web.follower.QUIET", 0.01)
    layout = BoardCache(commands.project(), DrawRequest()).layout
    sent: list[bytes] = []

    async def listen() -> None:
        follower = Follower(layout, ChangeWatcher(layout))
        seen = await follower.look()
        enough = anyio.Event()

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))
            if len(sent) == 5:
                enough.set()

        async def receive() -> Message:
            await enough.wait()
            return {"type": "http.disconnect"}

        await EventStream(lambda: follower.runs(None, seen))({}, receive, send)

    anyio.run(listen)
    assert sent[1].startswith(b"retry: ")
    assert set(sent[2:5]) == {b":\n\n"}
