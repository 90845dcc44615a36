"""imagegen init: a project to begin with."""

import errno
from pathlib import Path

import platformdirs
import pytest

from imagegen import files
from imagegen.errors import UsageError
from imagegen.project import settings, storyboard
from imagegen.project.settings import STYLES, Settings
from imagegen.setup import init


@pytest.fixture(autouse=True)
def users(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's configuration folder; no key is in the environment."""
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: folder)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "IMAGEGEN_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def contents(root: Path) -> dict[str, str]:
    """Return every file of a folder."""
    return {path.name: path.read_text() for path in root.iterdir()}


def test_a_new_project_can_be_drawn_at_once(tmp_path: Path) -> None:
    """The sample has three beats in two shots, and settings at their defaults."""
    root = tmp_path / "videos" / "my video"
    text = "\n".join(init.create(root))
    assert sorted(contents(root)) == [".gitignore", "beats.json", "imagegen.toml"]
    board = storyboard.load(root, STYLES)
    for style in STYLES:
        assert [one.key for one in board.beats[style]] == [("1", "1.1"), ("1", "1.2"), ("2", "2.1")]
        assert not any(one.own_words for one in board.beats[style])
    assert settings.load(root) == Settings()
    assert "3 beats in 2 shots" in text
    assert "--provider sketch" in text


def test_the_settings_that_are_shown_are_valid(tmp_path: Path) -> None:
    """Each line of the sample settings works once its mark of a comment is taken away."""
    init.create(tmp_path)
    lines = (tmp_path / "imagegen.toml").read_text().splitlines()
    shown = [line.removeprefix("# ") for line in lines if " = " in line or "[styles" in line]
    (tmp_path / "imagegen.toml").write_text("\n".join(shown))
    read = settings.load(tmp_path)
    assert read.draw == ("clear",)
    assert read.styles["illustration"].look


def test_keys_and_our_own_files_stay_out_of_version_control(tmp_path: Path) -> None:
    """The .gitignore of a new project names what is never committed."""
    init.create(tmp_path)
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert {"keys.toml", ".imagegen/", "generated_images/", "old_images/"} <= set(ignored)


@pytest.mark.parametrize("dangling", [True, False])
def test_nothing_is_overwritten(tmp_path: Path, *, dangling: bool) -> None:
    """A folder that has settings, or a link of that name, is left as it is."""
    if dangling:
        (tmp_path / "imagegen.toml").symlink_to("elsewhere")
    else:
        (tmp_path / "imagegen.toml").write_text("mine")
    with pytest.raises(UsageError, match=r"has imagegen\.toml already") as caught:
        init.create(tmp_path)
    assert "imagegen check" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["imagegen.toml"]


def test_a_link_that_leads_nowhere_is_no_place_for_a_sample(tmp_path: Path) -> None:
    """It stays, whatever `check` then says of it."""
    (tmp_path / "beats.json").symlink_to("elsewhere")
    assert "with the beats of beats.json:" in init.create(tmp_path)[0]
    assert (tmp_path / "beats.json").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


PROMPTS = '[{"shot_number": 1, "beat_number": "1.1", "ai_prompt": "x"}]'


@pytest.mark.parametrize(
    ("name", "text", "source"),
    [
        ("beats.json", PROMPTS, "beats.json"),
        ("beats.json", "half an edit", "beats.json"),
        ("beats.csv", "shot_number,beat_number,ai_prompt\n1,1.1,x\n", "beats.csv"),
        ("beats.csv", "no heading that is known\n", "beats.csv"),
        ("prompts/prompts-clear.json", PROMPTS, "prompts/"),
        ("prompts/prompts-oil.js", f"module.exports = {PROMPTS};", "prompts/"),
        ("storyboards/consistent.json", PROMPTS, "storyboards/"),
    ],
)
def test_a_folder_that_has_beats_gets_no_sample(
    tmp_path: Path, name: str, text: str, source: str
) -> None:
    """The sample would be drawn in their place; it says which are used."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    told = "\n".join(init.create(tmp_path))
    assert (tmp_path / name).read_text() == text
    assert (tmp_path / "beats.json").exists() is (name == "beats.json")
    assert (tmp_path / ".gitignore").exists()
    assert settings.load(tmp_path) == Settings()
    assert f"with the beats of {source}: no sample is written" in told
    assert f"imagegen check {tmp_path}" in told


def test_of_two_places_the_one_that_is_used_is_told(tmp_path: Path) -> None:
    """As every command reads them: the first that holds prompts."""
    (tmp_path / "beats.csv").write_text("shot_number,beat_number\n1,1.1\n")
    (tmp_path / "storyboards").mkdir()
    (tmp_path / "storyboards" / "clear.json").write_text(PROMPTS)
    assert "with the beats of storyboards/:" in init.create(tmp_path)[0]


def test_empty_folders_hold_no_beats(tmp_path: Path) -> None:
    """They get the sample as any other."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "storyboards").mkdir()
    init.create(tmp_path)
    assert storyboard.load(tmp_path, STYLES).source == "beats.json"


