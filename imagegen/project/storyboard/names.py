"""What rows call their fields: our names, and the usual other ones."""

import difflib
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

FIELDS = (
    "shot_number",
    "beat_number",
    "transition_type",
    "script_phrase",
    "ai_prompt",
    "ai_prompts",
    "id",
    "references",
)
"""The fields of a row that images are drawn from."""

KEPT = ("text_overlay", "kinetic_text", "sfx", "duration", "start", "end")
"""Fields that later steps of a pipeline read: they stay with the beat."""

REQUIRED = ("shot_number", "beat_number", "ai_prompt")
PER_STYLE = "ai_prompt_"
"""What a heading begins with that ends with the name of a style."""

# Compared without case, white space and punctuation; the first that a row has counts.
_OTHER_NAMES: Mapping[str, str] = {
    "shot_number": "shot shotno shotnr shotnum shotid shotindex shotcount",
    "beat_number": "beat beatno beatnr beatnum beatid beatindex",
    "ai_prompt": "prompt imageprompt imgprompt aiimageprompt imagegenprompt "
    "imagegenerationprompt generationprompt visualprompt pictureprompt prompttext text2image "
    "description imagedescription visualdescription visual visuals",
    "ai_prompts": "prompts imageprompts stylesprompts promptsbystyle",
    "script_phrase": "script phrase scripttext scriptline scriptphrases narration narrationtext "
    "voiceover voiceovertext vo dialogue dialog spokentext",
    "transition_type": "transition transitions transitiontypes transitionin cuttype",
    "references": "reference referenceimages refs",
    "text_overlay": "overlay overlaytext onscreentext",
    "kinetic_text": "kinetic kinetictypography",
    "sfx": "soundeffect soundeffects soundfx",
}
# What numbers a row if nothing else does.
_COUNTS = ("scene", "scenenumber", "sceneno", "scenenr", "scenenum", "sceneid", "sceneindex")
_NUMBERS = tuple(
    """
    number no nr num index id frame framenumber frameno panel panelnumber slide slidenumber page
    image image item row
    """.split()  # noqa: SIM905  # a list has a line for each
)
_GUESSED = ("shot_number", "beat_number", "transition_type", "script_phrase", "ai_prompt")
_LIKE = 0.8
_LONGEST = 60


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a file call our fields.

    `fields` says for each of ours what it is read from; `styles` from what each style's own
    prompts are read. `others` says for names that are nearly ours, and not read, which name
    they should have.
    """

    fields: dict[str, str]
    styles: dict[str, str] = {}
    others: dict[str, str] = {}

    def renamed(self) -> list[str]:
        """Return what is read under another name than ours, as `beat_number from "id"`."""
        pairs = [(ours, theirs) for ours, theirs in self.fields.items() if ours != _ours(theirs)]
        pairs += [
            (PER_STYLE + style, theirs)
            for style, theirs in self.styles.items()
            if PER_STYLE + style != _ours(theirs)
        ]
        return [f'{ours} from "{theirs[:_LONGEST]}"' for ours, theirs in pairs]


@lru_cache(maxsize=4096)
def squashed(name: str) -> str:
    """Return what is the same for `shotNumber`, `Shot number` and `SHOT_NUMBER`."""
    plain = unicodedata.normalize("NFKC", name[:_LONGEST]).casefold()
    if plain.strip() == "#":
        return "number"
    return "".join(char for char in plain if char.isalnum())


def _ours(name: str) -> str:
    """Return a name as a heading of ours may be written: any case, spaces for underscores."""
    return "_".join(name.strip().casefold().split())


_KNOWN: dict[str, list[str]] = {
    field: [squashed(field), *_OTHER_NAMES.get(field, "").split()] for field in (*FIELDS, *KEPT)
}
_FIELD_OF = {name: field for field, names in _KNOWN.items() for name in names}
_ROW_NAMES = frozenset(_FIELD_OF) - {"id", "start", "end", "reference", "references", "duration"}


def is_row(names: Mapping[str, object]) -> bool:
    """Return whether an object has the names of a row's fields."""
    return any(squashed(name) in _ROW_NAMES for name in names)


def field_of(name: str) -> str | None:
    """Return which field of ours a name is the usual name of, or None."""
    return _FIELD_OF.get(squashed(name))


def match(shapes: Sequence[Sequence[str]], styles: Sequence[str]) -> Names:
    """Return what rows call our fields. `shapes` are the different lists of names that they have.

    A name that is not ours is read if all rows that have the field call it the same.
    """
    fields: dict[str, str] = {}
    style_names: dict[str, str] = {}
    other_names: dict[str, str] = {}
    for field in (*FIELDS, *KEPT):
        best_names = [best for shape in shapes if (best := _best(field, shape)) is not None]
        distinct = list(dict.fromkeys(best_names))
        exact = [name for name in distinct if _is_exact(name, field)]
        chosen = distinct[0] if len(distinct) == 1 else next(iter(exact), None)
        if chosen is not None:
            fields[field] = chosen
        other_names |= {name: field for name in distinct if name != chosen}
    for style in styles:
        names = [name for shape in shapes for name in shape if _is_of_style(name, style)]
        if names:
            style_names[style] = next((n for n in names if _ours(n) == PER_STYLE + style), names[0])
    used_names = {*fields.values(), *style_names.values()}
    for name in dict.fromkeys(name for shape in shapes for name in shape):
        if name not in used_names and name not in other_names and (near := _near(name)):
            other_names[name] = near
    return Names(fields=fields, styles=style_names, others=other_names)


def numbers(names: Sequence[str]) -> tuple[str | None, str | None]:
    """Return which names number scenes and rows, for rows that have no beat number.

    The first of each kind, or None.
    """
    by_squashed = {squashed(name): name for name in reversed(names)}
    scene = next((by_squashed[name] for name in _COUNTS if name in by_squashed), None)
    row = next((by_squashed[name] for name in _NUMBERS if name in by_squashed), None)
    return scene, row


def _best(field: str, shape: Sequence[str]) -> str | None:
    """Return which name of a row means a field, ours before others."""
    if field in shape:
        return field
    by_squashed = {squashed(name): name for name in reversed(shape)}
    return next((by_squashed[name] for name in _KNOWN[field] if name in by_squashed), None)


def _is_exact(name: str, field: str) -> bool:
    return squashed(name) == squashed(field)


def _is_of_style(name: str, style: str) -> bool:
    """Return whether a name is that of a style's own prompts: `ai_prompt_clear`, `Clear prompt`."""
    plain, style_name = squashed(name), squashed(style)
    prompts = _KNOWN["ai_prompt"]
    return style_name in plain and any(
        plain in {prompt + style_name, style_name + prompt} for prompt in prompts
    )


def _near(name: str) -> str | None:
    """Return which field a name that is not read was probably meant for."""
    plain = squashed(name)
    meant_field = _FIELD_OF.get(plain)
    if meant_field is not None:
        return meant_field if meant_field in _GUESSED and meant_field != name else None
    if not plain:
        return None
    names = [squashed(field) for field in _GUESSED]
    like = difflib.get_close_matches(plain, names, n=1, cutoff=_LIKE)
    return _FIELD_OF[like[0]] if like else None
