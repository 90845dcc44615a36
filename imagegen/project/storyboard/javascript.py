"""A JavaScript module read as data: its exported list is cut out, nothing is executed.

Read are `export default […]`, `const prompts = […]; export default prompts;`,
`export const prompts = […]`, `module.exports = […]` and a lone `const prompts = […]` (also
with `let` and `var`, and with an object `{beats: […]}` for the list). A scanner that knows
strings, comments and template literals finds where the list ends; pyjson5 reads it. Everything
else that a module may hold is an error.
"""

import re

from imagegen.project.storyboard.messages import quoted

_DEEPEST = 200
_GAP = re.compile(r"(?:[\s\ufeff]+|//[^\n\r\u2028\u2029]*|/\*[\s\S]*?\*/)*")
_WORD = re.compile(r"(?:[^\W\d]|\$)[\w$]*")
_DIRECTIVE = re.compile(r"""(?:"use strict"|'use strict')""")
# Nothing here is ever matched in a second way, so that a text without end takes no time
# and no memory for going back.
_PIECE = re.compile(
    r"""
      (?P<open>[\[{])
    | (?P<close>[\]}])
    | (?P<template>`[^`\\]*+(?:\\[\s\S][^`\\]*+)*+`)
    | (?P<string>"[^"\\\n\r]*+(?:\\\r?+[\s\S][^"\\\n\r]*+)*+"
                |'[^'\\\n\r]*+(?:\\\r?+[\s\S][^'\\\n\r]*+)*+')
    | (?P<comment>//[^\n\r\u2028\u2029]*|/\*[\s\S]*?\*/)
    | [^\[\]{}"'`/]+
    """,
    re.VERBOSE,
)
_IN_STRING = re.compile(r"\\u\{(?P<code>[0-9a-fA-F]{1,8})\}|\\[\s\S]")
_IN_TEMPLATE = re.compile(
    r"\\u\{(?P<code>[0-9a-fA-F]{1,8})\}|\\(?:\r\n|[\s\S])|(?P<insert>\$\{)|\r\n?|\n|\""
)
_LINE_END = re.compile(r"\r\n?|\n")
_NEAR = re.compile(r"near (\d+)")
_CALL = re.compile(r"[\w$.]+\s*\(")
_UNCLOSED = {'"': "a text", "'": "a text", "`": "a template literal", "/": "a comment"}


class NotDataError(ValueError):
    """A module is more than data; the message says on which line and what it holds."""


def decode(text: str) -> object:
    """Return the data that a module exports, as lists, dicts, texts and numbers.

    Raises NotDataError.
    """
    import pyjson5  # noqa: PLC0415  # slow to import

    module = _Module(text)
    start, end = module.exported()
    data = _plain(text, start, end)
    try:
        return pyjson5.decode(data, maxdepth=_DEEPEST, some=False)
    except pyjson5.Json5NestingTooDeep:
        raise _fault("is nested too deeply", text, start) from None
    except (pyjson5.Json5Exception, ValueError) as error:
        near = _NEAR.search(str(error.args[0])) if error.args else None
        at = max(0, int(near[1]) - 1) if near else 0
        line = _line(text, start) + _line(data, at) - 1
        raise NotDataError(f"{_unreadable(data, at)} (line {line})") from None


