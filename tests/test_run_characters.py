"""Characters over the wire: the right pictures on the right beats; sheets, and adopted ones."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from commands import STYLES, Commands, picture, pictures, row
from gemini_server import Answer, GeminiServer

CAST = """
[characters.mara]
names = ["Mara", "the keeper"]
picture = "characters/mara.png"

[characters.tom]
names = ["Tom"]
picture = { clear = "characters/tom.png" }
"""


def cast(root: Path) -> dict[str, str]:
    """Make the pictures of the characters; returns their hashes."""
    found = {}
    (root / "characters").mkdir()
    for name, colour in (("mara", "teal"), ("tom", "brown")):
        path = root / f"characters/{name}.png"
        Image.new("RGB", (32, 18), colour).save(path)
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def rows(*words: str) -> list[dict[str, object]]:
    """Return rows of these words that have no transition."""
    return [row(n, ai_prompt=f"prompt <{n}> {w}", transition_type="") for n, w in enumerate(words)]


def test_the_right_pictures_go_with_the_right_beats(
    commands: Commands, server: GeminiServer
) -> None:
    """Whom the words name, in the styles that have a picture, and nobody else."""
    words = ("Mara's lamp", "Maradona", "Tom and the keeper", "nobody", "TOM RUNS")
    root = commands.project(beats=rows(*words), settings=CAST)
    hashes = cast(root)
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    sent: dict[int, set[tuple[str, ...]]] = {}
    for request in server.requests:
        number = int(request.prompt.split("<")[1].split(">")[0])
        own = tuple(digest for _, digest in request.references)
        sent.setdefault(number, set()).add(own)
    mara, tom = hashes["mara"], hashes["tom"]
    assert sent == {
        0: {(mara,)},
        1: {()},
        2: {(tom, mara), (mara,)},
        3: {()},
        4: {(tom,), ()},
    }
    both = next(r.prompt for r in server.requests if len(r.references) == 2)
    assert "1: Tom (character). 2: Mara, the keeper (character)." in both


def test_check_and_dry_run_list_who_appears_where(commands: Commands) -> None:
    """And in which styles there is no picture."""
    root = commands.project(beats=rows("Mara", "Tom", "Mara"), settings=CAST)
    cast(root)
    for arguments in (("check", root), ("run", root, "--dry-run")):
        out = commands.run(*arguments).out
        assert "Mara, the keeper  2 beats: 1.1, 1.3" in out
        assert "1 beat: 1.2; no image in illustration, consistent" in out


def test_a_missing_picture_is_told_before_anything_is_sent(
    commands: Commands, server: GeminiServer
) -> None:
    """All faults together, exit 2; `status` says them too."""
    root = commands.project(beats=rows("Mara"), settings=CAST)
    done = commands.run("run", root, "--base-url", server.address)
    assert (done.code, server.requests) == (2, [])
    assert "characters.mara.picture" in done.text
    assert "characters.tom.picture" in done.text
    assert commands.run("check", root).code == 2


@pytest.mark.slow
def test_another_picture_outdates_the_beats_that_name_the_character(
    commands: Commands, server: GeminiServer
) -> None:
    """Those alone."""
    root = commands.project(beats=rows("Mara", "Tom", "nobody"), settings=CAST)
    cast(root)
    commands.run("run", root, "--base-url", server.address)
    Image.new("RGB", (32, 18), "red").save(root / "characters/mara.png")
    told = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]["beats"]
    assert [one["changed"] for one in told] == [["references"], [], []]
    before = len(server.requests)
    assert commands.run("run", root, "--outdated", "--base-url", server.address).code == 0
    assert len(server.requests) == before + 3


def test_a_row_s_own_references_go_with_it(commands: Commands, server: GeminiServer) -> None:
    """As a list, or one; what another tool keeps under the name is left alone."""
    beats = rows("a", "b", "c")
    root = commands.project(beats=beats, settings='draw = ["clear"]\n')
    hashes = cast(root)
    beats[0]["references"] = ["characters/mara.png", "characters/tom.png"]
    beats[1]["references"] = "characters/tom.png"
    beats[2]["references"] = [{"url": "https://example.org/x.png"}]
    (root / "beats.json").write_text(json.dumps(beats))
    assert commands.run("run", root, "--base-url", server.address).code == 0
    sent = {r.prompt[8]: [digest for _, digest in r.references] for r in server.requests}
    assert sent == {
        "0": [hashes["mara"], hashes["tom"]],
        "1": [hashes["tom"]],
        "2": [],
    }


@pytest.mark.slow
def test_a_reference_that_goes_in_the_middle_of_a_run_costs_its_beats_alone(
    commands: Commands, server: GeminiServer
) -> None:
    """They are in error, and tell which file; the others are drawn."""
    beats = rows(*map(str, range(70)))
    # Fifty at once: of the others none has been read for its request, nor is 52 kept from before.
    settings = 'draw = ["clear"]\ntimeout = 30\n'
    root = commands.project(beats=beats, settings=settings, per_minute=100, lend=False)
    (root / "sketches").mkdir()
    for n, beat in enumerate(beats):
        beat["references"] = f"sketches/{n}.png"
        Image.new("RGB", (32, 18), (n, 0, 0)).save(root / "sketches" / f"{n}.png")
    (root / "beats.json").write_text(json.dumps(beats))
    with server.held():
        process = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(50)
        (root / "sketches" / "52.png").unlink()
    done = commands.wait(process)
    assert done.code == 1, done.text
    assert "sketches/52.png" in done.text
    assert len(pictures(root)) == 69


ABOUT = """
[characters.mara]
names = ["Mara"]
about = "A keeper of sixty in a yellow coat."
"""


@pytest.mark.slow
def test_sheets_are_drawn_beside_the_project_and_adopted(
    commands: Commands, server: GeminiServer
) -> None:
    """One in each style, from the description; nothing changes until they are approved."""
    root = commands.project(beats=rows("Mara"), settings=ABOUT)
    done = commands.run("cast", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == 3
    assert all("A keeper of sixty in a yellow coat." in r.prompt for r in server.requests)
    assert pictures(root) == []
    assert (root / "imagegen.toml").read_text() == ABOUT

    done = commands.run("cast", root, "mara", "--keep", "sheets")
    assert done.code == 0, done.text
    adopted = {style: (root / f"characters/mara-{style}.png").read_bytes() for style in STYLES}
    assert len(set(adopted.values())) == 3
    assert commands.run("run", root, "--base-url", server.address).code == 0
    sent = {hashed for r in server.requests[3:] for _, hashed in r.references}
    assert sent == {hashlib.sha256(data).hexdigest() for data in adopted.values()}
    # Who has a picture is not drawn unasked.
    assert commands.run("cast", root, "--base-url", server.address).code == 2
    assert commands.run("undo", root).code == 0


def test_a_lucky_picture_is_adopted_and_undone(commands: Commands, server: GeminiServer) -> None:
    """It is copied, serves all styles, stays current itself, and undo takes it all back."""
    root = commands.project(beats=rows("Mara", "Mara again"), settings=ABOUT)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    done = commands.run("cast", root, "mara", "--from", "clear/1.2")
    assert done.code == 0, done.text
    copied = (root / "characters/mara.png").read_bytes()
    assert copied == picture(root, "clear", 1).read_bytes()
    assert 'picture = "characters/mara.png"' in (root / "imagegen.toml").read_text()
    told = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]["beats"]
    assert [one["status"] for one in told] == ["outdated", "complete"]
    assert commands.run("undo", root).code == 0
    assert (root / "imagegen.toml").read_text() == ABOUT
    assert not (root / "characters/mara.png").exists()


def test_a_lucky_picture_behind_an_outdated_one_is_adopted(
    commands: Commands, server: GeminiServer
) -> None:
    """What it continues is another matter: it is adopted, and stays outdated."""
    beats = [row(0), row(1)]
    settings = f'draw = ["clear"]\ncontinuity = true\n{ABOUT}'
    root = commands.project(beats=beats, settings=settings)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    beats[0]["ai_prompt"] = "edited <0>"
    (root / "beats.json").write_text(json.dumps(beats))
    done = commands.run("cast", root, "mara", "--from", "clear/1.2")
    assert done.code == 0, done.text
    assert (root / "characters/mara.png").exists()
    told = json.loads(commands.run("status", root, "--json").out)["styles"]["clear"]["beats"]
    assert [one["changed"] for one in told] == [["words"], ["predecessor"]]


def test_one_sheet_of_several_is_adopted_by_its_path(
    commands: Commands, server: GeminiServer
) -> None:
    """For its style; another's picture is none of hers."""
    root = commands.project(beats=rows("Mara"), settings=ABOUT)
    commands.run(
        *("cast", root, "mara", "--style", "clear", "-n", "2", "--base-url", server.address)
    )
    first, second = sorted((root / "tries").rglob("*.png"))
    assert commands.run("cast", root, "mara", "--keep", str(second)).code == 0
    assert (root / "characters/mara-clear.png").read_bytes() == second.read_bytes()
    assert first.exists()
    stranger = root / "stranger.png"
    Image.new("RGB", (8, 8)).save(stranger)
    refused = commands.run("cast", root, "mara", "--keep", str(stranger))
    assert refused.code == 2
    assert "is not a sheet of mara" in refused.text


