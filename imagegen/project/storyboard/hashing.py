"""The hash by which prompts, looks and sets of references are compared."""


def words_hash(words: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    import hashlib  # noqa: PLC0415  # loads OpenSSL, which only drawing needs

    return hashlib.sha256(words.encode()).hexdigest()