class _Module:
    """Reads the statements of a module, from `at` on, and remembers where its data is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._data: dict[str, tuple[int, int]] = {}
        self._export: str | None = None

    def exported(self) -> tuple[int, int]:
        """Return where the exported list or object begins and ends."""
        while self._skip() < len(self.text):
            self._statement()
        if self._export is None:
            if len(self._data) == 1:
                # Copied by hand from a page, without its export.
                return next(iter(self._data.values()))
            raise NotDataError("exports nothing: it should say `export default [ … ];`")
        if self._export not in self._data:
            raise NotDataError(f"exports {quoted(self._export)}, which it does not define")
        return self._data[self._export]

    def _statement(self) -> None:
        start = self.at
        word = self._word()
        if word == "export":
            word = self._word()
            if word == "default":
                self._set_export(self._value_or_name("default"), start)
            else:
                self._set_export(self._declaration(word, start), start)
        elif word == "module" and self._take(".") and self._word() == "exports":
            self._require_assignment(start)
            self._set_export(self._value_or_name("module.exports"), start)
        elif word:
            self._declaration(word, start)
        elif directive := _DIRECTIVE.match(self.text, start):
            self.at = directive.end()
        elif not self.text.startswith(";", start):
            raise self._no_data(start)
        self._end_of_statement()

    def _declaration(self, word: str, start: int) -> str:
        name = self._word() if word in {"const", "let", "var"} else ""
        if not name:
            raise self._no_data(start)
        self._require_assignment(start)
        self._value(name)
        return name

    def _require_assignment(self, start: int) -> None:
        if not self._take("="):
            raise self._no_data(start)

    def _value_or_name(self, name: str) -> str:
        start = self._skip()
        if self.text.startswith(("[", "{"), start):
            self._value(name)
            return name
        word = self._word()
        if not word or word in {"async", "class", "function", "new"}:
            raise self._no_data(start)
        return word

    def _value(self, name: str) -> None:
        start = self._skip()
        if not self.text.startswith(("[", "{"), start):
            raise self._no_data(start)
        if self._data:
            raise _fault("holds a second list or object: it may hold one", self.text, start)
        self.at = _closing(self.text, start)
        self._data[name] = (start, self.at)

    def _set_export(self, name: str, start: int) -> None:
        if self._export not in {None, name}:
            raise _fault("exports twice", self.text, start)
        self._export = name

    def _end_of_statement(self) -> None:
        """Pass a semicolon, or the line end that takes its place."""
        before = self.at
        after = self._skip()
        if after == len(self.text) or self._take(";"):
            return
        if not _LINE_END.search(self.text, before, after):
            raise self._no_data(after)

    def _skip(self) -> int:
        gap = _GAP.match(self.text, self.at)
        self.at = gap.end() if gap else self.at
        return self.at

    def _word(self) -> str:
        word = _WORD.match(self.text, self._skip())
        if word is None:
            return ""
        self.at = word.end()
        return word[0]

    def _take(self, mark: str) -> bool:
        if not self.text.startswith(mark, self._skip()):
            return False
        self.at += len(mark)
        return True

    def _no_data(self, at: int) -> NotDataError:
        message = f"{_unreadable(self.text, at)}: it is read as data and never executed"
        return _fault(message, self.text, at)


def _closing(text: str, start: int) -> int:
    """Return where the list or object that opens at `start` has ended."""
    depth = 0
    at = start
    for piece in _PIECE.finditer(text, start):
        if piece.start() != at:
            break
        at = piece.end()
        if piece.lastgroup == "open":
            depth += 1
            if depth > _DEEPEST:
                raise _fault("is nested too deeply", text, at)
        elif piece.lastgroup == "close":
            depth -= 1
            if depth == 0:
                return at
    if at == len(text):
        raise _fault("ends before the list that begins here does", text, start)
    if text.startswith(("//", "/*"), at) or text[at] != "/":
        raise _fault(f"holds {_UNCLOSED[text[at]]} that does not end", text, at)
    raise _fault(_unreadable(text, at), text, at)


def _plain(text: str, start: int, end: int) -> str:
    """Return the data between two places with its template literals as ordinary strings."""
    if text.find("`", start, end) < 0 and text.find("\\u{", start, end) < 0:
        return text[start:end]
    return "".join(_plain_piece(text, piece) for piece in _PIECE.finditer(text, start, end))


def _plain_piece(text: str, piece: re.Match[str]) -> str:
    if piece.lastgroup == "string" and "\\u{" in piece[0]:
        return _IN_STRING.sub(_escape, piece[0])
    if piece.lastgroup != "template":
        return piece[0]
    body = piece[0][1:-1]

    def plain(part: re.Match[str]) -> str:
        if part["insert"]:
            at = piece.start() + 1 + part.start()
            raise _fault("has a template literal with ${…}, which is not data", text, at)
        if part[0] == '"':
            return '\\"'
        if part[0][0] in "\r\n":
            return "\\n"
        return _escape(part)

    string = f'"{_IN_TEMPLATE.sub(plain, body)}"'
    # The line ends it has lost follow it, so that later positions name the file's lines.
    lost = len(_LINE_END.findall(body)) - len(_LINE_END.findall(string))
    return string + "\n" * lost


def _escape(part: re.Match[str]) -> str:
    r"""Write `\u{1F600}` as JSON5 can: as one or two escapes of four digits."""
    if not part["code"]:
        return part[0]
    code = int(part["code"], 16)
    if code < 0x10000:
        return f"\\u{code:04x}"
    if code > 0x10FFFF:
        return part[0]
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _unreadable(text: str, at: int) -> str:
    """Return an error for a place that is not plain data, from the start of its word."""
    begin = at
    while begin > max(0, at - 60) and (text[begin - 1].isalnum() or text[begin - 1] in "_$."):
        begin -= 1
    excerpt = _LINE_END.split(text[begin : begin + 80], maxsplit=1)[0].strip()
    if excerpt.startswith("..."):
        return f"has a spread, which is not data: {quoted(excerpt)}"
    if _CALL.match(excerpt):
        return f"has a call, which is not data: {quoted(excerpt)}"
    return f"has something other than plain data: {quoted(excerpt)}"


def _fault(message: str, text: str, at: int) -> NotDataError:
    return NotDataError(f"{message} (line {_line(text, at)})")


def _line(text: str, at: int) -> int:
    return 1 + len(_LINE_END.findall(text, 0, at))
