"""Storyboards read from every shape a project may have, and what is said of faulty ones."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest

from imagegen.errors import InputError, InvalidInputError, UsageError
from imagegen.project.storyboard import Beat, Storyboard, file_number, load
from imagegen.project.storyboard.numbers import looks_like_date

STYLES = ("illustration", "clear", "consistent")
FORMATS = Path(__file__).parent / "formats"


def row(**changes: object) -> dict[str, object]:
    """Return a row without faults, with some of its fields changed."""
    whole: dict[str, object] = {
        "shot_number": 1,
        "beat_number": "1.1",
        "transition_type": "H",
        "script_phrase": "The boat came back.",
        "ai_prompt": "A boat",
    }
    return whole | changes


def write(path: Path, document: object) -> Path:
    """Write a JSON document, making the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def read(project: Path, *rows: object) -> Storyboard:
    """Read a project whose beats.json holds the rows."""
    write(project / "beats.json", list(rows))
    return load(project, STYLES)


def faults(project: Path, *rows: object) -> tuple[InputError, ...]:
    """Return the faults of a beats.json that holds the rows, or of what lies there."""
    if rows:
        write(project / "beats.json", list(rows))
    with pytest.raises(InvalidInputError) as caught:
        load(project, STYLES)
    return caught.value.faults


def one_fault(project: Path, *rows: object) -> InputError:
    """Return the only fault."""
    (fault,) = faults(project, *rows)
    return fault


def keys(storyboard: Storyboard, style: str = "clear") -> list[tuple[str, str]]:
    """Return the shot and beat numbers of a style."""
    return [beat.key for beat in storyboard.beats[style]]


class TestShapes:
    """Each kind of project that is in use."""

    @pytest.mark.parametrize(
        ("folder", "pictures", "source"),
        [
            ("a-beats-list", 12, "beats.json"),
            ("b-prompts-json", 9, "prompts/"),
            ("c-prompts-js", 7, "prompts/"),
            ("d-storyboards", 4, "storyboards/"),
            ("e-older-tool", 6, "prompts/"),
            ("f-beats-csv", 6, "beats.csv"),
        ],
    )
    def test_every_shape_is_read(self, folder: str, pictures: int, source: str) -> None:
        """Each shape gives all its pictures without conversion."""
        storyboard = load(FORMATS / folder, STYLES)
        assert len(storyboard) == pictures
        assert storyboard.source == source
        assert set(storyboard.beats) == set(STYLES)

    def test_shared_list_has_some_prompts_per_style(self) -> None:
        """A shared prompt is not a style's own, one from ai_prompts is."""
        clear = load(FORMATS / "a-beats-list", STYLES).beats["clear"]
        assert [beat.own_words for beat in clear] == [False, False, True, False]
        assert clear[2].words == "A storm front over a harbour, flat shapes, two colours"
        assert clear[3] == Beat(
            style="clear",
            shot="2",
            beat="2.2",
            written="2.2",
            words="The keeper at the rail with a brass telescope, rain on the glass, "
            "five boats below",
            own_words=False,
            transition="C",
            script_phrase="He counted the boats: one was missing.",
            file="beats.json",
            row=4,
        )

    def test_number_loses_the_word_before_it(self) -> None:
        """`Beat 1` names the file of beat 1, and is remembered as it was written."""
        beats = load(FORMATS / "b-prompts-json", STYLES).beats["clear"]
        assert [(beat.beat, beat.written) for beat in beats] == [
            ("1", "Beat 1"),
            ("2", "Beat 2"),
            ("3", "Beat 3"),
        ]
        assert all(beat.own_words for beat in beats)
        assert beats[0].file == "prompts/prompts-clear.json"
        assert [beat.continues for beat in beats] == [False, True, False]

    def test_javascript_prompts_that_look_like_code_stay_text(self) -> None:
        """Comments, brackets and exports inside a prompt belong to the prompt."""
        beats = load(FORMATS / "c-prompts-js", STYLES).beats
        assert beats["illustration"][0].words.endswith("one lit window ([ink], wet cobbles)")
        assert beats["illustration"][0].script_phrase == "It's late; the shop is shut."
        assert beats["illustration"][1].words == (
            "The lit window, closer:\na candle moves behind the curtain"
        )
        assert beats["clear"][1].words.endswith("flat colours; // not a comment")
        assert beats["consistent"][2].words.endswith("export const prompts = [ ]; is text here")
        assert beats["consistent"][0].script_phrase == "It’s late."

    def test_style_may_have_no_file(self) -> None:
        """A style without a file has no beats; the others have theirs."""
        beats = load(FORMATS / "d-storyboards", STYLES).beats
        assert beats["consistent"] == ()
        assert [beat.hard_cut for beat in beats["clear"]] == [True, True]

    def test_list_without_prompts_is_passed_over_with_a_note(self) -> None:
        """The older tool's beats.json gives way to prompts/, and the user is told."""
        storyboard = load(FORMATS / "e-older-tool", STYLES)
        assert storyboard.notes == ("beats.json holds no prompts: prompts/ is used",)

    def test_spreadsheet_keeps_the_last_zero(self) -> None:
        """1.10 in a CSV file is not 1.1, and doubled quotes are one."""
        storyboard = load(FORMATS / "f-beats-csv", STYLES)
        assert keys(storyboard) == [("1", "1.1"), ("1", "1.10")]
        assert storyboard.beats["clear"][1].words.endswith('a man with a "borrowed" suitcase')


