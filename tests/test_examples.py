"""The examples for CI: the script draws, waits and gives up; the workflow fits the command."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands import Commands, Done, pictures
from gemini_server import Answer, GeminiServer

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPT = EXAMPLES / "ci.sh"
WORKFLOW = EXAMPLES / "github-actions.yml"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the script is a Unix shell's")


@dataclass
class Job:
    """Runs the script with a `sleep` that notes how long it was to be, and returns."""

    commands: Commands
    tools: Path

    def program(self, name: str, text: str) -> None:
        """Put a shell script of this name before all others on the path."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def imagegen(self, code: int, *status: str) -> None:
        """Let `imagegen run` end with `code`, and `status --json` say each of these in turn."""
        for number, text in enumerate(status):
            (self.tools / f"status.{number}").write_text(text)
        self.program(
            "imagegen",
            f"""cd {self.tools}; echo "$@" >> asked
case "$*" in
  run*) exit {code} ;;
esac
n=$(cat told 2>/dev/null || echo 0)
echo $((n + 1)) > told
[ -f status.$n ] || n=$(({len(status)} - 1))
cat status.$n""",
        )

    def start(self, *arguments: object, **env: str) -> "subprocess.Popen[str]":
        """Start the script."""
        path = f"{self.tools}{os.pathsep}{self.commands.env['PATH']}"
        return subprocess.Popen(
            ["sh", str(SCRIPT), *map(str, arguments)],
            cwd=self.commands.folder,
            env=self.commands.env | {"PATH": path, "PYTHON": sys.executable} | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, **env: str) -> Done:
        """Run the script to its end."""
        process = self.start(*arguments, **env)
        return self.commands.wait(process)

    def lines(self, name: str) -> list[str]:
        """Return what `sleep` or `imagegen` was called with."""
        path = self.tools / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def slept(self) -> list[int]:
        """How many seconds each wait was to be."""
        return [int(line) for line in self.lines("slept")]

    @property
    def runs(self) -> int:
        """How often it drew."""
        return sum(line.startswith("run") for line in self.lines("asked"))


@pytest.fixture
def job(commands: Commands, tmp_path: Path) -> Job:
    """Return what runs the script with the real command."""
    tools = tmp_path / "tools"
    tools.mkdir()
    made = Job(commands, tools)
    made.program("imagegen", f'exec {sys.executable} -m imagegen "$@"')
    made.program("sleep", f'echo "$1" >> {tools}/slept')
    return made


def said(complete: int, resume_after: datetime | None) -> str:
    """Return what `imagegen status --json` says, as far as the script reads it."""
    after = resume_after.strftime("%Y-%m-%dT%H:%M:%SZ") if resume_after else None
    styles = {"clear": {"complete": complete, "beats": []}}
    return json.dumps({"resume_after": after, "styles": styles})


def soon(seconds: float) -> datetime:
    """Return a time so many seconds from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.slow
def test_what_was_not_asked_for_is_not_waited_for(job: Job, server: GeminiServer) -> None:
    """With options of a run it has done its work when that is drawn."""
    root = job.commands.project()
    done = job.run(root, "--style", "clear", "--shot", "1", "--base-url", server.address)
    assert done.code == 0, done.text
    assert {path.parts[-3] for path in pictures(root)} == {"clear"}
    assert not job.slept


@pytest.mark.slow
@pytest.mark.parametrize("joined", [True, False])
def test_another_beats_file_may_be_named(job: Job, server: GeminiServer, *, joined: bool) -> None:
    """Though the project has none of its own: with a blank in its name, too."""
    root = job.commands.project()
    other = (root / "beats.json").rename(root / "the other.json")
    beats = [f"--beats={other}"] if joined else ["--beats", other]
    done = job.run(root, *beats, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 9


@pytest.mark.slow
def test_it_draws_everything(job: Job, server: GeminiServer) -> None:
    """Where nothing goes wrong it draws once, waits for nothing and ends with 0."""
    root = job.commands.project()
    done = job.run(root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(pictures(root)) == 9
    assert not job.slept


@pytest.mark.slow
def test_it_waits_for_the_quota_and_goes_on(job: Job, server: GeminiServer) -> None:
    """On exit 3 it waits until resume_after, runs again, and draws nothing twice."""
    root = job.commands.project(beats=4, per_minute=2, settings="timeout = 1")
    keys = root / "keys.toml"
    job.program(
        "sleep",
        f"""echo "$1" >> {job.tools}/slept
