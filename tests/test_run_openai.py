"""The main job against a real HTTP server that speaks OpenAI's Images API."""

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from commands import STYLES, Commands, Done, picture, pictures
from gemini_server import Answer, answers
from openai_server import MODERATION_WORDS, OpenAIServer, Say

OPENAI = 'provider = "openai"\n'
KEYS = {style: [f"sk-test-key-{style}-000000001"] for style in STYLES}


@pytest.fixture
def service() -> Iterator[OpenAIServer]:
    """Return an Images API on loopback."""
    with OpenAIServer() as running:
        yield running


def project(
    commands: Commands,
    *,
    beats: int = 3,
    keys: Mapping[str, Sequence[str]] = KEYS,
    per_minute: int = 600,
    settings: str = "",
) -> Path:
    """Make a project that is drawn by this provider, with keys of it."""
    root = commands.project(beats=beats, keys={}, settings=OPENAI + settings)
    commands.keys |= {key for own in keys.values() for key in own}
    lines = ["[openai]", f"requests_per_minute = {per_minute}", "[openai.keys]"]
    lines += [f"{style} = {json.dumps(list(own))}" for style, own in keys.items()]
    (root / "keys.toml").write_text("\n".join(lines), encoding="utf-8")
    return root


def run(commands: Commands, root: Path, service: OpenAIServer, *more: str) -> Done:
    """Draw the project at the server's address."""
    return commands.run("run", root, "--base-url", service.address, *more)


def test_every_picture_answers_its_own_prompt(commands: Commands, service: OpenAIServer) -> None:
    """Each file holds what the service drew for that beat's words in that style."""
    root = project(commands, beats=6)
    done = run(commands, root, service)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 18
    sent = {request.prompt for request in service.requests}
    for style in STYLES:
        for number in range(6):
            data = picture(root, style, number).read_bytes()
            assert len([p for p in sent if f"<{number}>" in p and answers(data, p)]) == 1
    assert Counter(request.status for request in service.requests) == {200: 18}
    assert {request.key for request in service.requests} == {own[0] for own in KEYS.values()}
    with Image.open(picture(root, "clear", 0)) as image:
        told = json.loads(image.info["imagegen"])
    assert (told["provider"], told["model"]) == ("openai", "gpt-image-2.5-flare")


def test_what_it_cost_is_counted_from_the_tokens(commands: Commands, service: OpenAIServer) -> None:
    """300 tokens at 30 dollars a million and 50 of the prompt at 5, three times."""
    root = project(commands, beats=1)
    done = run(commands, root, service, "--progress", "json")
    assert done.code == 0, done.text
    assert done.events[-1]["cost"] == pytest.approx(0.02775)


def test_references_arrive_byte_for_byte_with_hard_cuts_alone(
    commands: Commands, service: OpenAIServer
) -> None:
    """The first beat of a shot is an edit of the reference, the others are drawn from words."""
    root = project(commands, beats=6)
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    digest = hashlib.sha256((root / "style_reference.png").read_bytes()).hexdigest()
    done = run(commands, root, service)
    assert done.code == 0, done.text
    edits = [r for r in service.requests if r.path == "/v1/images/edits"]
    assert {r.prompt.split("\n")[0] for r in edits} == {"prompt <0>", "prompt <5>"}
    assert {reference for r in edits for reference in r.references} == {("image/png", digest)}
    others = [r for r in service.requests if r.path == "/v1/images/generations"]
    assert len(others) == 12
    assert not any(r.references for r in others)