class TestChoice:
    """Which of several files is used."""

    def test_first_file_with_prompts_serves_all_styles(self, tmp_path: Path) -> None:
        """beats.json comes before beats.csv, prompts/ and storyboards/."""
        for style in STYLES:
            write(tmp_path / "storyboards" / f"{style}.json", [row(beat_number="s")])
        assert keys(load(tmp_path, STYLES)) == [("1", "s")]
        write(tmp_path / "prompts" / "prompts-clear.json", [row(beat_number="p")])
        storyboard = load(tmp_path, STYLES)
        assert keys(storyboard) == [("1", "p")]
        assert storyboard.beats["consistent"] == ()
        csv_file = tmp_path / "beats.csv"
        csv_file.write_text("shot_number,beat_number,ai_prompt\n1,c,A boat\n", encoding="utf-8")
        assert keys(load(tmp_path, STYLES)) == [("1", "c")]
        assert keys(read(tmp_path, row(beat_number="j"))) == [("1", "j")]

    def test_json_comes_before_javascript_for_each_style(self, tmp_path: Path) -> None:
        """Within prompts/ a style's .json is read, else its .js."""
        folder = tmp_path / "prompts"
        write(folder / "prompts-clear.json", [row(beat_number="json")])
        module = "export default [{shot_number: 1, beat_number: 'js', ai_prompt: 'A boat'}]"
        for style in STYLES:
            (folder / f"prompts-{style}.js").write_text(module, encoding="utf-8")
        storyboard = load(tmp_path, STYLES)
        assert keys(storyboard) == [("1", "json")]
        assert keys(storyboard, "consistent") == [("1", "js")]

    def test_json_without_prompts_gives_way_to_javascript(self, tmp_path: Path) -> None:
        """A style's .json of phrases alone does not hide the prompts of its .js."""
        write(tmp_path / "prompts" / "prompts-clear.json", [row(ai_prompt=None)])
        module = "export default [{shot_number: 1, beat_number: 'js', ai_prompt: 'A boat'}]"
        (tmp_path / "prompts" / "prompts-clear.js").write_text(module, encoding="utf-8")
        assert keys(load(tmp_path, STYLES)) == [("1", "js")]

    def test_broken_file_is_reported_not_passed_over(self, tmp_path: Path) -> None:
        """Nobody can tell whether a broken beats.json holds prompts."""
        write(tmp_path / "prompts" / "prompts-clear.json", [row()])
        (tmp_path / "beats.json").write_text('[{"ai_prompt": "A boat"', encoding="utf-8")
        found = faults(tmp_path)
        assert {fault.file for fault in found} == {str(tmp_path / "beats.json")}
        assert found[0].message == "the object that begins here has no end"

    def test_faulty_rows_with_prompts_are_reported_not_passed_over(self, tmp_path: Path) -> None:
        """A row of a wrong type still shows that the file means to hold prompts."""
        write(tmp_path / "prompts" / "prompts-clear.json", [row()])
        assert one_fault(tmp_path, row(beat_number=None)).field == "beat_number"
        assert one_fault(tmp_path, row(beat_number=True)).field == "beat_number"

    def test_rows_without_prompts_anywhere_are_faults(self, tmp_path: Path) -> None:
        """Where no other file has prompts, each row says what it lacks."""
        found = faults(tmp_path, row(ai_prompt=None), row(beat_number="2", ai_prompt=" \n"))
        assert [(fault.row, fault.field) for fault in found] == [(1, "ai_prompt"), (2, "ai_prompt")]

    @pytest.mark.parametrize("name", ["other.json", "other.js", "other.mjs", "other.csv"])
    def test_named_file_decides(self, tmp_path: Path, name: str) -> None:
        """A file named by the user is used instead of beats.json, for all styles."""
        write(tmp_path / "beats.json", [row()])
        text = '[{"shot_number": 1, "beat_number": "other", "ai_prompt": "A boat"}]'
        if name.endswith("js"):
            text = f"export default {text};"
        if name.endswith("csv"):
            text = "shot_number,beat_number,ai_prompt\n1,other,A boat\n"
        (tmp_path / name).write_text(text, encoding="utf-8")
        storyboard = load(tmp_path, STYLES, beats=Path(name))
        assert storyboard.source == name
        assert all(keys(storyboard, style) == [("1", "other")] for style in STYLES)
        assert not storyboard.beats["clear"][0].own_words

    @pytest.mark.parametrize("name", ["prompts-clear.json", "clear.json"])
    def test_named_folder_has_a_file_per_style(self, tmp_path: Path, name: str) -> None:
        """A folder named by the user may lie anywhere and hold either kind of names."""
        project = tmp_path / "project"
        write(project / "beats.json", [row()])
        write(tmp_path / "elsewhere" / name, [row(beat_number="7")])
        storyboard = load(project, STYLES, beats=tmp_path / "elsewhere")
        assert keys(storyboard) == [("1", "7")]
        assert storyboard.beats["consistent"] == ()
        assert storyboard.source == f"{(tmp_path / 'elsewhere').as_posix()}/"

    @pytest.mark.parametrize("name", ["nowhere.json", "notes.txt", "empty", "nul\0.json"])
    def test_named_place_without_beats_is_wrong_usage(self, tmp_path: Path, name: str) -> None:
        """What is not there, or is no beats file, is said at once."""
        (tmp_path / "notes.txt").write_text("[]", encoding="utf-8")
        (tmp_path / "empty").mkdir()
        with pytest.raises(UsageError):
            load(tmp_path, STYLES, beats=Path(name))

    @pytest.mark.parametrize("name", ["beats.json", "beats.csv", "prompts/prompts-clear.json"])
    def test_a_project_named_as_beats_is_answered_with_its_beats(
        self, tmp_path: Path, name: str
    ) -> None:
        """A folder of one file per style is meant, and a project's is often given."""
        write(tmp_path / "other" / name, [row()])
        with pytest.raises(UsageError, match="is a project's folder") as caught:
            load(tmp_path, STYLES, beats=Path("other"))
        beats = tmp_path / "other" / name.partition("/")[0]
        assert caught.value.hint == f"--beats {beats}"

    def test_a_folder_that_serves_no_style_says_how_its_files_are_named(
        self, tmp_path: Path
    ) -> None:
        """The project is there: another need not be made."""
        write(tmp_path / "words" / "prompts-ilustration.json", [row()])
        with pytest.raises(UsageError, match='did you mean "illustration"') as caught:
            load(tmp_path, STYLES, beats=Path("words"))
        assert caught.value.hint == "name each file after its style"

    @pytest.mark.parametrize(
        ("name", "should"),
        [
            ("prompts/prompt-clear.json", "prompts-clear.json"),
            ("prompts/clear.json", "prompts-clear.json"),
            ("prompts/Prompts_Clear (1).js", "prompts-clear.json"),
            ("storyboards/storyboard-clear.json", "clear.json"),
        ],
    )
    def test_file_of_a_style_under_another_name_is_noted(
        self, tmp_path: Path, name: str, should: str
    ) -> None:
        """A style would have no beats; the note has the name that its file should have."""
        folder = name.partition("/")[0]
        pattern = "prompts-{}.json" if folder == "prompts" else "{}.json"
        write(tmp_path / folder / pattern.format("illustration"), [row()])
        write(tmp_path / folder / f"notes-{should}.txt", [])
        write(tmp_path / name, [row()])
        notes = load(tmp_path, STYLES).notes
        assert notes == (f"{name} is not used: its name should be {should}",)

    def test_without_any_other_file_it_is_named_too(self, tmp_path: Path) -> None:
        """The folder is there, and the error says why nothing in it is read."""
        write(tmp_path / "prompts" / "clear.json", [row()])
        with pytest.raises(UsageError, match=r"its name should be prompts-clear\.json"):
            load(tmp_path, STYLES)

    def test_file_for_an_unknown_style_is_noted(self, tmp_path: Path) -> None:
        """A misspelt style in a file's name is pointed out."""
        write(tmp_path / "prompts" / "prompts-clear.json", [row()])
        write(tmp_path / "prompts" / "prompts-ilustration.json", [row()])
        assert load(tmp_path, STYLES).notes == (
            (
                'prompts/prompts-ilustration.json is not used: unknown style "ilustration": '
                'did you mean "illustration"?'
            ),
        )

    def test_no_beats_file_says_how_to_begin(self, tmp_path: Path) -> None:
        """A folder without beats is answered with the command that makes some."""
        with pytest.raises(UsageError, match=r"no beats in .*beats\.json") as caught:
            load(tmp_path, STYLES)
        assert caught.value.hint == f"imagegen init {tmp_path}"
        # Where that would be refused, what to write is told.
        (tmp_path / "imagegen.toml").touch()
        with pytest.raises(UsageError, match=r"no beats in .*beats\.json") as caught:
            load(tmp_path, STYLES)
        hint = str(caught.value.hint)
        assert hint.startswith(
            f'write {tmp_path / "beats.json"}, one row for each beat: [{{"shot_n'
        )
        with pytest.raises(UsageError, match="is not a folder"):
            load(tmp_path / "nowhere", STYLES)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("beats.json", "[]"),
            ("beats.json", '{"beats": []}'),
            ("beats.csv", ""),
            ("beats.csv", "shot_number,beat_number,ai_prompt\n,,\n"),
        ],
    )
    def test_no_rows_says_what_to_write(self, tmp_path: Path, name: str, text: str) -> None:
        """A beats file without rows is answered with a row to write."""
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="has no rows") as caught:
            load(tmp_path, STYLES)
        hint = caught.value.hint or ""
        assert "ai_prompt" in hint
        assert ("{" in hint) == name.endswith(".json")


