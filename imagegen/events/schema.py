"""The events' JSON Schema: what `--progress json` prints and the journal holds.

Fields and types unknown to it are allowed, as readers are to allow them.
"""

import re
from typing import Any, Final, get_args

import msgspec

from imagegen.events.types import SCHEMA, AnyEvent, Event

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ABOUT: Final = (
    "One object for everything that happens in a run, as `imagegen run --progress json` prints "
    "them, one a line, and .imagegen/runs/{run}.jsonl keeps them. See docs/events.md. "
    "Ignore types and fields that this schema does not have."
)
_TIMES: Final = frozenset({"time", "until", "resume_after"})
_OF_ALL: Final[dict[str, dict[str, Any]]] = {
    "schema": {
        "const": SCHEMA,
        "description": "Grows when a field's meaning changes; not for new fields and types.",
    },
    "run": {"type": "string", "description": "The run's id; empty if nothing started."},
    "seq": {"type": "integer", "minimum": 1, "description": "Counts the run's events from 1."},
    "time": {
        "type": "string",
        "format": "date-time",
        "description": "When it happened, in UTC to the millisecond.",
    },
    "type": {"type": "string", "description": "What happened."},
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one event, as a value to be written as JSON."""
    kinds = get_args(AnyEvent)
    _, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": _DIALECT,
        "title": "An event of imagegen",
        "description": _ABOUT,
        "type": "object",
        "properties": _OF_ALL,
        "required": list(_OF_ALL),
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind.__struct_config__.tag}}},
                "then": {"$ref": f"#/$defs/{kind.__name__}"},
            }
            for kind in kinds
        ],
        "$defs": {name: _part(part) for name, part in parts.items()},
    }


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part with all of its fields required: every one is always there."""
    result = dict(part)
    if "description" in result:
        result["description"] = _in_json(result["description"])
    if "properties" in result:
        result["properties"] = {
            name: _field(name, field)
            for name, field in result["properties"].items()
            if name == "type" or name not in Event.__struct_fields__
        }
        result["required"] = list(result["properties"])
    return result


def _field(name: str, field: dict[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in field.items() if key != "default"}
    if "anyOf" in result:  # msgspec's versions order it in their own ways
        result["anyOf"] = sorted(result["anyOf"], key=lambda kind: kind.get("type") == "null")
    if name in _TIMES:
        return _with(result, "string", format="date-time")
    return _with(_with(result, "integer", minimum=0), "number", minimum=0)


def _with(field: dict[str, Any], of: str, **more: object) -> dict[str, Any]:
    """Return a field with more keywords if it is of this type."""
    result = dict(field)
    if result.get("type") == of:
        result |= more
    if "anyOf" in result:
        result["anyOf"] = [_with(kind, of, **more) for kind in result["anyOf"]]
    if isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _with(result["additionalProperties"], of, **more)
    return result


def _in_json(text: str) -> str:
    """Return a docstring as one line that speaks of JSON."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))
