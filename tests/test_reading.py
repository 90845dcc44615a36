"""Storyboards as models, people and spreadsheets write them."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project.storyboard import Beat, Storyboard, alike, load, write_clean

STYLES = ("illustration", "clear", "consistent")
ROWS = [
    {
        "shot_number": 1,
        "beat_number": "1.1",
        "transition_type": "H",
        "script_phrase": "It’s late.",
        "ai_prompt": "A lighthouse at dusk, its lamp lit",
    },
    {
        "shot_number": 1,
        "beat_number": "1.2",
        "transition_type": "C",
        "script_phrase": "“Who is there?”",
        "ai_prompt": "An old keeper, {one} [lamp]",
    },
    {
        "shot_number": 2,
        "beat_number": "2.1",
        "transition_type": "Fade",
        "script_phrase": "",
        "ai_prompt": "A storm, far out",
    },
]
JSON = json.dumps(ROWS, ensure_ascii=False)
WANTED = [
    ("1", "1.1", "H", "It’s late.", "A lighthouse at dusk, its lamp lit"),
    ("1", "1.2", "C", "“Who is there?”", "An old keeper, {one} [lamp]"),
    ("2", "2.1", "Fade", "", "A storm, far out"),
]
Facts = tuple[str, str, str, str, str]


def facts(beat: Beat) -> Facts:
    """Return what a beat is drawn from and called."""
    return beat.shot, beat.beat, beat.transition, beat.script_phrase, beat.words


def board(folder: Path, text: str | bytes, name: str = "beats.json") -> Storyboard:
    """Read a project that has this file."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(folder, STYLES)


def read(folder: Path, text: str | bytes, name: str = "beats.json") -> list[Facts]:
    """Return the facts of the beats of one style, of a project that has this file."""
    return [facts(beat) for beat in board(folder, text, name).beats["clear"]]


def faults(folder: Path, text: str | bytes, name: str = "beats.json") -> tuple[InputError, ...]:
    """Return the faults of a project that has this file."""
    with pytest.raises(InvalidInputError) as caught:
        board(folder, text, name)
    return caught.value.faults


def renamed(names: dict[str, str]) -> list[dict[str, Any]]:
    """Return the rows with other names for some of their fields."""
    return [{names.get(name, name): value for name, value in row.items()} for row in ROWS]


CAMEL = {
    "shot_number": "shotNumber",
    "beat_number": "beatNumber",
    "transition_type": "transitionType",
    "script_phrase": "scriptPhrase",
    "ai_prompt": "imagePrompt",
}
SHORT = {
    "shot_number": "shot",
    "beat_number": "beat",
    "transition_type": "transition",
    "script_phrase": "script",
    "ai_prompt": "prompt",
}


CURLY = (
    "".join(part + ("“" if at % 2 == 0 else "”") for at, part in enumerate(JSON.split('"')[:-1]))
    + JSON.split('"')[-1]
)