class TestNumbers:
    """Shot and beat numbers, as file names bear them."""

    @pytest.mark.parametrize(
        ("value", "number", "written"),
        [
            ("1.1", "1.1", "1.1"),
            ("Beat 1.1", "1.1", "Beat 1.1"),
            ("beat  1.10", "1.10", "beat  1.10"),
            ("Beat", "Beat", "Beat"),
            ("Beatle 1", "Beatle 1", "Beatle 1"),
            (7, "7", "7"),
            (1.5, "1.5", "1.5"),
            ("-3_b", "-3_b", "-3_b"),
            ("é", "é", "é"),
            ("x" * 60, "x" * 60, "x" * 60),
            (1.0, "1", "1"),
            ("1.0", "1.0", "1.0"),
        ],
    )
    def test_beat_number(self, tmp_path: Path, value: object, number: str, written: str) -> None:
        """Text or a number is taken, without the word before it."""
        (beat,) = read(tmp_path, row(beat_number=value)).beats["clear"]
        assert (beat.beat, beat.written) == (number, written)

    @pytest.mark.parametrize(
        "written",
        [
            "Beat_1.1",
            "beat-1.1",
            "BEAT #1.1",
            "Beat: 1.1",
            "Beat no. 1.1",
            "Beat1.1",
            "#1.1",
            "**Beat 1.1**",
            "“1.1”",
            "[1.1]",
            "1.1.",
            "1.1: The door",
            "Beat 1.1: 3 doors",
            "Beat 1.1 – The door",
            "Beat 1.1 - The door",
            "Beat 1.1. The door",
            "Beat 1.1 (night)",
            " 1.1\n",
            "Beat\u00a01.1",
            "\ufeff1.\u200b1",
            "１．１",
            "1,1",
        ],
    )
    def test_spellings_of_one_number(self, written: str) -> None:
        """A beat number gives one file name, however a person or a model writes it."""
        assert file_number(written, "beat") == "1.1"

    @pytest.mark.parametrize(
        ("written", "number"),
        [
            ("Beat 1\ufe0f\u20e3", "1"),
            ("6 - The door", "6 - The door"),
            ("1-2", "1-2"),
            *(("1\u20132", "1-2"), ("Beat 1\u20112", "1-2"), ("1\u22122", "1-2")),
            ("Beat 1.1-b", "1.1-b"),
            ("e\u0301te\u0301", "\u00e9t\u00e9"),
            ("e\u200b\u0301te\u0301", "\u00e9t\u00e9"),
            ("दरवाज़ा", "दरवाज़ा"),
        ],
    )
    def test_number_keeps_its_letters(self, written: str, number: str) -> None:
        """Combining marks belong to letters, and a name is in NFC."""
        assert file_number(written, "beat") == number

    @pytest.mark.parametrize(
        "date", ["1-Jan", "Jan-10", "10. Okt", "2026-01-10", "2026-01-10 00:00:00", "10.01.2026"]
    )
    def test_number_that_looks_like_a_date(self, date: str) -> None:
        """What a spreadsheet makes of 1.10 is known for a date; a number is not."""
        assert looks_like_date(date)
        for number in ("1.10", "1-10", "Beat 1", "Jan", "marble 2", 1.1):
            assert not looks_like_date(number)

    @pytest.mark.parametrize(
        "value", ["Shot 2", "shot 2", "Shot_2", "Shot 2: Kitchen", "2", 2, 2.0]
    )
    def test_shot_number(self, tmp_path: Path, value: object) -> None:
        """A shot's number loses its word too."""
        assert read(tmp_path, row(shot_number=value)).beats["clear"][0].shot == "2"

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("", "is empty"),
            ("  ", "is empty"),
            ("../up", '"/" is not allowed'),
            ("1:2", '":" is not allowed'),
            ("1\a2", "U\\+0007 is not allowed"),
            ("\u0301", "is not allowed"),
            ("a.", "ends with a dot"),
            ("..", "ends with a dot"),
            ("x" * 100_000, "is 100,000 characters long"),
            ("x" * 61, "is 61 characters long, 60 are allowed"),
            (10**70, "too long|out of range"),
            (1e22, "is not allowed"),
            (None, "missing"),
            (True, "expected text or a number, got true or false"),
            ([1], "expected text or a number, got a list"),
        ],
    )
    @pytest.mark.parametrize("field", ["shot_number", "beat_number"])
    def test_number_that_cannot_be_a_file_name(
        self, tmp_path: Path, field: str, value: object, reason: str
    ) -> None:
        """The reason is given in words, at the row and field."""
        fault = one_fault(tmp_path, row(), row(**{"beat_number": "2", field: value}))
        assert (fault.row, fault.field) == (2, field)
        assert any(part in fault.message for part in reason.replace("\\", "").split("|"))

    def test_duplicate_names_the_first_row(self, tmp_path: Path) -> None:
        """A number that occurs twice in a shot is a fault of the second row, once."""
        fault = one_fault(tmp_path, row(), row(beat_number="2"), row(beat_number="Beat 1.1"))
        assert (fault.row, fault.field, fault.message) == (
            3,
            "beat_number",
            "1.1 is already row 1 (line 1)",
        )
        assert fault.hint is None

    def test_duplicate_of_a_row_with_another_error_is_reported_with_it(
        self, tmp_path: Path
    ) -> None:
        """One check shows both, so that no error appears only after another is fixed."""
        found = faults(tmp_path, row(ai_prompt=None), row())
        assert [(fault.row, fault.field) for fault in found] == [
            (1, "ai_prompt"),
            (2, "beat_number"),
        ]

    def test_unquoted_number_has_lost_its_zero(self, tmp_path: Path) -> None:
        """Where an unquoted 1.10 collides with 1.1, the cause is named."""
        (tmp_path / "beats.json").write_text(
            '[{"shot_number": 1, "beat_number": 1.1, "ai_prompt": "a"},'
            ' {"shot_number": 1, "beat_number": 1.10, "ai_prompt": "b"}]',
            encoding="utf-8",
        )
        fault = one_fault(tmp_path)
        assert fault.message == "1.1 is already row 1 (line 1)"
        assert fault.hint == 'an unquoted 1.10 loses its last zero: write "1.10"'

    def test_same_number_in_another_shot_or_style_is_another_beat(self, tmp_path: Path) -> None:
        """A beat is its shot and number within its style."""
        storyboard = read(
            tmp_path,
            row(),
            row(shot_number=2),
            row(shot_number=3, ai_prompt=None, ai_prompts={"clear": "a"}),
            row(shot_number=3, ai_prompt=None, ai_prompts={"consistent": "b"}),
        )
        assert keys(storyboard) == [("1", "1.1"), ("2", "1.1"), ("3", "1.1")]
        assert len(storyboard) == 8

    @pytest.mark.parametrize(("first", "second"), [("a", "A"), ("é", "É"), ("straße", "STRASSE")])
    def test_paths_differ_in_more_than_case(self, tmp_path: Path, first: str, second: str) -> None:
        """Two numbers that are one file on some system are a fault that names both."""
        fault = one_fault(tmp_path, row(beat_number=first), row(beat_number=second))
        assert fault.row == 2
        assert f"Beat_{second}" in fault.message
        assert f"Beat_{first}.png of row 1" in fault.message


