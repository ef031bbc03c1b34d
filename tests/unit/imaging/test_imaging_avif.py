"""AVIF by other encoders, and what only AVIF has."""

from dataclasses import replace
from pathlib import Path

import pytest
from colour_difference import Colour, ciede2000
from picture_builders import middle, opened, save
from PIL import Image

from shoebox_client.samples import exif_block, scene
from workers.imaging import ImageLimits, PictureRejected, inspect, prepare

FOLDER = Path(__file__).parents[2] / "fixtures" / "avif"
LIMITS = ImageLimits()
SCENE = scene(128, 96)


def in_the_middle(image: Image.Image) -> Colour:
    """Return the mean colour of the middle, over 8 x 8 pixels."""
    x, y = image.width // 2 - 4, image.height // 2 - 4
    red, green, blue = (
        image.convert("RGB").crop((x, y, x + 8, y + 8)).resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    )
    return red, green, blue


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("ten-444", (128, 96)),
        ("twelve-420", (128, 96)),
        ("ten-grey", (128, 96)),
        ("limited", (128, 96)),
        ("heifenc", (128, 96)),
        ("grid", (128, 128)),
        ("turned", (96, 128)),
        ("sequence", (64, 48)),
    ],
)
def test_other_encoders_pictures_show_the_scene(name: str, size: tuple[int, int]) -> None:
    """Depths, subsamplings, ranges, grids, rotations, films' first pictures: all in the right size and colour."""
    prepared = prepare((FOLDER / f"{name}.avif").read_bytes(), "image/avif", LIMITS)
    wanted = SCENE.convert("L") if name == "ten-grey" else SCENE.resize((64, 48)) if name == "sequence" else SCENE
    assert (prepared.width, prepared.height) == size
    assert ciede2000(in_the_middle(opened(prepared.renditions[0].jpeg)), in_the_middle(wanted)) < 4


@pytest.mark.parametrize("name", ["ten-alpha", "premultiplied"])
def test_alpha_is_laid_on_white(name: str) -> None:
    """Where the picture is transparent there is white paper, where it is opaque the scene."""
    image = opened(prepare((FOLDER / f"{name}.avif").read_bytes(), "image/avif", LIMITS).renditions[0].jpeg)
    top, bottom = (image.convert("RGB").getpixel((64, y)) for y in (2, 93))
    assert min(top) > 240
    assert ciede2000(bottom, SCENE.getpixel((64, 93))) < 6


def test_the_containers_rotation_counts_and_exif_does_not() -> None:
    """EXIF's orientation in an AVIF is ignored, as in HEIC: irot and imir alone turn it, once."""
    data = save(SCENE, "AVIF", exif=exif_block(orientation=1))
    contradicting = data.replace(
        b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x01", b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06"
    )
    prepared = prepare(contradicting, "image/avif", LIMITS)
    assert (prepared.width, prepared.height, prepared.metadata.orientation) == (128, 96, 1)
    assert prepare((FOLDER / "turned.avif").read_bytes(), "image/avif", LIMITS).metadata.orientation == 5


def test_a_damaged_exif_block_costs_no_picture() -> None:
    """Only pixels decide: notes that cannot be read are none."""
    data = save(SCENE, "AVIF", exif=exif_block(gps=True))
    at = max(data.find(b"MM\0*"), data.find(b"II*\0"))
    assert at > 0
    damaged = data[: at + 4] + b"\xff" * 60 + data[at + 64 :]
    prepared = prepare(damaged, "image/avif", LIMITS)
    assert prepared.metadata.captured_at is None
    assert prepared.width == 128


def test_exif_and_xmp_are_read() -> None:
    """What a camera notes in an AVIF is known as from any other format; XMP alone is enough for the date."""
    noted = prepare(save(SCENE, "AVIF", exif=exif_block(gps=True)), "image/avif", LIMITS).metadata
    assert (noted.captured_at, noted.has_gps) == ("2024-06-21T18:30:05+02:00", True)
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreateDate="2024-07-05T10:11:12"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    assert prepare(save(SCENE, "AVIF", xmp=xmp), "image/avif", LIMITS).metadata.captured_at == "2024-07-05T10:11:12"


def test_frames_of_a_film_count_as_in_other_formats() -> None:
    """The pixels of all frames together may be as many as the limit, although only the first is decoded."""
    data = (FOLDER / "sequence.avif").read_bytes()
    assert inspect(data, "image/avif", replace(LIMITS, max_pixels=3 * 64 * 48)).header.frames == 3
    with pytest.raises(PictureRejected, match="over 3 frames") as caught:
        inspect(data, "image/avif", replace(LIMITS, max_pixels=3 * 64 * 48 - 1))
    assert caught.value.reason == "too_many_pixels"


def test_grey_stays_grey() -> None:
    """A picture without colour is decoded with one channel."""
    data = save(Image.new("L", (64, 64), 100), "AVIF")
    assert inspect(data, "image/avif", LIMITS).header.channels == 1
    assert middle(prepare(data, "image/avif", LIMITS).renditions[0].jpeg) == pytest.approx((100, 100, 100), abs=2)
