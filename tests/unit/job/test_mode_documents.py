"""A hand-made match of each mode: its documents equal the reference's, and hold what the mode is known by."""

from collections.abc import Callable

import pytest

from job.documents import documents
from tests.support import reference
from tests.support.mode_matches import MODES, Json
from tests.support.sample_matches import ARRIVED_AT, decoded, value


@pytest.mark.parametrize("make", MODES.values(), ids=MODES)
def test_documents_of_each_mode_equal_the_reference(make: Callable[[], Json]) -> None:
    message = make()
    built = list(documents(decoded(message), ARRIVED_AT))
    expected = reference.documents(value(message), ARRIVED_AT)
    assert expected is not None
    assert len(built) == len(message["info"]["participants"])
    for document, wanted in zip(built, expected, strict=True):
        assert reference.differences(document, wanted) == {}