def test_a_gitignore_of_one_s_own_stays(tmp_path: Path) -> None:
    """An existing .gitignore is kept, and the rest is made beside it."""
    (tmp_path / ".gitignore").write_text("mine")
    init.create(tmp_path)
    assert contents(tmp_path)[".gitignore"] == "mine"
    assert len(contents(tmp_path)) == 3


def test_a_file_is_no_project(tmp_path: Path) -> None:
    """A file where the project should be is wrong usage."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file") as caught:
        init.create(tmp_path / "file")
    assert caught.value.exit_code == 2


def test_it_says_which_keys_will_be_used(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source of the keys is named, without showing one; or that there is none."""
    text = "\n".join(init.create(tmp_path / "a"))
    assert "No key" in text
    assert "GEMINI_API_KEY" in text
    monkeypatch.setenv("GOOGLE_API_KEY", "test-key-000001")
    text = "\n".join(init.create(tmp_path / "b"))
    assert "$GOOGLE_API_KEY" in text
    (users / "keys.toml").write_text('[keys]\nclear = ["test-key-000002"]\n')
    (users / "keys.toml").chmod(0o600)
    text = "\n".join(init.create(tmp_path / "c"))
    assert str(users / "keys.toml") in text
    assert "test-key" not in text


def test_a_folder_that_has_keys_already_becomes_a_project(tmp_path: Path) -> None:
    """Keys for styles, written before the project was made, are the ones it will use."""
    (tmp_path / "keys.toml").write_text('[keys]\nclear = ["test-key-000001"]\n')
    (tmp_path / "keys.toml").chmod(0o600)
    text = "\n".join(init.create(tmp_path))
    assert "keys.toml" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "keys.toml\n.imagegen-*\n"),
        ("", "keys.toml\n.imagegen-*\n"),
        ("keys.toml", "keys.toml\n.imagegen-*\n"),
        ("*.tmp", "*.tmp\nkeys.toml\n"),
        ("*.tmp\r\n", "*.tmp\r\nkeys.toml\r\n"),
        ("*.tmp\nkeys.toml\n!keys.toml\n", "*.tmp\nkeys.toml\n!keys.toml\nkeys.toml\n"),
        ("# keys.toml\n", "# keys.toml\nkeys.toml\n.imagegen-*\n"),
    ],
)
def test_a_line_keeps_git_from_the_keys(tmp_path: Path, before: str | None, after: str) -> None:
    """What .gitignore lacks is added below the rest, which stays."""
    path = tmp_path / ".gitignore"
    if before is not None:
        path.write_bytes(before.encode())
    assert ".gitignore" in (init.ignore_keys(tmp_path) or "")
    assert path.read_bytes() == after.encode()
    assert init.ignore_keys(tmp_path) is None
    assert path.read_bytes() == after.encode()


@pytest.mark.parametrize(
    "before",
    ["keys.toml\n.imagegen-*", "/keys.toml\n*.tmp\n", "!x\n*.toml\n.imagegen-*.tmp\n", "*\n!x\n"],
)
def test_a_line_that_is_there_is_enough(tmp_path: Path, before: str) -> None:
    """Nothing is added where git leaves the keys file alone already."""
    (tmp_path / ".gitignore").write_text(before)
    assert init.ignore_keys(tmp_path) is None
    assert (tmp_path / ".gitignore").read_text() == before


def test_a_link_is_no_gitignore(tmp_path: Path) -> None:
    """Git follows no link there, and neither is one written through."""
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / ".gitignore").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="is a link"):
        init.ignore_keys(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_init_tells_of_a_gitignore_without_the_keys(tmp_path: Path) -> None:
    """One's own .gitignore is not touched by a new project, but it says what is missing."""
    (tmp_path / ".gitignore").write_text("mine")
    text = "\n".join(init.create(tmp_path))
    assert f"{tmp_path / '.gitignore'} does not name keys.toml" in text
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".gitignore").write_text("keys.toml")
    assert ".gitignore" not in "\n".join(init.create(tmp_path / "other"))


def test_a_place_that_takes_no_project_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing was started that could be resumed: a disk that refuses is told as such."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError):
        init.create(tmp_path / "file" / "my-video")


def test_a_full_disk_leaves_no_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What helps is told; a folder that was there before stays."""

    def refuse(path: Path, _: bytes) -> None:
        raise files.storage_error(OSError(errno.ENOSPC, "No space left on device"), path)

    monkeypatch.setattr(files, "write", refuse)
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with pytest.raises(UsageError, match="the disk is full") as caught:
            init.create(tmp_path / name)
        assert caught.value.hint == "free some space first"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_to_do_next_stands_in_columns(tmp_path: Path) -> None:
    """Whatever the folder is called."""
    told = init.create(tmp_path / "my-video")
    assert told[2].index("draws it now") == told[3].index("is yours to edit")
