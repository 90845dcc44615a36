"""Which model draws, what it does not take and what it costs, by the real command."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from builders import picture
from commands import Commands, pictures, row
from gemini_server import Answer, GeminiServer
from imagegen.images import png

NEW, OLD = "gemini-nano-banana-2.1", "gemini-3.1-flash-image"
ONE = {"clear": ["test-key-000001"]}


def drawn_with(root: Path) -> dict[str, str]:
    """Return by what model each picture says that it was drawn."""
    found = {}
    for path in sorted((root / "generated_images").rglob("*.png")):
        with path.open("rb") as file:
            whole = png.read_info(file)
        assert whole is not None
        assert whole.provenance is not None
        found[path.stem] = whole.provenance.model
    return found


def statuses(commands: Commands, root: Path) -> set[str]:
    """Return the statuses of all beats."""
    done = commands.run("status", root, "--json")
    styles = json.loads(done.out)["styles"].values()
    return {beat["status"] for style in styles for beat in style["beats"]}


def cost(events: list[dict[str, object]]) -> float:
    """Return what a run cost, as its last event says."""
    value = events[-1]["cost"]
    assert isinstance(value, float)
    return value


def test_the_default_draws_at_the_price_of_the_table(
    commands: Commands, server: GeminiServer
) -> None:
    """Image, thoughts and reference of each beat, within 2 %; and nothing is kept."""
    server.models = (NEW, "gemini-3.1-pro")
    beats = [row(n, transition_type="H") for n in range(2)]
    root = commands.project(beats=beats)
    (root / "style_reference.png").write_bytes(picture())
    listed = 6 * (0.0336 + 0.00168)
    dry = commands.run("run", root, "--base-url", server.address, "--dry-run")
    assert f"about ${listed:.2f}, plus thinking" in dry.out
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    assert done.code == 0, done.err
    assert {request.model for request in server.requests} == {NEW}
    assert {request.store for request in server.requests} == {False}
    assert cost(done.events) == pytest.approx(listed + 6 * 80 * 7.5e-6, rel=0.02)

    again = commands.run("run", root, "--base-url", server.address, "--dry-run", "--force")
    assert f"about ${listed + 6 * 80 * 7.5e-6:.2f}" in again.out
    assert "plus thinking" not in again.out


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        ('image_size = "512"', (), f"{NEW} does not draw 512"),
        ('thinking = "medium"', ("--model", OLD), f"{OLD} does not take thinking"),
        (
            '[styles.clear]\nthinking = "minimal"',
            ("--model", "gemini-3-pro-image"),
            "styles.clear.thinking",
        ),
        (
            'provider = "openai"\nmodel = "gpt-image-1.5"',
            ("--keys", "keys.toml"),
            "gpt-image-1.5 does not draw 16:9",
        ),
        ('provider = "openai"\naspect_ratio = "4:1"', ("--keys", "keys.toml"), "1:3 to 3:1"),
        ('provider = "openai"\nthinking = "high"', ("--keys", "keys.toml"), "leave it out"),
    ],
)
def test_what_a_model_does_not_take_is_refused_before_anything_is_sent(
    commands: Commands, server: GeminiServer, settings: str, options: tuple[str, ...], said: str
) -> None:
    """Exit 2 with what it takes, by `check`, `run` and `--dry-run` alike."""
    root = commands.project(beats=1, settings=settings)
    (commands.folder / "keys.toml").write_text('[openai.keys]\ndefault = ["test-key-000009"]')
    asked = [("check", *options), ("run", *options), ("run", "--dry-run", *options)]
    for command, *more in asked[:1] if "styles" in settings else asked:
        address = () if command == "check" else ("--base-url", server.address)
        done = commands.run(command, root, *more, *address)
        assert done.code == 2, done.text
        assert said in " ".join(done.text.split())
    assert server.requests == server.listings == []


def test_a_size_that_another_model_draws_says_which(commands: Commands) -> None:
    """The former default drew 512: a project that wants it can name that."""
    root = commands.project(beats=1, settings='image_size = "512"')
    done = commands.run("check", root)
    assert (done.code, "it draws 1K, 2K, 4K" in done.text) == (2, True)
    assert f"512 is drawn by {OLD}" in " ".join(done.text.split())
    assert commands.run("check", root, "--model", OLD).code == 0
    assert commands.run("status", root).code == 0


@pytest.mark.slow
def test_more_references_than_the_model_takes_are_refused(
    commands: Commands, server: GeminiServer
) -> None:
    """By kind too: five characters are one more than the default takes, and not for others."""
    cast = "".join(
        f'[characters.c{n}]\nnames = ["Person{n}"]\npicture = "c{n}.png"\n' for n in range(5)
    )
    words = " and ".join(f"Person{n}" for n in range(5))
    root = commands.project(beats=[row(0), row(1, ai_prompt=words)], settings=cast)
    for n in range(5):
        (root / f"c{n}.png").write_bytes(picture(n + 3))
    done = commands.run("run", root, "--base-url", server.address)
    text = " ".join(done.text.split())
    assert done.code == 2
    assert f"more reference images than {NEW} takes" in text
    assert "14: 10 of things and 4 of characters" in text
    assert commands.run("check", root).code == 2
    assert server.requests == []
    # What is not drawn does not matter, and another model takes more.
    one = commands.run("run", root, "--base-url", server.address, "--beat", "1.1")
    other = commands.run("check", root, "--model", "gemini-3-pro-image")
    assert (one.code, other.code) == (0, 0), one.text


@pytest.mark.slow
def test_a_project_of_the_former_default_stays_and_is_finished_with_it(
    commands: Commands, server: GeminiServer
) -> None:
    """`status` shows nothing outdated, `resume` uses what drew the rest, a copy the new one."""
    root = commands.project(beats=4, keys=ONE, settings='draw = ["clear"]')
    gemini = ("--base-url", server.address)
    assert commands.run("run", root, *gemini, "--limit", "2").code == 0
    _make_older(root)
    assert statuses(commands, root) == {"complete", "pending"}
    fresh = commands.folder / "copy"
    shutil.copytree(root, fresh, ignore=shutil.ignore_patterns("generated_images", ".imagegen"))

    before = len(server.requests)
    done = commands.run("resume", root, *gemini)
    assert done.code == 0, done.text
    assert {request.model for request in server.requests[before:]} == {OLD}
    assert f"its successor is {NEW}, which would save about $0.07" in " ".join(done.text.split())
    assert set(drawn_with(root).values()) == {OLD}
    assert statuses(commands, root) == {"complete"}
    again = commands.run("run", root, *gemini, "--outdated")
    assert (again.code, len(server.requests)) == (0, before + 2)

    assert commands.run("run", fresh, *gemini).code == 0
    assert set(drawn_with(fresh).values()) == {NEW}


def test_without_a_record_pictures_say_what_drew_them(
    commands: Commands, server: GeminiServer
) -> None:
    """`.imagegen` may be deleted: `resume` then goes by a picture."""
    root = commands.project(beats=2, keys=ONE, settings='draw = ["clear"]')
    gemini = ("--base-url", server.address)
    assert commands.run("run", root, *gemini, "--limit", "1").code == 0
    _make_older(root)
    shutil.rmtree(root / ".imagegen")
    assert commands.run("resume", root, *gemini).code == 0
    assert set(drawn_with(root).values()) == {OLD}


def _make_older(root: Path) -> None:
    """Have the project be one that the former default has drawn."""
    for path in (root / "generated_images").rglob("*.png"):
        with path.open("rb") as file:
            whole = png.read_info(file)
        assert whole is not None
        assert whole.provenance is not None
        older = msgspec.structs.replace(whole.provenance, model=OLD)
        texts = png.TextFields(software="imagegen", description=None, created=None)
        path.write_bytes(b"".join(png.replace_metadata(path.read_bytes(), older, texts)))
    record = root / ".imagegen" / "run.json"
    record.write_text(record.read_text().replace(NEW, OLD))


# A server that does not know what is optional.


def test_a_gateway_that_does_not_know_a_field_costs_no_beat_anything(
    commands: Commands,
) -> None:
    """One attempt is all that beats have, and each is drawn; one line says what it means."""
    unknown = frozenset({"store", "thinkingConfig"})
    with GeminiServer(unknown_fields=unknown) as server:
        root = commands.project(beats=6, settings='max_attempts = 1\nthinking = "high"')
        address = ("--base-url", server.address)
        done = commands.run("run", root, *address, "--progress", "json")
        assert done.code == 0, done.err
        assert len(pictures(root)) == 18
        refused = [request for request in server.requests if request.status == 400]
        # At most what was in flight when each of the two was refused.
        assert 2 <= len(refused) <= 2 * 18
        assert not [r for r in server.requests[-3:] if r.store is not None or r.thinking]
        attempts = {e["attempt"] for e in done.events if e.get("status") == "complete"}
        assert attempts <= {0, 1}
        told = [str(e["message"]) for e in done.events if e["type"] == "warning"]
        assert [line for line in told if "does not take store" in line] == [
            "127.0.0.1 does not take store: it may keep what is sent, which store = false forbids"
        ]
        assert sum("does not take thinkingConfig" in line for line in told) == 1


# What is said of models.


def test_thinking_is_part_of_what_a_picture_is_drawn_from(
    commands: Commands, server: GeminiServer
) -> None:
    """A style's own counts; what the model does unasked outdates nothing, another level does."""
    root = commands.project(beats=1)
    gemini = ("--base-url", server.address)
    assert commands.run("run", root, *gemini).code == 0
    assert {request.thinking for request in server.requests} == {None}
    settings = root / "imagegen.toml"
    settings.write_text('thinking = "medium"')
    assert statuses(commands, root) == {"complete"}
    settings.write_text('[styles.clear]\nthinking = "high"')
    done = commands.run("run", root, *gemini, "--outdated")
    assert done.code == 0
    assert [(r.model, r.thinking) for r in server.requests[3:]] == [(NEW, "HIGH")]
    assert statuses(commands, root) == {"complete"}
    settings.write_text("")
    assert "1 image is outdated: thinking changed" in commands.run("run", root, *gemini).text
    settings.write_text('thinking = "low"')
    assert commands.run("check", root).code == 2


