"""A real gateway in between: LiteLLM's proxy speaks OpenAI's API here and Gemini's there.

It is large, and not installed with the tests: `pip install '.[gateway]'`, or name the command
of another environment in $IMAGEGEN_LITELLM.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from commands import STYLES, Commands, picture, pictures
from gemini_server import Answer, GeminiServer, answers

LITELLM = os.environ.get("IMAGEGEN_LITELLM") or shutil.which("litellm")
MODEL = "gemini-3.1-flash-image"
MASTER_KEY = "sk-test-key-of-the-gateway-000000000001"
UPSTREAM_KEY = "test-key-of-the-service-000000002"
STARTS_WITHIN = 120.0

pytestmark = pytest.mark.skipif(
    LITELLM is None, reason="LiteLLM's proxy is not installed: pip install '.[gateway]'"
)


@pytest.fixture
def gateway(tmp_path: Path, server: GeminiServer) -> Iterator[str]:
    """Start the gateway in front of the service; return its address."""
    assert LITELLM is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "gateway" / "config.yaml"
    config.parent.mkdir()
    config.write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": MODEL,
                        "litellm_params": {
                            "model": f"gemini/{MODEL}",
                            "api_base": f"{server.address}/v1beta",
                            "api_key": "os.environ/UPSTREAM_KEY",
                        },
                    }
                ],
                "router_settings": {"num_retries": 0, "disable_cooldowns": True},
                "litellm_settings": {"num_retries": 0, "telemetry": False},
                "general_settings": {"master_key": "os.environ/MASTER_KEY"},
            }
        )
    )
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(config.parent),
        "MASTER_KEY": MASTER_KEY,
        "UPSTREAM_KEY": UPSTREAM_KEY,
        # Else it asks the network for a list of prices.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1",
    }
    command = [LITELLM, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    log = (config.parent / "log-of-keys.toml").open("wb")
    process = subprocess.Popen(command, env=env, cwd=config.parent, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_there(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait_until_there(process: "subprocess.Popen[bytes]", address: str) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{address}/health/liveliness", timeout=5),
        ):
            return
        # Nothing tells of the moment but that it answers; if it has ended, it never will.
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the gateway ended with {process.wait(0.2)}")
    pytest.fail("the gateway did not start")


def project(commands: Commands, *, beats: int = 3, settings: str = "") -> Path:
    """Make a project that is drawn through the gateway, with its key."""
    root = commands.project(
        beats=beats, keys={}, settings=f'provider = "openai"\nmodel = "{MODEL}"\n{settings}'
    )
    (root / "keys.toml").write_text(
        f'[openai]\nrequests_per_minute = 600\n[openai.keys]\ndefault = ["{MASTER_KEY}"]\n'
    )
    commands.keys |= {MASTER_KEY, UPSTREAM_KEY}
    return root


def test_a_project_is_drawn_through_a_gateway(
    commands: Commands, server: GeminiServer, gateway: str
) -> None:
    """Words and references come through, and every picture comes back."""
    root = project(commands, beats=6)
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    digest = hashlib.sha256((root / "style_reference.png").read_bytes()).hexdigest()
    done = commands.run("run", root, "--base-url", gateway)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 18
    assert Counter(request.status for request in server.requests) == {200: 18}
    prompts = [request.prompt for request in server.requests]
    for style in STYLES:
        for number in range(6):
            data = picture(root, style, number).read_bytes()
            assert len([p for p in prompts if f"<{number}>" in p and answers(data, p)]) == 1
    begun = {r.prompt.split("\n")[0] for r in server.requests if r.references}
    assert begun == {"prompt <0>", "prompt <5>"}
    assert {ref for r in server.requests for ref in r.references} == {("image/png", digest)}
    assert {request.key for request in server.requests} == {UPSTREAM_KEY}


def test_what_goes_wrong_behind_a_gateway(
    commands: Commands, server: GeminiServer, gateway: str
) -> None:
    """A 429 is waited for, a fault of the service passes, a refusal is the beat's own."""
    root = project(commands, beats=4, settings='draw = ["clear"]\nmax_attempts = 2\n')
    server.fault("prompt <0>", Answer.MINUTE)
    server.fault("prompt <1>", Answer.UNAVAILABLE)
    server.fault("prompt <2>", Answer.BLOCKED, times=2)
    done = commands.run("run", root, "--base-url", gateway, "--progress", "json")
    assert done.code == 1, done.text
    assert len(pictures(root)) == 3
    assert Counter(event.get("status") for event in done.events)["error"] == 1


def test_keys_and_models_of_a_gateway(
    commands: Commands, server: GeminiServer, gateway: str
) -> None:
    """Its own key, its own list of models, and its own words for a wrong one of either."""
    root = project(commands)
    tried = commands.run("keys", "check", root, "--base-url", f"{gateway}/v1")
    assert tried.code == 0, tried.text
    gone = commands.run("run", root, "--model", "no-such-model", "--base-url", gateway)
    assert gone.code == 2
    assert MODEL in gone.text
    wrong = "sk-test-key-that-is-wrong-000000000003"
    commands.keys.add(wrong)
    (root / "keys.toml").write_text(f'[openai.keys]\ndefault = ["{wrong}"]\n')
    refused = commands.run("run", root, "--base-url", gateway)
    assert refused.code == 2
    assert "…0003" in refused.text
    assert not server.requests
