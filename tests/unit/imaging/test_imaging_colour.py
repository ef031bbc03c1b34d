import io
import struct
from typing import Any

import numpy as np
import pytest
from colour_difference import SRGB, Colour, ciede2000, lab, lab_difference, linear
from picture_builders import flat, middle, save
from PIL import Image, ImageCms

from shoebox_client.samples import display_p3_profile, scene
from workers.imaging import ImageLimits, prepare
from workers.imaging.colour import ASSUMED_CMYK, profile_name, to_srgb
from workers.imaging.nclx import profile_of, warnings_of

LIMITS = ImageLimits()
# Display P3 (SMPTE EG 432-1, D65) to XYZ.
P3 = np.array([[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]])


def delta_e(seen: Colour, wanted_xyz: np.ndarray) -> float:
    """CIE76 difference between an sRGB colour and a wanted one; 2.3 is just noticeable."""
    return float(np.linalg.norm(lab(SRGB @ linear(seen)) - lab(wanted_xyz)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIC", "AVIF"])
@pytest.mark.parametrize("colour", [(180, 110, 70), (90, 160, 110), (70, 90, 170), (128, 128, 128), (20, 20, 25)])
def test_wide_colours_become_the_same_colours_in_srgb(form: str, colour: Colour) -> None:
    """A colour that both spaces have looks the same after conversion."""
    by_form: dict[str, dict[str, Any]] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}
    options = by_form.get(form, {})
    media_type = f"image/{form.lower()}"
    data = save(flat(colour), form, icc_profile=display_p3_profile(), **options)
    prepared = prepare(data, media_type, LIMITS)
    assert prepared.metadata.icc_profile == "Shoebox P3"
    assert delta_e(middle(prepared.renditions[0].jpeg), P3 @ linear(colour)) < 2.3


def with_numbers(form: str, colour: Colour, primaries: int, transfer: int) -> bytes:
    """One colour in a file that says by numbers (nclx) what it means."""
    data = save(flat(colour), form, **({"quality": 100, "subsampling": "4:4:4"} if form == "AVIF" else {}))
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("form", ["HEIC", "AVIF"])
@pytest.mark.parametrize("colour", [(180, 110, 70), (90, 160, 110), (128, 128, 128)])
def test_colours_given_by_numbers_are_obeyed(form: str, colour: Colour) -> None:
    """Display P3 without a profile, as cameras and browsers write it, becomes the same colours in sRGB."""
    prepared = prepare(with_numbers(form, colour, 12, 13), f"image/{form.lower()}", LIMITS)
    assert delta_e(middle(prepared.renditions[0].jpeg), P3 @ linear(colour)) < 3
    assert (prepared.metadata.icc_profile, prepared.warnings) == ("Display P3", ())


@pytest.mark.parametrize("form", ["HEIC", "AVIF"])
@pytest.mark.parametrize(
    ("transfer", "code", "seen"),
    [
        pytest.param(16, 150, 255, id="PQ: 203 nits are paper white"),
        pytest.param(16, 200, 255, id="PQ: what is brighter is clipped"),
        pytest.param(16, 113, 138, id="PQ: 51.5 nits are a quarter of that light"),
        pytest.param(18, 191, 255, id="HLG: 75 % are paper white"),
        pytest.param(18, 0, 0, id="HLG: black"),
    ],
)
def test_hdr_is_scaled_to_its_reference_white(form: str, transfer: int, code: int, seen: int) -> None:
    """Grey in BT.2100 has the lightness that ITU-R BT.2408 gives it, and the clipping is told."""
    prepared = prepare(with_numbers(form, (code, code, code), 9, transfer), f"image/{form.lower()}", LIMITS)
    assert middle(prepared.renditions[0].jpeg) == pytest.approx((seen, seen, seen), abs=4)
    assert prepared.warnings == ("hdr_clipped",)


@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (1, 2), (2, 2), (22, 13), (9999, 16)])
def test_numbers_of_srgb_and_unknown_ones_change_nothing(numbers: tuple[int, int]) -> None:
    """Only colours that are known to be others are converted."""
    assert profile_of(*numbers) == b""
    assert warnings_of(*numbers) == set()