class TestBrokenJson:
    """JSON that a strict reader refuses, and that has one meaning."""

    @pytest.mark.parametrize(
        "text",
        [
            f"```json\n{JSON}\n```\n",
            f"~~~\n{JSON}\n~~~",
            f"Here is your storyboard [draft]:\n\n```\n{JSON}\n```\nLet me know! {{ok}}",
            f"// version 2\n{JSON}",
            f"/* a\nb */ {JSON} # end",
            f"\ufeff\u200b {JSON}\u00a0",
            JSON.replace("}, {", "}, // a beat\n /* and */ {"),
            JSON.replace("}, {", ",},\n{").replace("}]", "},]"),
            JSON.replace("}, {", "}\n{").replace("[{", "{").replace("}]", "}"),
            JSON.replace("}, {", "}]\n\n[{"),
            f"[{JSON}]",
            f"storyboard = {JSON};",
            JSON.replace('"shot_number"', "shot_number").replace('"ai_prompt"', "ai_prompt"),
            JSON.replace('"', "'"),
            JSON.replace('"', "“", 1).replace('"', "”", 1),
            CURLY,
            repr(ROWS),
        ],
    )
    def test_is_read_past(self, tmp_path: Path, text: str) -> None:
        """Fences, prose, comments, other quotes and commas change no beat; a note names them."""
        found = board(tmp_path, text)
        assert [facts(beat) for beat in found.beats["clear"]] == WANTED
        strict = text.strip("\ufeff\u200b\u00a0 ") == JSON or text == f"[{JSON}]"
        nested = "}]\n\n[{" in text
        assert any("read past" in note for note in found.notes) or strict or nested or "\n{" in text

    def test_what_was_read_past_is_named_with_its_lines(self, tmp_path: Path) -> None:
        """Once for each kind."""
        text = f"```\n// a\n// b\n{JSON.replace('}]', '},]')}\n```"
        (note,) = board(tmp_path, text).notes
        assert note == (
            "beats.json: read past a Markdown fence (lines 1, 5), a comment (lines 2, 3), "
            "a comma too many (line 4)"
        )

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ('[{"a": 1\n"b": 2}]', [("a comma is missing here", 1, 9)]),
            ('[{"a" 1}]', [('"a" has no value: a colon is missing', 1, 7)]),
            ('[\n{"a": "say "no" now", "b": 1}]', [('a " within a text is written \\"', 2, 12)]),
            ('[{"a": "x,\n"b": 2}]', [("the text that begins here has no closing quote", 1, 8)]),
            ('[{"a": 1}', [("the list that begins here has no end", 1, 1)]),
            ('[{"a": 1]', [("] is here, and } is expected", 1, 9)]),
            ('[{"a": yes please, "b": 1}]', [('"yes" is not in quotes', 1, 8)]),
            ('[{"a": 1\n"b": 2},\n{"c" 3}]', [("a comma is missing here", 1, 9), ("colon", 3, 6)]),
            ('[/* {"a": 1}]', [("the comment that begins here has no end", 1, 2)]),
        ],
    )
    def test_every_syntax_error_has_its_line_and_column(
        self, tmp_path: Path, text: str, wrong: list[tuple[str, int, int]]
    ) -> None:
        """The text of the line is there for the caret, and reading goes on behind the error."""
        found = [fault for fault in faults(tmp_path, text) if fault.column]
        places = {(fault.line, fault.column) for fault in found}
        assert places >= {(line, column) for _, line, column in wrong}
        for message, line, column in wrong:
            (one,) = (f for f in found if (f.line, f.column) == (line, column))
            assert message in one.message
            assert one.source == text.split("\n")[line - 1]

    @pytest.mark.parametrize(
        "text",
        [
            '[{"shot_number": 1, "beat_number": "1.1", "ai_prompt": "A", "beat_number": "1.2"}]',
            '{"beats": [\n{"shot": 1, "beat": 1, "prompt": "A",\n "prompt": "B"}]}',
            "[{shot: 1, beat: 1, prompt: 'A', prompt: 'B',}]",
            JSON.replace('"shot_number": 2', '"sfx": "wind", "shot_number": 2, "sfx": "rain"'),
        ],
    )
    def test_a_field_twice_in_a_row_is_an_error(self, tmp_path: Path, text: str) -> None:
        """Decoders keep the last of them; the error is at its name."""
        (fault,) = faults(tmp_path, text)
        assert "is here twice: keep one" in fault.message
        name = fault.message.split('"')[1]
        assert fault.column is not None
        assert fault.source is not None
        assert fault.source[fault.column - 1 :].lstrip('"').startswith(name)

    def test_a_field_twice_with_one_value_is_read(self, tmp_path: Path) -> None:
        """Nothing is lost, so nothing is said; nor is a text that is a field's name."""
        text = JSON.replace('"shot_number": 1', '"shot_number": 1, "shot_number": 1')
        assert read(tmp_path, text.replace('""', '"ai_prompt"'))[:2] == WANTED[:2]

    def test_a_text_without_its_quote_ends_with_its_object(self, tmp_path: Path) -> None:
        """It is one error, and what closes the object closes it."""
        text = JSON.replace('lamp lit"}', "lamp lit}").replace("}, {", "},\n{")
        (fault,) = faults(tmp_path, text)
        assert (fault.line, fault.message) == (1, "the text that begins here has no closing quote")

    def test_syntax_and_rows_are_told_in_one_round(self, tmp_path: Path) -> None:
        """Whoever mends a comma hears of the empty prompt and the lost zero at the same time."""
        text = (
            '[ // my film\n{"shot": 1, "beat": 3.1 "prompt": “A hill”},\n'
            '{"shot": 1, "beat": 3.10, "prompt": ""},\n]'
        )
        messages = [(fault.line, fault.message) for fault in faults(tmp_path, text)]
        assert messages == [
            (2, "a comma is missing here"),
            (3, "missing, and no ai_prompts"),
            (3, "3.1 is already row 1 (line 2)"),
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '{"a":' * 100_000,
            '"a' * 200_000,
            "[{'" * 50_000,
            '[{"a": "' + '"x' * 300_000,
            "/*" * 200_000,
            "[{" + "a" * 1_000_000,
            "[" + "“" * 300_000,
            "\n" * 500_000 + "[{",
        ],
    )
    def test_hostile_text_ends(self, tmp_path: Path, text: str) -> None:
        """Nothing nests, repeats or stays open so often that reading takes long or fails."""
        with pytest.raises(UsageError):
            board(tmp_path, text)