def test_a_reference_of_a_type_that_it_does_not_take_stops_before_anything_is_sent(
    commands: Commands, service: OpenAIServer
) -> None:
    """`check` and `run` say what helps; with another provider the same project is drawn."""
    settings = '[characters.mara]\npicture = "mara.heic"\n'
    root = project(commands, settings=settings)
    (root / "mara.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    for done in (commands.run("check", root), run(commands, root, service)):
        assert done.code == 2, done.text
        text = " ".join(done.text.split())
        assert "mara.heic: HEIC is not taken by openai" in text
        assert "save it as JPEG" in text
    assert not service.requests
    assert commands.run("check", root, "--provider", "sketch").code == 0


def test_a_429_goes_to_another_key(commands: Commands, service: OpenAIServer) -> None:
    """A key that is refused rests; its beat is drawn with another, and is not in error."""
    keys = {"default": [f"sk-test-key-{n}-000000000000{n}" for n in range(3)]}
    root = project(commands, beats=4, keys=keys, settings='draw = ["clear"]\n')
    service.key_mode(keys["default"][0], Answer.MINUTE)
    done = run(commands, root, service)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 4
    by_key = Counter((r.key, r.status) for r in service.requests)
    assert by_key[keys["default"][0], 429] >= 1
    assert sum(n for (_, status), n in by_key.items() if status == 200) == 4


def test_the_limit_that_the_service_tells_is_kept(
    commands: Commands, service: OpenAIServer
) -> None:
    """The file says 600 a minute, the service 2: nothing is sent that it would refuse."""
    service.limit = 2
    root = project(
        commands,
        beats=6,
        keys={"default": ["sk-test-key-alpha-000000001"]},
        settings='draw = ["clear"]\ntimeout = 2\n',
    )
    # The first answer says what is left; until then one request at a time leaves.
    service.latency = 0.1
    first = run(commands, root, service, "--limit", "1")
    assert first.code == 0, first.text
    done = run(commands, root, service, "--max-time", "5s")
    assert done.code == 3, done.text
    assert Counter(r.status for r in service.requests) == {200: 2}


def test_a_refusal_is_the_beats_own(commands: Commands, service: OpenAIServer) -> None:
    """The service's words are told, the other beats are drawn, and nothing is sent again."""
    root = project(commands, settings='draw = ["clear"]\n')
    service.fault("prompt <1>", Say.MODERATED)
    done = run(commands, root, service)
    assert done.code == 1, done.text
    assert len(pictures(root)) == 2
    status = json.loads(commands.run("status", root, "--json").out)
    (beat,) = [b for b in status["styles"]["clear"]["beats"] if b["status"] == "error"]
    assert MODERATION_WORDS in json.dumps(beat)
    assert len(service.requests) == 3


@pytest.mark.parametrize("kind", [Say.INSUFFICIENT, Say.HARD_LIMIT])
def test_without_credit_the_run_ends_and_goes_on_once_there_is_some(
    commands: Commands, service: OpenAIServer, kind: Say
) -> None:
    """The run ends in the service's words, and remembers nothing: the next one asks again."""
    key = "sk-test-key-alpha-000000001"
    root = project(commands, keys={"default": [key]}, settings='draw = ["clear"]\n')
    service.key_mode(key, kind)
    done = run(commands, root, service, "--progress", "json")
    assert done.code == 3, done.text
    last = done.events[-1]
    assert (last["reason"], last["resume_after"]) == ("out of credit", None)
    message = str(last["messages"])
    assert "current quota" in message or "Billing hard limit" in message
    assert "Add credit, then resume" in message
    assert not pictures(root)
    assert "imagegen resume" in done.err
    service.key_mode(key, None)
    again = commands.run("resume", root, "--base-url", service.address)
    assert again.code == 0, again.text
    assert len(pictures(root)) == 3


def test_a_key_with_credit_goes_on_where_another_has_none(
    commands: Commands, service: OpenAIServer
) -> None:
    """What one account lacks, another may have."""
    keys = {"default": ["sk-test-key-alpha-000000001", "sk-test-key-beta-0000000002"]}
    root = project(commands, keys=keys, settings='draw = ["clear"]\n')
    service.key_mode(keys["default"][0], Say.INSUFFICIENT)
    done = run(commands, root, service)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 3


@pytest.mark.parametrize("kind", [Answer.BAD_KEY, Say.UNVERIFIED])
def test_a_key_that_is_not_accepted_ends_the_run(
    commands: Commands, service: OpenAIServer, kind: str
) -> None:
    """A person must mend that: exit 2, with the service's words and the key's tail."""
    key = "sk-test-key-alpha-000000001"
    root = project(commands, keys={"default": [key]}, settings='draw = ["clear"]\n')
    service.key_mode(key, kind)
    done = run(commands, root, service)
    assert done.code == 2, done.text
    assert "…0001" in done.text
    assert ("Incorrect API key" if kind == Answer.BAD_KEY else "must be verified") in done.text


def test_an_unknown_model_ends_the_run_with_those_there_are(
    commands: Commands, service: OpenAIServer
) -> None:
    """The list of models is asked, and named."""
    root = project(commands)
    done = run(commands, root, service, "--model", "gpt-image-9")
    assert done.code == 2, done.text
    assert "gpt-image-2.5-flare, gpt-image-1.5" in " ".join(done.text.split())


def test_an_address_in_place_of_a_picture_ends_the_run(
    commands: Commands, service: OpenAIServer
) -> None:
    """Every further picture would be paid for and not be had."""
    root = project(commands, settings='draw = ["clear"]\n')
    service.fault("prompt", Say.ADDRESS, times=3)
    done = run(commands, root, service)
    assert done.code == 2, done.text
    assert "b64_json" in done.text


def test_a_field_that_a_gateway_does_not_know_is_left_out(
    commands: Commands, service: OpenAIServer
) -> None:
    """Its first answers say so; all is drawn without it."""
    service.models = ("house-model",)
    root = project(commands, settings='model = "house-model"\n')
    done = run(commands, root, service)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 9
    assert [r for r in service.asked if "response_format" not in r.fields and r.status == 200]


def test_a_project_cannot_say_where_keys_go(commands: Commands, service: OpenAIServer) -> None:
    """An address in the table of a project's keys file stops the run."""
    root = project(commands)
    text = (root / "keys.toml").read_text()
    text = text.replace("[openai]", f'[openai]\nbase_url = "{service.address}"')
    (root / "keys.toml").write_text(text)
    done = commands.run("run", root)
    assert done.code == 2
    assert "openai.base_url" in done.err
    assert not service.requests


def test_the_users_own_file_may_say_where_requests_go(
    commands: Commands, service: OpenAIServer
) -> None:
    """A gateway's address stands in one's own keys file, in its provider's table."""
    key = "sk-test-key-alpha-000000001"
    commands.keys.add(key)
    root = commands.project(keys={}, settings=OPENAI)
    (root / "keys.toml").unlink()
    own = commands.config / "imagegen" / "keys.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        f'[openai]\nbase_url = "{service.address}/v1"\nrequests_per_minute = 600\n'
        f'[openai.keys]\ndefault = ["{key}"]\n'
    )
    own.chmod(0o600)
    done = commands.run("run", root)
    assert done.code == 0, done.text
    assert {r.key for r in service.requests} == {key}


