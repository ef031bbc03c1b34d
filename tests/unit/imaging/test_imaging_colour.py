import io
from typing import Any

import numpy as np
import pytest
from picture_builders import flat, middle, save
from PIL import Image, ImageCms

from shoebox.samples import display_p3_profile, scene
from workers.imaging import ImageLimits, prepare
from workers.imaging.colour import profile_name, to_srgb

LIMITS = ImageLimits()
# Display P3 (SMPTE EG 432-1, D65) and sRGB (IEC 61966-2-1) to XYZ.
P3 = np.array([[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869], [0.0, 0.0451134, 1.0439444]])
SRGB = np.array(
    [[0.4123908, 0.3575843, 0.1804808], [0.2126390, 0.7151687, 0.0721923], [0.0193308, 0.1191948, 0.9505322]]
)
D65 = SRGB.sum(axis=1)

Colour = tuple[int, int, int]


def linear(colour: Colour) -> np.ndarray:
    """Light of a colour in sRGB's curve, 0-1."""
    value = np.array(colour) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(xyz: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b*."""
    ratio = xyz / D65
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def delta_e(seen: Colour, wanted_xyz: np.ndarray) -> float:
    """CIE76 difference between an sRGB colour and a wanted one; 2.3 is just noticeable."""
    return float(np.linalg.norm(lab(SRGB @ linear(seen)) - lab(wanted_xyz)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIC"])
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


def test_the_tolerance_would_notice_a_forgotten_conversion() -> None:
    """Left as they are, the numbers would mean visibly other colours."""
    assert delta_e((180, 110, 70), P3 @ linear((180, 110, 70))) > 4


def test_many_colours_agree_with_littlecms() -> None:
    """The table that is quick differs from the slow transform by little, on colours of a photo."""
    image = scene(400, 300)
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(display_p3_profile())), ImageCms.createProfile("sRGB")
    exact = ImageCms.profileToProfile(image, source, target, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
    assert exact is not None
    difference = np.abs(np.asarray(to_srgb(image, display_p3_profile())).astype(int) - np.asarray(exact))
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99.5) <= 3
    assert difference.max() <= 12  # red and blue that sRGB cannot show


def test_srgb_is_left_alone() -> None:
    """The most common profile costs nothing: not a pixel is touched."""
    image = scene(64, 48)
    assert to_srgb(image, srgb_profile()) is image


@pytest.mark.parametrize("icc", [b"", b"no profile", display_p3_profile()[:300], bytes(5 * 1024 * 1024)])
def test_no_profile_or_a_broken_one_means_srgb(icc: bytes) -> None:
    """A picture is not rejected for its profile."""
    image = scene(64, 48)
    assert to_srgb(image, icc) is image


def test_a_profiles_name_is_none_if_it_has_none() -> None:
    """Noise has no name."""
    assert [profile_name(icc) for icc in (b"", b"no profile", srgb_profile())] == [None, None, "sRGB built-in"]


def test_a_profile_for_other_colours_is_ignored() -> None:
    """An RGB profile says nothing about grey or CMYK numbers."""
    grey = flat((100,), "L")
    assert to_srgb(grey, display_p3_profile()) is grey
    assert to_srgb(flat((0, 0, 0, 0), "CMYK"), display_p3_profile()).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_is_not_inverted() -> None:
    """Adobe's CMYK JPEGs hold inverted ink; no ink is white paper, cyan ink is cyan."""
    white = prepare(save(flat((0, 0, 0, 0), "CMYK"), "JPEG"), "image/jpeg", LIMITS)
    cyan = prepare(save(flat((255, 0, 0, 0), "CMYK"), "JPEG"), "image/jpeg", LIMITS)
    assert min(middle(white.renditions[0].jpeg)) > 250
    assert middle(cyan.renditions[0].jpeg) == pytest.approx((0, 255, 255), abs=4)


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
