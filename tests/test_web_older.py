"""A page of the older service, of another origin: it knows its routes, an address and a token."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest

from commands import SECONDS, Commands, row
from gemini_server import Answer, GeminiServer
from serving import Served

ORIGIN: Final = "http://localhost:3000"
SKETCH: Final = 'provider = "sketch"\nimage_size = "512"\n'
ROWS: Final = [row(n, shot_number=1, beat_number=f"Beat {n + 1}") for n in range(3)]


class OlderPage:
    """What a browser does for that page: it asks for leave first, and reads as it was given."""

    def __init__(self, served: Served, project: Path, origin: str = ORIGIN) -> None:
        self._host, self._port, self._token = served.host, served.port, served.token
        self.path = str(project)
        self._origin = origin

    def post(self, route: str, **body: object) -> tuple[int, Any]:
        """Ask as `fetch` does, and return the status and the JSON of the answer."""
        connection = self._asked("POST", route, {"projectPath": self.path} | body)
        with closing(connection):
            answer = connection.getresponse()
            self._readable(answer)
            return answer.status, json.loads(answer.read())

    def get(self, route: str) -> tuple[int, Any]:
        """Ask for something."""
        with closing(self._asked("GET", route, None)) as connection:
            answer = connection.getresponse()
            self._readable(answer)
            return answer.status, json.loads(answer.read())

    def generate(self, **body: object) -> Iterator[dict[str, Any]]:
        """Read a stream of `data:` lines as its page does: piece by piece, no other lines."""
        with closing(
            self._asked("POST", "/api/generate-images", {"projectPath": self.path} | body)
        ) as connection:
            answer = connection.getresponse()
            self._readable(answer)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/event-stream"
            for line in answer:
                if line in {b":\n", b"\n"}:
                    continue
                name, _, data = line.partition(b": ")
                assert name == b"data"
                yield json.loads(data)

    def _asked(self, method: str, route: str, body: object) -> http.client.HTTPConnection:
        self._preflight(method, route)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        headers = {
            "Origin": self._origin,
            "Sec-Fetch-Site": "same-site",
            "Sec-Fetch-Mode": "cors",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
        }
        connection.request(method, route, json.dumps(body) if body is not None else None, headers)
        return connection

    def _preflight(self, method: str, route: str) -> None:
        headers = {
            "Origin": self._origin,
            "Sec-Fetch-Site": "same-site",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        with closing(http.client.HTTPConnection(self._host, self._port, timeout=10)) as asking:
            asking.request("OPTIONS", route, headers=headers)
            answer = asking.getresponse()
            assert answer.status == 204, answer.read()
            self._readable(answer)
            assert method in answer.headers["Access-Control-Allow-Methods"].split(", ")
            allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
            assert {"authorization", "content-type"} <= set(allowed)

    def _readable(self, answer: http.client.HTTPResponse) -> None:
        assert answer.headers["Access-Control-Allow-Origin"] == self._origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


@pytest.fixture
def root(commands: Commands) -> Path:
    """Return a project whose beats are numbered as the older steps do."""
    return commands.project(beats=ROWS)


def test_a_page_of_the_older_service_draws_watches_stops_and_chooses(
    root: Path, commands: Commands, server: GeminiServer
) -> None:
    """As the table of its routes says, and reads back what it has done."""
    options = ("--base-url", server.address, "--allow-origin", ORIGIN)
    with Served(commands, root, *options) as served:
        page = OlderPage(served, root)
        encoded = f"/api/generation-status/{quote(str(root), safe='')}"
        assert page.get(encoded)[1]["isGenerating"] is False
        assert page.post("/api/get-generated-images")[1]["images"]["clear"] == {}
        with server.held():
            stream = page.generate(promptsByStyle={"clear": [{"ai_prompt": "not these"}] * 2000})
            assert next(stream) == {"type": "start", "message": "Generating 9 images"}
            assert server.wait_for_requests(9)
            assert page.get(encoded)[1]["isGenerating"] is True
            status, refused = page.post("/api/generate-images")
            assert (status, refused["success"]) == (409, False)
        events = list(stream)
        assert {event["type"] for event in events[:-1]} == {"progress"}
        assert events[-1]["type"] == "complete"
        assert events[-1]["result"]["success"] is True
        assert set(events[-1]["result"]["results"]) == {"illustration", "clear", "consistent"}
        drawn = [event for event in events[:-1] if event["status"] == "complete"]
        assert {(e["style"], e["beat_number"]) for e in drawn if e["style"] == "clear"} == {
            ("clear", f"Beat {n}") for n in (1, 2, 3)
        }
        assert all((root / event["imagePath"]).is_file() for event in drawn)
        assert [event["completed"] for event in drawn if event["style"] == "clear"] == [1, 2, 3]
        done = page.post("/api/get-generation-progress")[1]["progress"]["clear"]
        assert done["completedBeats"] == ["Beat 1", "Beat 2", "Beat 3"]
        assert done["lastUpdated"].endswith("Z")
        images = page.post("/api/get-generated-images")[1]["images"]
        assert all((root / path).is_file() for path in images["consistent"].values())
        assert list(images["consistent"]) == ["Beat 1", "Beat 2", "Beat 3"]
        choice = {"beatNumber": "Beat 2", "style": "clear", "isFlagged": True}
        assert page.post("/api/save-image-selection", **choice)[1]["success"] is True
        selections = page.post("/api/get-image-selections")[1]["selections"]
        assert list(selections) == ["Beat 2"]
        chosen = selections["Beat 2"]
        assert (chosen["style"], chosen["isFlagged"]) == ("clear", True)
        assert chosen["selectedAt"].endswith("Z")
        assert page.post("/api/save-image-selection", beatNumber="Beat 2", style=None)[0] == 200
        assert page.post("/api/get-image-selections")[1]["selections"] == {}
    assert not [request for request in server.requests if "not these" in request.prompt]


def test_only_what_went_well_is_complete(
    root: Path, commands: Commands, server: GeminiServer
) -> None:
    """A beat in error has its reason as text, and so has the run's end; so has a stop."""
    server.fault("prompt <1>", Answer.REFUSED, times=3)
    options = ("--base-url", server.address, "--allow-origin", ORIGIN)
    with Served(commands, root, *options) as served:
        page = OlderPage(served, root)
        events = list(page.generate())
        failed = [event for event in events if event.get("status") == "error"]
        assert {event["beat_number"] for event in failed} == {"Beat 2"}
        assert all("real person" in event["error"] for event in failed)
        assert events[-1]["type"] == "error"
        assert isinstance(events[-1]["error"], str)
        (root / "keys.toml").write_text(
            (root / "keys.toml").read_text().replace("per_minute = 600", "per_minute = 4")
        )
        with server.held():
            stream = page.generate(force=True)
            next(stream)
            assert page.post("/api/stop-generation")[1]["success"] is True
        *_, last = stream
        assert last["type"] == "error"
        assert "request" in last["error"]