def test_a_key_of_the_environment_serves(commands: Commands, service: OpenAIServer) -> None:
    """Without a keys file, the provider's own variable; the address of the environment too."""
    key = "sk-test-key-alpha-000000001"
    commands.keys.add(key)
    root = commands.project(beats=1, keys={}, settings=OPENAI)
    (root / "keys.toml").unlink()
    env = {"OPENAI_API_KEY": key, "IMAGEGEN_BASE_URL": service.address, "GEMINI_API_KEY": "x" * 20}
    done = commands.run("run", root, env=env)
    assert done.code == 0, done.text
    assert {r.key for r in service.requests} == {key}


def test_without_a_key_it_is_said_which_is_missing(commands: Commands) -> None:
    """Keys of another provider do not serve this one, and are not sent to it."""
    root = commands.project(settings=OPENAI)
    done = commands.run("run", root)
    assert done.code == 2
    assert "OPENAI_API_KEY" in done.err
    named = commands.run("run", root, "--keys", root / "keys.toml")
    assert "[openai.keys]" in named.err


# imagegen keys


def test_keys_of_a_provider_are_listed_and_tried(commands: Commands, service: OpenAIServer) -> None:
    """`--provider` says whose, where the project says another."""
    root = project(commands)
    (root / "imagegen.toml").unlink()
    with (root / "keys.toml").open("a") as file:
        file.write('\n[keys]\nclear = ["test-key-alpha-000001"]\n')
    text = (root / "keys.toml").read_text()
    assert tomllib.loads(text)["keys"]
    listed = commands.run("keys", "list", root, "--provider", "openai")
    assert listed.code == 0, listed.text
    assert "Keys for openai" in listed.out
    assert "600 a minute" in listed.out
    tried = commands.run(
        "keys", "check", root, "--provider", "openai", "--base-url", service.address
    )
    assert tried.code == 0, tried.text
    assert "All 3 keys work" in tried.out
    assert {r.key for r in service.listings} == {own[0] for own in KEYS.values()}
    other = commands.run("keys", "list", root)
    assert "Keys for gemini" in other.out
    unknown = commands.run("keys", "list", root, "--provider", "opnai")
    assert unknown.code == 2
    assert 'did you mean "openai"?' in unknown.err


