"""The main job against a real HTTP server that speaks the Gemini API."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from commands import STYLES, Commands, picture, pictures, row
from gemini_server import Answer, GeminiServer, answers
from imagegen.project.record import DrawRequest
from imagegen.workspace.credentials import CredentialOptions
from imagegen.workspace.reading import read_project


def test_every_picture_answers_its_own_prompt(commands: Commands, server: GeminiServer) -> None:
    """Each file holds what the service drew for that beat's words in that style."""
    root = commands.project(beats=12)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 36
    sent = {request.prompt for request in server.requests}
    for style in STYLES:
        for number in range(12):
            data = picture(root, style, number).read_bytes()
            drawn = [p for p in sent if f"prompt <{number}>" in p and answers(data, p)]
            assert len(drawn) == 1
    assert Counter(request.status for request in server.requests) == {200: 36}


def test_styles_add_their_looks_to_shared_words(commands: Commands, server: GeminiServer) -> None:
    """The same words are sent three times, each with another look."""
    root = commands.project(beats=1)
    commands.run("run", root, "--base-url", server.address)
    prompts = [request.prompt for request in server.requests]
    assert len(set(prompts)) == 3
    assert all(prompt.startswith("prompt <0>\n\n") for prompt in prompts)


def test_style_reference_goes_with_hard_cuts_alone(
    commands: Commands, server: GeminiServer
) -> None:
    """The reference is sent with the first beat of each shot, byte for byte, and no other."""
    root = commands.project(beats=11)
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    digest = hashlib.sha256((root / "style_reference.png").read_bytes()).hexdigest()
    commands.run("run", root, "--base-url", server.address)
    with_reference = {r.prompt.split("\n")[0] for r in server.requests if r.references}
    assert with_reference == {"prompt <0>", "prompt <5>", "prompt <10>"}
    assert {ref for r in server.requests for ref in r.references} == {("image/png", digest)}


def test_missing_reference_stops_before_anything_is_sent(
    commands: Commands, server: GeminiServer
) -> None:
    """A setting that names no file is a fault of the settings."""
    root = commands.project(settings='style_reference = "look.png"\n')
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 2
    assert "look.png" in done.err
    assert not server.requests


def test_run_on_a_complete_project_sends_nothing(commands: Commands, server: GeminiServer) -> None:
    """What exists is not drawn again, and no key is needed for it."""
    root = commands.project()
    commands.run("run", root, "--base-url", server.address)
    before = len(server.requests)
    (root / "keys.toml").unlink()
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == before


@pytest.mark.parametrize("harm", ["delete", "truncate", "overwrite"])
def test_a_harmed_picture_is_drawn_again_alone(
    commands: Commands, server: GeminiServer, harm: str
) -> None:
    """Exactly the beat whose picture is gone or torn is drawn; what was torn is kept aside."""
    root = commands.project()
    commands.run("run", root, "--base-url", server.address)
    before = len(server.requests)
    path = picture(root, "clear", 1)
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_bytes(b"no picture")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert [r.prompt.split("\n")[0] for r in server.requests[before:]] == ["prompt <1>"]
    kept = list((root / "old_images").rglob("*.png")) if harm != "delete" else [path]
    assert len(kept) == 1


@pytest.mark.parametrize("harm", ["delete", "corrupt", "lie"])
def test_progress_files_follow_the_pictures(
    commands: Commands, server: GeminiServer, harm: str
) -> None:
    """A progress file that is gone, torn or wrong is put right, and nothing is redrawn."""
    root = commands.project()
    commands.run("run", root, "--base-url", server.address)
    path = root / "image_progress_clear.json"
    before = json.loads(path.read_text())
    if harm == "delete":
        path.unlink()
    elif harm == "corrupt":
        path.write_bytes(b'{"completedBeats": ["1.')
    else:
        path.write_text('{"completedBeats": ["9.9"], "lastUpdated": "2020-01-01T00:00:00Z"}')
    sent = len(server.requests)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == sent
    after = json.loads(path.read_text())
    assert after["completedBeats"] == before["completedBeats"] == ["1.1", "1.2", "1.3"]
    assert after["drawn"] == [["1", "1.1"], ["1", "1.2"], ["1", "1.3"]]