class TestPrompts:
    """Which words a style gets."""

    def test_ai_prompt_serves_the_styles_left_out(self, tmp_path: Path) -> None:
        """A style's own prompt goes before the shared one."""
        beats = read(tmp_path, row(ai_prompts={"clear": "Own", "consistent": None})).beats
        assert [(beats[style][0].words, beats[style][0].own_words) for style in STYLES] == [
            ("A boat", False),
            ("Own", True),
            ("A boat", False),
        ]

    def test_style_left_out_of_ai_prompts_has_no_such_beat(self, tmp_path: Path) -> None:
        """Without a shared prompt only the named styles have the beat."""
        beats = read(tmp_path, row(ai_prompt="", ai_prompts={"clear": "Own"})).beats
        assert [len(beats[style]) for style in STYLES] == [0, 1, 0]

    def test_words_are_kept_as_they_are(self, tmp_path: Path) -> None:
        """Spaces, newlines and markup in a prompt are the user's."""
        words = "  [bold]A boat[/bold]\n\tat \u001b[31m sea\u2028 😀 "
        assert read(tmp_path, row(ai_prompt=words)).beats["clear"][0].words == words

    @pytest.mark.parametrize("words", ["", " \n", "\ufeff", "\u200b\u2060 ", "\u00ad\u2028"])
    def test_a_prompt_that_shows_nothing_is_missing(self, tmp_path: Path, words: str) -> None:
        """Spaces and zero-width characters are no prompt, for all styles or for one."""
        (fault,) = faults(tmp_path, row(ai_prompt=words))
        assert fault.message == "missing, and no ai_prompts"
        (fault,) = faults(tmp_path, row(ai_prompts={"clear": words}))
        assert fault.message == 'the prompt for "clear" is empty'

    def test_missing_prompt_quotes_the_phrase(self, tmp_path: Path) -> None:
        """The row is recognised by its script phrase, shortened."""
        fault = faults(tmp_path, row(), row(beat_number="2", ai_prompt=""))[0]
        assert fault == InputError(
            file=str(tmp_path / "beats.json"),
            row=2,
            line=1,
            field="ai_prompt",
            message="missing, and no ai_prompts",
            detail='"The boat came back."',
        )
        long = row(beat_number="2", ai_prompt=None, script_phrase="word\n" * 1000)
        detail = one_fault(tmp_path, row(), long).detail or ""
        assert "word word" in detail
        assert detail.endswith('…"')
        assert len(detail) < 100

    def test_unknown_style_suggests_the_one_meant(self, tmp_path: Path) -> None:
        """A misspelt style in ai_prompts is a fault with a suggestion."""
        fault = one_fault(tmp_path, row(ai_prompts={"ilustration": "x"}))
        assert fault.field == "ai_prompts"
        assert fault.message == 'unknown style "ilustration": did you mean "illustration"?'
        fault = one_fault(tmp_path, row(ai_prompts={"q": "x"}))
        assert "the styles are illustration, clear, consistent" in fault.message

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("ai_prompt", "a\0b"),
            ("ai_prompt", 7),
            ("ai_prompt", ["a"]),
            ("ai_prompts", {"clear": ""}),
            ("ai_prompts", {"clear": "\0"}),
            ("ai_prompts", {"clear": 7}),
            ("ai_prompts", "clear"),
            ("script_phrase", 7),
            ("transition_type", {}),
        ],
    )
    def test_wrong_words_are_faults(self, tmp_path: Path, field: str, value: object) -> None:
        """A text of the wrong type, empty or with a NUL is a fault of its field."""
        assert one_fault(tmp_path, row(**{field: value})).field == field

    def test_half_a_character_is_a_fault_of_its_row(self, tmp_path: Path) -> None:
        """A lone surrogate cannot be sent or saved."""
        fault = one_fault(tmp_path, row(), row(beat_number="2", ai_prompt="a \ud83d b"))
        assert (fault.row, fault.field) == (2, "ai_prompt")
        assert "surrogate" in fault.message