class TestNames:
    """Fields under other names than ours."""

    @pytest.mark.parametrize("names", [CAMEL, SHORT, {"ai_prompt": "description"}])
    def test_usual_names_are_read_if_all_rows_agree(
        self, tmp_path: Path, names: dict[str, str]
    ) -> None:
        """A note says once which names were read as which."""
        found = board(tmp_path, json.dumps(renamed(names)))
        assert [facts(beat) for beat in found.beats["clear"]] == WANTED
        (note,) = found.notes
        assert note.startswith("beats.json: read 3 rows: ")
        for ours, theirs in names.items():
            assert f'{ours} from "{theirs}"' in note

    def test_headings_may_have_any_case_and_spaces(self, tmp_path: Path) -> None:
        """These are our names, and nothing is said."""
        rows = [{n.replace("_", " ").title(): v for n, v in row.items()} for row in ROWS]
        found = board(tmp_path, json.dumps(rows))
        assert [facts(beat) for beat in found.beats["clear"]] == WANTED
        assert found.notes == ()

    def test_rows_that_disagree_are_faults_with_the_right_name(self, tmp_path: Path) -> None:
        """Each row whose name is not read says what it should be."""
        rows = [ROWS[0], *renamed(CAMEL)[1:]]
        found = faults(tmp_path, json.dumps(rows))
        assert {(fault.row, fault.message) for fault in found} == {
            (row, f'"{CAMEL[name]}" should be "{name}"')
            for row in (2, 3)
            for name in ("shot_number", "beat_number", "ai_prompt")
        }

    def test_a_misspelt_name_is_said(self, tmp_path: Path) -> None:
        """An optional field that is nearly one of ours is not passed over in silence."""
        found = board(tmp_path, json.dumps(renamed({"transition_type": "trasition_type"})))
        assert found.beats["clear"][0].transition == ""
        assert found.notes == (
            'beats.json: "trasition_type" is not read: rename it to transition_type',
        )

    def test_a_required_name_that_is_misspelt_is_a_fault(self, tmp_path: Path) -> None:
        """With the name that it should have, in every row alike."""
        found = faults(tmp_path, json.dumps(renamed({"ai_prompt": "ai_promt"})))
        assert [fault.message for fault in found] == ['"ai_promt" should be "ai_prompt"'] * 3

    def test_of_two_names_ours_is_read_and_the_other_said(self, tmp_path: Path) -> None:
        """A description beside the prompt is not drawn."""
        rows = [row | {"description": "other"} for row in ROWS]
        found = board(tmp_path, json.dumps(rows))
        assert [facts(beat) for beat in found.beats["clear"]] == WANTED
        assert found.notes == (
            'beats.json: "description" is not read: ai_prompt is read from "ai_prompt"',
        )

    def test_a_list_without_prompts_is_passed_over_though_it_has_descriptions(
        self, tmp_path: Path
    ) -> None:
        """A guessed name does not take the place of files that have prompts by ours."""
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts" / "prompts-clear.json").write_text(JSON, encoding="utf-8")
        found = board(tmp_path, json.dumps([{"beat_number": "1", "shot": 1, "description": "x"}]))
        assert found.source == "prompts/"

    def test_other_fields_stay_with_the_beat(self, tmp_path: Path) -> None:
        """What later steps need is handed on, whether we know its name or not."""
        extra = {"sfx": "rain", "kinetic_text": "Late", "duration": 2.5, "camera": {"lens": 35}}
        for rows in ([row | extra for row in ROWS], [row | {"sfx": "rain"} for row in ROWS]):
            beat = board(tmp_path, json.dumps(rows)).beats["clear"][0]
            assert beat.extra == {n: v for n, v in rows[0].items() if n not in ROWS[0]}

    @pytest.mark.parametrize(
        "others",
        [
            {"prompts": ["one", "two"]},
            {"transition_type": None, "transition": {"kind": "cut"}},
            {"script_phrase": None, "script": ["a", "b"]},
            {"images": [{"url": "x"}]},
            {"end": {"a": 1}, "start": [2], "sfx": {"b": None}},
        ],
    )
    def test_names_that_mean_something_else_stop_nothing(
        self, tmp_path: Path, others: dict[str, object]
    ) -> None:
        """What another tool has under a usual name is kept, and not taken for ours."""
        rows = [{n: v for n, v in row.items() if others.get(n, v) is not None} for row in ROWS]
        given = {n: v for n, v in others.items() if v is not None}
        found = board(tmp_path, json.dumps([row | given for row in rows])).beats["clear"]
        assert [beat.words for beat in found] == [row["ai_prompt"] for row in ROWS]
        assert found[0].extra == given

    def test_prompts_of_styles_under_other_names(self, tmp_path: Path) -> None:
        """A style's own words may be in a field of their own, or in rows that name the style."""
        rows = [{"shot": 1, "beat": 1, "clear_prompt": "A", "promptConsistent": "B"}]
        found = board(tmp_path, json.dumps(rows)).beats
        assert [[beat.words for beat in found[style]] for style in STYLES] == [[], ["A"], ["B"]]
        rows = [{"shot": 1, "beat": 1, "style": s, "prompt": s.upper()} for s in STYLES]
        found = board(tmp_path, json.dumps(rows)).beats
        assert [[beat.words for beat in found[style]] for style in STYLES] == [
            [style.upper()] for style in STYLES
        ]


