"""No bytes from outside raise anything but what their reader says.

A short form; `python bench/fuzz.py` is the long one, and tells the memory that it took.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzzing import READERS, Reader
from sweep import examples

SHORT = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_any_bytes_are_read_or_refused(reader: Reader) -> None:
    """Mutated files, documents of known words and any bytes are read or refused in words."""

    @SHORT
    @given(data=st.data())
    def feed(data: st.DataObject) -> None:
        reader.read(*data.draw(reader.cases))

    feed()
