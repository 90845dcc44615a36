"""Places for requests under way where no keys bound them: shared by all styles, in turns."""


class ConcurrencyLimit:
    """So many requests at once as the provider's width says. Guarded by the runtime's lock."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._waiting: list[str] = []

    def acquire(self, style: str) -> bool:
        """Take a place for one request of this style, if it is its turn and one is free.

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
        """Say that the style wants none for now; returns whether others should ask again."""
        if style not in self._waiting:
            return False
        self._waiting.remove(style)
        return self._free > 0