def test_jpeg_in_place_of_a_picture_is_converted(commands: Commands, server: GeminiServer) -> None:
    """A whole JPEG under the PNG's name is the picture: it becomes a PNG without a request."""
    root = commands.project(beats=1)
    path = picture(root, "clear", 0)
    path.parent.mkdir(parents=True)
    Image.new("RGB", (64, 36), "orange").save(path, "JPEG")
    done = commands.run("run", root, "--style", "clear", "--base-url", server.address)
    assert done.code == 0, done.text
    assert not server.requests
    with Image.open(path) as image:
        assert image.format == "PNG"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_is_resumed_without_redoing(
    commands: Commands, server: GeminiServer, number: int
) -> None:
    """After an interruption every prompt is answered once in all, and a second resume is idle."""
    # A short timeout keeps few requests in flight: 10 a style.
    root = commands.project(beats=20, settings="timeout = 1\n", lend=False)
    server.latency = 0.2
    process = commands.start("run", root, "--base-url", server.address, "--progress", "json")
    assert server.wait_for_requests(12)
    process.send_signal(number)
    interrupted = commands.wait(process)
    assert interrupted.code == 128 + number, interrupted.text
    assert interrupted.events[-1]["type"] == "complete"

    status = json.loads(commands.run("status", root, "--json").out)
    assert status["active"] is False
    on_disk = len(pictures(root))
    assert sum(style["complete"] for style in status["styles"].values()) == on_disk
    assert commands.run("status", root, "--check").code == 3

    resumed = commands.run("resume", root, "--base-url", server.address)
    assert resumed.code == 0, resumed.text
    assert len(pictures(root)) == 60
    # SIGTERM abandons requests, which are sent again.
    answered = Counter(r.prompt for r in server.requests if r.whole or number == signal.SIGTERM)
    assert len(answered) == 60
    if number == signal.SIGINT:
        assert set(answered.values()) == {1}
    sent = len(server.requests)
    again = commands.run("resume", root, "--base-url", server.address)
    assert again.code == 0
    assert len(server.requests) == sent
    assert commands.run("status", root, "--check").code == 0


@pytest.mark.slow
def test_killed_run_leaves_a_project_that_resumes(commands: Commands, server: GeminiServer) -> None:
    """After kill -9 the lock blocks nobody, no temporary file survives, and all is drawn."""
    root = commands.project(beats=20, keys=2)
    server.latency = 0.05
    process = commands.start("run", root, "--base-url", server.address)
    assert server.wait_for_requests(15)
    process.kill()
    commands.wait(process)
    drawn = {path: path.read_bytes() for path in pictures(root)}
    assert commands.run("status", root).code == 0
    resumed = commands.run("resume", root, "--base-url", server.address)
    assert resumed.code == 0, resumed.text
    assert len(pictures(root)) == 60
    assert all(path.read_bytes() == data for path, data in drawn.items())
    assert not list(root.rglob("*.tmp"))


def test_second_run_on_a_project_is_refused(commands: Commands, server: GeminiServer) -> None:
    """Whoever comes second exits 4 and is told which process was first."""
    root = commands.project()
    with server.held():
        process = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(1)
        second = commands.run("run", root, "--base-url", server.address)
        assert second.code == 4
        assert str(process.pid) in second.err
        shown = json.loads(commands.run("status", root, "--json").out)
        assert shown["active"] is True
        assert shown["pid"] == process.pid
    assert commands.wait(process).code == 0


@pytest.mark.slow
def test_stop_ends_a_run_gently(commands: Commands, server: GeminiServer) -> None:
    """`stop` lets what is in flight finish, exits 3, and `resume` draws the rest."""
    root = commands.project(beats=60, per_minute=60, settings="timeout = 10\n", lend=False)
    server.latency = 0.5
    with server.held():
        process = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(3)
        assert commands.run("stop", root).code == 0
    stopped = commands.wait(process)
    assert stopped.code == 3, stopped.text
    assert "stopped on request" in stopped.out
    assert commands.run("resume", root, "--base-url", server.address).code == 0
    assert Counter(r.prompt for r in server.requests if r.whole).most_common(1)[0][1] == 1
    idle = commands.run("stop", root)
    assert idle.code == 0
    assert "no active run" in idle.out


def test_selects_styles_shots_and_beats(commands: Commands, server: GeminiServer) -> None:
    """Options narrow what is drawn; an unknown one is refused with a suggestion."""
    root = commands.project(beats=10)
    address = ("--base-url", server.address)
    commands.run("run", root, "--style", "clear", "--shot", 2, *address)
    assert len(pictures(root)) == 5
    commands.run("run", root, "--beat", "consistent/1.3", "--beat", "1.1", *address)
    assert len(pictures(root)) == 9
    commands.run("run", root, "--limit", 4, *address)
    assert len(pictures(root)) == 13
    wrong = commands.run("run", root, "--style", "cleer", *address)
    assert wrong.code == 2
    assert 'did you mean "clear"?' in wrong.err


