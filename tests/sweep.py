"""How much is tried of what has too many cases for every run: `IMAGEGEN_SWEEP=1` tries it all."""

import os
from typing import Final

SWEEP: Final = int(os.environ.get("IMAGEGEN_SWEEP", "0"))


def examples(most: int) -> int:
    """Return how many examples a property test takes: a quarter, and in a sweep `most`."""
    return most if SWEEP else -(-most // 4)