def test_the_tolerance_would_notice_a_forgotten_conversion() -> None:
    """Left as they are, the numbers would mean visibly other colours."""
    assert delta_e((180, 110, 70), P3 @ linear((180, 110, 70))) > 4


def test_many_colours_agree_with_littlecms() -> None:
    """The table that is quick differs from the slow transform by little, on colours of a photo."""
    image = scene(400, 300)
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(display_p3_profile())), ImageCms.createProfile("sRGB")
    exact = ImageCms.profileToProfile(image, source, target, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
    assert exact is not None
    difference = np.abs(np.asarray(to_srgb(image, display_p3_profile(), set())).astype(int) - np.asarray(exact))
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99.5) <= 3
    assert difference.max() <= 12  # red and blue that sRGB cannot show


def test_srgb_is_left_alone() -> None:
    """The most common profile costs nothing: not a pixel is touched."""
    image = scene(64, 48)
    assert to_srgb(image, srgb_profile(), set()) is image


@pytest.mark.parametrize("icc", [b"", b"no profile", display_p3_profile()[:300], bytes(5 * 1024 * 1024)])
def test_no_profile_or_a_broken_one_means_srgb(icc: bytes) -> None:
    """A picture is not rejected for its profile."""
    image, warnings = scene(64, 48), set()
    assert to_srgb(image, icc, warnings) is image
    assert warnings == ({"icc_profile_broken"} if icc else set())


def test_a_profiles_name_is_none_if_it_has_none() -> None:
    """Noise has no name."""
    assert [profile_name(icc) for icc in (b"", b"no profile", srgb_profile())] == [None, None, "sRGB built-in"]


def test_a_profile_for_other_colours_is_ignored() -> None:
    """An RGB profile says nothing about grey or CMYK numbers."""
    grey = flat((100,), "L")
    assert to_srgb(grey, display_p3_profile(), set()) is grey
    assert to_srgb(flat((0, 0, 0, 0), "CMYK"), display_p3_profile(), set()).getpixel((0, 0)) == (255, 255, 255)


# Ink in percent, and its sRGB colour by Ghostscript's full profile of CGATS TR 001, a measured press.
PRESS: list[tuple[tuple[int, int, int, int], Colour]] = [
    ((0, 0, 0, 0), (255, 255, 255)),
    ((100, 0, 0, 0), (0, 174, 239)),
    ((0, 100, 0, 0), (236, 0, 140)),
    ((0, 0, 100, 0), (255, 242, 0)),
    ((0, 0, 0, 100), (35, 31, 32)),
    ((0, 100, 100, 0), (237, 28, 36)),
    ((100, 0, 100, 0), (0, 166, 80)),
    ((100, 100, 0, 0), (46, 48, 146)),
    ((60, 50, 50, 100), (0, 0, 0)),
    ((0, 0, 0, 25), (198, 200, 202)),
    ((0, 0, 0, 50), (147, 149, 152)),
    ((50, 40, 40, 0), (140, 143, 144)),
    ((10, 40, 50, 0), (225, 163, 128)),
]


@pytest.mark.parametrize(("ink", "printed"), PRESS)
def test_cmyk_without_a_profile_looks_as_printed(ink: tuple[int, int, int, int], printed: Colour) -> None:
    """Paper, inks, overprints, black and grey are those of a press, as Adobe stores them (inverted), and it is told."""
    colour = tuple(round(percent * 2.55) for percent in ink)
    prepared = prepare(save(flat(colour, "CMYK"), "JPEG", quality=98), "image/jpeg", LIMITS)
    assert ciede2000(middle(prepared.renditions[0].jpeg), printed) < 1.5
    assert prepared.warnings == ("cmyk_without_profile",)


def test_cmyk_without_a_press_would_be_noticed() -> None:
    """One minus ink, which is what no profile would mean, is far away."""
    naive = [tuple(round((100 - c) * (100 - ink[3]) / 100 * 2.55) for c in ink[:3]) for ink, _ in PRESS]
    differences = [ciede2000(colour, printed) for colour, (_, printed) in zip(naive, PRESS, strict=True)]
    assert max(differences) > 25
    assert np.mean(differences) > 8


