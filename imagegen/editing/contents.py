"""Files that a step writes, each made when it is written: there may be very many."""

from collections.abc import Callable, Iterator, Mapping


class Contents(Mapping[str, bytes]):
    """Files to write by their path relative to the project, with what makes each."""

    def __init__(self, made: dict[str, Callable[[], bytes]]) -> None:
        self.made = made

    def __getitem__(self, path: str) -> bytes:
        return self.made[path]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made)