def test_a_key_that_is_over_its_budget_need_not_be_replaced(
    commands: Commands, service: OpenAIServer
) -> None:
    """Where a gateway says so of the list of models too, `keys check` says what helps."""
    root = project(commands)
    for own in KEYS.values():
        service.key_mode(own[0], Say.OVER_BUDGET)
    tried = commands.run("keys", "check", root, "--base-url", service.address)
    assert tried.code == 2, tried.text
    assert "out of credit: Budget has been exceeded!" in tried.out
    assert "add credit, and check again" in tried.out


def test_a_key_is_added_to_its_providers_table(commands: Commands) -> None:
    """The project's provider decides whose key it is, unless the command says it."""
    key = "sk-test-key-alpha-000000001"
    commands.keys.add(key)
    root = commands.project(keys={}, settings=OPENAI)
    (root / "keys.toml").write_text("# mine\nlend = false\n\n[keys]\n# none yet\n")
    done = commands.run("keys", "add", "clear", "--project", root, stdin=key.encode())
    assert done.code == 0, done.text
    assert "[openai.keys]" in done.out
    text = (root / "keys.toml").read_text()
    assert tomllib.loads(text) == {"lend": False, "keys": {}, "openai": {"keys": {"clear": [key]}}}
    assert "# mine" in text
    assert "# none yet" in text
    other = commands.run(
        *("keys", "add", "clear", "--project", root, "--provider", "gemini"),
        stdin=b"env:GEMINI_KEY_1",
    )
    assert other.code == 0, other.text
    read = tomllib.loads((root / "keys.toml").read_text())
    assert read["keys"] == {"clear": ["env:GEMINI_KEY_1"]}
    needless = commands.run("keys", "add", "clear", "--provider", "sdwebui", stdin=b"x")
    assert needless.code == 2
    assert "needs no key" in needless.err


@pytest.mark.parametrize(
    "words",
    [
        ("keys", "add", "sk-test-key-abcdefghij-0001"),
        ("keys", "add", "clear", "--provider", "sk-test-key-abcdefghij-0001"),
        ("keys", "list", "--keys", "sk-test-key-abcdefghij-0001"),
        ("keys", "add", "clear", "sk-test-key-abcdefghij-0001"),
    ],
)
def test_a_key_in_a_wrong_place_is_not_repeated(commands: Commands, words: Sequence[str]) -> None:
    """Where a style, a file or a provider belongs, a key of this service is known too."""
    commands.keys.add("sk-test-key-abcdefghij-0001")
    done = commands.run(*words, stdin=b"")
    assert done.code == 2
