"""JSON that imagegen writes: the same values to every reader, and harmless where it is printed."""

import json
import os
import re
import unicodedata

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commands import Commands, row
from imagegen import encoding

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NASTY = f"\x1b[31m\x7f\x80\x9b1m\x9d0;title\x9c{BIDI}\u2028\u2029##[error]evil ::error::evil :::"
SKETCH = 'provider = "sketch"\nimage_size = "512"\n'
TEXTS = st.text(st.sampled_from([*NASTY, *'\\"#[:é€𝄞a \n']), max_size=12) | st.text()


def harmless(data: bytes) -> bool:
    """Return whether neither a terminal nor a CI runner would obey anything in printed JSON."""
    text = data.decode()
    controls = [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"]
    marks = [c for c in text if c in f"{BIDI}\u2028\u2029"]
    return not controls and not marks and "##[" not in text and "::" not in text


@pytest.mark.slow
@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
@example(NASTY)
@example({NASTY: [NASTY, {"::": "####["}]})
@example("\\" + NASTY)
def test_it_says_the_same_and_does_nothing(value: object) -> None:
    """Whatever the text: every reader gets the value, and no character of it acts."""
    for data in (encoding.to_json(value), encoding.to_indented_json(value)):
        assert harmless(data)
        assert json.loads(data) == value
        assert msgspec.json.decode(data) == value


@pytest.mark.parametrize("value", ["caf\udce9", ["\ud800"], {"\udfff": {"a": ("\udcff",)}}])
def test_names_that_are_no_text_are_written(value: object) -> None:
    """As a question mark: names of files may be any bytes."""
    assert json.loads(encoding.to_json(value)) == json.loads(
        re.sub(r"\\ud[89a-f][0-9a-f]{2}", "?", json.dumps(value))
    )


def test_plain_text_is_left_as_it_is() -> None:
    """Letters of all scripts stay readable in files."""
    assert encoding.to_json({"a": "Zoë: 日本 🎬 it's #1 [x]"}) == (
        '{"a":"Zoë: 日本 🎬 it\'s #1 [x]"}'.encode()
    )


@pytest.mark.skipif(os.name != "posix", reason="such names are POSIX's")
def test_every_json_of_a_command_is_harmless(commands: Commands) -> None:
    """What is printed, and what lies in the project: a script may print all of it."""
    rows = [row(n, script_phrase=NASTY, ai_prompt=NASTY, transition_type=NASTY) for n in range(2)]
    settings = f'{SKETCH}draw = ["clear"]\n[styles.clear]\nlook = {json.dumps(NASTY)}\n'
    made = commands.project(beats=rows, settings=settings)
    # A number of a service's, and a project's name: text from outside in every kind of file.
    root = made.rename(made.parent / f"my {NASTY}".replace("/", ""))
    error = {"shot": "1", "beat": "1.2", "cause": "refused", "reason": NASTY, "message": NASTY}
    progress = {"completedBeats": [], "errors": [error]}
    (root / "image_progress_clear.json").write_text(json.dumps(progress))
    (root / "image_selections.json").write_text(json.dumps({NASTY: {"note": NASTY}}))
    printed = [
        commands.run("status", root, "--json"),
        commands.run("run", root, "--progress", "json", "--beat", "1.1"),
        commands.run("run", root, "--progress", "json", "--style", NASTY),
        commands.run("choose", root, "1.1", "clear"),
        commands.run("choose", root, "--list", "--json"),
        commands.run("keys", "list", root, "--json"),
        commands.run("status", root, "--json"),
        commands.run("try", root, "--style", "clear", "--look", NASTY, "--beat", "1.1"),
        commands.run("redraw", root, "1.1", "--yes"),
    ]
    assert [done.code for done in printed] == [0, 0, 2, 0, 0, 0, 0, 0, 0]
    for done in printed:
        for line in done.out.splitlines():
            assert not line.startswith("{") or harmless(line.encode())
    files = [
        path
        for path in root.rglob("*")
        if path.suffix in {".json", ".jsonl"} and path.name != "beats.json"
    ]
    kinds = {path.name if path.suffix == ".json" else "journal" for path in files}
    assert {"run.json", "journal", "image_progress_clear.json", "image_selections.json"} <= kinds
    assert "step.json" in kinds
    assert not [str(path) for path in files if not harmless(path.read_bytes())]
