"""JSON as models and people write it: read past what is harmless, every syntax error at its line.

Read past are a Markdown fence, prose before and after, comments, single and curly quotes,
names without quotes, and trailing commas. So are Python's `None` and `True`, and several
documents one after the other, as JSON lines. Anything else is an error, after which reading
continues if it can, so that all errors of a file are found at once.
"""

import contextlib
import re
from bisect import bisect_right
from typing import Any, Final

import msgspec

from imagegen.project.storyboard.messages import quoted

LARGEST: Final = 16_000_000
"""Characters of the longest text that is read in this way."""

_DEEPEST: Final = 100
_MOST_ERRORS: Final = 50
_MOST_LINES: Final = 5
_MOST_INNER: Final = 200
"""Quotes within a text after which none of them is taken for its end."""

_LONGEST_SHOWN: Final = 400

_QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "´": "´`'",
    "“": '”“"',
    "”": '”"',
    "„": '“”"',
    "‟": '”"',
    "«": "»",
    "»": "«",
    "‘": "’'",
    "’": "’'",
    "‚": "‘’'",
    "＂": "＂",
    "″": "″",
    "「": "」",
}
"""What may begin a text, and what then ends it."""

_OPENING: Final = "".join(_QUOTES)
_SPACE: Final = re.compile(r"[\s\ufeff\u200b\u2060\u00ad]+")
_LINE: Final = re.compile(r"[^\r\n]*")
_LINE_END: Final = re.compile(r"\r\n?|\n")
_FENCE: Final = re.compile(r"[ \t]*(?:```|~~~)[^\r\n]*")
_START: Final = re.compile(
    rf"\[(?=[\s\ufeff]*(?:[\[{{\]{_OPENING}]|//|/\*|$))"
    rf"|\{{(?=[\s\ufeff]*(?:[{_OPENING}}}]|[\w$-]{{1,60}}\s{{0,20}}:|//|/\*|$))"
)
_WORD: Final = re.compile(r"[^\s,:{}\[\]\"“”„]+")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CLOSED: Final = re.compile(r"[ \t\u00a0]*(?:[,:}\]]|$|[\r\n]|//|/\*)", re.MULTILINE)
_AFTER: Final = re.compile(r"[\s\ufeff]*(?:[,:}\]]|$)")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|\r\n|([\s\S]))")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": "", "\r": ""}
_WORDS: Final[dict[str, object]] = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nil": None,
    "undefined": None,
    "nan": float("nan"),
    "infinity": float("inf"),
    "-infinity": float("-inf"),
}
_PLAIN_WORDS: Final = frozenset({"true", "false", "null", "NaN", "Infinity", "-Infinity"})


