"""The model of the API counts and validates as the API does."""

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import gemini_replies
from gemini_server import MODELS, Answer, GeminiServer, answers, expected_pixels

KEY = "test-key-alpha-000001"
OTHER_KEY = "test-key-bravo-000002"


@pytest.fixture
def server() -> Iterator[GeminiServer]:
    """Serve without limits."""
    with GeminiServer() as running:
        yield running


def post(
    server: GeminiServer, body: Any = None, *, key: str | None = KEY, model: str = MODELS[0]
) -> tuple[int, Any]:
    """Ask for a picture; return status and JSON."""
    headers = {"x-goog-api-key": key} if key else {}
    url = f"{server.address}/v1beta/models/{model}:generateContent"
    with requests.Session() as session:
        session.trust_env = False
        reply = session.post(url, json=body or asking("a fox"), headers=headers, timeout=30)
        return reply.status_code, reply.json()


def asking(prompt: str, *parts: Any, **more: Any) -> dict[str, Any]:
    """Return a request's body."""
    return {"contents": [{"role": "user", "parts": [{"text": prompt}, *parts]}], **more}


def inline(data: bytes, mime_type: str = "image/png") -> dict[str, Any]:
    """Return a part with a reference image."""
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def test_pictures_prove_their_prompt(server: GeminiServer) -> None:
    """A picture answers its own prompt and no other, padded or not."""
    server.picture_bytes = 100_000
    status, answer = post(server)
    drawn = answer["candidates"][0]["content"]["parts"][1]["inlineData"]["data"]
    picture = base64.b64decode(drawn)
    assert status == 200
    assert len(picture) > 100_000
    assert answers(picture, "a fox")
    assert not answers(picture, "a box")
    assert len(expected_pixels("a fox")) == 64 * 36


def test_window(server: GeminiServer) -> None:
    """A key gets its limit in a window, then 429 with a delay; another key is not touched."""
    server.limit = 2
    assert [post(server)[0] for _ in range(3)] == [200, 200, 429]
    assert post(server, key=OTHER_KEY)[0] == 200
    _, answer = post(server)
    failure, retry = answer["error"]["details"]
    assert "PerMinute" in failure["violations"][0]["quotaId"]
    assert 0 < float(retry["retryDelay"].removesuffix("s")) <= 60


def test_window_rolls() -> None:
    """Requests that are older than the window no longer count."""
    with GeminiServer(limit=1, window=1e-9) as server:
        assert [post(server)[0] for _ in range(3)] == [200, 200, 200]


def test_groups_share_a_window() -> None:
    """Keys of one group draw on one limit."""
    groups = {KEY: "studio", OTHER_KEY: "studio"}
    with GeminiServer(limit=1, groups=groups) as server:
        assert [post(server, key=key)[0] for key in (KEY, OTHER_KEY)] == [200, 429]


def test_day(server: GeminiServer) -> None:
    """The quota of the day ends in an answer that says so."""
    server.daily = 1
    assert post(server)[0] == 200
    status, answer = post(server)
    assert status == 429
    assert "PerDay" in str(answer)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (asking("a fox", seed=1), 'Unknown name "seed": Cannot find field'),
        (
            asking("a fox", generationConfig={"size": 1}),
            "Unknown name \"size\" at 'generation_config': Cannot find field",
        ),
        (asking("a fox", generationConfig={"imageConfig": {"imageSize": "8K"}}), "imageSize"),
        (asking("a fox", {"inlineData": {"mimeType": "image/png", "data": "!"}}), "base64"),
        (asking("a fox", inline(b"\xff\xd8\xff", "image/png")), "not valid"),
        (asking("a fox", inline(b"GIF89a", "image/gif")), "mimeType"),
        (asking("a fox", *[inline(gemini_replies.png("x"))] * 15), "Too many images"),
        (asking(""), "not specified"),
    ],
)
def test_wrong_requests(server: GeminiServer, body: Any, words: str) -> None:
    """A wrong request is refused in the API's words and costs no quota."""
    server.limit = 1
    status, answer = post(server, body)
    assert status == 400
    assert words in answer["error"]["message"]
    assert post(server)[0] == 200


def test_keys_and_models(server: GeminiServer) -> None:
    """A missing key, a key in a bad state and an unknown model are told apart."""
    server.key_mode(OTHER_KEY, Answer.BAD_KEY)
    assert post(server, key=None)[0] == 403
    assert post(server, key=OTHER_KEY)[0] == 400
    assert post(server, model="gemini-2.5-flash-image")[0] == 404
    server.key_mode(OTHER_KEY, None)
    assert post(server, key=OTHER_KEY)[0] == 200


def test_models(server: GeminiServer) -> None:
    """The list of models costs no quota and needs a key."""
    server.limit = 1
    with requests.Session() as session:
        session.trust_env = False
        url = f"{server.address}/v1beta/models"
        headers = {"x-goog-api-key": KEY}
        names = [
            model["name"]
            for model in session.get(url, headers=headers, timeout=30).json()["models"]
        ]
        assert names == [f"models/{name}" for name in MODELS]
        assert session.get(f"{url}/{MODELS[0]}", headers=headers, timeout=30).status_code == 200
        assert session.get(f"{url}/other", headers=headers, timeout=30).status_code == 404
        assert session.get(url, timeout=30).status_code == 403
    assert post(server)[0] == 200
    assert len(server.listings) == 4


def test_log(server: GeminiServer) -> None:
    """Every request is recorded with what it asked and what became of it."""
    reference = gemini_replies.png("a style")
    server.fault("fox", Answer.UNAVAILABLE)
    post(server, asking("a fox", inline(reference)))
    post(server)
    first, second = server.requests
    assert (first.key, first.model, first.prompt) == (KEY, MODELS[0], "a fox")
    assert first.references == (("image/png", hashlib.sha256(reference).hexdigest()),)
    assert [first.status, second.status] == [503, 200]
    assert first.arrived < second.arrived


def test_faults_come_in_turn(server: GeminiServer) -> None:
    """Faults answer matching requests in their order, then requests are answered well."""
    server.fault("fox", Answer.ERROR_500, Answer.BARE, times=2)
    server.fault(lambda request: request.key == OTHER_KEY, Answer.LEAKED_KEY)
    assert [post(server)[0] for _ in range(5)] == [500, 429, 500, 429, 200]
    assert post(server, asking("a box"))[0] == 200
    assert post(server, key=OTHER_KEY)[0] == 403


def test_down(server: GeminiServer) -> None:
    """A server that is down refuses connections, and comes back at the same address."""
    server.set_down(True)
    with pytest.raises(requests.ConnectionError):
        post(server)
    server.set_down(False)
    assert post(server)[0] == 200


def test_from_a_shell() -> None:
    """The script prints its address first and serves until it is ended."""
    script = Path(gemini_replies.__file__).with_name("gemini_server.py")
    command = [sys.executable, str(script), "--port", "0", "--limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with requests.Session() as session:
            session.trust_env = False
            url = f"{address}/v1beta/models"
            assert session.get(url, timeout=30).status_code == 403
        process.terminate()