def test_a_broken_off_cast_is_not_to_be_resumed(commands: Commands, server: GeminiServer) -> None:
    """What `resume` would carry on is a run of the project, which is something else."""
    root = commands.project(beats=rows("Mara"), settings=ABOUT)
    done = commands.run("cast", root, "--max-cost", "0.07", "--base-url", server.address)
    assert done.code == 3
    assert "imagegen resume" not in done.text
    assert "This cannot be resumed. Run the same command to start over." in done.text
    server.fault("sheet", Answer.REFUSED, times=9)
    done = commands.run("cast", root, "--base-url", server.address)
    assert done.code == 1
    assert "check" not in done.text


def test_cast_works_inside_the_project(commands: Commands, server: GeminiServer) -> None:
    """PROJECT is the current folder where it is left out, though a character comes in its place."""
    root = commands.project(beats=rows("Mara"), settings=ABOUT)
    inside = Commands(root)
    inside.env, inside.keys = commands.env, commands.keys
    drawn = inside.run("cast", "mara", "--style", "clear", "--base-url", server.address)
    assert drawn.code == 0, drawn.text
    assert len(list((root / "tries").rglob("*.png"))) == 1
    adopted = inside.run("cast", "mara", "--keep", "sheets")
    assert adopted.code == 0, adopted.text
    assert 'no character "maria"' in inside.run("cast", "maria").err


