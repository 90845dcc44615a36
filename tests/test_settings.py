"""imagegen.toml: what a project wants drawn, and how."""

import os
from pathlib import Path

import pytest

from imagegen.errors import InputError, InvalidInputError
from imagegen.project.settings import FILE, Settings, load


def write(project: Path, text: str) -> Path:
    """Write the project's settings."""
    (project / FILE).write_text(text, encoding="utf-8")
    return project


def faults(project: Path, text: str) -> dict[str | None, InputError]:
    """Return the faults that reading `text` reports, by field."""
    with pytest.raises(InvalidInputError) as caught:
        load(write(project, text))
    assert caught.value.exit_code == 2
    return {fault.field: fault for fault in caught.value.faults}


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    """A project without imagegen.toml is drawn as the handbook says."""
    settings = load(tmp_path)
    assert settings == Settings()
    assert settings.provider == "gemini"
    assert settings.aspect_ratio == "16:9"
    assert settings.image_size == "1K"
    assert settings.timeout == 120
    assert settings.max_attempts == 4
    assert settings.provenance is True
    assert settings.drawn_styles == ("illustration", "clear", "consistent")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """An empty file means the defaults."""
    assert load(write(tmp_path, "")) == Settings()


def test_every_setting_is_read(tmp_path: Path) -> None:
    """Each setting of the file replaces its default."""
    settings = load(
        write(
            tmp_path,
            """
            provider = "sketch"
            model = "m"
            aspect_ratio = "9:16"
            image_size = "2K"
            timeout = 30
            max_attempts = 2
            style_reference = "look.png"
            beats = "my/beats.json"
            draw = ["clear"]
            provenance = false
            """,
        )
    )
    assert settings == Settings(
        provider="sketch",
        model="m",
        aspect_ratio="9:16",
        image_size="2K",
        timeout=30.0,
        max_attempts=2,
        style_reference="look.png",
        beats="my/beats.json",
        draw=("clear",),
        provenance=False,
    )


def test_styles_are_amended_and_added(tmp_path: Path) -> None:
    """A style's table gives a built-in style its look, or makes a new style."""
    settings = load(
        write(
            tmp_path, '[styles.clear]\nlook = "Flat."\n[styles.noir]\nstyle_reference = "n.png"\n'
        )
    )
    assert settings.drawn_styles == ("illustration", "clear", "consistent", "noir")
    assert settings.styles["clear"].look == "Flat."
    assert settings.styles["illustration"].look is None
    assert settings.styles["noir"].style_reference == "n.png"


def test_styles_of_one_project_do_not_reach_the_next(tmp_path: Path) -> None:
    """Styles that a file adds are that project's alone."""
    load(write(tmp_path, "[styles.noir]\n"))
    assert "noir" not in Settings().styles


def test_draw_selects_styles_in_their_usual_order(tmp_path: Path) -> None:
    """`draw` names the styles to draw; their order is always the same."""
    settings = load(write(tmp_path, 'draw = ["consistent", "noir", "clear"]\n[styles.noir]\n'))
    assert settings.drawn_styles == ("clear", "consistent", "noir")


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """Files that an editor on Windows saved are read."""
    (tmp_path / FILE).write_bytes(b"\xef\xbb\xbfmax_attempts = 3\n")
    assert load(tmp_path).max_attempts == 3


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("timeout = 0", "timeout", "1.0"),
        ("timeout = 3601", "timeout", "3600"),
        ("timeout = nan", "timeout", "number"),
        ("max_attempts = 0", "max_attempts", ">= 1"),
        ("max_attempts = 21", "max_attempts", "<= 20"),
        ("max_attempts = 1.5", "max_attempts", "a whole number"),
        ("max_attempts = true", "max_attempts", "true or false"),
        ("model = 3", "model", "expected text"),
        ('provenance = "no"', "provenance", "true or false"),
        ('draw = "clear"', "draw", "a list"),
        ('draw = ["clear", 3]', "draw[1]", "text"),
        ("draw = []", "draw", "names no style"),
        ('styles = ["clear"]', "styles", "[styles.clear]"),
        ("styles.clear = 3", "styles.clear", "table"),
        ('[styles.Clear]\nlook = "x"', "styles.Clear", "a-z"),
        (f"[styles.{'a' * 41}]", f"styles.{'a' * 41}", "40"),
        ('[styles.clear]\nlook = ""', "styles.clear.look", "length"),
        ("[styles.clear]\nlook = 3", "styles.clear.look", "text"),
    ],
)
def test_a_wrong_value_is_named_in_plain_words(
    tmp_path: Path, text: str, field: str, says: str
) -> None:
    """A value of the wrong type or out of range is a fault of its field."""
    found = faults(tmp_path, text)
    assert list(found) == [field]
    assert says in found[field].message
    assert "`" not in found[field].message