class TestFaults:
    """All faults are reported together."""

    def test_each_bad_row_has_a_fault(self, tmp_path: Path) -> None:
        """One wrong row hides no other, whatever is wrong with it."""
        with pytest.raises(InvalidInputError) as caught:
            read(
                tmp_path,
                row(),
                row(beat_number=False),
                row(beat_number="a/b", ai_prompt=None),
                7,
                row(),
                row(beat_number="2", ai_prompts={"cleer": "x"}),
                row(beat_number="3"),
            )
        assert [(fault.row, fault.field) for fault in caught.value.faults] == [
            (2, "beat_number"),
            (3, "beat_number"),
            (3, "ai_prompt"),
            (4, None),
            (5, "beat_number"),
            (6, "ai_prompts"),
        ]
        assert caught.value.rows == {str(tmp_path / "beats.json"): 7}

    def test_faults_of_all_files_are_collected(self, tmp_path: Path) -> None:
        """Each style's file has its own faults and count of rows."""
        one = write(tmp_path / "prompts" / "prompts-clear.json", [row(), row()])
        two = tmp_path / "prompts" / "prompts-consistent.js"
        two.write_text("export default fetch('x')", encoding="utf-8")
        with pytest.raises(InvalidInputError) as caught:
            load(tmp_path, STYLES)
        assert [fault.file for fault in caught.value.faults] == [str(one), str(two)]
        assert caught.value.rows == {str(one): 2, str(two): 0}

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('[{"a": 1\n "b": 2}]', ("a comma is missing here", 1, 9)),
            ("[1", ('is not JSON: it begins with "[1"', 1, 3)),
            ('["a', ("has no closing quote", 1, 2)),
            ("7", ("expected a list of rows", None, None)),
            ('{"rows": []}', ("expected a list of rows", None, None)),
            ('{"beats": 7}', ("expected a list of rows", None, None)),
            ("", ("is empty", None, None)),
            ("\ufeff \n", ("is empty", None, None)),
            ('[{"a":' + "[" * 100_000 + "]" * 100_000 + "}]", ("nested too deeply", 1, 106)),
            ('{"beats": [NaN, ' + "9" * 5000 + "]}", ("expected a list of rows", None, None)),
        ],
    )
    def test_broken_json_says_where(
        self, tmp_path: Path, text: str, reason: tuple[str, int | None, int | None]
    ) -> None:
        """A syntax error gives line and column, hostile nesting ends no process."""
        (tmp_path / "beats.json").write_text(text, encoding="utf-8")
        fault = faults(tmp_path)[0] if text else one_fault(tmp_path)
        assert reason[0] in fault.message
        assert (fault.line, fault.column) == reason[1:]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"\xef\xbb\xbf[\xff]", "is not UTF-8 (at byte 4)"),
            (b"[\xff\x00]", "is not UTF-8 (at byte 1)"),
            ("[{}]".encode("utf-16") + b"\0", "is not whole UTF-16"),
        ],
    )
    @pytest.mark.parametrize("name", ["beats.json", "beats.csv"])
    def test_bytes_that_are_no_text_are_refused(
        self, tmp_path: Path, name: str, data: bytes, reason: str
    ) -> None:
        """What is in no known encoding is said with the place."""
        (tmp_path / name).write_bytes(data)
        assert reason in one_fault(tmp_path).message

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
    )
    @pytest.mark.parametrize("name", ["beats.json", "beats.csv", "beats.tsv"])
    def test_encodings_are_recognised(self, tmp_path: Path, name: str, encoding: str) -> None:
        """A text gives the same beats in each encoding; only Windows-1252 is guessed."""
        text = json.dumps([row(ai_prompt="A café – “late”")], ensure_ascii=False)
        if name != "beats.json":
            text = "shot_number\tbeat_number\tai_prompt\r\n1\t1.1\tA café – “late”\r\n"
        (tmp_path / name).write_bytes(text.encode(encoding))
        storyboard = load(tmp_path, STYLES)
        assert storyboard.beats["clear"][0].words == "A café – “late”"
        assert bool(storyboard.notes) == (encoding == "cp1252")

    @pytest.mark.parametrize("name", ["b.json", "b.csv", "b.js"])
    def test_byte_order_mark_is_accepted(self, tmp_path: Path, name: str) -> None:
        """Editors that put a mark before UTF-8 do no harm."""
        text = '[{"shot_number": 1, "beat_number": "1", "ai_prompt": "é"}]'
        if name == "b.js":
            text = f"export default {text}"
        if name == "b.csv":
            text = "shot_number,beat_number,ai_prompt\r\n1,1,é\r\n"
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert load(tmp_path, STYLES, beats=Path(name)).beats["clear"][0].words == "é"

    @pytest.mark.slow
    def test_enormous_file_is_refused_by_its_size(self, tmp_path: Path) -> None:
        """A file over 256 MiB is never read."""
        with (tmp_path / "beats.json").open("wb") as file:
            file.truncate(256 * 1024 * 1024 + 1)
        assert "256 are read at most" in one_fault(tmp_path).message

    @pytest.mark.parametrize("name", ["beats.json", "beats.csv", "prompts/prompts-clear.js"])
    def test_folder_in_the_place_of_a_file(self, tmp_path: Path, name: str) -> None:
        """A folder where a file should be is a fault, not a crash."""
        (tmp_path / name).mkdir(parents=True)
        assert one_fault(tmp_path).message == "is a folder, not a file"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    @pytest.mark.skipif(sys.platform == "win32", reason="no named pipes here")
    def test_named_pipe_does_not_block(self, tmp_path: Path) -> None:
        """Nothing waits for a writer that never comes."""
        os.mkfifo(tmp_path / "beats.json")
        assert one_fault(tmp_path).message == "is not a regular file"

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
    def test_link_out_of_the_project_is_refused(self, tmp_path: Path) -> None:
        """A project made by somebody else cannot read files from elsewhere."""
        outside = write(tmp_path / "outside.json", [row()])
        project = tmp_path / "project"
        project.mkdir()
        (project / "beats.json").symlink_to(outside)
        assert "leads out of the project" in one_fault(project).message
        (project / "beats.json").unlink()
        (project / "prompts").symlink_to(FORMATS / "b-prompts-json" / "prompts")
        assert "leads out of the project" in one_fault(project).message

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
    def test_link_within_the_project_is_followed(self, tmp_path: Path) -> None:
        """A link to another file of the project is the user's own affair."""
        write(tmp_path / "drafts" / "second.json", [row()])
        (tmp_path / "beats.json").symlink_to("drafts/second.json")
        assert keys(load(tmp_path, STYLES)) == [("1", "1.1")]

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
    @pytest.mark.parametrize("target", ["gone.json", "beats.json"])
    def test_link_to_nowhere_is_a_fault(self, tmp_path: Path, target: str) -> None:
        """A dangling link and a link to itself are said to be so."""
        (tmp_path / "beats.json").symlink_to(target)
        assert one_fault(tmp_path).message.startswith(("is a symbolic link", "cannot be opened"))