def test_an_unknown_model_draws_and_its_price_is_said_to_be_unknown(
    commands: Commands, server: GeminiServer
) -> None:
    """In any size, with any thinking; nothing that it costs is made up."""
    settings = 'model = "house-model"\nimage_size = "512"\ndraw = ["clear"]'
    root = commands.project(beats=1, keys=ONE, settings=settings)
    server.models = ("house-model",)
    gemini = ("--base-url", server.address)
    done = commands.run("run", root, *gemini, "--progress", "json")
    assert done.code == 0, done.err
    assert done.events[-1]["cost"] is None
    told = [str(e["message"]) for e in done.events if e["type"] == "warning"]
    assert any('what an image of "house-model" costs is not known' in line for line in told)
    assert '"house-model" costs is not known' in commands.run("check", root).out
    assert commands.run("keys", "check", root, *gemini).code == 0


def test_a_model_that_is_gone_names_its_successor(commands: Commands, server: GeminiServer) -> None:
    """Before it is asked, for the service decides; and when it is gone indeed."""
    gone = "gemini-3-pro-image-preview"
    root = commands.project(beats=1, settings=f'model = "{gone}"')
    server.models = (NEW, "gemini-3-pro-image", "gemini-3.1-pro")
    done = commands.run("run", root, "--base-url", server.address)
    text = " ".join(done.text.split())
    assert done.code == 2
    said = f"{gone} was shut down on 25 June 2026; its successor is gemini-3-pro-image"
    assert text.count(said) >= 1
    assert f"image models that the key sees: {NEW}, gemini-3-pro-image" in text
    assert "gemini-3.1-pro" not in text.replace("gemini-3.1-pro-", "")