class TestNesting:
    """Rows within other lists and objects."""

    @pytest.mark.parametrize(
        ("document", "where"),
        [
            ({"beats": ROWS}, None),
            ({"title": "x", "storyboard": ROWS}, "storyboard[]"),
            ({"storyboard": {"scenes": ROWS}}, "storyboard.scenes[]"),
            ({"my_film": ROWS}, "my_film[]"),
            ({"shots": ROWS}, "shots[]"),
            (
                {
                    "shots": [
                        {"shot_number": 1, "mood": "dark", "beats": ROWS[:2]},
                        {"shot_number": 2, "beats": ROWS[2:]},
                    ]
                },
                "shots[].beats[]",
            ),
            ([[ROWS[0], ROWS[1]], [ROWS[2]]], None),
            ({"beats": ROWS, "scenes": [{"scene": 1, "title": "x"}], "cast": [{"a": 1}]}, None),
            ({"1.1": ROWS[0], "1.2": ROWS[1], "2.1": ROWS[2]}, "{}"),
            (dict.fromkeys(STYLES, ROWS), "illustration[] and clear[] and consistent[]"),
        ],
    )
    def test_rows_are_found(self, tmp_path: Path, document: object, where: str | None) -> None:
        """A note says where they are, if it is not where a strict file has them."""
        found = board(tmp_path, json.dumps(document))
        assert [facts(beat) for beat in found.beats["clear"]] == WANTED
        if where is None:
            assert found.notes == ()
        else:
            assert f"of {where}" in found.notes[0]

    def test_a_list_of_shots_with_their_beats(self, tmp_path: Path) -> None:
        """A document may be the list of shots itself: rows have the number of theirs."""
        shots = [
            {"shot": 1, "beats": [{"beat": "1.1", "prompt": "A hill"}]},
            {"shot": 7, "beats": [{"beat": 1, "prompt": "A lake"}, {"beat": 2, "prompt": "A sea"}]},
        ]
        found = board(tmp_path, json.dumps(shots))
        assert [beat.key for beat in found.beats["clear"]] == [("1", "1.1"), ("7", "1"), ("7", "2")]
        assert "of [].beats[]" in found.notes[0]

    def test_parts_of_an_answer_are_no_shots(self, tmp_path: Path) -> None:
        """Objects that have no number of their own give none to the rows within them."""
        parts = [{"beats": [{"beat_number": "1.1", "prompt": "A hill"}]}] * 2
        assert {fault.message for fault in faults(tmp_path, json.dumps(parts))} == {"missing"}

    @pytest.mark.parametrize(
        ("document", "note"),
        [
            ({"beats": ROWS[:2], "more_beats": ROWS[2:]}, '1 row of "more_beats[]" is not read'),
            (
                {"beats": ROWS[:2], "storyboard": {"beats": ROWS}},
                '3 rows of "storyboard" are not read',
            ),
            (
                [{**ROWS[0], "beats": ROWS[1:]}, ROWS[1]],
                '2 rows of "[].beats[]" are not read',
            ),
            (
                {"shots": [{"shot": 1, "sfx": "wind.mp3", "beats": ROWS[:2]}]},
                '1 field of "shots[].sfx" is not read',
            ),
            (
                {"shots": [{"shot": 1, "prompt": "All of it", "beats": ROWS[:2]}]},
                '1 prompt of "shots[].prompt" is not read',
            ),
        ],
    )
    def test_rows_that_are_not_read_are_said(
        self, tmp_path: Path, document: object, note: str
    ) -> None:
        """Of several lists one has the rows; a note counts what looks like rows in the others."""
        found = board(tmp_path, json.dumps(document))
        assert [beat.beat for beat in found.beats["clear"]] == ["1.1", "1.2"]
        assert any(note in one for one in found.notes), found.notes

    @pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"values": rows}])
    def test_a_table_of_lists_is_read(self, tmp_path: Path, wrap: Any) -> None:
        """As a spreadsheet's service gives it: the first list has the names."""
        table = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
        assert read(tmp_path, json.dumps(wrap(table))) == WANTED

    def test_lists_of_other_things_have_no_note(self, tmp_path: Path) -> None:
        """Characters have descriptions and scenes have too: nobody takes them for beats."""
        cast = [{"id": 1, "name": "Mara", "description": "A keeper"}]
        scene = {"scene": 1, "description": "At sea", "beats": ROWS[:1]}
        found = board(tmp_path, json.dumps({"characters": cast, "scenes": [scene]}))
        assert not any("not read" in note for note in found.notes)

    def test_numbers_come_from_scene_and_shot(self, tmp_path: Path) -> None:
        """A shot that is one picture is a beat, and its scene the shot."""
        document = {
            "scenes": [
                {"scene": 1, "shots": [{"shot_id": "1A", "imagePrompt": "a"}]},
                {"scene": 2, "shots": [{"shot_id": "2A", "imagePrompt": "b"}]},
            ]
        }
        found = board(tmp_path, json.dumps(document))
        assert [(b.shot, b.beat, b.words) for b in found.beats["clear"]] == [
            ("1", "1A", "a"),
            ("2", "2A", "b"),
        ]
        (note,) = found.notes
        assert note == (
            'beats.json: read 2 rows of scenes[].shots[]: ai_prompt from "imagePrompt", '
            'beat_number from "shot_id", shot_number from what they are in'
        )

    @pytest.mark.parametrize(
        ("rows", "numbers"),
        [
            ([{"shot": n, "prompt": "x"} for n in (1, 2)], [("1", "1"), ("2", "2")]),
            (
                [{"scene": n, "shot": n + 1, "prompt": "x"} for n in (1, 2)],
                [("1", "2"), ("2", "3")],
            ),
            ([{"#": n, "Shot": 1, "prompt": "x"} for n in (7, 8)], [("1", "7"), ("1", "8")]),
            ([{"id": n, "prompt": "x"} for n in (7, 8)], [("7", "7"), ("8", "8")]),
            ([{"scene": 1, "frame": n, "prompt": "x"} for n in (1, 2)], [("1", "1"), ("1", "2")]),
        ],
    )
    def test_rows_with_one_number(
        self, tmp_path: Path, rows: list[dict[str, object]], numbers: list[tuple[str, str]]
    ) -> None:
        """What counts the rows is the beat's number, and the shot's if nothing else is."""
        assert [b.key for b in board(tmp_path, json.dumps(rows)).beats["clear"]] == numbers

    def test_rows_without_any_number_are_faults(self, tmp_path: Path) -> None:
        """Numbers are not made up: they would be others after the next edit."""
        found = faults(tmp_path, json.dumps([{"prompt": "a"}, {"prompt": "b"}]))
        assert {(f.row, f.field, f.message) for f in found} == {
            (row, field, "missing") for row in (1, 2) for field in ("shot_number", "beat_number")
        }


