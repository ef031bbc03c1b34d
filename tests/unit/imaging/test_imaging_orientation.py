import pytest
from picture_builders import TYPES, opened, save, seen_corners, turned

from shoebox_client.samples import corners, exif_block, scene, stored_sideways
from workers.imaging import ImageLimits, prepare

LIMITS = ImageLimits()
UPRIGHT = {place: place for place in corners()}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIC", "AVIF"])
def test_every_orientation_comes_out_upright(form: str, orientation: int) -> None:
    """All corners are where they belong in every rendition: turned once, not twice and not never."""
    prepared = prepare(turned(form, orientation), TYPES[form], LIMITS)
    assert (prepared.width, prepared.height) == (320, 240)
    assert prepared.metadata.orientation == orientation
    for rendition in prepared.renditions:
        image = opened(rendition.jpeg)
        assert image.size == (rendition.width, rendition.height) == (320, 240)
        assert seen_corners(image) == UPRIGHT


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_corners_can_tell(orientation: int) -> None:
    """The check above sees every wrong turn."""
    assert seen_corners(stored_sideways(scene(320, 240), orientation)) != UPRIGHT


def test_heic_obeys_its_own_rotation_only() -> None:
    """EXIF's orientation in a HEIC that has no rotation of its own is ignored, as ISO/IEC 23008-12 wants."""
    data = save(scene(320, 240), "HEIC", exif=exif_block(orientation=1))
    contradicting = data.replace(
        b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x01", b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06"
    )
    assert contradicting != data
    prepared = prepare(contradicting, "image/heic", LIMITS)
    assert prepared.metadata.orientation == 6
    assert seen_corners(opened(prepared.renditions[0].jpeg)) == UPRIGHT


def test_a_scaled_photo_is_turned_too() -> None:
    """Width and height of the original and of all renditions change places together."""
    data = save(stored_sideways(scene(3000, 2000), 6), "JPEG", exif=exif_block(orientation=6))
    prepared = prepare(data, "image/jpeg", LIMITS)
    assert (prepared.width, prepared.height) == (3000, 2000)
    sizes = {r.name: (r.width, r.height) for r in prepared.renditions}
    assert sizes | {"2048": (2048, 1365), "1024": (1024, 682), "320": (320, 213)} == sizes
    assert seen_corners(opened(prepared.renditions[-1].jpeg)) == UPRIGHT