mended=$(sed 's/minute = 2/minute = 600/' {keys}); printf '%s' "$mended" > {keys}""",
    )
    done = job.run(root, "--max-time", "5s", "--base-url", server.address, MIN_WAIT="7")
    assert done.code == 0, done.text
    assert len(job.slept) == 1
    assert 7 <= job.slept[0] <= 65
    assert len(pictures(root)) == len(server.requests) == 12


@pytest.mark.slow
def test_it_lists_beats_in_error(job: Job, server: GeminiServer) -> None:
    """On exit 1 it names each beat with its reason, on lines of their own, and ends with 1."""
    root = job.commands.project()
    server.fault("prompt <1>", Answer.REFUSED)
    done = job.run(root, "--style", "clear", "--base-url", server.address)
    assert done.code == 1
    assert re.search(r"^  clear/1/1\.2  \S+: ", done.out, re.MULTILINE)
    assert not job.slept


def test_faults_of_the_project_are_told_once(job: Job) -> None:
    """What a person must mend ends it with 2 before anything is drawn."""
    root = job.commands.project()
    (root / "beats.json").write_text("[{}]")
    done = job.run(root)
    assert done.code == 2
    assert "fault" in done.err
    assert not job.slept


def test_it_gives_up_where_a_person_must_act(job: Job) -> None:
    """Without a resume_after it ends with 3 at once."""
    job.imagegen(3, said(0, None))
    done = job.run("my-video")
    assert done.code == 3
    assert "waiting does not help" in done.err
    assert (job.runs, job.slept) == (1, [])


def test_no_progress_twice_ends_it(job: Job) -> None:
    """Tries that bring no picture are not repeated for ever, nor without a pause."""
    job.imagegen(3, said(5, soon(-3600)))
    done = job.run("my-video", MIN_WAIT="40")
    assert done.code == 3
    assert "drew no image" in done.err
    assert (job.runs, job.slept) == (2, [40])


def test_it_tries_so_often_and_no_more(job: Job) -> None:
    """As long as pictures come it goes on, until MAX_TRIES."""
    job.imagegen(3, *(said(n, soon(-1)) for n in range(20)))
    done = job.run("my-video", MAX_TRIES="4", MIN_WAIT="1")
    assert done.code == 3
    assert (job.runs, job.slept) == (4, [1, 1, 1])


def test_it_does_not_wait_past_its_time(job: Job) -> None:
    """A wait that would end after TOTAL_MINUTES is not begun."""
    job.imagegen(3, said(0, None), said(1, soon(3600)))
    done = job.run("my-video", TOTAL_MINUTES="50")
    assert done.code == 3
    assert "after TOTAL_MINUTES" in done.err
    assert not job.slept


def test_each_try_ends_within_the_time_left(job: Job) -> None:
    """--max-time is MAX_MINUTES, or what is left of TOTAL_MINUTES if that is less."""
    for total, limit in (("50", range(25 * 60, 25 * 60 + 1)), ("2", range(110, 121))):
        job.imagegen(1, said(0, None))
        job.run("my-video", TOTAL_MINUTES=total)
        asked = next(line for line in reversed(job.lines("asked")) if line.startswith("run"))
        found = re.search(r"--max-time (\d+)s", asked)
        assert found is not None
        assert int(found[1]) in limit


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"styles": 3}', '{"styles": {}}'])
def test_a_status_that_cannot_be_read_ends_it(job: Job, text: str) -> None:
    """After exit 3 an answer that makes no sense is no reason to go on."""
    job.imagegen(3, said(0, None), text)
    done = job.run("my-video")
    assert done.code == 3
    assert (job.runs, job.slept) == (1, [])


@pytest.mark.parametrize(
    ("code", "runs"), [(130, 2), (143, 2), (129, 1), (4, 1), (70, 1), (141, 1)]
)
def test_other_endings_are_passed_on(job: Job, code: int, runs: int) -> None:
    """An interruption of imagegen alone is tried once more; any other code is the script's."""
    job.imagegen(code, said(0, None))
    done = job.run("my-video")
    assert done.code == code
    assert job.runs == runs