HEAD = "shot_number,beat_number,transition_type,script_phrase,ai_prompt"
TABLE = f'{HEAD}\n1,1.1,H,It’s late.,"A lighthouse at dusk, its lamp lit"\n'
TABLE += '1,1.2,C,“Who is there?”,"An old keeper, {one} [lamp]"\n'
TABLE += '2,2.1,Fade,,"A storm, far out"\n'


class TestTables:
    """What spreadsheets export."""

    @pytest.mark.parametrize(
        "text",
        [
            TABLE,
            TABLE.replace("\n", "\r\n"),
            TABLE.replace("\n", "\r"),
            f"My film,,,,\n,,,,\n{TABLE}",
            f"{TABLE}Total,3,,,\n",
            TABLE.replace("2,2.1", "The storm at sea,,,,\n2,2.1"),
            TABLE.replace("2,2.1", f"{HEAD}\n2,2.1"),
            TABLE.replace("1,1.2", ",1.2"),
            TABLE.replace("\n", ",,\n"),
            TABLE.replace("\n", ",note\n").replace("ai_prompt,note", "ai_prompt,Note"),
            TABLE.replace(HEAD, ",".join(CAMEL.values())),
            TABLE.replace(HEAD, "Shot,Beat #,Transition,Script,Image prompt"),
            f"sep=,\n{TABLE}",
            f"SEP=,\r\n{TABLE}",
            TABLE.replace("\n1,", "\n1.0,").replace("\n2,", "\n2.0,"),
            TABLE.replace("1,1.1,", "Shot 1,Beat 1.1,").replace("2,2.1", "Shot 2,Beat 2.1"),
        ],
    )
    def test_is_read(self, tmp_path: Path, text: str) -> None:
        """Titles, totals, repeated headings and empty cells change no beat."""
        assert read(tmp_path, text, "beats.csv") == WANTED

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_delimiters(self, tmp_path: Path, delimiter: str) -> None:
        """Whichever makes the headings readable."""
        text = "".join(
            delimiter.join(f'"{cell}"' for cell in (list(row.values()) if row else HEAD.split(",")))
            + "\n"
            for row in (None, *ROWS)
        )
        assert read(tmp_path, text, "beats.csv") == WANTED

    def test_rows_that_are_not_read_are_named(self, tmp_path: Path) -> None:
        """By their lines, and why."""
        text = f"My film,,,,\n{TABLE}Total,3,,,\n"
        notes = board(tmp_path, text, "beats.csv").notes
        assert notes == (
            "beats.csv: line 1 is not read: the headings are in line 2",
            "beats.csv: line 6 is not read: a total",
        )

    def test_all_headings_that_lack_are_told_at_once(self, tmp_path: Path) -> None:
        """One round is enough."""
        found = faults(tmp_path, "sht_numbr,beat_numbr,promt,script\n1,1,a,b\n", "beats.csv")
        assert [fault.message.split('"')[1] for fault in found] == [
            "shot_number",
            "beat_number",
            "ai_prompt",
        ]

    @pytest.mark.parametrize("number", ["1.10", "1.20", "2.100"])
    def test_lost_zeros_are_said(self, tmp_path: Path, number: str) -> None:
        """A number that repeats an earlier one where a zero would follow has lost it."""
        whole, _, last = number.partition(".")
        lines = [f"1,{whole}.{n},x y z" for n in range(1, int(last))]
        lines.append(f"1,{number.rstrip('0')},x y z")
        text = "shot_number,beat_number,ai_prompt\n" + "\n".join(lines)
        (fault,) = (f for f in faults(tmp_path, text, "beats.csv") if f.row == len(lines))
        assert (fault.hint or "").startswith(f"{number} has lost its last zero")

    @pytest.mark.parametrize(
        ("name", "pattern", "wanted"),
        [
            ("beats.csv", "1,{},H,,A\n", True),
            ("beats.json", '{{"shot_number": 1, "beat_number": {}, "ai_prompt": "A"}}\n', True),
            ("beats.json", '{{"shot_number": 1, "beat_number": "{}", "ai_prompt": "A"}}\n', False),
        ],
    )
    def test_lost_zeros_without_another_row_have_a_note(
        self, tmp_path: Path, name: str, pattern: str, *, wanted: bool
    ) -> None:
        """1.1 after 1.9 was 1.10, though there is no other 1.1; as text it was meant so."""
        headings = "shot_number,beat_number,transition_type,script_phrase,ai_prompt\n"
        numbers = ["1.8", "1.9", "1.1", "1.11", "1.19", "1.2", "2.1"]
        text = "".join(pattern.format(number) for number in numbers)
        notes = board(tmp_path, headings * name.endswith("csv") + text, name).notes
        assert any("(1.1 for 1.10, 1.2 for 1.20)" in note for note in notes) is wanted

    def test_numbers_that_are_kept_as_text_are_read(self, tmp_path: Path) -> None:
        """Spreadsheets keep a zero with a formula of a text alone, quoted or not."""
        text = 'shot_number,beat_number,ai_prompt\n1,="1.10",A\n1,"=""1.1""","=""B, or so"""\n'
        beats = board(tmp_path, text, "beats.csv").beats["clear"]
        found = [(beat.beat, beat.words) for beat in beats]
        assert found == [("1.10", "A"), ("1.1", "B, or so")]

    def test_a_markdown_table_is_read(self, tmp_path: Path) -> None:
        """The line below its headings is no row."""
        text = "| shot | beat | prompt |\n|:---|---:|--------|\n| 1 | 1.1 | A hill |\n"
        (beat,) = read(tmp_path, text, "beats.csv")
        assert (beat[0], beat[1], beat[4].strip()) == ("1", "1.1", "A hill")

    def test_a_quote_without_end_is_found_where_its_row_begins(self, tmp_path: Path) -> None:
        """The table is at its end where that is noticed."""
        text = 'shot_number,beat_number,ai_prompt\n1,1.1,"A hill\n1,1.2,B\n1,1.3,C\n'
        (fault,) = faults(tmp_path, text, "beats.csv")
        assert "in the row that begins in line 2: a quote there may have no end" in fault.message

    def test_columns_called_as_styles_alone_have_a_hint(self, tmp_path: Path) -> None:
        """Nobody knows that they hold prompts."""
        text = "shot_number,beat_number,Clear,consistent\n1,1.1,A,B\n"
        (fault,) = faults(tmp_path, text, "beats.csv")
        assert fault.hint is not None
        assert fault.hint.endswith("name them ai_prompt_clear, ai_prompt_consistent")

    @pytest.mark.parametrize("number", ["01/02/2026", "01:02:00", "1:02", "2026-01-01 00:00:00"])
    def test_dates_that_are_no_numbers_say_where_they_come_from(
        self, tmp_path: Path, number: str
    ) -> None:
        """A file name cannot have them, and nobody typed them."""
        text = f"shot_number,beat_number,ai_prompt\n1,{number},A\n"
        (fault,) = faults(tmp_path, text, "beats.csv")
        assert "looks like a date" in (fault.hint or "")

    def test_numbers_that_look_like_dates_have_a_note(self, tmp_path: Path) -> None:
        """They are drawn all the same."""
        text = "shot_number,beat_number,ai_prompt\n1,1-Jan,a b\n1,Jan-10,c d\n1,3,e f\n"
        found = board(tmp_path, text, "beats.csv")
        assert len(found.beats["clear"]) == 3
        assert '2 beat numbers look like dates ("1-Jan", "Jan-10")' in found.notes[0]

    @pytest.mark.parametrize(
        "cell",
        [
            *(
                "#REF!",
                "#N/A",
                "#NAME?",
                "#VALUE!",
                "#DIV/0!",
                "#SPILL!",
                "#BEZUG!",
                "#NV",
                "#####",
            ),
            *("Err:502", "Loading...", "loading…", "undefined", "null", "NULL", "NaN", "None"),
            *("N/A", "TODO", "tbd", "-", "…", "???", "[object Object]", "#REF!."),
            *("[prompt here]", "TODO: write this", "[TODO – the storm]", "Generating...", "ditto"),
            *("=A2&B2", "=$C$14", "=CONCATENATE(A2; ' in the evening light of a late autumn')"),
        ],
    )
    def test_error_cells_and_placeholders_are_no_prompts(self, tmp_path: Path, cell: str) -> None:
        """They are faults in tables, in JSON and in a style's own prompt."""
        text = f"shot_number,beat_number,ai_prompt\n1,1,{cell}\n"
        for own in (
            faults(tmp_path, text, "beats.csv"),
            faults(tmp_path, json.dumps([ROWS[0] | {"ai_prompt": f" {cell} "}])),
            faults(tmp_path, json.dumps([ROWS[0] | {"ai_prompts": {"clear": cell}}])),
        ):
            (fault,) = own
            assert "and not a prompt" in fault.message

    @pytest.mark.parametrize(
        "words", ["Caf\ufffd at dusk", "A CafÃ© at dusk", "It’s â€œlateâ€\u009d"]
    )
    def test_garbled_letters_have_a_note(self, tmp_path: Path, words: str) -> None:
        """A text that some program read in another encoding is drawn, and said."""
        found = board(tmp_path, json.dumps([ROWS[0] | {"ai_prompt": words}, ROWS[1]]))
        assert found.beats["clear"][0].words == words
        assert "1 prompt has garbled letters" in found.notes[0]

    @pytest.mark.parametrize("words", ["Ã", "À l’aube", "SÃO PAULO", "Â", "5 €"])
    def test_letters_that_people_write_have_none(self, tmp_path: Path, words: str) -> None:
        """Capitals with accents are letters of many languages."""
        assert not board(tmp_path, json.dumps([ROWS[0] | {"ai_prompt": f"A {words}"}])).notes

    @pytest.mark.parametrize(
        "prompt",
        ["TODO list on a desk", "#1 DAD mug", "None of them", "NaN!", "= E = mc2 on a wall"],
    )
    def test_prompts_that_look_a_little_like_them_are_prompts(
        self, tmp_path: Path, prompt: str
    ) -> None:
        """Only a whole cell is a placeholder."""
        assert read(tmp_path, json.dumps([ROWS[0] | {"ai_prompt": prompt}]))[0][4] == prompt