@pytest.mark.parametrize(
    ("settings", "arguments", "words"),
    [
        ("", (), "imagegen.toml has no characters"),
        ('[characters.mara]\n[characters.tom]\nabout = "x"\npicture = "t.png"\n', (), "mara.about"),
        ("[characters.mara]\n", ("mara",), "not set in imagegen.toml: characters.mara.about"),
        ('[characters.tom]\nabout = "x"\npicture = "t.png"\n', (), "every character has an image"),
    ],
)
def test_cast_names_the_setting_that_is_missing(
    commands: Commands, settings: str, arguments: tuple[str, ...], words: str
) -> None:
    """As it stands in imagegen.toml."""
    root = commands.project(beats=rows("Mara"), settings=settings)
    Image.new("RGB", (16, 9)).save(root / "t.png")
    done = commands.run("cast", root, *arguments)
    assert done.code == 2
    assert words in done.err


def test_wrong_uses_of_cast_are_told(commands: Commands) -> None:
    """Each with what to do; nothing changes."""
    root = commands.project(beats=rows("Mara"), settings=ABOUT)
    for arguments, words in (
        (("cast", root, "maria"), 'did you mean "mara"?'),
        (("cast", root, "--style", "cleer"), 'did you mean "clear"?'),
        (("cast", root, "--keep", "sheets"), "need one character"),
        (("cast", root, "mara", "--keep", "sheets"), "no sheet of mara was drawn yet"),
        (("cast", root, "mara", "--keep", "x.png", "--from", "clear/1.1"), "cannot be combined"),
        (("cast", root, "mara", "--from", "1.1"), "is 3 beats"),
        (("cast", root, "mara", "--from", "clear/1.1"), "clear/1.1 has no image yet"),
        (("cast", root, "-n", "99"), "is not a whole number from 1 to 50"),
    ):
        done = commands.run(*arguments)
        assert done.code == 2, done.text
        assert words in done.text
    assert (root / "imagegen.toml").read_text() == ABOUT
