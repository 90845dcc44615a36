"""Write docs/events.schema.json: the JSON Schema of every event.

Run it where an event has changed: `python docs/make_schema.py`.
"""  # noqa: INP001  # a script, not a package

import json
from pathlib import Path
from typing import Final

from imagegen.events.schema import schema

PAGE: Final = Path(__file__).with_name("events.schema.json")


def page() -> str:
    """Return the schema's text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