def test_models_lists_the_table_and_what_the_key_sees(
    commands: Commands, server: GeminiServer
) -> None:
    """A table of less than 80 columns, and JSON; one free request, and no quota."""
    root = commands.project(keys={"clear": ["test-key-alpha-000001", "test-key-beta-000002"]})
    (root / "imagegen.toml").write_text(f'model = "{OLD}"')
    server.models = (*server.models, "gemini-9-image")
    address = ("--base-url", server.address)
    done = commands.run("models", root, *address)
    assert done.code == 0, done.text
    lines = done.out.splitlines()
    (new,) = [line for line in lines if line[3:].startswith(f"{NEW} ")]
    (old,) = [line for line in lines if line[3:].startswith(f"{OLD} ")]
    assert (new[:3], old[:3]) == ("* +", " >+")
    assert new[3:].split()[1:] == ["current", "-", "0.0336", "0.0504", "0.113", "14", "25"]
    rows = lines[2 : lines.index("", 3)]
    assert max(map(len, rows)) < 80
    assert "The key …0001 sees 4 image models." in done.out
    assert "not in the table: gemini-9-image" in done.out
    assert (len(server.listings), server.requests) == (1, [])

    found = json.loads(commands.run("models", root, "--json", *address).out)
    assert (found["schema"], found["used"], found["default"]) == (1, OLD, NEW)
    (listed,) = [model for model in found["models"] if model["name"] == NEW]
    assert listed["sizes"] == {"1K": 0.0336, "2K": 0.0504, "4K": 0.113}
    assert listed["per_million_tokens"]["text_out"] == 7.5
    assert (listed["seen"], listed["default"], listed["used"]) == (True, True, False)
    assert listed["thinking"]["default"] == "medium"


def test_models_does_without_a_key_and_without_the_service(
    commands: Commands, server: GeminiServer
) -> None:
    """Nothing is asked without a key; a service out of reach is said, and the table stands."""
    alone = commands.run("models", "--provider", "openai", "--base-url", server.address)
    assert (alone.code, "gpt-image-2.6-flare" in alone.out) == (0, True)
    assert server.listings == []
    root = commands.project()
    server.set_down(True)
    down = commands.run("models", root, "--base-url", server.address)
    assert (down.code, NEW in down.out) == (0, True)
    assert "can use are unknown: 127.0.0.1" in " ".join(down.out.split())
    assert commands.run("models", "nowhere").code == 2
    assert commands.run("models", root, "--provider", "gemmini").code == 2


def test_keys_check_says_what_helps_each_key(commands: Commands, server: GeminiServer) -> None:
    """In brackets on its line, and below for all that need the same."""
    good, bad = "test-key-alpha-000001", "test-key-beta-000002"
    root = commands.project(keys={"clear": [good, bad]}, settings=f'model = "{OLD}"')
    server.key_mode(bad, Answer.LEAKED_KEY)
    done = commands.run("keys", "check", root, "--base-url", server.address)
    assert done.code == 2
    (line,) = [line for line in done.out.splitlines() if "…0002" in line]
    assert line.endswith("[replace]")
    assert "replace it in" in done.out
    assert f"note: {OLD} is deprecated; its successor is {NEW}" in done.out
    assert server.requests == []
