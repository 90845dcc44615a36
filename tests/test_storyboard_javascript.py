"""JavaScript modules read as data, through a project whose prompts they hold."""

import time
from pathlib import Path

import pytest

from imagegen.errors import InputError, InvalidInputError
from imagegen.project.storyboard import Beat, load

ROW = '{shot_number: 1, beat_number: "1.1", ai_prompt: "A boat"}'


def beats(folder: Path, module: str) -> tuple[Beat, ...]:
    """Read a module as the prompts of one style."""
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts" / "prompts-clear.js").write_bytes(module.encode())
    return load(folder, ["clear"]).beats["clear"]


def words(folder: Path, literal: str) -> str:
    """Return what a literal of a prompt reads as."""
    module = f"export default [{{shot_number: 1, beat_number: 1, ai_prompt: {literal}}}];"
    return beats(folder, module)[0].words


def fault(folder: Path, module: str) -> InputError:
    """Return the only fault of a module."""
    with pytest.raises(InvalidInputError) as caught:
        beats(folder, module)
    (only,) = caught.value.faults
    return only


@pytest.mark.parametrize(
    "module",
    [
        f"export default [{ROW}]",
        f"export default [{ROW},];",
        f"export default {{title: 'x', beats: [{ROW}]}};",
        f"const prompts = [{ROW}];\nexport default prompts;",
        f"let prompts = [{ROW}]\n\nexport default prompts\n",
        f"export default prompts; var prompts = [{ROW}];",
        f"const prompts_illustration = [{ROW}];",
        f"export const prompts = [{ROW}];",
        f"export const $a1 = [{ROW}]; export default $a1;",
        f"module.exports = [{ROW}];",
        f"const p = [{ROW}];\nmodule.exports = p;",
        f"'use strict';\n/* [ */ // export default [\nexport/**/default/**/[{ROW}]/**/;;// ]",
        f"\ufeffexport default [ // one's own\n{ROW} /* \" */\n];",
    ],
)
def test_every_export_form_is_read(tmp_path: Path, module: str) -> None:
    """A list or an object with beats is found in each form of export that is in use."""
    assert [beat.words for beat in beats(tmp_path, module)] == ["A boat"]


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("'it\\'s \"so\"'", 'it\'s "so"'),
        ('"a // b /* c */ ` ${d} [ ] { }"', "a // b /* c */ ` ${d} [ ] { }"),
        ("`one \"two\" 'three'`", "one \"two\" 'three'"),
        ("`a\nb\r\nc`", "a\nb\nc"),
        ("`a \\` \\${b} $ {c} \\\\`", "a ` ${b} $ {c} \\"),
        ("`a\\\nb`", "ab"),
        ("'a\\\r\nb'", "ab"),
        ("`// no comment ] }`", "// no comment ] }"),
        ("`\\u{1F600} \\u00e9 \\x41\\t`", "😀 é A\t"),
        ("'\\u{1F600}\\u{e9}'", "😀é"),
        ("'\\\\u{1F600}'", "\\u{1F600}"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"a\u2028b"', "a\u2028b"),
        ("`a\u2028b`", "a\u2028b"),
    ],
)
def test_texts_are_what_javascript_makes_of_them(tmp_path: Path, literal: str, text: str) -> None:
    """Strings and template literals keep their words; code inside them stays text."""
    assert words(tmp_path, literal) == text


@pytest.mark.parametrize(
    ("module", "line", "excerpt"),
    [
        (f"import fs from 'fs';\nexport default [{ROW}];", 1, "import"),
        (f"export default [{ROW}];\nfetch('http://x');", 2, "fetch("),
        (f"export default [{ROW}].map(x => x);", 1, ".map("),
        (f"export default [{ROW}]\n.map(x => x);", 2, ".map("),
        (f"export default [{ROW}] export default [];", 1, "export default"),
        (f"\n\nexport default load([{ROW}]);", 3, "load("),
        ("export default [\n{shot_number: 1, ai_prompt: words(1)}];", 2, "words("),
        ("export default [\n{shot_number: one}];", 2, "one"),
        ("export default [\n\n...others];", 3, "spread"),
        ('export default [\n"a" + "b"];', 2, "+"),
        ("export default [{ai_prompt: `a\nb ${process.env.KEY}`}];", 2, "${"),
        ("export default [`a\nb`,\n`c\n`, undefined];", 4, "undefined"),
        ("export default () => [];", 1, "("),
        ("export default function f() { return [] }", 1, "function"),
        ("export default [/a/];", 1, "/a/"),
        ("export default ['a\n'];", 1, "text that does not end"),
        ("export default [`a\n];", 1, "template literal that does not end"),
        ("export default [\n/* a ];", 2, "comment that does not end"),
        ("\nexport default [[", 2, "ends before"),
        ("export default [1}", 1, "}"),
        ("const a = [];\nconst b = [];\nexport default b;", 2, "second list"),
        ("const a = 1;\nexport default a;", 1, "1;"),
        ("export default " + "[" * 100_000, 1, "nested too deeply"),
        ("export default " + "[" * 300 + "]" * 300, 1, "nested too deeply"),
    ],
)
def test_more_than_data_is_a_fault(tmp_path: Path, module: str, line: int, excerpt: str) -> None:
    """What would have to be executed is refused, with its line."""
    found = fault(tmp_path, module)
    assert f"(line {line})" in found.message
    assert excerpt in found.message
    assert found.file == str(tmp_path / "prompts" / "prompts-clear.js")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("", "exports nothing"),
        ("const prompts = 7;", "it is read as data and never executed"),
        ("export default prompts;", 'exports "prompts", which it does not define'),
        ("export default {rows: []};", "expected a list of rows"),
    ],
)
def test_module_without_an_exported_list(tmp_path: Path, module: str, reason: str) -> None:
    """A module that exports no rows says what it should do."""
    assert reason in fault(tmp_path, module).message


def test_rows_are_judged_like_those_of_json(tmp_path: Path) -> None:
    """Each faulty row has its fault, an unquoted 1.10 its hint."""
    module = """export default [
      {shot_number: 1, beat_number: 1.1, ai_prompt: "a"},
      {shot_number: 1, beat_number: 1.10, ai_prompt: "b"},
      {shot_number: true, beat_number: "2", ai_prompt: "c"},
      {shot_number: 1, beat_number: NaN, ai_prompt: "d\\0"},
    ];"""
    with pytest.raises(InvalidInputError) as caught:
        beats(tmp_path, module)
    assert [(one.row, one.field) for one in caught.value.faults] == [
        (2, "beat_number"),
        (3, "shot_number"),
        (4, "beat_number"),
        (4, "ai_prompt"),
    ]
    assert caught.value.faults[0].hint == 'an unquoted 1.10 loses its last zero: write "1.10"'


@pytest.mark.parametrize(
    "unit", ["/*", "`", "'", "[]", "/**/ ", '\\"', "//\n", "export ", "{[", "\n"]
)
def test_hostile_module_takes_linear_time(tmp_path: Path, unit: str) -> None:
    """A quarter of a million repetitions of anything are refused or read at once."""
    started = time.perf_counter()
    for before in ("export default [", 'export default ["', ""):
        fault(tmp_path, before + unit * 250_000)
    # A scan that starts over at each repetition would take many minutes.
    assert time.perf_counter() - started < 20