def workbook(rows: list[list[object]], *others: str) -> bytes:
    """Return an Excel file with these cells in its first sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    for name in others:
        book.create_sheet(name).append(["notes", "of", "mine"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


class TestExcel:
    """Excel files, whatever their name."""

    @pytest.mark.parametrize("name", ["beats.xlsx", "beats.csv", "beats.json"])
    def test_is_read_as_it_is(self, tmp_path: Path, name: str) -> None:
        """It is known by its first bytes; numbers in cells are those that are shown."""
        rows: list[list[object]] = [["My film"], [], [*HEAD.split(",")]]
        rows += [[float(row["shot_number"]), *list(row.values())[1:]] for row in ROWS]  # type: ignore[arg-type]
        assert read(tmp_path, workbook(rows, "Other"), name) == WANTED

    def test_a_number_that_lost_its_zero_says_so(self, tmp_path: Path) -> None:
        """1.10 typed as a number is 1.1 in the file."""
        rows: list[list[object]] = [[*HEAD.split(",")]]
        rows += [[1, number, "H", "", "A boat"] for number in (1.1, 1.2, 1.10)]
        (fault,) = faults(tmp_path, workbook(rows), "beats.xlsx")
        assert fault.message == "1.1 is already row 1 (line 2)"
        assert "1.10 loses its last zero" in (fault.hint or "")

    def test_without_the_extra_it_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Save it as CSV, or install what reads it."""
        monkeypatch.setitem(sys.modules, "python_calamine", None)
        (fault,) = faults(tmp_path, workbook([HEAD.split(",")]), "beats.xlsx")  # type: ignore[list-item]
        assert fault.message == "is an Excel file"
        assert "save it as CSV UTF-8" in (fault.hint or "")
        assert "imagegen-storyboard[xlsx]" in (fault.hint or "")

    def test_a_sheet_that_would_fill_memory_is_refused(self, tmp_path: Path) -> None:
        """Two cells far apart are a rectangle of billions."""
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet["A1"] = "shot_number"
        sheet["XFD1048576"] = "x"
        out = io.BytesIO()
        book.save(out)
        (fault,) = faults(tmp_path, out.getvalue(), "beats.xlsx")
        assert "1,048,576 rows and 16,384 columns" in fault.message

    @pytest.mark.parametrize(
        ("data", "what"),
        [
            (b"PK\x03\x04" + bytes(range(256)), "is an Excel file that cannot be read"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "is an Excel file of an old kind"),
            (b"PK\x03\x04....word/document.xml", "is a Word document"),
            (b"%PDF-1.7", "is a PDF"),
            (b"<!DOCTYPE html><html>", "is a web page"),
        ],
    )
    def test_other_files_are_named(self, tmp_path: Path, data: bytes, what: str) -> None:
        """By what they are, and not as broken text."""
        (fault,) = faults(tmp_path, data, "beats.csv")
        assert fault.message.startswith(what)