class TestTables:
    """CSV as spreadsheets and people write it."""

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    def test_delimiters_and_line_ends(self, tmp_path: Path, delimiter: str, line_end: str) -> None:
        """Commas, semicolons and tabs are told apart by the header."""
        lines = [
            ["Shot Number ", " BEAT_NUMBER", "ai_prompt", "notes, other; more"],
            ["1", " 1.1", '"A boat, at; sea\nat\tnight"', ""],
            ["", "", "", ""],
            ["1", "1.2", "B", "x"],
        ]
        lines[0][3] = '"notes, other; more"'
        text = line_end.join(delimiter.join(line) for line in lines) + line_end
        (tmp_path / "beats.csv").write_bytes(text.encode())
        storyboard = load(tmp_path, STYLES)
        assert keys(storyboard) == [("1", "1.1"), ("1", "1.2")]
        assert storyboard.beats["clear"][0].words == "A boat, at; sea\nat\tnight"
        assert storyboard.beats["clear"][1].row == 2

    @pytest.mark.parametrize(("before", "first"), [("", 0), ("sep=,\n", 1), ("\n\n", 2)])
    def test_faults_of_a_table_tell_lines_too(
        self, tmp_path: Path, before: str, first: int
    ) -> None:
        """Rows are those with data; an editor counts all lines, those within a cell too."""
        text = 'shot_number,beat_number,ai_prompt\n\n1,1,"A\nboat"\n,,\n1,1,A tree\n1,2\n1,3,a,b\n'
        (tmp_path / "beats.csv").write_text(before + text, encoding="utf-8")
        with pytest.raises(InvalidInputError) as caught:
            load(tmp_path, STYLES)
        faults = caught.value.faults
        assert [(fault.row, fault.line) for fault in faults] == [
            (2, first + 6),
            (3, first + 7),
            (4, first + 8),
        ]
        assert faults[0].message == f"1 is already row 1 (line {first + 3})"

    def test_separator_line_of_a_spreadsheet(self, tmp_path: Path) -> None:
        """A first line `sep=;` names the delimiter and is no header."""
        text = "sep=;\r\nshot_number;beat_number;ai_prompt\r\n1;1;A boat\r\n"
        (tmp_path / "beats.csv").write_bytes(text.encode())
        assert keys(load(tmp_path, STYLES)) == [("1", "1")]

    def test_column_for_a_style(self, tmp_path: Path) -> None:
        """A column may hold one style's own prompts; its empty cells say nothing."""
        text = (
            "shot_number,beat_number,ai_prompt,ai_prompt_clear\n1,1,Shared,Own\n1,2,Shared,\n"
            "1,3,,Own\n"
        )
        (tmp_path / "beats.csv").write_text(text, encoding="utf-8")
        beats = load(tmp_path, STYLES).beats
        assert [(beat.words, beat.own_words) for beat in beats["clear"]] == [
            ("Own", True),
            ("Shared", False),
            ("Own", True),
        ]
        assert [beat.beat for beat in beats["consistent"]] == ["1", "2"]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("shot_number,beat_number,ai_prompt,ai_prompt\n1,1,a,b\n", "two columns named"),
            ("shot_number,beat_number,ai_prompt\n1,1,A road, empty\n", "must stand in quotes"),
            ('shot_number,beat_number,ai_prompt\n1,1,"A road\n', "line 2"),
            ('shot_number,beat_number,ai_prompt\n1,1,"A" road\n', "line 2"),
        ],
    )
    def test_faulty_tables(self, tmp_path: Path, text: str, reason: str) -> None:
        """A prompt that a comma would cut, or a header that is none, is a fault."""
        (tmp_path / "beats.csv").write_text(text, encoding="utf-8")
        assert reason in one_fault(tmp_path).message

    def test_long_cell_is_read_and_the_limit_of_others_kept(self, tmp_path: Path) -> None:
        """A prompt may be longer than the csv module's limit, which stays what it was."""
        before = csv.field_size_limit()
        words = "x" * (before + 1)
        text = f"shot_number,beat_number,ai_prompt\n1,1,{words}\n"
        (tmp_path / "beats.csv").write_text(text, encoding="utf-8")
        assert load(tmp_path, STYLES).beats["clear"][0].words == words
        assert csv.field_size_limit() == before

    def test_phrases_alone_are_passed_over(self, tmp_path: Path) -> None:
        """A table without prompts gives way to prompts/, like a beats.json without."""
        (tmp_path / "beats.csv").write_text("beat_number,script_phrase\n1,Yes\n", encoding="utf-8")
        write(tmp_path / "prompts" / "prompts-clear.json", [row()])
        assert load(tmp_path, STYLES).notes == ("beats.csv holds no prompts: prompts/ is used",)

    @pytest.mark.parametrize("cell", ["A keeper.", ""])
    @pytest.mark.parametrize("before", ["", "sep=,\n"])
    def test_a_column_of_no_style_is_told_once(
        self, tmp_path: Path, cell: str, before: str
    ) -> None:
        """At the line of the headings, by its name, whatever its cells hold."""
        text = "shot_number,beat_number,ai_prompt,AI_prompt_claer\n"
        text += "".join(f"1,1.{n},A boat,{cell}\n" for n in range(3))
        (tmp_path / "beats.csv").write_text(before + text, encoding="utf-8")
        with pytest.raises(InvalidInputError) as caught:
            load(tmp_path, STYLES)
        (fault,) = caught.value.faults
        assert (fault.line, fault.row) == (2 if before else 1, None)
        assert fault.field == "ai_prompt_claer"
        assert fault.message == 'unknown style "claer": did you mean "clear"?'

    @pytest.mark.parametrize(
        ("header", "missing", "hint"),
        [
            (
                "shot_number,beat_number,ai_promtp",
                "ai_prompt",
                'by "ai_promtp", did you mean "ai_prompt"?',
            ),
            ("shot_number,beat_nmber,ai_prompt", "beat_number", 'did you mean "beat_number"?'),
            ("shot_number,beat_number,words", "ai_prompt", "script_phrase,ai_prompt"),
        ],
    )
    def test_a_column_that_is_missing_is_told_once(
        self, tmp_path: Path, header: str, missing: str, hint: str
    ) -> None:
        """With the heading that is most like it."""
        (tmp_path / "beats.csv").write_text(f"{header}\n1,1.1,A boat\n1,1.2,A cat\n")
        with pytest.raises(InvalidInputError) as caught:
            load(tmp_path, STYLES)
        (fault,) = caught.value.faults
        assert (fault.line, fault.row) == (1, None)
        assert f'has no column "{missing}"' in fault.message
        assert (fault.hint or "").endswith(hint)