def test_force_keeps_the_old_picture(commands: Commands, server: GeminiServer) -> None:
    """A picture that is drawn again is kept in old_images; many need a word of consent."""
    root = commands.project(beats=12, settings='draw = ["clear"]\n')
    address = ("--base-url", server.address)
    commands.run("run", root, *address)
    before = picture(root, "clear", 0).read_bytes()
    refused = commands.run("run", root, "--force", *address)
    assert refused.code == 2
    assert "--yes" in refused.err
    done = commands.run("run", root, "--force", "--beat", "1.1", *address)
    assert done.code == 0, done.text
    assert len(server.requests) == 13
    (kept,) = (root / "old_images").rglob("Beat_1.1.png")
    assert kept.read_bytes() == before


def test_detail_of_a_request_is_shown_by_check(commands: Commands) -> None:
    """`check --show` prints the exact words that would be sent, however many."""
    many = "\n".join(" ".join(f"word-{n}-{m}" for m in range(3000)) for n in range(2))
    root = commands.project(
        beats=[row(0, ai_prompts={"clear": f"only these words\n{many}"})],
        settings='[styles.clear]\nlook = "In two colours."\n',
    )
    done = commands.run("check", root, "--show", "clear/1.1")
    assert done.code == 0, done.text
    assert "only these words" in done.out
    assert done.out.split().count("word-1-2999") == 1
    assert set(many.split()) <= set(done.out.split())
    assert "In two colours." in done.out


def test_dry_run_sends_and_writes_nothing(commands: Commands, server: GeminiServer) -> None:
    """`--dry-run` says how much there is to draw."""
    root = commands.project(beats=10, per_minute=9, keys=1)
    before = sorted(root.rglob("*"))
    done = commands.run("run", root, "--dry-run", "--base-url", server.address)
    assert done.code == 0
    assert "30 images would be drawn" in done.out
    assert not server.requests
    assert sorted(root.rglob("*")) == before


def test_answers_are_found_in_the_pictures(commands: Commands, server: GeminiServer) -> None:
    """A picture tells from which words, look and model it was drawn."""
    root = commands.project(beats=1)
    commands.run("run", root, "--base-url", server.address)
    with Image.open(picture(root, "clear", 0)) as image:
        told = json.loads(image.info["imagegen"])
    assert told["words"]["sha256"] == hashlib.sha256(b"prompt <0>").hexdigest()
    assert told["look"]["by"] == "default"
    assert (told["style"], told["shot"], told["beat"]) == ("clear", "1", "1.1")


def test_events_are_json_lines_and_nothing_else(commands: Commands, server: GeminiServer) -> None:
    """With `--progress json` stdout holds one event a line, from start to complete."""
    root = commands.project(beats=2)
    server.fault("prompt <1>", Answer.BLOCKED, times=3)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    events = done.events
    assert done.code == 1
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)  # type: ignore[type-var]
    assert events[0]["type"] == "start"
    assert events[-1]["type"] == "complete"
    assert events[-1]["exit_code"] == 1
    journal = max((root / ".imagegen/runs").iterdir())
    assert [json.loads(line) for line in journal.read_text().splitlines()] == events


def test_two_projects_share_a_key_fairly(commands: Commands, server: GeminiServer) -> None:
    """Two runs at once on one key never exceed its budget together."""
    server.limit = 6
    keys = {style: ["test-key-shared-000001"] for style in STYLES}
    first = commands.project("first", beats=2, keys=keys, per_minute=6)
    second = commands.project("second", beats=2, keys=keys, per_minute=6)
    started = [
        commands.start("run", root, "--base-url", server.address, "--max-time", "3s")
        for root in (first, second)
    ]
    for process in started:
        commands.wait(process)
    assert all(request.status == 200 for request in server.requests)
    assert len(server.requests) <= 6


def test_refused_force_is_not_what_resume_carries_on(
    commands: Commands, server: GeminiServer
) -> None:
    """A run that nobody consented to leaves the record of the run before as it was."""
    root = commands.project(beats=12, settings='draw = ["clear"]\n')
    address = ("--base-url", server.address)
    commands.run("run", root, *address)
    record = (root / ".imagegen/run.json").read_bytes()
    assert commands.run("run", root, "--force", *address).code == 2
    assert (root / ".imagegen/run.json").read_bytes() == record
    assert commands.run("resume", root, *address).code == 0
    assert len(server.requests) == 12


