import struct
import time

import pytest
from picture_builders import TYPES, gif_of, png_claiming, save
from PIL import Image

from shoebox.config import Limits
from shoebox_client.samples import scene
from workers.imaging import ImageLimits, PictureRejected, inspect
from workers.imaging.costs import check_costs, peak_bytes
from workers.imaging.headers import Header
from workers.imaging.headers.cursor import MAX_STEPS

LIMITS = ImageLimits.of(Limits())


def reason_of(data: bytes, declared: str, limits: ImageLimits = LIMITS) -> str:
    """Why `inspect`, which has no decoder at hand, refuses `data`."""
    with pytest.raises(PictureRejected) as caught:
        inspect(data, declared, limits)
    return caught.value.reason


def test_what_is_checked_is_what_clients_are_told() -> None:
    """The settings' limits arrive by their names, and imaging's defaults, which tools and tests use, are the same."""
    told = Limits(max_bytes=1, max_pixels=70_000_000, max_side=3)
    limits = ImageLimits.of(told)
    assert (limits.max_bytes, limits.max_pixels, limits.max_side) == (1, 70_000_000, 3)
    assert limits.max_pixels_by_type == told.max_pixels_by_type == {"image/webp": 60_000_000}
    assert ImageLimits.of(Limits()) == ImageLimits(max_pixels_by_type=Limits().max_pixels_by_type)


def animated_webp(frames: int, side: int) -> bytes:
    """Return a WebP whose frames are empty chunks on a square canvas."""
    size = (side - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + size
    body += (b"ANMF" + struct.pack("<I", 16) + bytes(16)) * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (png_claiming(30_000, 30_000), "image/png"),
        (png_claiming(30_001, 1), "image/png"),
        (png_claiming(10_001, 10_000), "image/png"),
        (gif_of(frames=1, width=65_535, height=65_535), "image/gif"),
        (gif_of(frames=101, width=1000, height=1000), "image/gif"),
        (animated_webp(frames=101, side=1000), "image/webp"),
    ],
)
def test_bombs_are_refused_by_their_header(data: bytes, declared: str) -> None:
    """A small file that claims a huge picture never meets a decoder."""
    assert reason_of(data, declared) == "too_many_pixels"


def test_a_picture_at_the_limit_is_accepted() -> None:
    """The limit itself is allowed: 100 megapixels, or 100 frames of one."""
    assert inspect(png_claiming(10_000, 10_000), "image/png", LIMITS).megapixels == 100
    assert inspect(gif_of(frames=100, width=1000, height=1000), "image/gif", LIMITS).header.frames == 100