@pytest.mark.slow
def test_a_signal_reaches_the_run(job: Job, server: GeminiServer) -> None:
    """SIGTERM to the script, which is all that a CI runner sends, ends imagegen too."""
    root = job.commands.project()
    with server.held():
        process = job.start(root, "--base-url", server.address)
        assert server.wait_for_requests(9)
        process.terminate()
        done = job.commands.wait(process)
    assert done.code == 143
    status = json.loads(job.commands.run("status", root, "--json").out)
    assert not status["active"]


@pytest.mark.slow
def test_ctrl_c_reaches_the_run(job: Job, server: GeminiServer) -> None:
    """So does SIGINT, although shells start what they run beside them deaf to it."""
    root = job.commands.project(beats=8, per_minute=2)
    process = job.start(root, "--base-url", server.address)
    assert server.wait_for_requests(6)
    process.send_signal(signal.SIGINT)
    assert job.commands.wait(process).code == 130
    assert len(pictures(root)) == 6


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean() -> None:
    """Shellcheck finds nothing to complain of."""
    done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_leaves_time_to_keep_the_pictures() -> None:
    """All tries together end before the job is killed, and one try before that."""
    text = WORKFLOW.read_text()
    job_minutes, total, one = (
        int(re.search(rf"^ *{name}: (\d+)$", text, re.MULTILINE)[1])  # type: ignore[index]
        for name in ("timeout-minutes", "TOTAL_MINUTES", "MAX_MINUTES")
    )
    assert one <= total < job_minutes


def test_the_workflow_keeps_and_finds_the_same_folders() -> None:
    """What is saved, failed jobs included, is what the next job restores; keys are not."""
    text = WORKFLOW.read_text()
    kept = re.findall(r"cache/(?:restore|save)@v\d+\n\s+with:\n\s+path: \|\n((?: +\$.*\n)+)", text)
    assert len(kept) == 2
    assert kept[0] == kept[1]
    assert "keys" not in kept[0]
    assert text.count("if: always()") == 2


def _commands_of(text: str) -> Sequence[tuple[str, list[str]]]:
    found = re.findall(r"\bimagegen (check|run|resume|status|stop|init)\b([^`\n|)…]*)", text)
    return [(name, re.findall(r"--[a-z-]+", rest)) for name, rest in found]


@pytest.mark.parametrize("path", [SCRIPT, WORKFLOW], ids=lambda path: str(path.name))
def test_examples_name_options_that_exist(commands: Commands, path: Path) -> None:
    """Every command and option in the examples is one of imagegen's."""
    found = _commands_of(path.read_text())
    assert found
    helps = {name: commands.run(name, "--help").out for name, _ in found}
    for name, options in found:
        for option in options:
            assert option in helps[name], (name, option)


def test_the_workflow_is_yaml() -> None:
    """It parses, and its steps are the ones that it is made for."""
    yaml = pytest.importorskip("yaml")
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["draw"]["steps"]
    order = [step.get("uses", "").partition("@")[0] for step in steps]
    assert order.index("actions/cache/restore") < order.index("actions/cache/save")
    drawing = next(step for step in steps if "ci.sh" in step.get("run", ""))
    for name, secret in drawing["env"].items():
        assert name.endswith("MINUTES") or secret == f"${{{{ secrets.{name} }}}}"
