"""What holds for every storyboard: it reads back the same, and nothing read is a crash."""

import contextlib
import csv
import io
import json
import re
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagegen.errors import ImagegenError
from imagegen.project.storyboard import file_number, load
from imagegen.project.storyboard.blanks import blank_prompt, is_invisible
from sweep import examples

STYLES = ("illustration", "clear", "consistent")
COLUMNS = ("shot_number", "beat_number", "transition_type", "script_phrase", "ai_prompt")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
prompts = texts.filter(lambda text: not is_invisible(text) and blank_prompt(text) is None)
numbers = st.one_of(
    # A column of numbers that all end with .0 is read without it, in a table.
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True).filter(
        lambda text: not re.fullmatch(r"[0-9]+\.0+", text)
    ),
    st.text("abcXYZ019_.- éß", min_size=1, max_size=20).filter(
        lambda text: (
            text[0] != " "
            and text[-1] not in ". "
            and " " not in text
            and not re.fullmatch(r"[0-9]+\.0+", text)
        )
    ),
)
storyboards = st.lists(
    st.fixed_dictionaries(
        {
            "shot_number": numbers,
            "beat_number": numbers,
            "transition_type": st.sampled_from(["", "H", "C", "Hard cut", "Fade"]),
            "script_phrase": texts.map(lambda text: text if text.strip() else ""),
            "ai_prompt": prompts,
        }
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: f"{row['shot_number']}/{row['beat_number']}".casefold(),
)
Rows = list[dict[str, str]]


def as_json(rows: Rows) -> str:
    """Write rows as a list."""
    return json.dumps(rows)


def as_javascript(rows: Rows) -> str:
    """Write rows as a module, their texts in each kind of quotes."""

    def template(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace("`", "\\`").replace("${", "\\${")
        return "`" + escaped.replace("\r", "\\r") + "`"

    def single(text: str) -> str:
        return "'" + json.dumps(text)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"

    quotes = (template, single, json.dumps)
    lines = [
        ", ".join(f"{name}: {quotes[(at + n) % 3](row[name])}" for n, name in enumerate(COLUMNS))
        for at, row in enumerate(rows)
    ]
    listed = "\n".join(f"  {{ {line} }}, // it's a row" for line in lines)
    return f"/* ` */ export const prompts = [\n{listed}\n];\n"


def as_csv(rows: Rows, delimiter: str = ",") -> str:
    """Write rows as a spreadsheet would."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def read(name: str, text: str | bytes) -> list[tuple[Any, ...]]:
    """Read one file and return its beats, as the columns that were written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        storyboard = load(Path(folder), STYLES, beats=Path(name))
    return [
        (beat.shot, beat.written, beat.transition, beat.script_phrase, beat.words)
        for beat in storyboard.beats["clear"]
    ]


@pytest.mark.slow
@given(storyboards)
@settings(deadline=None)
def test_every_format_reads_back_what_was_written(rows: Rows) -> None:
    """The same rows give the same beats as JSON, JavaScript and CSV.

    A cell of a table that shows nothing is empty.
    """
    expected = [tuple(row[name] for name in COLUMNS) for row in rows]
    assert read("b.json", as_json(rows)) == expected
    assert read("b.json", json.dumps({"beats": rows}, ensure_ascii=False)) == expected
    assert read("b.js", as_javascript(rows)) == expected
    cells = [tuple("" if is_invisible(cell) else cell for cell in row) for row in expected]
    assert read("b.csv", as_csv(rows)) == cells
    assert read("b.csv", "\ufeff" + as_csv(rows, ";")) == cells


NAMES = (
    dict(zip(COLUMNS, COLUMNS, strict=True)),
    dict(zip(COLUMNS, ("shot", "beat", "transition", "script", "prompt"), strict=True)),
    dict(
        zip(
            COLUMNS,
            ("shotNumber", "beatNumber", "transitionType", "scriptPhrase", "aiPrompt"),
            strict=True,
        )
    ),
    dict(
        zip(COLUMNS, ("Shot No", "Beat ID", "Transition", "Voiceover", "Image Prompt"), strict=True)
    ),
)
sayable = st.lists(
    st.fixed_dictionaries(
        {
            "shot_number": st.integers(1, 9).map(str),
            "beat_number": st.from_regex(r"[1-9][0-9]?(\.[1-9][0-9]?)?", fullmatch=True),
            "transition_type": st.sampled_from(["H", "C", "Hard cut", "Fade"]),
            "script_phrase": st.text("ab ,;{}[]()é’“”:.!?", min_size=1).filter(str.strip),
            "ai_prompt": st.text("xyz ,;{}[]()é’“”:.!?", max_size=40).map(lambda t: f"A {t}boat"),
        }
    ),
    min_size=2,
    max_size=6,
    unique_by=lambda row: f"{row['shot_number']}/{row['beat_number']}",
)


def as_other_shape(rows: Rows, shape: int, names: dict[str, str]) -> tuple[str, bytes]:
    """Write rows in one of many shapes that are not strict, under these names."""
    called = [{names[column]: row[column] for column in COLUMNS} for row in rows]
    plain = json.dumps(called, ensure_ascii=False)
    pretty = json.dumps(called, ensure_ascii=False, indent=2)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(names.values()), delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(called)
    texts: list[tuple[str, str | bytes]] = [
        ("b.json", f"Here it is:\n\n```json\n{pretty}\n```\n\nTell me more."),
        ("b.json", "// v2\n" + pretty.replace("\n  }", ",\n  }") + " // end"),
        ("b.json", "\n".join(json.dumps(row) for row in called)),
        ("b.json", "".join(json.dumps([row]) for row in called)),
        ("b.json", json.dumps({"title": "x", "storyboard": {"scenes": called}})),
        ("b.json", json.dumps([[row] for row in called])),
        ("b.json", plain.encode("utf-16")),
        ("b.js", f"const prompts_clear = {plain};"),
        ("b.csv", "My film;;;;\r\n" + table.getvalue() + "Total;9;;;\r\n"),
        ("b.tsv", table.getvalue().encode("utf-16-le")),
        ("b.txt", repr(called)),
    ]
    name, text = texts[shape % len(texts)]
    return name, text if isinstance(text, bytes) else text.encode()


@pytest.mark.slow
@given(sayable, st.integers(0, 10), st.sampled_from(NAMES))
@settings(deadline=None, max_examples=examples(150))
def test_every_shape_and_spelling_gives_the_same_beats(
    rows: Rows, shape: int, names: dict[str, str]
) -> None:
    """What a model wraps, renames or decorates is read as if it were strict."""
    expected = [tuple(row[column] for column in COLUMNS) for row in rows]
    name, text = as_other_shape(rows, shape, names)
    assert read(name, text) == expected


@pytest.mark.slow
@given(storyboards, st.dictionaries(st.text("abc_", min_size=1, max_size=4), st.integers()))
@settings(deadline=None)
def test_nothing_is_read_less_than_by_a_strict_reader(rows: Rows, others: dict[str, int]) -> None:
    """Fields of other tools, which a strict reader passes over, take nothing away."""
    decorated = [others | row for row in rows]
    expected = [tuple(row[name] for name in COLUMNS) for row in rows]
    assert read("b.json", json.dumps(decorated)) == expected
    assert read("b.json", json.dumps({"beats": decorated, "version": 3})) == expected


@given(
    st.one_of(
        st.binary(),
        st.text(st.sampled_from("[]{}\"'`\\/*,:;=.$ \n\r01aénu-+()\ufeff")).map(
            lambda text: f"export default [{text}".encode()
        ),
        st.text(st.sampled_from('[]{}",:\\ \n01aéud8-')).map(str.encode),
        st.text(st.sampled_from('",;\t\r\n a=')).map(
            lambda text: f"shot_number,beat_number,ai_prompt\n{text}".encode()
        ),
    ),
    st.sampled_from(["b.json", "b.js", "b.mjs", "b.csv"]),
)
@settings(deadline=None, max_examples=examples(500))
def test_any_bytes_are_read_or_refused(data: bytes, name: str) -> None:
    """Whatever a file holds, the answer is a storyboard or an error with a message."""
    with contextlib.suppress(ImagegenError):
        read(name, data)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(STYLES), inner, max_size=3)
    ),
    max_leaves=4,
)