class TestOtherNames:
    """Files that are probably the beats."""

    @pytest.mark.parametrize(
        "name",
        [
            *("Beats.csv", "Storyboard - Sheet1.csv", "my storyboard.json", "film.xlsx"),
            *("BEATS.JSON", "beats.json.txt"),
        ],
    )
    def test_is_named_with_the_line_to_type(self, tmp_path: Path, name: str) -> None:
        """The command reads it as it is."""
        (tmp_path / name).write_text("x", encoding="utf-8")
        if (tmp_path / "beats.csv").exists() or (tmp_path / "beats.json").exists():
            pytest.skip("this disk takes both names for one")
        with pytest.raises(UsageError) as caught:
            load(tmp_path, STYLES)
        assert name in caught.value.message
        assert "--beats" in (caught.value.hint or "")

    def test_files_of_ours_and_of_others_are_not_beats(self, tmp_path: Path) -> None:
        """Progress, choices and a package are not storyboards."""
        for name in ("image_progress_clear.json", "image_selections.json", "package.json", "a.txt"):
            (tmp_path / name).write_text("{}", encoding="utf-8")
        assert alike(tmp_path) == []


class TestCleanFile:
    """`check --write`."""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("beats.json", f"```\n{json.dumps({'shots': renamed(CAMEL)})}\n```"),
            ("beats.csv", TABLE.replace("transition_type", "transition")),
            ("beats.json", json.dumps([row | {"sfx": "rain", "camera": 3} for row in ROWS])),
        ],
    )
    def test_gives_the_same_beats(self, tmp_path: Path, name: str, text: str) -> None:
        """With every field that the rows have, read without a note, and the old file kept."""
        before = board(tmp_path, text, name)
        (written,) = write_clean(tmp_path, STYLES)
        after = load(tmp_path, STYLES)
        assert [facts(b) for b in after.beats["clear"]] == [facts(b) for b in before.beats["clear"]]
        assert [b.extra for b in after.beats["clear"]] == [b.extra for b in before.beats["clear"]]
        assert after.notes == ()
        if name == "beats.json":
            assert written.kept == "beats.old.json"
        kept = tmp_path / (written.kept or name)
        assert kept.read_text(encoding="utf-8") == text

    def test_strict_files_are_left_alone(self, tmp_path: Path) -> None:
        """There is nothing to write."""
        board(tmp_path, JSON)
        assert write_clean(tmp_path, STYLES) == ()
        assert [path.name for path in tmp_path.iterdir()] == ["beats.json"]

    def test_no_old_file_is_overwritten(self, tmp_path: Path) -> None:
        """Each time there is another copy."""
        for name in ("beats.old.json", "beats.old-2.json"):
            board(tmp_path, json.dumps(renamed(CAMEL)))
            (written,) = write_clean(tmp_path, STYLES)
            assert written.kept == name

    def test_faults_leave_everything_as_it_is(self, tmp_path: Path) -> None:
        """A file that is not read is not rewritten."""
        text = '[{"shot": 1}]'
        faults(tmp_path, text)
        with pytest.raises(InvalidInputError):
            write_clean(tmp_path, STYLES)
        assert (tmp_path / "beats.json").read_text(encoding="utf-8") == text
