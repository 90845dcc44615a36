"""Slots for requests in flight if no keys limit them: shared by all styles in turn."""


class ConcurrencyLimit:
    """As many slots as the provider accepts requests at once. Guarded by the runtime's lock."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._waiting: list[str] = []

    def acquire(self, style: str) -> bool:
        """Take a slot for one request of this style, if it is its turn and one is free.

        Else the style waits, before all that ask later, until it asks again.
        """
        if style not in self._waiting:
            self._waiting.append(style)
        if self._waiting.index(style) >= self._free:
            return False
        self._waiting.remove(style)
        self._free -= 1
        return True

    def release(self) -> None:
        """Give a place back."""
        self._free += 1

    def cancel(self, style: str) -> bool:
        """Release the style's turn; returns whether others should ask again."""
        if style not in self._waiting:
            return False
        self._waiting.remove(style)
        return self._free > 0