def test_ycck_is_the_same_picture_as_cmyk() -> None:
    """Adobe's other layout of ink, luma and chroma beside black, gives the same colours."""
    ycck = bytearray(save(flat((0, 0, 0, 128), "CMYK"), "JPEG", quality=98))
    adobe = ycck.index(b"Adobe") + 11
    assert ycck[adobe] == 0
    ycck[adobe] = 2
    # Stored (255, 255, 255) now means YCbCr of one minus what is stored: RGB (255, 121, 255), stored inverted as ink.
    plain = save(flat((255, 121, 255, 128), "CMYK"), "JPEG", quality=98)
    one, other = (prepare(data, "image/jpeg", LIMITS).renditions[0].jpeg for data in (bytes(ycck), plain))
    assert ciede2000(middle(one), middle(other)) < 1.5


def cmyk_profile() -> bytes:
    """Return a profile by which every ink is the same dark grey: its table holds one value."""
    icc = ASSUMED_CMYK.read_bytes()
    table = 240 + 52  # of the tag A2B0, behind its header
    return icc[:table] + bytes([100]) * (len(icc) - table)


def test_cmyk_with_a_profile_uses_it() -> None:
    """A picture's own profile is obeyed, without a warning."""
    data = save(flat((0, 0, 0, 0), "CMYK"), "JPEG", icc_profile=cmyk_profile())
    prepared = prepare(data, "image/jpeg", LIMITS)
    assert prepared.warnings == ()
    assert prepared.metadata.icc_profile == "uCMY"
    assert max(middle(prepared.renditions[0].jpeg)) < 200


@pytest.mark.parametrize("icc", [b"no profile at all", cmyk_profile()[:3000]])
def test_cmyk_with_a_broken_profile_is_cmyk_without_one(icc: bytes) -> None:
    """The picture is ready, and both are told: what was broken, and what was assumed."""
    prepared = prepare(save(flat((0, 0, 0, 0), "CMYK"), "JPEG", icc_profile=icc), "image/jpeg", LIMITS)
    assert prepared.warnings == ("cmyk_without_profile", "icc_profile_broken")
    assert min(middle(prepared.renditions[0].jpeg)) > 250


@pytest.mark.parametrize(
    ("one", "other", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_ciede2000(one: Colour, other: Colour, difference: float) -> None:
    """Pairs that its authors published to test implementations with (Sharma, Wu, Dalal 2005, table 1)."""
    assert lab_difference(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)


def test_grey_stays_grey() -> None:
    """A picture of one channel gives renditions of one channel with the same value."""
    prepared = prepare(save(flat((100,), "L"), "JPEG", quality=95), "image/jpeg", LIMITS)
    assert middle(prepared.renditions[0].jpeg) == pytest.approx((100, 100, 100), abs=2)


def test_sixteen_bits_become_eight() -> None:
    """A 16-bit PNG keeps its brightness instead of being clipped to white."""
    deep = Image.fromarray(np.full((64, 64), 0x8040, np.uint16))
    prepared = prepare(save(deep, "PNG"), "image/png", LIMITS)
    assert middle(prepared.renditions[0].jpeg) == pytest.approx((128, 128, 128), abs=2)


@pytest.mark.parametrize(
    ("image", "options", "colour"),
    [
        (flat((200, 0, 0, 0), "RGBA"), {}, (255, 255, 255)),
        (flat((200, 0, 0, 128), "RGBA"), {}, (227, 127, 127)),
        (flat((0, 128), "LA"), {}, (127, 127, 127)),
        (flat((0, 0), "LA"), {}, (255, 255, 255)),
        (flat((200, 0, 0)).quantize(2), {"transparency": 0}, (255, 255, 255)),
        (flat((200, 0, 0)).quantize(2), {}, (200, 0, 0)),
        (flat((200, 0, 0)), {"transparency": (200, 0, 0)}, (255, 255, 255)),
        (flat((1,), "1"), {}, (255, 255, 255)),
    ],
)
def test_transparency_is_laid_on_white(image: Image.Image, options: dict[str, object], colour: Colour) -> None:
    """Every way in which a PNG can be transparent shows white paper."""
    prepared = prepare(save(image, "PNG", **options), "image/png", LIMITS)
    assert middle(prepared.renditions[0].jpeg) == pytest.approx(colour, abs=3)


def srgb_profile() -> bytes:
    """LittleCMS's own sRGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