@pytest.mark.parametrize(
    ("text", "field", "hint"),
    [
        ("time_out = 3", "time_out", '"timeout"'),
        ('[styles.clear]\nlok = "x"', "styles.clear.lok", '"look"'),
        ('draw = ["claer"]', "draw", '"clear"'),
        ('aspect_ratio = "16:10"', "aspect_ratio", "4:3"),
        ('image_size = "1080p"', "image_size", "2K"),
        ('thinking = "HIGH"', "thinking", "one of minimal, medium, high"),
        ('[styles.clear]\nthinking = "HIGH"', "styles.clear.thinking", "minimal"),
        ("zzz = 1", "zzz", "aspect_ratio"),
    ],
)
def test_an_unknown_word_comes_with_the_nearest_one(
    tmp_path: Path, text: str, field: str, hint: str
) -> None:
    """A word that is not known is a fault that suggests one that is."""
    found = faults(tmp_path, text)
    assert list(found) == [field]
    assert hint in (found[field].hint or "")


@pytest.mark.parametrize("field", ["base_url", "api_url", "endpoint", "address"])
def test_a_project_may_not_say_where_keys_are_sent(tmp_path: Path, field: str) -> None:
    """An address in imagegen.toml is refused."""
    found = faults(tmp_path, f'{field} = "https://elsewhere.example"')
    assert "where keys are sent" in found[field].message


@pytest.mark.parametrize("text", ['api_key = "K"', 'key = "K"', '[keys]\nclear = ["K"]'])
def test_keys_are_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    """Keys in a file that is committed are refused, and the fault doesn't quote them."""
    (fault,) = faults(tmp_path, text.replace("K", "secret-key-alpha-000001")).values()
    assert "keys.toml" in (fault.hint or "")
    assert "secret-key" not in repr(fault)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """One reading reports every fault of the file."""
    found = faults(
        tmp_path,
        'timeout = "long"\nmax_atempts = 1\nimage_size = "8K"\nbase_url = "x"\n[styles.A]\n',
    )
    assert set(found) == {"timeout", "max_atempts", "image_size", "base_url", "styles.A"}
    assert {fault.file for fault in found.values()} == {str(tmp_path / FILE)}


@pytest.mark.parametrize(
    "content",
    [b"a = ", b"a = 1\na = 2", b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000, b"a = '\xff'"],
    ids=["cut", "twice", "deep", "long number", "not UTF-8"],
)
def test_a_file_that_is_no_toml_is_one_fault(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes are, the answer is one fault that names the file."""
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path)
    (fault,) = caught.value.faults
    assert fault.file.endswith(FILE)


def test_a_file_over_the_bound_is_refused(tmp_path: Path) -> None:
    """A file of more than 4 MiB is not read."""
    (tmp_path / FILE).write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path)
    assert "4 MiB" in caught.value.faults[0].message


@pytest.mark.parametrize("make", ["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: str) -> None:
    """A folder or a pipe in the file's place is refused, not waited for."""
    if make == "folder":
        (tmp_path / FILE).mkdir()
    elif hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / FILE)
    else:
        pytest.skip("no pipes with names on this system")
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path)
    assert "regular file" in caught.value.faults[0].message


@pytest.mark.parametrize("name", ["con", "nul", "com1"])
def test_a_style_named_like_a_device_is_refused(tmp_path: Path, name: str) -> None:
    """A project must work on Windows too, where such a folder cannot be."""
    (tmp_path / "imagegen.toml").write_text(f"[styles.{name}]\n")
    with pytest.raises(InvalidInputError) as caught:
        load(tmp_path)
    assert "device" in caught.value.faults[0].message


@pytest.mark.parametrize("name", ["prices", "requests_per_minute", "lend"])
def test_what_stands_in_the_keys_file_is_sent_there(tmp_path: Path, name: str) -> None:
    """A setting of keys.toml in imagegen.toml is told where it belongs."""
    (tmp_path / "imagegen.toml").write_text(f"{name} = 1\n")
    with pytest.raises(InvalidInputError) as found:
        load(tmp_path)
    (fault,) = found.value.faults
    assert fault.field == name
    assert "keys.toml" in fault.message


def test_more_styles_than_anybody_draws_are_a_fault(tmp_path: Path) -> None:
    """Somebody else's file of very many, and of names that are none, would be read for hours."""
    styles = "".join(f"[styles.s{n}]\n" for n in range(5000))
    strange = ", ".join(f'"x{n}"' for n in range(1000))
    found = faults(tmp_path, f"draw = [{strange}]\n{styles}")
    assert found["styles"].message == "has 5,000 styles: 200 at most"


def test_only_so_many_pictures_in_unknown_styles_are_told(tmp_path: Path) -> None:
    """For each the style is sought that was meant."""
    pictures = "".join(f'x{n} = "a.png"\n' for n in range(5000))
    with pytest.raises(InvalidInputError) as caught:
        load(write(tmp_path, f"[characters.mara.picture]\n{pictures}"))
    assert len(caught.value.faults) == 1000
