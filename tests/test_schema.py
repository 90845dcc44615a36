"""Every event is as docs/events.schema.json and docs/events.md say."""

import datetime as dt
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

from commands import STYLES, Commands, Done, row
from gemini_server import Answer, GeminiServer
from imagegen.errors import Exit
from imagegen.events.schema import schema
from imagegen.events.types import AnyEvent, BeatCounts, Event
from imagegen.keys.keyring import ApiKey, RateLimit
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.providers.base import FaultKind, Outcome, Picture, Price, ProviderError, Request
from imagegen.quota.key_state import KeyState
from imagegen.secret import Secret
from virtual import PNG, Show, passing

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "events.md").read_text(encoding="utf-8")
KNOWN: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyEvent)
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """Return what holds a line against the schema as it is written in docs/."""
    written = json.loads((DOCS / "events.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(written)
    return Draft202012Validator(written)


Check = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def check(validator: Draft202012Validator) -> Check:
    """Return what fails unless all events are of known types and as the schema says."""

    def hold(events: list[dict[str, Any]]) -> None:
        assert events
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        for event in events:
            validator.validate(event)
            fields = KNOWN[event["type"]].__struct_encode_fields__
            assert set(event) == {"type", *fields}, event
            times = [event[name] for name in ("time", "until", "resume_after") if event.get(name)]
            for time in times:
                assert time.endswith("Z")
                assert dt.datetime.fromisoformat(time).tzinfo is dt.UTC

    return hold


def lines(text: str) -> list[dict[str, Any]]:
    """Return every line as JSON, strictly: no line may be anything else."""
    return [json.loads(line) for line in text.splitlines()]


def journal(root: Path) -> str:
    """Return the last run's journal."""
    return max((root / ".imagegen/runs").glob("*.jsonl")).read_text(encoding="utf-8")


def types(events: list[dict[str, Any]]) -> list[str]:
    """Return the events' types without repetitions, in order of appearance."""
    return list(dict.fromkeys(event["type"] for event in events))


def of_type(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the events of one type."""
    return [event for event in events if event["type"] == name]


# -- the documents ---------------------------------------------------------------------


def test_the_schema_in_docs_is_current() -> None:
    """Where it is not: python docs/make_schema.py."""
    spec = importlib.util.spec_from_file_location("make_schema", DOCS / "make_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "events.schema.json").read_text(encoding="utf-8") == module.page()


def section(title: str) -> str:
    """Return a section of docs/events.md."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/events.md has no section {title}"
    return found[1]


def named(text: str) -> set[str]:
    """Return what stands in the first column of a section's tables."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", KNOWN)
def test_the_page_names_every_field_of_every_type(name: str) -> None:
    """And none that there is not."""
    own = set(KNOWN[name].__struct_encode_fields__) - set(Event.__struct_fields__)
    first_table = section(f"`{name}`").split("| field |")[1].split("\n\n")[0]
    assert named(first_table) == own


def test_the_page_names_the_fields_of_all_and_of_their_parts() -> None:
    """Those that every event has, counts and errors."""
    assert named(section("In every event")) == {"type", *Event.__struct_fields__}
    assert named(section("Counts")) == set(BeatCounts.__struct_fields__)
    assert set(BeatError.__struct_fields__) <= named(section("Errors"))


def test_the_page_names_every_word_that_a_field_can_have() -> None:
    """States of keys, causes of errors, statuses of beats."""
    assert {state.value for state in KeyState} <= named(section("`key`"))
    assert {kind.value for kind in FaultKind} <= named(section("Errors"))
    words = set(re.findall(r"`([^`]+)`", section("`progress`")))
    assert {status.value for status in Status} <= words


def test_later_versions_may_add_fields_and_types(validator: Draft202012Validator) -> None:
    """A reader of today that validates what it reads goes on with them."""
    envelope = {"schema": 1, "run": "r", "seq": 1, "time": "2026-11-22T14:00:00.000Z"}
    validator.validate(envelope | {"type": "news", "of": "another kind"})
    validator.validate(
        envelope | {"type": "warning", "message": "careful", "note": False, "since": 3}
    )


@pytest.mark.parametrize(
    "fault",
    [
        {"message": 3},
        {"seq": 0},
        {"schema": 2},
        {"run": None},
        {"type": "progress"},
        {"type": None},
        {"type": "complete"},
    ],
)
def test_the_schema_refuses_what_is_none(
    validator: Draft202012Validator, fault: dict[str, object]
) -> None:
    """Wrong types, missing fields and another schema."""
    event = {
        "schema": 1,
        "run": "r",
        "seq": 1,
        "time": "2026-11-22T14:00:00.000Z",
        "type": "warning",
        "note": False,
        "message": "careful",
    }
    assert validator.is_valid(event)
    assert not validator.is_valid(event | fault)
    assert not validator.is_valid({name: event[name] for name in event if name != "message"})


def test_every_field_is_required() -> None:
    """Readers need not guess what a missing field means."""
    for part in schema()["$defs"].values():
        assert set(part.get("properties", {})) == set(part.get("required", ()))


# -- the command -----------------------------------------------------------------------


def run(commands: Commands, root: Path, *more: object) -> Done:
    """Draw with events on stdout."""
    return commands.run("run", root, "--progress", "json", *more)


def test_a_run_with_all_kinds_of_answers(
    commands: Commands, server: GeminiServer, check: Check
) -> None:
    """Pictures, faults, refusals, a 429 and a rejected key: each line is valid."""
    keys = {s: [f"test-key-{s}-{n:06d}" for n in range(2)] for s in STYLES}
    root = commands.project(beats=6, keys=keys)
    server.key_mode(keys["clear"][0], Answer.BAD_KEY)
    server.fault("prompt <1>", Answer.UNAVAILABLE, Answer.REFUSED)
    server.fault("prompt <2>", Answer.NO_IMAGE)
    server.fault("prompt <3>", Answer.JPEG_AS_PNG)
    server.fault(lambda r: r.key == keys["consistent"][0], Answer.DAY)
    done = run(commands, root, "--base-url", server.address)
    assert done.code == 1, done.err
    events = lines(done.out)
    check(events)
    assert done.out == journal(root)
    assert types(events)[0] == "start"
    assert types(events)[-1] == "complete"
    assert {"progress", "key", "forecast"} <= set(types(events))
    states = {event["state"] for event in of_type(events, "key")}
    assert {"ready", "rejected", "spent today"} <= states
    assert {event["status"] for event in of_type(events, "progress")} == {
        "pending",
        "generating",
        "complete",
        "error",
    }
    assert events[-1]["answers"]["refused"] == 1
    # People are told on the other stream.
    assert "17 of 18" in done.err


def test_an_interrupted_run(commands: Commands, server: GeminiServer, check: Check) -> None:
    """What follows the first Ctrl-C is told by events too."""
    root = commands.project(beats=3)
    with server.held():
        process = commands.start("run", root, "--progress", "json", "--base-url", server.address)
        assert server.wait_for_requests(9)
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout is not None
        told = ""
        while '"finishing"' not in told:
            told += process.stdout.readline()
    done = commands.wait(process)
    events = lines(told + done.out)
    check(events)
    assert told + done.out == journal(root)
    assert (events[-1]["reason"], events[-1]["exit_code"]) == ("interrupted", done.code)


def test_nothing_started(commands: Commands, check: Check) -> None:
    """A single `error`, with every fault of the files; nothing else on stdout."""
    root = commands.project(beats=[row(0), row(1, ai_prompt=None), row(2, beat_number="1/2")])
    done = run(commands, root, "--provider", "sketch")
    assert done.code == 2
    (event,) = lines(done.out)
    check([event])
    assert event["type"] == "error"
    assert {fault["row"] for fault in event["faults"]} == {2, 3}

    done = run(commands, commands.folder / "nowhere")
    (event,) = lines(done.out)
    check([event])
    assert (event["exit_code"], event["faults"]) == (2, [])


@pytest.mark.parametrize(
    "wrong",
    [
        ["--progress=json", "--bogus"],
        ["--max-cost", "-1", "--progress", "json"],
        ["--progress", "json", "--limit", "x"],
        ["--progress", "json", "--shot", "9"],
        ["--progress", "json", "--max-time", "soon"],
        ["--progress", "json", "--dry-run", "--detach"],
    ],
)
def test_wrong_words_are_told_as_all_that_nothing_can_start_with(
    commands: Commands, check: Check, wrong: list[str]
) -> None:
    """A program that reads events need not look for them anywhere else."""
    done = commands.run("run", commands.project(beats=1), *wrong)
    (event,) = lines(done.out)
    check([event])
    assert (event["type"], event["exit_code"], done.code) == ("error", 2, 2)
    assert event["message"] in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_error_that_no_program_can_be_told_has_its_exit_code(commands: Commands) -> None:
    """The words are on stderr."""
    command = [sys.executable, "-m", "imagegen", "run", "nowhere", "--progress", "json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            env=commands.env,
            cwd=commands.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr


@pytest.mark.slow
def test_a_run_that_draws_nothing(commands: Commands, check: Check) -> None:
    """Where all is there, and where only asked, stdout has events or nothing."""
    root = commands.project(beats=1)
    sketch = ("--provider", "sketch")
    assert run(commands, root, *sketch, "--dry-run").out == ""
    check(lines(run(commands, root, *sketch).out))
    again = lines(run(commands, root, *sketch).out)
    check(again)
    assert again[-1]["reason"] == "complete"
    assert [event["type"] for event in again if event["type"] == "progress"] == []


# -- the engine ------------------------------------------------------------------------


def events_of(show: Show) -> list[dict[str, Any]]:
    """Draw, and return the events as they are written."""
    show.draw()
    return [msgspec.json.decode(msgspec.json.encode(event)) for event in show.events]


def key(name: str) -> ApiKey:
    """Return a key that is not one."""
    return ApiKey(Secret(f"test-key-{name}-000001"), RateLimit(9))


def out_of_reach(show: Show, *, endpoint: bool) -> None:
    """Let the service fail for some minutes."""
    began = show.clock.now()

    def failing() -> bool:
        return 5 <= show.clock.now() - began < 120

    show.provider.answer = lambda _request, _key: passing() if failing() else Picture(data=PNG)
    if endpoint:
        show.provider.listing = lambda: passing() if failing() else ("model-1",)


def refuse(show: Show, *styles: str, kind: FaultKind = FaultKind.SPENT_TODAY) -> None:
    """Let the keys of these styles be of no use."""

    def answer(_: Request, secret: str) -> Outcome:
        if any(style in secret for style in styles):
            return ProviderError(kind=kind, reason="quota", message="no more", retry_after=20.0)
        return Picture(data=PNG)

    show.provider.answer = answer


@pytest.mark.slow
def test_every_reason_to_wait(tmp_path: Path, check: Check) -> None:
    """Keys, rounds, outages of both kinds, lent keys, a signal and a request to stop."""
    seen: set[str] = set()

    def see(show: Show) -> None:
        events = events_of(show)
        check(events)
        seen.update(event["reason"] for event in of_type(events, "wait"))

    def folder(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    show = Show(folder("down"), beats={"clear": 40}, price=Price(picture=0.1))
    out_of_reach(show, endpoint=True)
    see(show)
    show = Show(folder("trying"), beats={"clear": 60}, keys_a_style=4)
    out_of_reach(show, endpoint=False)
    see(show)
    for name, attempts in (("round", 1), ("retry", 4)):
        show = Show(folder(name), beats={"clear": 1}, max_attempts=attempts)
        answers: list[Outcome] = [passing()]
        show.provider.answer = lambda _request, _key, left=answers: (  # type: ignore[misc]
            left.pop() if left else Picture(data=PNG)
        )
        see(show)
    both = {"clear": (key("clear"),), "consistent": (key("consistent"),)}
    show = Show(folder("lending"), beats={"clear": 3, "consistent": 12}, keys=both, lend=True)
    refuse(show, "clear")
    see(show)
    show = Show(folder("signal"), beats={"clear": 12})
    show.later(4, lambda: show.engine.supervisor.signal(Exit.SIGINT))
    see(show)
    show = Show(folder("stop"), beats={"clear": 12})
    (show.layout.root / ".imagegen").mkdir()
    stop = show.layout.state_dir / "stop"

    def ask_to_stop() -> None:
        stop.write_text("run-1")

    show.later(4, ask_to_stop)
    see(show)
    reasons = {
        "keys",
        "lending",
        "retry",
        "round",
        "offline",
        "trying",
        "online",
        "finishing",
        "stopping",
    }
    assert seen == reasons
    assert seen <= named(section("`wait`"))


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.LIMITED,
        FaultKind.SPENT_TODAY,
        FaultKind.OUT_OF_CREDIT,
        FaultKind.NO_QUOTA,
        FaultKind.KEY_REJECTED,
    ],
)
def test_every_state_of_a_key(tmp_path: Path, check: Check, kind: FaultKind) -> None:
    """Whatever becomes of a key, its event is valid and its ending is named on the page."""
    show = Show(tmp_path, beats={"clear": 12})
    refuse(show, "clear", kind=kind)
    events = events_of(show)
    check(events)
    states = {event["state"] for event in of_type(events, "key")}
    ends = states & {"cooling", "spent today", "out of credit", "no quota", "rejected"}
    assert ends
    assert ends <= named(section("`key`"))
    assert events[-1]["reason"] in named(section("`complete`"))
