"""The examples for several machines do what they say, as far as one machine can show."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from commands import Commands, pictures

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = ("ci.sh", "slurm-array.sh", "two-machines.sh")
BEATS = 5
ALL = 3 * BEATS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the examples are shell scripts")


def read(name: str) -> dict[str, Any]:
    """Return an example that is YAML."""
    yaml = pytest.importorskip("yaml")
    return dict(yaml.safe_load((EXAMPLES / name).read_text()))


class Shell:
    """Runs shell scripts with the real command, in a folder with a project that needs no key."""

    def __init__(self, commands: Commands) -> None:
        self.folder = commands.folder
        self.root = commands.project(
            "my-video", beats=BEATS, settings='provider = "sketch"\nimage_size = "512"\n'
        )
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        self._env = commands.env
        self.program("imagegen", f'exec {sys.executable} -m imagegen "$@"')

    def program(self, name: str, text: str) -> None:
        """Put a program of this name before all others."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *words: object, env: Mapping[str, str] | None = None) -> str:
        """Run a program, which has to end with 0; returns what it printed."""
        path = f"{self.tools}{os.pathsep}{self._env['PATH']}"
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=self._env | {"PATH": path} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def shell(commands: Commands) -> Shell:
    """Return what runs the examples."""
    return Shell(commands)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_scripts_are_clean() -> None:
    """Shellcheck finds nothing, in files and in the manifest's script."""
    (container,) = read("kubernetes-job.yml")["spec"]["template"]["spec"]["containers"]
    texts = [(EXAMPLES / name).read_text() for name in SCRIPTS]
    for text in [*texts, "#!/bin/sh\n" + container["args"][0]]:
        done = subprocess.run(
            ["shellcheck", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_matrix_is_a_workflow() -> None:
    """By GitHub's schema of workflows."""
    pytest.importorskip("check_jsonschema")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema", "--builtin-schema"),
            *("vendor.github-workflows", str(EXAMPLES / "github-matrix.yml")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_job_is_a_manifest() -> None:
    """By the schema of Kubernetes, with no unknown field; as many shards as pods."""
    job = read("kubernetes-job.yml")
    validation = pytest.importorskip("kubernetes_validate")
    validation.validate(job, validation.latest_version(), strict=True)
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", spec["parallelism"])
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env == {"IMAGEGEN_SHARD_COUNT": str(spec["completions"])}


@pytest.mark.slow
def test_the_matrix_draws_and_merges(shell: Shell) -> None:
    """Each job's steps by hand, three of them, and the steps of the job that merges."""
    jobs = read("github-matrix.yml")["jobs"]
    machines = jobs["draw"]["strategy"]["matrix"]["machine"]
    assert len(machines) == 3
    shutil.copy(EXAMPLES / "ci.sh", shell.folder)
    shell.root.rename(shell.folder / "checkout")
    for index in range(len(machines)):
        shutil.copytree(shell.folder / "checkout", shell.root)
        for step in jobs["draw"]["steps"]:
            if "run" in step and "pip install" not in step["run"]:
                env = {
                    name: _value(str(text), index, len(machines))
                    for name, text in step.get("env", {}).items()
                }
                common = {"PROJECT": "my-video", "RUNNER_TEMP": str(shell.tools)}
                shell.run("bash", "-e", "-c", step["run"], env=common | env)
        assert 0 < len(pictures(shell.root)) < ALL
        shell.root.rename(shell.folder / f"copy-{index}")
    (shell.folder / "copies").mkdir()
    for index in range(len(machines)):
        name = f"copy-{index}"
        (shell.folder / name).rename(shell.folder / "copies" / name)
    (shell.folder / "checkout").rename(shell.root)
    merge = next(step for step in jobs["merge"]["steps"] if step.get("name") == "Merge")
    shell.run("bash", "-e", "-c", merge["run"], env={"PROJECT": "my-video"})
    assert len(pictures(shell.root)) == ALL


def _value(text: str, index: int, total: int) -> str:
    """Return what GitHub puts in the place of an expression."""
    text = text.replace("${{ strategy.job-index }}", str(index))
    text = text.replace("${{ strategy.job-total }}", str(total))
    return re.sub(r"\$\{\{ secrets\.(\w+) \}\}", r"test-key-\1", text)


@pytest.mark.slow
def test_the_pods_draw_and_merge(shell: Shell) -> None:
    """The container's script with each pod's variables; one that is started again goes on."""
    spec = read("kubernetes-job.yml")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    shell.root.rename(shell.folder / "project")
    for index in [*range(spec["completions"]), 0]:
        own = env | {"JOB_COMPLETION_INDEX": str(index)}
        shell.run(*container["command"], *container["args"], env=own)
    copies = sorted(shell.folder.glob("shard-*"))
    assert len(copies) == spec["completions"]
    assert sum(len(pictures(copy)) for copy in copies) == ALL
    shell.run("imagegen", "merge", "project", *copies)
    assert len(pictures(shell.folder / "project")) == ALL


@pytest.mark.slow
def test_the_array_draws_and_merges(shell: Shell) -> None:
    """Each task of the array, and one of them again by itself."""
    script = EXAMPLES / "slurm-array.sh"
    first, last = map(int, re.findall(r"--array=(\d+)-(\d+)\n", script.read_text())[0])
    tasks = range(first, last + 1)
    array = {
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_STEP": "1",
        "SLURM_ARRAY_TASK_COUNT": str(len(tasks)),
    }
    for task in tasks:
        shell.run("sh", script, "my-video/", env=array | {"SLURM_ARRAY_TASK_ID": str(task)})
    alone = dict.fromkeys(array, "3") | {
        "SLURM_ARRAY_TASK_COUNT": "1",
        "SLURM_ARRAY_TASK_STEP": "1",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    shell.run("sh", script, "my-video", env=alone)
    copies = sorted(shell.folder.glob("my-video.shard-*"))
    assert sum(len(pictures(copy)) for copy in copies) == ALL
    shell.run("imagegen", "merge", "my-video", *copies)
    assert len(pictures(shell.root)) == ALL


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is not installed")
def test_two_machines_draw_and_merge(shell: Shell) -> None:
    """With an `ssh` that starts what it is asked to here; keys stay where they are."""
    studio = shell.folder / "studio"
    studio.mkdir()
    shell.program(
        "ssh",
        f"""while [ "$1" != studio ]; do shift; done
shift
cd {studio}
exec sh -c "$*\"""",
    )
    script = EXAMPLES / "two-machines.sh"
    shell.run("imagegen", "run", "my-video", "--beat", "clear/1.1")
    words = ("sh", script, "my-video", "studio:it's my-video", "--progress", "plain")
    shell.run(*words)
    assert len(pictures(shell.root)) == ALL
    there = studio / "it's my-video"
    assert not (there / "keys.toml").exists()
    assert (there / "generated_images/clear/Shot_1/Beat_1.1.png").exists()
    assert ALL / 2 - 1 < len(pictures(there)) < ALL
    before = {path: path.stat().st_mtime_ns for path in pictures(there)}
    shell.run(*words)
    assert {path: path.stat().st_mtime_ns for path in pictures(there)}.items() >= before.items()
