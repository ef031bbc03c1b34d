"""Each picture of the table ends as it must, with what was tolerated."""

import numpy as np
import pytest
from picture_builders import opened
from picture_cases import CASES, TYPES

from workers.imaging import ImageLimits, PictureRejected, prepare
from workers.imaging.warning_codes import MEANINGS

READY = [name for name, case in CASES.items() if case.reason is None]
REJECTED = [name for name, case in CASES.items() if case.reason]
NEARLY_WHITE = 250  # a rendition is a JPEG, and blurs edges


@pytest.mark.parametrize("name", READY)
def test_every_pixel_is_there_so_it_is_ready(name: str) -> None:
    """Warnings, metadata and white paper are those of the table."""
    case = CASES[name]
    prepared = prepare(case.data, TYPES[name.rpartition(".")[2]], ImageLimits())
    assert prepared.warnings == tuple(case.warnings)
    pixels = np.asarray(opened(prepared.renditions[0].jpeg).convert("RGB"))
    assert [place for place in case.white if pixels[place[1], place[0]].min() < NEARLY_WHITE] == []
    assert {field: getattr(prepared.metadata, field) for field in case.metadata} == case.metadata


@pytest.mark.parametrize("name", REJECTED)
def test_pixels_are_missing_or_cost_too_much_so_it_is_rejected(name: str) -> None:
    """The reason is the table's."""
    case = CASES[name]
    with pytest.raises(PictureRejected) as caught:
        prepare(case.data, TYPES[name.rpartition(".")[2]], ImageLimits())
    assert caught.value.reason == case.reason


def test_every_warning_has_a_picture() -> None:
    """A code that no picture of the table has would be untested."""
    assert {code for case in CASES.values() for code in case.warnings} == set(MEANINGS)