@pytest.mark.slow
def test_interrupted_force_is_carried_on_without_repeating(
    commands: Commands, server: GeminiServer
) -> None:
    """Of a forced run only what it had not yet redrawn is drawn by `resume`."""
    root = commands.project(beats=40, settings='draw = ["clear"]\ntimeout = 1\n')
    address = ("--base-url", server.address)
    commands.run("run", root, *address)
    server.latency = 0.3
    process = commands.start("run", root, "--force", "--yes", *address)
    assert server.wait_for_requests(45)
    process.send_signal(signal.SIGINT)
    assert commands.wait(process).code == 130
    done = commands.run("resume", root, "--yes", *address)
    assert done.code == 0, done.text
    assert len(server.requests) == 80


def test_resume_needs_a_run_or_pictures(commands: Commands, server: GeminiServer) -> None:
    """Without a record `resume` is `run` where there are pictures, and else exits 2."""
    root = commands.project(beats=2)
    fresh = commands.run("resume", root, "--progress", "json")
    assert fresh.code == 2
    assert [event["type"] for event in fresh.events] == ["error"]
    commands.run("run", root, "--limit", 1, "--base-url", server.address)
    (root / ".imagegen/run.json").unlink()
    assert commands.run("resume", root, "--base-url", server.address).code == 0
    assert len(pictures(root)) == 6


def test_resume_reads_the_beats_that_the_run_read(commands: Commands, server: GeminiServer) -> None:
    """--beats is remembered inside the project; from outside it must be named again."""
    root = commands.project(beats=1)
    inside = root / "other.json"
    inside.write_text(json.dumps([row(n) for n in range(3)]))
    address = ("--base-url", server.address)
    commands.run("run", root, "--beats", inside, "--limit", 1, *address)
    assert commands.run("resume", root, *address).code == 0
    assert len(pictures(root)) == 9
    outside = commands.folder / "outside.json"
    outside.write_text(json.dumps([row(n) for n in range(4)]))
    commands.run("run", root, "--beats", outside, "--limit", 1, *address)
    refused = commands.run("resume", root, *address)
    assert refused.code == 2
    assert "--beats" in refused.err


def test_faults_of_beats_and_keys_are_told_together(commands: Commands) -> None:
    """One run of `check` names what is wrong in every file."""
    root = commands.project(beats=[row(0, ai_prompt="")], keys={"cleer": ["test-key-clear-000001"]})
    done = commands.run("check", root)
    assert done.code == 2
    assert "ai_prompt" in done.err
    assert 'did you mean "clear"?' in done.err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_stdout_is_no_fault_of_ours(commands: Commands, unbuffered: str) -> None:
    """A log that cannot be written ends a look at the project, and no run, which says so too."""
    root = commands.project(beats=2)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        sketch = ("run", "--provider", "sketch")
        # How a run ended tells more than that nobody was told.
        for code, *command in ((3, *sketch, "--max-time", "5s"), (141, *sketch), (141, "status")):
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "imagegen",
                    str(command[0]),
                    str(root),
                    *map(str, command[1:]),
                ],
                env=commands.env | {"PYTHONUNBUFFERED": unbuffered},
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == code, done.stderr
            assert code == 3 or "No space left" in done.stderr
            assert "Traceback" not in done.stderr
    assert len(list(root.glob("generated_images/*/*/*.png"))) == 6
    assert len(pictures(root)) == 6


@pytest.mark.slow
def test_closed_streams_end_no_run(commands: Commands) -> None:
    """Started without stdout and stderr, a run draws all the same."""
    root = commands.project(beats=2)
    shell = f'exec "{sys.executable}" -m imagegen run "{root}" --provider sketch >&- 2>&-'
    done = subprocess.run(["/bin/sh", "-c", shell], env=commands.env, timeout=60, check=False)
    assert done.returncode == 0
    assert len(pictures(root)) == 6


def test_ended_at_once_counts_what_was_sent(commands: Commands, server: GeminiServer) -> None:
    """After SIGTERM the requests under way count as sent, and nothing is saved any more."""
    root = commands.project(beats=4, settings='draw = ["clear"]\n')
    with server.held():
        process = commands.start("run", root, "--base-url", server.address, "--progress", "json")
        assert server.wait_for_requests(4)
        process.send_signal(signal.SIGTERM)
        done = commands.wait(process)
    assert done.code == 143
    assert done.events[-1]["requests"] == 4
    assert not pictures(root)