def test_another_project_is_not_known_by_its_path(root: Path, commands: Commands) -> None:
    """404 for every route, whatever lies there; the served one however its path is written."""
    other = commands.project("other", settings=SKETCH)
    with Served(commands, root, "--provider", "sketch", "--allow-origin", ORIGIN) as served:
        page = OlderPage(served, root)
        routes = [
            "/api/generate-images",
            "/api/get-generation-progress",
            "/api/stop-generation",
            "/api/get-generated-images",
            "/api/get-image-selections",
        ]
        choice = {"beatNumber": "Beat 1", "style": "clear", "isFlagged": False}
        for path in (str(other), "/etc", f"{root}x", "", f"{root}\0", "keys.toml"):
            page.path = path
            assert {page.post(route)[0] for route in routes} == {404}
            assert page.post("/api/save-image-selection", **choice)[0] == 404
            assert page.get(f"/api/generation-status/{quote(path, safe='') or '%20'}")[0] == 404
        for path in (str(root), f"{root}/", f"{other}/../my-video", "my-video"):
            page.path = path
            assert {page.post(route)[0] for route in routes[1:]} == {200}
            assert page.get(f"/api/generation-status/{quote(path, safe='')}")[0] == 200
    assert not (other / "generated_images").exists()


def test_the_origin_that_may_ask_is_that_one(root: Path, commands: Commands) -> None:
    """No other gets leave or an answer, whatever it knows; and the token is wanted all the same."""
    with Served(commands, root, "--provider", "sketch", "--allow-origin", ORIGIN) as served:
        for origin in ("http://localhost:3001", "https://localhost:3000", "null", f"{ORIGIN}.evil"):
            for method in ("GET", "OPTIONS"):
                asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                answer = served.session.request(
                    method, f"{served.base}/api/project", headers=asked, timeout=10
                )
                assert answer.status_code == 403
                assert "Access-Control-Allow-Origin" not in answer.headers
        entered = served.session.get(served.address, allow_redirects=False, timeout=10)
        home, cookies = entered.headers["Location"], entered.cookies
        served.session.headers.pop("Authorization")
        for path in ("/api/project", f"{home}api/project", f"/api/project?token={served.token}"):
            answer = served.session.get(
                served.base + path, headers={"Origin": ORIGIN}, cookies=cookies, timeout=10
            )
            assert answer.status_code == 401
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_a_stream_may_bring_the_token_in_its_address(root: Path, commands: Commands) -> None:
    """A browser's own reader of streams sends no other header; of the allowed origin alone."""
    with Served(commands, root, "--provider", "sketch", "--allow-origin", ORIGIN) as served:
        served.session.headers.pop("Authorization")
        address = f"{served.base}/api/events?{urlencode({'token': served.token})}"
        with served.session.get(
            address, headers={"Origin": ORIGIN}, stream=True, timeout=10
        ) as heard:
            assert heard.status_code == 200
        assert served.session.get(address, stream=True, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "origin", ["*", "null", "localhost:3000", "http://localhost:3000/", "http://a b", "http://A"]
)
def test_what_is_no_origin_is_refused(commands: Commands, origin: str) -> None:
    """It is compared letter by letter with what browsers send."""
    done = commands.run("serve", commands.project(), "--no-browser", "--allow-origin", origin)
    assert done.code == 2
    assert "--allow-origin http://localhost:3000" in done.err
