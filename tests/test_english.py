"""Texts for people have plain words and short sentences; docs/glossary.md has the terms."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
ROOTS: Final = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs",
    "imagegen",
)
"""Files and folders whose texts are checked: pages, docstrings and string literals."""
LONGEST: Final = 30
"""Words that a sentence has at most."""

WORDS: Final = re.compile(
    r"\b((?i:tells?|told|telling|whoever|whatever|nobody|somebody|anew|mend(?:s|ed|ing)?|heeds?"
    r"|astray|besides|faults? of ours|numbers have moved|puts? aside|let go of|so many"
    r"|under way|settled|stands|lies)|(?<!there )is none)\b"
)
"""Literary or ambiguous words. "Settled" is overridden, "stands" and "lies" are is."""

EXCEPTIONS: Final[dict[str, str]] = {
    "smashcut matchcut": "a list of transitions, no sentence",
    "images/{style}/Beat 1.png": "a table of paths",
    "even light, nobody else, no lettering": "sent to a model: images are compared by its hash",
    '# aspect_ratio = "16:9"': "a template of imagegen.toml",
}
"""Parts of texts that may stay, each with its reason."""


def _literals(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the paragraphs of each string in a module, without names in backquotes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for paragraph in re.split(r"\n\s*(?:\n|(?=- ))", node.value):
                if " " in paragraph:
                    yield node.lineno, re.sub(r"`[^`]*`", "`", paragraph)


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs, list items and table cells of a Markdown page, without its code."""
    fenced, start, lines = False, 0, list[str]()
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        begins = re.match(r"\s*(?:[-*] |\d+\. |\||#|$)", line) or fence or line.startswith("    ")
        if lines and (begins or fenced):
            yield start, re.sub(r"`[^`]*`", "`", " ".join(lines))
            lines = []
        if line.startswith("|"):
            yield from ((number, cell) for cell in re.sub(r"`[^`]*`", "`", line).split("|"))
        elif not fenced and not fence:
            start = start if lines else number
            lines.append(line)


def _page(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a script or page of the browser."""
    yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)


_READERS: Final = {".py": _literals, ".md": _prose, ".js": _page, ".html": _page}


def texts(roots: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """Yield each text for people below `roots`, with its file and line."""
    for root in roots:
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.suffix in _READERS and not path.name.startswith("make_"):
                for line, text in _READERS[path.suffix](path):
                    yield f"{path.relative_to(ROOT)}:{line}", text


def faults(text: str) -> Iterator[str]:
    """Yield what is wrong with a text."""
    if any(known in text for known in EXCEPTIONS):
        return
    for found in WORDS.finditer(text):
        yield f"{found[0]!r} in {text[max(0, found.start() - 40) : found.end() + 30]!r}"
    for sentence in re.split(r"(?<=[.!?:;])[\s)*\"”]+|\n\s*\n", text):
        count = len(re.findall(r"[^\W\d_]{2,}\S*|\bI\b|\ba\b", sentence))
        if count > LONGEST:
            yield f"{count} words: {' '.join(sentence.split())[:100]}…"


@pytest.mark.parametrize("root", ROOTS)
def test_texts_are_plain_english(root: str) -> None:
    """No word of the list and no sentence over 30 words, in pages, help, messages or docstrings."""
    found = [f"{place}: {fault}" for place, text in texts([ROOT / root]) for fault in faults(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "whoever read the output has closed it",
        "Draw it anew where numbers have moved.",
        "It " + "is a long sentence that has to be read twice before it is understood at all " * 3,
    ],
)
def test_a_sentence_of_the_former_voice_is_found(text: str) -> None:
    """The check fails on what it is for."""
    assert list(faults(text))
