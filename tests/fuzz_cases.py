"""What the readers of outside data are fed: odd values, documents of known words, mutations."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Case = tuple[Any, ...]

NUMBERS = st.sampled_from([0, -1, 1, 1.10, 1e308, -0.0, 2**63, 2**64, 10**30, True, 0.1, 1e-320])
NASTY = st.sampled_from(
    [
        *("", " ", "\0", "../x", "/etc", "C:", "1.1", "Beat 1.1", "\x1b[2J", "\u202e", "[red]"),
        *("é", "e\u0301", "x" * 300, "\ufeff", "😀", "con", "1.", ".", "..", "env:HOME", "clear"),
        *("H", "AIza" + "a" * 35),
    ]
)
_WORDS = """
    shot_number beat_number ai_prompt ai_prompts script_phrase transition_type beats clear
    illustration keys default styles look key project completedBeats lastUpdated drawn errors
    words shot beat cause reason run lineage pid started asked schema ended message type seq
    candidates content parts inlineData data text finishReason thought promptFeedback blockReason
    usageMetadata candidatesTokenCount error status details violations quotaId quotaValue
    retryDelay models name nextPageToken supportedGenerationMethods grants limits boot now wall
"""
WORDS = st.sampled_from(_WORDS.split())
LEAVES = (
    st.none() | st.booleans() | NUMBERS | NASTY | st.text(max_size=12) | st.integers() | st.floats()
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(WORDS | NASTY, inner, max_size=6),
    max_leaves=25,
)
PIECES = st.sampled_from(
    [
        *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"[", b"]", b"{", b"}", b'"', b"'"),
        *(
            b"`",
            b",",
            b":",
            b"\\",
            b"\\ud800",
            b"\\u0000",
            b"${",
            b"//",
            b"/*",
            b"*/",
            b"\n",
            b"\r",
        ),
        *(b"=", b".", b"null", b"NaN", b"1e999", b"-", b"9" * 50, b"9" * 5000, b"[" * 300),
        *(b'{"a":' * 300, b"export default ", b"[[", b"]]", b"\xc3", b"\xed\xa0\x80", b"inf"),
        *(b"1979-05-27", b'"""', b"\x89PNG\r\n\x1a\n", b"IHDR", b"IDAT", b"IEND", b"iTXt"),
        *(b"\xff\xff\xff\xff", b"\x7f", b"\xff\xd8", b"\xff\xd9", b"\xff\xc0", b"RIFF", b"WEBP"),
        *(b"VP8X", b"\xc1", b"\xdf\xff\xff\xff\xff"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with a few pieces cut out, doubled, put in or overwritten."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data))))
        size = draw(st.integers(0, 12) | st.integers(0, 2000))
        piece = draw(PIECES | st.binary(max_size=8))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + size] = b""
            case 1:
                data[at:at] = piece
            case 2:
                data[at : at + len(piece)] = piece
            case 3:
                data[at:at] = data[at : at + size]
            case _:
                del data[at:]
    return bytes(data)


def as_json(document: object) -> bytes:
    """Return a document as JSON, halves of surrogate pairs and NaN included."""
    return json.dumps(document).encode()


def blobs(seeds: list[bytes], encode: Callable[[Any], bytes] = as_json) -> st.SearchStrategy[Case]:
    """Return cases of one blob: mutated seeds, documents of known words, any bytes."""
    blob = mutated(seeds) | DOCUMENTS.map(encode) | st.binary(max_size=100)
    return blob.map(lambda data: (data,))
