import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shoebox_client.samples import display_p3_profile, exif_block
from workers.imaging.exif import Exif, read_exif
from workers.imaging.headers import Header
from workers.imaging.metadata import Metadata, read_metadata


def noted(**fields: object) -> Metadata:
    """Return the metadata of a header with a block of those EXIF fields, written by Pillow."""
    exif = Image.Exif()
    for tag, value in fields.pop("main", {}).items():  # type: ignore[attr-defined]
        exif[tag] = value
    exif.get_ifd(0x8769).update(fields.pop("photo", {}))  # type: ignore[call-overload]
    exif.get_ifd(0x8825).update(fields.pop("gps", {}))  # type: ignore[call-overload]
    return read_metadata(Header(1, 1, exif=exif.tobytes()))


def test_what_the_camera_noted_is_read() -> None:
    """Time with offset, camera, orientation, profile, and that there is a position."""
    header = Header(1, 1, exif=exif_block(orientation=6, gps=True), icc=display_p3_profile())
    assert read_metadata(header) == Metadata(
        captured_at="2024-06-21T18:30:05+02:00",
        captured_at_source="EXIF:DateTimeOriginal",
        camera_make="Shoebox",
        camera_model="Formula 1",
        orientation=6,
        has_gps=True,
        icc_profile="Shoebox P3",
    )


def test_no_notes_are_no_fault() -> None:
    """A picture without EXIF or profile has empty metadata."""
    assert read_metadata(Header(1, 1)) == Metadata()


def test_both_byte_orders_are_read() -> None:
    """Intel's and Motorola's."""
    entries = ((0x0112, 3, 8), (0x0110, 2, 38))
    for mark, order in ((b"II*\0", "<"), (b"MM\0*", ">")):
        orientation = struct.pack(order + "HHIHxx", 0x0112, 3, 1, entries[0][2])
        model = struct.pack(order + "HHII", 0x0110, 2, 6, entries[1][2])
        block = mark + struct.pack(order + "IH", 8, 2) + orientation + model + bytes(4) + b"Leica\0"
        assert read_exif(block) == read_exif(b"Exif\0\0" + block) == Exif(orientation=8, model="Leica")


@pytest.mark.parametrize(
    ("taken", "offset", "captured_at"),
    [
        ("2024:06:21 18:30:05", "", "2024-06-21T18:30:05"),
        ("2024:06:21 18:30:05", "-07:00", "2024-06-21T18:30:05-07:00"),
        ("2024:06:21 18:30:05", "Z", "2024-06-21T18:30:05+00:00"),
        ("2024:06:21 18:30:05", "nonsense", "2024-06-21T18:30:05"),
        ("0000:00:00 00:00:00", "", None),
        ("    :  :     :  :  ", "", None),
        ("yesterday", "+01:00", None),
    ],
)
def test_a_capture_time_is_a_time_or_nothing(taken: str, offset: str, captured_at: str | None) -> None:
    """Cameras with a dead battery write zeros or blanks."""
    assert noted(photo={0x9003: taken, 0x9011: offset}).captured_at == captured_at


def test_a_position_directory_without_a_position_is_none() -> None:
    """Some phones write GPS's version and nothing else."""
    assert not noted(gps={0: b"\2\3\0\0"}).has_gps
    assert noted(gps={1: "N", 2: (48.0, 8.0, 14.0)}).has_gps


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_means_upright(orientation: int) -> None:
    """Only 1 to 8 turn anything."""
    assert noted(main={0x0112: orientation}).orientation == 1


def test_texts_are_cleaned_and_bounded() -> None:
    """A field of a thousand letters or control characters becomes something to store."""
    assert noted(main={0x010F: "  Ca\x01mera \n", 0x0110: "x" * 1000}) == Metadata(
        camera_make="Camera", camera_model="x" * 64
    )


@given(st.binary(max_size=400))
def test_random_blocks_never_raise(noise: bytes) -> None:
    """Whatever stands in an EXIF block, the answer is what could be read."""
    for mark in (b"", b"II*\0", b"MM\0*", b"Exif\0\0MM\0*\0\0\0\x08\0\x05"):
        read_metadata(Header(1, 1, exif=mark + noise, icc=noise))


def test_damaged_blocks_never_raise() -> None:
    """A real block with flipped bits still answers with an orientation that exists."""
    block = exif_block(orientation=3, gps=True)
    source = random.Random(1)
    for _ in range(3000):
        damaged = bytearray(block)
        for _ in range(source.choice((1, 4))):
            damaged[source.randrange(len(block))] ^= 1 << source.randrange(8)
        assert 1 <= read_metadata(Header(1, 1, exif=bytes(damaged[: source.randrange(len(block))]))).orientation <= 8
