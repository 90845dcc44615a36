"""Chains against a real HTTP server: what continues a picture is drawn from it, in order."""

import hashlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from commands import STYLES, Commands, Done, picture, row
from gemini_server import Answer, GeminiServer, Recorded

CLEAR = 'draw = ["clear"]\ncontinuity = true\n'


def chains(shots: int, beats: int = 5) -> list[dict[str, object]]:
    """Return rows of so many shots, each a hard cut and beats that continue it."""
    return [row(5 * shot + beat) for shot in range(shots) for beat in range(beats)]


def digest(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def number(request: Recorded) -> int:
    """Return which row a request is of."""
    return int(request.prompt.split("<")[1].split(">")[0])


def drawn(server: GeminiServer) -> list[int]:
    """Return the rows that were drawn, in the order in which they were asked for."""
    return [number(request) for request in server.requests if request.status == 200]


def by_hand(root: Path, numbers: Sequence[int]) -> None:
    """Put pictures in the places of these beats that say nothing of themselves."""
    for one in numbers:
        path = picture(root, "clear", one)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 18), (one, 0, 0)).save(path)


def status(commands: Commands, root: Path) -> dict[str, dict[str, object]]:
    """Return what `status` tells of each beat of clear, by number."""
    done = commands.run("status", root, "--json")
    assert done.code == 0, done.text
    return {b["beat_number"]: b for b in json.loads(done.out)["styles"]["clear"]["beats"]}


def statuses(commands: Commands, root: Path) -> dict[str, object]:
    """Return the status of each beat of clear, by number."""
    return {beat: told["status"] for beat, told in status(commands, root).items()}


def assert_chained(root: Path, server: GeminiServer, style: str = "clear") -> None:
    """Every beat that continues another was sent with exactly the bytes of its picture."""
    for request in server.requests:
        one = number(request)
        references = [hashed for _, hashed in request.references]
        expected = [digest(picture(root, style, one - 1))] if one % 5 else []
        assert references == expected, one


def test_each_beat_is_sent_with_the_picture_before_it(
    commands: Commands, server: GeminiServer
) -> None:
    """In every style the bytes of that style's picture, whole; hard cuts without."""
    root = commands.project(beats=chains(3), settings="continuity = true\n")
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == 45
    sent = {(number(r), hashed) for r in server.requests for _, hashed in r.references}
    expected = {
        (one, digest(picture(root, style, one - 1)))
        for style in STYLES
        for one in range(15)
        if one % 5
    }
    assert sent == expected
    assert len(expected) == 36