@pytest.mark.slow
def test_sketches_do_not_get_into_the_film(commands: Commands, server: GeminiServer) -> None:
    """Those that were drawn to try things out are drawn over, beside what was missing."""
    root = commands.project(beats=2)
    commands.run("run", root, "--provider", "sketch", "--limit", 4)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == 6


def test_stop_when_nothing_is_left_is_no_early_end(
    commands: Commands, server: GeminiServer
) -> None:
    """A request to stop that comes when all is in flight ends with all drawn, exit 0."""
    root = commands.project(beats=2, settings='draw = ["clear"]\n')
    server.latency = 2.0
    process = commands.start("run", root, "--base-url", server.address)
    assert server.wait_for_requests(2)
    assert commands.run("stop", root).code == 0
    done = commands.wait(process)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 2


def test_path_that_cannot_be_is_told_in_one_line(commands: Commands) -> None:
    """What the file system refuses is a wrong path, and neither our fault nor the output's."""
    done = commands.run("status", "x" * 300)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "too long" in done.err


def test_keyless_provider_needs_no_address(commands: Commands) -> None:
    """What is said of keys and addresses does not concern a provider without keys."""
    root = commands.project(beats=1)
    env = {"IMAGEGEN_BASE_URL": "http://example.invalid"}
    done = commands.run("run", root, "--provider", "sketch", env=env)
    assert done.code == 0, done.text
    assert "unencrypted" not in done.text


def test_keys_in_the_clear_are_warned_of(commands: Commands) -> None:
    """An address that begins with http:// and is not this machine's gets a warning."""
    root = commands.project(beats=1)

    def warnings(address: str) -> list[str]:
        return read_project(
            root, DrawRequest(), CredentialOptions(base_url=address)
        ).credentials.address_warnings()

    assert "unencrypted to 192.0.2.1" in warnings("http://192.0.2.1")[0]
    assert not warnings("https://192.0.2.1")
    assert not warnings("http://127.0.0.1:8080")


@pytest.mark.slow
def test_status_remembers_what_it_looked_at(commands: Commands) -> None:
    """A picture is opened once: after `status` the index knows it."""
    root = commands.project(beats=1)
    commands.run("run", root, "--provider", "sketch")
    for path in pictures(root):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    index = root / ".imagegen/index"
    before = index.read_bytes() if index.exists() else b""
    assert commands.run("status", root).code == 0
    assert all(
        str(path.relative_to(root)).encode() in index.read_bytes() for path in pictures(root)
    )
    assert index.read_bytes() != before


def test_torn_jpeg_counts_as_no_picture(commands: Commands, server: GeminiServer) -> None:
    """A JPEG that turns out to be torn is drawn again, and is not listed as drawn until then."""
    root = commands.project(beats=1, settings='draw = ["clear"]\n')
    path = picture(root, "clear", 0)
    path.parent.mkdir(parents=True)
    Image.new("RGB", (640, 360), "orange").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:400])
    server.fault("prompt <0>", Answer.BLOCKED)
    refused = commands.run("run", root, "--base-url", server.address)
    assert refused.code == 1
    progress = json.loads((root / "image_progress_clear.json").read_text())
    assert progress["completedBeats"] == []
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert answers(path.read_bytes(), server.requests[-1].prompt)


@pytest.mark.parametrize("settings", ["", "continuity = true\n"])
def test_a_torn_jpeg_is_drawn_within_the_limit(
    commands: Commands, server: GeminiServer, settings: str
) -> None:
    """What the limit leaves is the next run's, and nothing is drawn from what is not there."""
    root = commands.project(beats=2, settings=f'draw = ["clear"]\n{settings}')
    path = picture(root, "clear", 0)
    path.parent.mkdir(parents=True)
    Image.new("RGB", (640, 360), "orange").save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:400])
    run = ("run", root, "--limit", 1, "--base-url", server.address)
    for number in (0, 1):
        assert commands.run(*run).code == 0
        assert [request.prompt[:10] for request in server.requests][number:] == [
            f"prompt <{number}>"
        ]
    assert len(pictures(root)) == 2


def test_a_dry_run_of_force_says_what_exists(commands: Commands, server: GeminiServer) -> None:
    """Pictures that would be replaced are not passed over in silence."""
    root = commands.project()
    commands.run("run", root, "--base-url", server.address)
    done = commands.run("run", root, "--force", "--dry-run")
    assert "9 of them exist" in done.out