@pytest.mark.slow
@given(
    st.lists(st.one_of(values, st.dictionaries(st.sampled_from((*COLUMNS, "ai_prompts")), values)))
)
@settings(deadline=None)
def test_any_document_is_read_or_refused(document: list[Any]) -> None:
    """Rows of any types are read or refused, each bad one with a fault, in both languages."""
    for name, text in (
        ("b.json", json.dumps(document)),
        ("b.js", f"export default {json.dumps(document)}"),
    ):
        with contextlib.suppress(ImagegenError):
            read(name, text)


@given(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), numbers))
@settings(deadline=None)
def test_numbers_are_safe_file_names(number: str | float) -> None:
    """A number that is accepted can be a part of a file's name on every system."""
    row = {"shot_number": number, "beat_number": number, "ai_prompt": "A boat"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "beats.json").write_text(json.dumps([row]), encoding="utf-8")
        try:
            (beat,) = load(Path(folder), ["clear"]).beats["clear"]
        except ImagegenError:
            return
    for kind, accepted in (("shot", beat.shot), ("beat", beat.beat)):
        letters = "".join(c for c in accepted if unicodedata.category(c)[0] != "M")
        assert re.fullmatch(r"[\w.\- ]{1,60}", letters)
        assert len(accepted) <= 60
        assert accepted == unicodedata.normalize("NFC", accepted).strip(" ").rstrip(".")
        assert file_number(accepted, kind) == accepted


@given(st.text("Beatshon #_-:.,()[]\"'*№1２é\u0301\u200b", max_size=30))
@settings(deadline=None)
def test_number_is_read_once(text: str) -> None:
    """What a number is read as is read as itself, whatever was around it."""
    for kind in ("shot", "beat"):
        with contextlib.suppress(ValueError):
            number = file_number(text, kind)
            assert file_number(number, kind) == number


@pytest.mark.parametrize("bad", range(0, 50, 7))
def test_each_bad_row_is_named(tmp_path: Path, bad: int) -> None:
    """Wherever the bad row stands, it is the one that is named."""
    rows = [{"shot_number": 1, "beat_number": str(n), "ai_prompt": "x"} for n in range(50)]
    document: list[Any] = [*rows[:bad], rows[bad] | {"ai_prompt": 7}, *rows[bad + 1 :]]
    (tmp_path / "beats.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ImagegenError) as caught:
        load(tmp_path, STYLES)
    assert [fault.row for fault in getattr(caught.value, "faults", ())] == [bad + 1]