class SyntaxFault(msgspec.Struct, frozen=True, kw_only=True):
    """One syntax error: where it is, counted from 1, and the text of its line."""

    message: str
    line: int
    column: int
    text: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What a text holds: its values, what was read past, its errors.

    `lines` has the line at which each object begins, by the object's `id`.
    """

    values: list[Any]
    lines: dict[int, int]
    remarks: tuple[str, ...] = ()
    errors: tuple[SyntaxFault, ...] = ()


class _StopError(Exception):
    """There are too many errors, or it is nested too deeply."""


def parse(text: str) -> Document:
    """Read a text of at most `LARGEST` characters."""
    reader = _Reader(text)
    values: list[Any] = []
    with contextlib.suppress(_StopError):
        values = reader.documents()
    return Document(
        values=values, lines=reader.lines, remarks=reader.remarks(), errors=tuple(reader.errors)
    )


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        self._passed: dict[str, list[int]] = {}
        self._no_comment_end = False
        self._is_cut_off = False
        self._end_of_value = 0
        self.lines: dict[int, int] = {}
        self.errors: list[SyntaxFault] = []

    def remarks(self) -> tuple[str, ...]:
        """Return what was read past, and on which lines."""
        remarks: list[str] = []
        for oddity, places in self._passed.items():
            lines = sorted({self._line(at) for at in places})
            line_numbers = ", ".join(map(str, lines[:_MOST_LINES]))
            more = f" and {len(lines) - _MOST_LINES:,} more" if len(lines) > _MOST_LINES else ""
            remarks.append(f"{oddity} (line{'s' if len(lines) > 1 else ''} {line_numbers}{more})")
        return tuple(remarks)

    def documents(self) -> list[Any]:
        """Return every list and object that is not within another."""
        documents: list[Any] = []
        while True:
            self._skip_prose()
            if self._at >= len(self._text):
                return documents
            documents.append(self._value(0))

    def _skip_prose(self) -> None:
        """Go to where the next list or object begins, and note what is before it."""
        start = _START.search(self._text, self._at)
        end = start.start() if start else len(self._text)
        for line in self._text[self._at : end].splitlines(keepends=True):
            plain = line.strip("\ufeff\u200b \t\r\n,;")
            if _FENCE.fullmatch(plain):
                self._pass("a Markdown fence")
            elif plain.startswith(("//", "/*", "*", "#", "*/")):
                self._pass("a comment")
            elif plain:
                self._pass("text that is not JSON")
            self._at += len(line)
        self._at = end

    def _value(self, depth: int) -> Any:
        self._skip()
        char = self._text[self._at : self._at + 1]
        if depth > _DEEPEST:
            self._fail("is nested too deeply", self._at)
            raise _StopError
        if char == "[":
            return self._list(depth)
        if char == "{":
            return self._object(depth)
        if char in _QUOTES:
            return self._string()
        return self._word()

    def _list(self, depth: int) -> list[Any]:
        begin = self._at
        self._at += 1
        values: list[Any] = []
        while not self._ends("]", begin, values):
            before = self._at
            values.append(self._value(depth + 1))
            self._go_on(before)
        return values

    def _object(self, depth: int) -> dict[str, Any]:
        begin = self._at
        self._at += 1
        values: dict[str, Any] = {}
        self.lines[id(values)] = self._line(begin)
        while not self._ends("}", begin, values):
            before = self._at
            name = self._name()
            end_of_name = self._at
            self._skip()
            if self._text.startswith((":", "="), self._at):
                self._at += 1
                value = self._value(depth + 1)
                if name in values and values[name] != value:
                    at = max(before, end_of_name - len(name or "") - 2)
                    self._fail(f"{quoted(name)} is here twice: keep one", at)
                elif name is not None:
                    values[name] = value
            elif name is not None:
                self._fail(f"{quoted(name)} has no value: a colon is missing", self._at)
            self._go_on(before)
        return values

    def _name(self) -> str | None:
        self._skip()
        if self._text[self._at : self._at + 1] in _QUOTES:
            return self._string()
        word = _WORD.match(self._text, self._at)
        if word is None:
            self._fail(f"a name is expected here, not {self._excerpt()}", self._at)
            return None
        self._pass("names without quotes")
        self._at = word.end()
        return word[0]

    def _ends(self, closing: str, begin: int, values: object) -> bool:
        """Go past commas; return whether the list or object is at its end.

        `values` are those that it has already.
        """
        commas = 0
        while True:
            last = self._end_of_value
            self._skip()
            char = self._text[self._at : self._at + 1]
            if char in {",", ";", "，", "、"} and char:
                commas += 1
                at = self._at
                self._at += 1
                self._skip()
                if self._text[self._at : self._at + 1] in {"]", "}", ","}:
                    self._pass("a comma too many", at)
                continue
            if char == closing:
                self._at += 1
                return True
            if not char:
                if not self._is_cut_off:
                    kind = "list" if closing == "]" else "object"
                    self._fail(f"the {kind} that begins here has no end", begin)
                self._is_cut_off = True
                return True
            if char in "]}":
                self._fail(f"{char} is here, and {closing} is expected", self._at)
                self._at += 1
                return True
            if values and not commas:
                self._fail("a comma is missing here", last)
            return False

    def _go_on(self, before: int) -> None:
        """Record the end of a value; skip one character if nothing was read."""
        if self._at == before:
            self._at += 1
        self._end_of_value = self._at

    def _string(self) -> str:
        begin = self._at
        opening = self._text[begin]
        if opening != '"':
            kind = "single quotes" if opening in "'`´‘’‚" else "curly quotes"
            self._pass(kind if opening not in "«»「＂″" else "other quotes")
        end = self._end_of_string(begin, opening)
        if end is None:
            self._fail("the text that begins here has no closing quote", begin)
            line = _LINE.match(self._text, begin + 1)
            end = line.end() if line else len(self._text)
            # What closes the object is most likely not part of the text.
            body = self._text[begin + 1 : end].rstrip(" \t,}]")
            self._at = begin + 1 + len(body)
            self._is_cut_off = not self._text[self._at :].strip()
            return _unescape(body)
        self._at = end + 1
        return _unescape(self._text[begin + 1 : end])

    def _end_of_string(self, begin: int, opening: str) -> int | None:
        """Return the position of the quote that ends a text, or None."""
        closing = _QUOTES[opening]
        pattern = _CLOSINGS[closing]
        first: int | None = None
        breaks, before = False, begin
        inner = 0
        for match in pattern.finditer(self._text, begin + 1):
            if match[0][0] == "\\":
                continue
            inner += 1
            if inner > _MOST_INNER:
                return first
            at = match.start()
            breaks = breaks or _LINE_END.search(self._text, before, at) is not None
            before = at
            if _AFTER.match(self._text, at + 1):
                if first is not None and opening == '"':
                    self._fail('a " within a text is written \\"', first)
                elif breaks:
                    self._pass("a line break in a text", begin)
                return at
            if breaks:
                # Another text begins there, or one without its closing quote before it.
                return first
            if _CLOSED.match(self._text, at + 1):
                return at
            first = at if first is None else first
        return first

    def _word(self) -> object:
        word = _WORD.match(self._text, self._at)
        if word is None:
            self._fail(f"a value is expected here, not {self._excerpt()}", self._at)
            return None
        text = word[0]
        if text.casefold() in _WORDS:
            if text not in _PLAIN_WORDS:
                self._pass(f"{text} for null" if _WORDS[text.casefold()] is None else text)
            self._at = word.end()
            return _WORDS[text.casefold()]
        number = _NUMBER.fullmatch(text)
        if number is None:
            self._fail(f"{self._excerpt()} is not in quotes", self._at)
            line = re.compile(r"[^\r\n,}\]]*").match(self._text, self._at)
            self._at = line.end() if line else word.end()
            return text
        self._at = word.end()
        try:
            return int(text)
        except ValueError:
            return float(text)

    def _skip(self) -> None:
        """Go past white space and comments."""
        text = self._text
        while self._at < len(text):
            space = _SPACE.match(text, self._at)
            if space:
                self._at = space.end()
            elif text.startswith("//", self._at) or text.startswith("#", self._at):
                self._pass("a comment")
                line = _LINE.match(text, self._at)
                self._at = line.end() if line else len(text)
            elif text.startswith("/*", self._at) and not self._no_comment_end:
                end = text.find("*/", self._at + 2)
                if end < 0:
                    self._no_comment_end = True
                    self._fail("the comment that begins here has no end", self._at)
                    return
                self._pass("a comment")
                self._at = end + 2
            else:
                return

    def _excerpt(self) -> str:
        line = _LINE.match(self._text, self._at)
        excerpt = line[0][:40] if line else ""
        word = _WORD.match(excerpt)
        return quoted(word[0] if word else excerpt[:1]) if excerpt else "the end of the line"

    def _pass(self, oddity: str, at: int | None = None) -> None:
        places = self._passed.setdefault(oddity, [])
        if len(places) < _MOST_ERRORS or self._line(places[-1]) != self._line(self._at):
            places.append(self._at if at is None else at)

    def _fail(self, message: str, at: int) -> None:
        line = self._line(at)
        start = self._starts[line - 1]
        text = self._text[start : start + _LONGEST_SHOWN]
        column = at - start + 1
        if self.errors and (self.errors[-1].line, self.errors[-1].column) == (line, column):
            return
        if column > _LONGEST_SHOWN:
            text = self._text[at : at + _LONGEST_SHOWN]
        excerpt = _LINE_END.split(text, maxsplit=1)[0]
        self.errors.append(SyntaxFault(message=message, line=line, column=column, text=excerpt))
        if len(self.errors) >= _MOST_ERRORS:
            raise _StopError

    def _line(self, at: int) -> int:
        return bisect_right(self._starts, at)


_CLOSINGS: Final = {
    closing: re.compile(rf"\\[\s\S]|[{re.escape(closing)}]") for closing in _QUOTES.values()
}


def _unescape(text: str) -> str:
    """Return a text with its escapes replaced; halves of surrogate pairs that meet are joined."""
    if "\\" not in text:
        return text

    def plain(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2]
        if code:
            number = int(code, 16)
            return chr(number) if number <= 0x10FFFF else "\ufffd"
        return _ESCAPED.get(escape[3] or "", escape[3] or "")

    joined = _ESCAPE.sub(plain, text)
    if any("\ud800" <= char <= "\udfff" for char in joined):
        joined = joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return joined