def test_chains_keep_their_order_and_overlap(commands: Commands, server: GeminiServer) -> None:
    """Within a chain one after the other; the chains side by side."""
    root = commands.project(beats=chains(4), settings=CLEAR)
    together: set[int] = set()
    with server.held():
        process = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(4)
        # All that can be sent has been: nothing else is until one of them is answered.
        together = {number(request) for request in server.requests}
    assert commands.wait(process).code == 0
    assert together == {0, 5, 10, 15}
    order = drawn(server)
    for shot in range(4):
        own = [one for one in order if one // 5 == shot]
        assert own == sorted(own)
    assert_chained(root, server)


def test_without_continuity_nothing_waits(commands: Commands, server: GeminiServer) -> None:
    """It is off by default, and --no-continuity turns it off."""
    root = commands.project("plain", beats=chains(2), settings='draw = ["clear"]\n')
    assert commands.run("run", root, "--base-url", server.address).code == 0
    other = commands.project("other", beats=chains(2), settings=CLEAR)
    done = commands.run("run", other, "--no-continuity", "--base-url", server.address)
    assert done.code == 0
    assert not [request for request in server.requests if request.references]


def test_one_style_may_have_it_alone(commands: Commands, server: GeminiServer) -> None:
    """A style's own setting goes before the project's."""
    settings = 'draw = ["clear", "consistent"]\n[styles.consistent]\ncontinuity = true\n'
    root = commands.project(beats=chains(1), settings=settings)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    hashes = {hashed for r in server.requests for _, hashed in r.references}
    assert hashes == {digest(picture(root, "consistent", one)) for one in range(4)}


def test_a_hard_cut_has_the_style_reference_and_so_has_a_beat_with_none_before_it(
    commands: Commands, server: GeminiServer
) -> None:
    """A shot that begins with C begins a chain: there is nothing to continue."""
    beats = [row(0, transition_type="C"), row(1), row(2, transition_type="H"), row(3)]
    root = commands.project(beats=beats, settings=CLEAR)
    Image.new("RGB", (32, 18), "teal").save(root / "style_reference.png")
    assert commands.run("run", root, "--base-url", server.address).code == 0
    style = digest(root / "style_reference.png")
    sent = {number(r): [hashed for _, hashed in r.references] for r in server.requests}
    assert sent == {
        0: [style],
        1: [digest(picture(root, "clear", 0))],
        2: [style],
        3: [digest(picture(root, "clear", 2))],
    }


def test_a_beat_in_error_blocks_those_after_it_until_it_is_mended(
    commands: Commands, server: GeminiServer
) -> None:
    """They are no failures of their own, are told by whom they are blocked, and come after."""
    root = commands.project(beats=chains(2), settings=CLEAR)
    server.fault("prompt <1>", Answer.REFUSED)
    done = commands.run("run", root, "--base-url", server.address, "--progress", "json")
    assert done.code == 1
    counts = done.events[-1]["counts"]["clear"]  # type: ignore[index]
    assert (counts["complete"], counts["error"], counts["blocked"], counts["pending"]) == (
        *(6, 1, 3),
        0,
    )
    blocked = {e["beat_number"]: e["blocked_by"] for e in done.events if e.get("blocked_by")}
    assert blocked == {"1.3": "1.2", "1.4": "1.2", "1.5": "1.2"}
    assert sorted(drawn(server)) == [0, 1, 5, 6, 7, 8, 9]

    told = status(commands, root)
    assert [told[f"1.{n}"]["status"] for n in range(1, 6)] == [
        *("complete", "error"),
        *("blocked", "blocked", "blocked"),
    ]
    assert told["1.4"]["blocked_by"] == "1.2"
    assert commands.run("status", root, "--check").code == 1
    text = commands.run("status", root).out
    assert "3 blocked by 1.2: 1.3, 1.4, 1.5" in text

    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert drawn(server)[7:] == [1, 2, 3, 4]
    assert_chained(root, server)


def test_a_skipped_beat_is_passed_over(commands: Commands, server: GeminiServer) -> None:
    """What a person settled without a picture holds up nothing: the one before it is continued."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    server.fault("prompt <1>", Answer.REFUSED)
    assert commands.run("run", root, "--base-url", server.address).code == 1
    assert commands.run("skip", root, "clear/1.2").code == 0
    assert commands.run("run", root, "--base-url", server.address).code == 0
    (third,) = (r for r in server.requests if number(r) == 2)
    assert [hashed for _, hashed in third.references] == [digest(picture(root, "clear", 0))]
    assert statuses(commands, root) == {
        "1.1": "complete",
        "1.2": "waived",
        **dict.fromkeys(("1.3", "1.4", "1.5"), "complete"),
    }


def test_a_selected_beat_never_draws_another(commands: Commands, server: GeminiServer) -> None:
    """Without the picture before it, it is not sent; with it, it alone is."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    done = commands.run("run", root, "--beat", "1.3", "--base-url", server.address)
    assert (done.code, server.requests) == (1, [])
    assert "clear/1.3  waits for 1.2" in done.text
    by_hand(root, [1])
    assert commands.run("run", root, "--beat", "1.3", "--base-url", server.address).code == 0
    assert drawn(server) == [2]
    assert_chained(root, server)


def test_a_sample_has_no_beat_that_waits_for_another(
    commands: Commands, server: GeminiServer
) -> None:
    """Of chains the beginnings are drawn."""
    root = commands.project(beats=chains(5), settings=CLEAR)
    assert commands.run("run", root, "--sample", "3", "--base-url", server.address).code == 0
    assert sorted(drawn(server)) == [0, 10, 20]


@pytest.mark.slow
def test_an_edited_beat_is_redrawn_with_all_that_follow_it(
    commands: Commands, server: GeminiServer
) -> None:
    """Exactly those, in order, each from the new picture; the beats before it stay."""
    root = commands.project(beats=chains(2), settings=CLEAR)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert set(statuses(commands, root).values()) == {"complete"}
    before = {one: digest(picture(root, "clear", one)) for one in range(10)}
    rows = chains(2)
    rows[2]["ai_prompt"] = "edited <2>"
    (root / "beats.json").write_text(json.dumps(rows))

    told = status(commands, root)
    assert {beat: tuple(one["changed"]) for beat, one in told.items() if one["changed"]} == {  # type: ignore[arg-type]
        "1.3": ("words",),
        "1.4": ("predecessor",),
        "1.5": ("predecessor",),
    }
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert len(server.requests) == 10

    assert commands.run("run", root, "--outdated", "--base-url", server.address).code == 0
    assert drawn(server)[10:] == [2, 3, 4]
    after = {one: digest(picture(root, "clear", one)) for one in range(10)}
    assert [one for one in range(10) if after[one] != before[one]] == [2, 3, 4]
    for request in server.requests[10:]:
        (_, hashed) = request.references[0]
        assert hashed == after[number(request) - 1]
    assert set(statuses(commands, root).values()) == {"complete"}


@pytest.mark.slow
def test_to_draw_from_an_outdated_picture_is_warned_of(
    commands: Commands, server: GeminiServer
) -> None:
    """It is paid for once more when the one before is drawn anew."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    rows = chains(1)
    rows[1]["ai_prompt"] = "edited <1>"
    (root / "beats.json").write_text(json.dumps(rows))
    warned = "clear/1.3 continues an outdated image that stays"

    run = ("run", root, "--outdated", "--base-url", server.address)
    assert warned in commands.run(*run, "--beat", "1.3").text
    assert warned not in commands.run(*run, "--beat", "1.2").text
    assert warned not in commands.run(*run).text
    assert set(statuses(commands, root).values()) == {"complete"}


@pytest.mark.slow
def test_what_follows_a_redrawn_beat_is_outdated(commands: Commands, server: GeminiServer) -> None:
    """Until it is drawn anew, or a person accepts it as it is."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    # The server draws the same words alike: other words, then those from before again.
    for words in ("other <1>", "prompt <1>"):
        done = commands.run(
            *("redraw", root, "1.2", "--prompt", words, "--base-url", server.address)
        )
        assert done.code == 0, done.text
        expected = "outdated" if words.startswith("other") else "complete"
        assert statuses(commands, root)["1.3"] == expected
    commands.run("redraw", root, "1.2", "--prompt", "other <1>", "--base-url", server.address)
    assert commands.run("accept", root, "clear/1.3").code == 0
    assert statuses(commands, root)["1.3"] == "complete"
    assert statuses(commands, root)["1.4"] == "complete"


def test_continuity_turned_on_outdates_what_was_drawn_without(
    commands: Commands, server: GeminiServer
) -> None:
    """The beats that continue others, and no hard cut; turned off again, none."""
    root = commands.project(beats=chains(1), settings='draw = ["clear"]\n')
    assert commands.run("run", root, "--base-url", server.address).code == 0
    (root / "imagegen.toml").write_text(CLEAR)
    assert list(statuses(commands, root).values()) == ["complete", *["outdated"] * 4]
    (root / "imagegen.toml").write_text('draw = ["clear"]\n')
    assert set(statuses(commands, root).values()) == {"complete"}


def test_an_option_counts_for_its_own_run_alone(commands: Commands, server: GeminiServer) -> None:
    """Who looks judges as the next run would, and the line that keeps the option is shown."""
    root = commands.project(beats=chains(1), settings='draw = ["clear"]\n')
    done = commands.run("run", root, "--continuity", "--base-url", server.address)
    assert done.code == 0
    assert set(statuses(commands, root).values()) == {"complete", "outdated"}
    assert "Keep it in imagegen.toml: continuity = true" in commands.run("status", root).out
    (root / "imagegen.toml").write_text(CLEAR, encoding="utf-8")
    assert set(statuses(commands, root).values()) == {"complete"}


def test_pictures_of_another_tool_are_continued_as_they_are(
    commands: Commands, server: GeminiServer
) -> None:
    """They count as current, and what follows them is drawn from them."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    by_hand(root, [0, 1, 3])
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert sorted(drawn(server)) == [2, 4]
    assert_chained(root, server)
    assert set(statuses(commands, root).values()) == {"complete"}


def test_a_torn_picture_is_drawn_before_what_continues_it(
    commands: Commands, server: GeminiServer
) -> None:
    """Also where only converting it shows that it is torn."""
    root = commands.project(beats=chains(1, beats=3), settings=CLEAR)
    torn = picture(root, "clear", 0)
    torn.parent.mkdir(parents=True)
    Image.effect_noise((64, 64), 50).save(torn, "JPEG")
    torn.write_bytes(torn.read_bytes()[:700])
    done = commands.run("run", root, "--base-url", server.address)
    assert done.code == 0, done.text
    assert drawn(server) == [0, 1, 2]
    assert_chained(root, server)


@pytest.mark.skipif(os.name == "nt", reason="a signal ends a process there, always")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_chains_go_on_after_an_interruption(
    commands: Commands, server: GeminiServer, how: signal.Signals
) -> None:
    """Nothing is drawn twice, nothing out of order, and each from the picture on the disk."""
    root = commands.project(beats=chains(3), settings=CLEAR)
    with server.held():
        process = commands.start("run", root, "--base-url", server.address)
        assert server.wait_for_requests(3)
        process.send_signal(how)
        if how is not signal.SIGINT:
            commands.wait(process)
    done = commands.wait(process) if how is signal.SIGINT else None
    assert done is None or done.code == 130
    first = len(server.requests)
    done = commands.run("resume", root, "--base-url", server.address)
    assert done.code == 0, done.text
    again = [number(request) for request in server.requests[first:]]
    # The first Ctrl-C lets what is in flight finish, which is more where answers were quicker.
    kept = {number(request) for request in server.requests[:first]}
    assert sorted(again) == [
        one for one in range(15) if how is not signal.SIGINT or one not in kept
    ]
    for shot in range(3):
        own = [one for one in again if one // 5 == shot]
        assert own == sorted(own)
    for request in server.requests[first:]:
        one = number(request)
        assert [hashed for _, hashed in request.references] == (
            [digest(picture(root, "clear", one - 1))] if one % 5 else []
        )


@pytest.mark.slow
def test_a_large_picture_is_scaled_down_and_its_follower_says_so(
    commands: Commands, server: GeminiServer
) -> None:
    """Beyond the API's 7 MB it is sent smaller; the file stays as it is."""
    root = commands.project(beats=chains(1, beats=2), settings=CLEAR)
    path = picture(root, "clear", 0)
    path.parent.mkdir(parents=True)
    noise = Image.frombytes("RGB", (2000, 1500), os.urandom(2000 * 1500 * 3))
    noise.save(path, compress_level=0)
    before = path.read_bytes()
    assert len(before) > 7 * 1024 * 1024
    assert commands.run("run", root, "--base-url", server.address).code == 0
    (request,) = server.requests
    ((kind, hashed),) = request.references
    assert kind == "image/png"
    assert hashed != hashlib.sha256(before).hexdigest()
    assert path.read_bytes() == before
    assert b'"scaled":true' in picture(root, "clear", 1).read_bytes()
    assert set(statuses(commands, root).values()) == {"complete"}


def test_what_is_shown_is_what_is_sent(commands: Commands, server: GeminiServer) -> None:
    """Word by word, also where a legend counts the picture before it."""
    rows = chains(1, beats=2)
    rows[1]["ai_prompt"] = "prompt <1> of Mara"
    settings = CLEAR + '[characters.mara]\npicture = "mara.png"\n'
    root = commands.project(beats=rows, settings=settings)
    Image.new("RGB", (32, 18), "teal").save(root / "mara.png")
    shown = commands.run("check", root, "--show", "clear/1.2").out
    assert "which does not exist yet" in shown
    assert commands.run("run", root, "--base-url", server.address).code == 0
    (legend,) = (r.prompt.splitlines()[-1] for r in server.requests if number(r) == 1)
    assert "2: Mara (character)." in legend
    assert " ".join(legend.split()) in " ".join(shown.split())
    again = " ".join(commands.run("check", root, "--show", "clear/1.2").out.split())
    assert " ".join(legend.split()) in again
    assert "the image before it: image/png" in again


@pytest.mark.slow
def test_accepting_the_first_settles_the_chain_and_a_follower_alone_cannot_be(
    commands: Commands, server: GeminiServer
) -> None:
    """What follows a beat that will be another will be another too, whoever accepted it."""
    root = commands.project(beats=chains(1, beats=4), settings=CLEAR)
    commands.run("run", root, "--base-url", server.address)
    rows = chains(1, beats=4)
    rows[1]["ai_prompt"] = "edited <1>"
    (root / "beats.json").write_text(json.dumps(rows))
    refused = commands.run("accept", root, "clear/1.3")
    assert refused.code == 2
    assert "follows a beat that is outdated" in refused.text
    assert commands.run("accept", root, "--all").code == 0
    assert set(statuses(commands, root).values()) == {"complete"}
    rows[1]["ai_prompt"] = "edited again <1>"
    (root / "beats.json").write_text(json.dumps(rows))
    assert list(statuses(commands, root).values()) == ["complete", *["outdated"] * 3]
    before = len(server.requests)
    assert commands.run("run", root, "--outdated", "--base-url", server.address).code == 0
    assert [number(request) for request in server.requests[before:]] == [1, 2, 3]


def test_room_for_a_picture_before_is_kept_only_where_there_is_one(
    commands: Commands, server: GeminiServer
) -> None:
    """A beat that continues another is sent with its picture too, and both are not outdated."""
    names = [f"p{n}.png" for n in range(13)]
    settings = f'model = "gemini-3-pro-image"\nreferences = {json.dumps(names)}\n{CLEAR}'
    beats = [row(0, transition_type="X"), row(1), row(2, transition_type="X")]
    root = commands.project(beats=beats, settings=settings)
    for n, name in enumerate(names):
        Image.new("RGB", (32 + n, 18)).save(root / name)
    assert commands.run("run", root, "--base-url", server.address).code == 0
    assert {number(r): len(r.references) for r in server.requests} == {0: 13, 1: 14, 2: 13}
    assert set(statuses(commands, root).values()) == {"complete"}


def test_every_transition_is_listed_with_its_meaning(commands: Commands) -> None:
    """Each value once, with how many beats have it."""
    beats = [row(0), row(1, transition_type="Dissolve"), row(2, transition_type="Continue")]
    root = commands.project(beats=beats, settings=CLEAR)
    out = commands.run("check", root).out
    assert 'begins a new image: "H" 1, "Dissolve" 1' in out
    assert 'continues the image before: "Continue" 1' in out
    assert "1 image drawn from the image before" in out


def test_check_shows_what_a_beat_continues(commands: Commands) -> None:
    """With the beat before it, and how many there are in each style."""
    root = commands.project(beats=chains(2), settings=CLEAR)
    assert "8 images drawn from the image before" in commands.run("check", root).out
    shown = commands.run("check", root, "--show", "clear/1.3").out
    assert "continues the image of 1/1.2" in shown


def dry_run(commands: Commands, root: Path, *options: str) -> Done:
    """Return what a dry run says."""
    return commands.run("run", root, "--dry-run", *options)


def test_a_dry_run_tells_the_time_that_chains_take(commands: Commands) -> None:
    """As many answers one after another as the longest chain has."""
    root = commands.project(beats=chains(2), settings=CLEAR)
    # The default's answers take about 25 seconds; how long another's do is not known.
    assert "at least 2:05" in dry_run(commands, root).out
    other = ("--model", "gemini-3.1-flash-lite-image")
    assert "5 answers" in dry_run(commands, root, *other).out
    assert "1 answer" in dry_run(commands, root, "--no-continuity", *other).out


def test_a_candidate_continues_what_its_beat_does(commands: Commands, server: GeminiServer) -> None:
    """`try` sends the project's own picture along."""
    root = commands.project(beats=chains(1), settings=CLEAR)
    by_hand(root, [0])
    done = commands.run("try", root, "--beat", "clear/1.2", "--base-url", server.address)
    assert done.code == 0, done.text
    assert len(server.requests) == 2
    before = digest(picture(root, "clear", 0))
    assert {hashed for r in server.requests for _, hashed in r.references} == {before}
