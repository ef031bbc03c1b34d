"""The chaos suite's photos: each is recognised in any of its renditions, and never taken for another."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.chaos.photos import draw, scan_bomb, shown_code

CODE = 0b101100111000_111100001010_000011110101_110010100011


@pytest.mark.parametrize("width", [640, 320])
def test_a_rendition_shows_its_photo(width: int) -> None:
    """Scaled and encoded again, a photo still shows its code."""
    with Image.open(io.BytesIO(draw(CODE, np.random.default_rng(1)))) as image:
        rendition = io.BytesIO()
        image.resize((width, width * 3 // 4)).save(rendition, "JPEG", quality=80)

    assert shown_code(rendition.getvalue()) == CODE


def test_every_code_makes_another_file() -> None:
    """Photos differ in their bytes by the noise, and in what they show by the code."""
    first, second = (draw(code, np.random.default_rng(code)) for code in (CODE, CODE ^ 1))

    assert first != second
    assert shown_code(first) != shown_code(second)


def test_a_cut_photo_is_none() -> None:
    """A rendition that is not whole is a finding, not a code."""
    data = draw(CODE, np.random.default_rng(1))

    with pytest.raises(OSError, match="truncated"):
        shown_code(data[: len(data) // 2])


def test_a_scan_bomb_hides_its_scans() -> None:
    """FF D9 stands in a comment before most scans, and the picture decodes."""
    bomb = scan_bomb(64)

    assert bomb.count(b"\xff\xda", 0, bomb.index(b"\xff\xd9")) == 1
    assert bomb.count(b"\xff\xda") == 883
    with Image.open(io.BytesIO(bomb)) as image:
        assert image.getpixel((10, 10)) == pytest.approx(128, abs=3)