def test_a_first_frame_larger_than_its_screen_counts() -> None:
    """A GIF's decoder grows the screen to its first frame, and so do the limits."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 20_000, 20_000, 0) + b"\x02\x01\x44\x00\x00"
    data = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + frame + b"\x3b"
    assert reason_of(data, "image/gif") == "too_many_pixels"


def test_counting_frames_stops_at_the_limit() -> None:
    """A GIF of a million frames costs no more than its first hundred."""
    data = gif_of(frames=1_000_000, width=1000, height=1000)
    started = time.process_time()
    assert reason_of(data, "image/gif") == "too_many_pixels"
    assert time.process_time() - started < 0.1


def test_a_file_made_of_nothing_but_parts_is_given_up() -> None:
    """A walk that would take minutes ends after a bounded number of steps."""
    data = b"\x89PNG\r\n\x1a\n" + (bytes(4) + b"tEXt" + bytes(4)) * MAX_STEPS
    started = time.process_time()
    assert reason_of(data, "image/png") == "corrupt"
    assert time.process_time() - started < 3


def test_no_bytes_and_too_many_bytes() -> None:
    """Both ends of the size have a reason of their own, whatever the bytes are."""
    assert reason_of(b"", "image/jpeg") == "empty"
    assert reason_of(bytes(11), "image/jpeg", ImageLimits(max_bytes=10)) == "too_large"


def test_a_picture_without_width_is_corrupt() -> None:
    """Zero pixels are no small picture."""
    assert reason_of(png_claiming(0, 10), "image/png") == "corrupt"


def test_weights_grow_with_what_decoding_holds() -> None:
    """A progressive JPEG needs more memory than a baseline one, a PNG more than either."""
    image = scene(4032, 3024)
    baseline = inspect(save(image, "JPEG"), "image/jpeg", LIMITS)
    progressive = inspect(save(image, "JPEG", progressive=True), "image/jpeg", LIMITS)
    png = inspect(png_claiming(4032, 3024), "image/png", LIMITS)
    assert baseline.megapixels == progressive.megapixels == png.megapixels == pytest.approx(12.19, abs=0.01)
    assert baseline.peak_bytes < progressive.peak_bytes < png.peak_bytes


def test_a_rejection_says_why_in_a_sentence() -> None:
    """Details are shown to people as they are."""
    rejected = PictureRejected("corrupt", "the why of it")
    assert (rejected.reason, rejected.detail, str(rejected)) == ("corrupt", "The why of it.", "corrupt: the why of it")


@pytest.mark.parametrize("side", [7_746, 9_220])
def test_each_type_has_its_own_limit(side: int) -> None:
    """A WebP of 60 megapixels takes as much memory as a PNG of 100: just above, it is refused by its header."""
    size = (side - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + size
    assert reason_of(b"RIFF" + struct.pack("<I", len(body)) + body, "image/webp") == "too_many_pixels"
    assert inspect(png_claiming(side, side), "image/png", LIMITS).width == side


@pytest.mark.parametrize("media_type", ["image/png", "image/webp", "image/gif", "image/heic", "image/avif"])
def test_pixel_limits_keep_the_memory_that_the_function_has(media_type: str) -> None:
    """The limit that GET /v1/limits states for a type fits into the bound on its peak, whatever the picture's form."""
    limits = ImageLimits.of(Limits()).for_type(media_type)
    header = Header(limits.max_pixels, 1, channels=4)
    assert peak_bytes(media_type, header) <= limits.max_peak_bytes
    check_costs(media_type, header, limits.max_bytes, limits)


@pytest.mark.parametrize("media_type", TYPES.values())
def test_every_accepted_peak_fits(media_type: str) -> None:
    """Pixels by pixels, also with settings that state too much: what is not refused is below the bound."""
    limits = ImageLimits(max_pixels=10**9)
    peaks = [
        peak_bytes(media_type, header)
        for pixels in range(10_000_000, 1_000_000_000, 10_000_000)
        if not refused(media_type, header := Header(pixels // 1000, 1000, channels=4), limits)
    ]
    assert 0 < max(peaks) <= limits.max_peak_bytes


def refused(media_type: str, header: Header, limits: ImageLimits) -> bool:
    """Whether a picture of 100 MiB is refused for its costs."""
    try:
        check_costs(media_type, header, limits.max_bytes, limits)
    except PictureRejected:
        return True
    return False


def test_settings_leave_out_types_that_may_have_all_pixels() -> None:
    """A type is named only if it may have less than the others."""
    assert Limits().max_pixels_by_type.keys() == {"image/webp", "image/heic", "image/heif", "image/avif"}
    assert Limits(max_pixels=50_000_000).max_pixels_by_type == {}


def test_a_jpeg_that_takes_too_much_memory_is_too_costly() -> None:
    """Its estimate depends on how it is coded, so no number of pixels can say it."""
    limits = ImageLimits(max_peak_bytes=100_000_000)
    photo = scene(4032, 3024)
    assert inspect(save(photo, "JPEG"), "image/jpeg", limits).peak_bytes < limits.max_peak_bytes
    assert reason_of(save(photo, "JPEG", progressive=True), "image/jpeg", limits) == "too_costly"


@pytest.mark.parametrize(("form", "options"), [("WEBP", {"lossless": True, "method": 0}), ("AVIF", {"speed": 10})])
def test_a_file_of_nothing_but_a_size_is_too_costly(form: str, options: dict[str, int]) -> None:
    """Flat colour may be any number of pixels in some bytes; a small flat picture is a picture all the same."""
    flat = save(Image.new("RGB", (5000, 5000), (10, 20, 30)), form, **options)
    assert reason_of(flat, TYPES[form]) == "too_costly"
    small = save(Image.new("RGB", (500, 500), (10, 20, 30)), form, **options)
    assert inspect(small, TYPES[form], LIMITS).megapixels == 0.25
