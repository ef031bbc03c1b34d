"""What may be inside of a HEIF container: other codings, films, many tiles, and pictures made of pictures."""

import io
import struct
from collections.abc import Mapping, Sequence

import pillow_heif
import pytest
from picture_builders import save

from shoebox_client.samples import scene
from tests.unit.test_picture_types import ftyp
from workers.imaging import ImageLimits, PictureRejected, inspect, prepare
from workers.imaging.headers.boxes import CODINGS, MAX_ITEMS, read_items
from workers.imaging.headers.heic import heif_fault

LIMITS = ImageLimits()
FILES = {form: save(scene(256, 192), form) for form in ("HEIC", "AVIF")}
HEIC = FILES["HEIC"]


def box(kind: bytes, *payload: bytes) -> bytes:
    """Return a box around `payload`."""
    body = b"".join(payload)
    return struct.pack(">I", len(body) + 8) + kind + body


def container(
    types: Sequence[bytes], parts: Mapping[int, Sequence[int]], size: tuple[int, int], brand: bytes = b"heic"
) -> bytes:
    """Return a file of items 1, 2, …, the first primary and all of one size; `parts` is what is derived from what."""
    entries = [box(b"infe", struct.pack(">IHH4sx", 0x02000000, n, 0, kind)) for n, kind in enumerate(types, 1)]
    refs = [box(b"dimg", struct.pack(f">HH{len(to)}H", item, len(to), *to)) for item, to in parts.items()]
    given = b"".join(struct.pack(">HBB", n, 1, 1) for n in range(1, len(types) + 1))
    properties = box(b"iprp", box(b"ipco", box(b"ispe", bytes(4), struct.pack(">II", *size))),
                     box(b"ipma", bytes(4), struct.pack(">I", len(types)), given))  # fmt: skip
    meta = box(
        b"meta", bytes(4), box(b"pitm", bytes(4), struct.pack(">H", 1)),
        box(b"iinf", bytes(4), struct.pack(">H", len(types)), *entries), box(b"iref", bytes(4), *refs), properties,
    )  # fmt: skip
    return ftyp(brand, b"mif1") + meta + box(b"mdat", bytes(64))


def tiled(tile_size: int, width: int, height: int) -> bytes:
    """Return a HEIC made of tiles, as phones write it."""
    out = io.BytesIO()
    pillow_heif.from_pillow(scene(width, height)).save(out, quality=40, tile_size=tile_size)
    return out.getvalue()


def rejection(data: bytes, media_type: str = "image/heic", limits: ImageLimits = LIMITS) -> tuple[str, str]:
    """Reason and sentence."""
    with pytest.raises(PictureRejected) as caught:
        prepare(data, media_type, limits)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("coding", sorted(set(CODINGS) - {"hvc1"}))
@pytest.mark.parametrize("derived", [False, True])
def test_another_coding_is_named(coding: str, derived: bool) -> None:
    """A HEIF holding something else than HEVC, also as tiles, is not called damaged; what is inside is said."""
    types = [b"grid", coding.encode()] if derived else [coding.encode()]
    data = container(types, {1: [2, 2]} if derived else {}, (64, 64))
    reason, detail = rejection(data)
    assert reason == "unsupported_type"
    assert f"HEIF with {CODINGS[coding]} inside is not accepted" in detail


def test_a_real_file_with_another_item_type_is_named() -> None:
    """The same for what an encoder wrote, and for an AVIF that holds HEVC."""
    assert rejection(HEIC.replace(b"hvc1", b"unci", 1))[0] == "unsupported_type"
    as_avif = HEIC.replace(b"heic", b"avif")
    assert rejection(as_avif, "image/avif") == (
        "unsupported_type",
        "HEIF with HEVC inside is not accepted as AVIF, only with AV1; save it as JPEG.",
    )


def test_a_film_is_named() -> None:
    """A sequence without a still picture is not accepted, and not called damaged."""
    data = ftyp(b"hevc", b"msf1") + box(b"moov", box(b"mvhd", bytes(100)))
    assert rejection(data) == (
        "unsupported_type",
        "This HEIC file is a sequence of pictures without a still one; save one as JPEG.",
    )


@pytest.mark.parametrize("brand", [b"mif1", b"mif2", b"hevc", b"hevm", b"heix", b"msf1"])
def test_every_brand_of_heic_is_decoded(brand: bytes) -> None:
    """What client and page send as HEIC, the worker takes."""
    assert prepare(HEIC[:8] + brand + HEIC[12:], "image/heic", LIMITS).width == 256


def test_a_phones_many_tiles_are_fine() -> None:
    """As many parts as an iPhone writes for 48 megapixels: 16 x 12 tiles."""
    data = tiled(64, 1024, 768)
    assert len(read_items(data).types) > 16 * 12
    assert prepare(data, "image/heic", LIMITS).width == 1024


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        pytest.param(
            container([b"iovl", b"hvc1"], {1: [2] * 1000}, (3000, 2000)), "too_costly", "6000 megapixels", id="overlay"
        ),
        pytest.param(
            container([b"grid", b"grid", b"hvc1"], {1: [2] * 15_000, 2: [3] * 15_000}, (64, 64)),
            "too_costly", "megapixels are decoded", id="grid-of-grids",
        ),
        pytest.param(
            container([b"iden"] * 20 + [b"hvc1"], {n: [n + 1] for n in range(1, 21)}, (64, 64)),
            "corrupt", "derived", id="chain",
        ),
        pytest.param(container([b"iden", b"iden"], {1: [2], 2: [1, 1]}, (64, 64)), "corrupt", "derived", id="circle"),
        pytest.param(
            container([b"grid"] + [b"hvc1"] * MAX_ITEMS, {}, (64, 64)), "too_costly", "1000 parts", id="items"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("brand", ["heic", "avif"])
def test_pictures_made_of_too_many_are_refused_by_their_header(
    brand: str, data: bytes, reason: str, words: str
) -> None:
    """However pictures are piled up, their number and pixels are known before a codec sees them."""
    if brand == "avif":
        data = data.replace(b"ftypheic", b"ftypavif").replace(b"hvc1", b"av01")
    with pytest.raises(PictureRejected, match=words) as caught:
        inspect(data, f"image/{brand}", LIMITS)
    assert caught.value.reason == reason


def lying(form: str, width: int, height: int) -> bytes:
    """Return a picture of 256 x 192 whose container states another size."""
    return FILES[form].replace(struct.pack(">II", 256, 192), struct.pack(">II", width, height), 1)


@pytest.mark.parametrize("size", [(10, 10), (2048, 1024), (9000, 9000)])
def test_a_heic_that_lies_about_its_size_is_corrupt(size: tuple[int, int]) -> None:
    """Smaller or larger than what is coded is damage, not a matter of limits."""
    assert rejection(lying("HEIC", *size))[0] == "corrupt"


@pytest.mark.parametrize("size", [(10, 10), (2048, 1024)])
def test_an_avif_that_lies_about_its_size_has_the_stated_one(size: tuple[int, int]) -> None:
    """libavif scales what is coded to what the container states, and so limits hold."""
    prepared = prepare(lying("AVIF", *size), "image/avif", LIMITS)
    assert (prepared.width, prepared.height) == size


@pytest.mark.parametrize("form", ["HEIC", "AVIF"])
@pytest.mark.parametrize("size", [(40_000, 40_000), (65_535, 65_535), (30_001, 9)])
def test_a_size_above_the_limits_is_said_by_us(form: str, size: tuple[int, int]) -> None:
    """The libraries have limits of their own, and would call it damage."""
    reason, detail = rejection(lying(form, *size), f"image/{form.lower()}")
    assert reason == "too_many_pixels"
    assert f"{size[0]}x{size[1]}" in detail


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Memory allocation error: Security limit exceeded: Number of iref references exceeds", "too_costly"),
        (
            "Memory allocation error: Security limit exceeded: Image size 640x480 exceeds the maximum image size 9",
            "corrupt",
        ),
        ("Memory allocation error: Invalid image size: zero width or height", "corrupt"),
        ("Invalid input: Unexpected end of file", "truncated"),
        ("Invalid input: No 'hvcC' box", "corrupt"),
    ],
)
def test_limits_of_libheif_are_not_all_about_pixels(text: str, reason: str) -> None:
    """What it says decides: only our own check speaks of too many pixels."""
    rejected = heif_fault(ValueError(text))
    assert rejected.reason == reason
    assert text.removesuffix(".") in rejected.detail


@pytest.mark.parametrize(("size", "accepted"), [((256, 192), True), ((1000, 1000), True), ((9000, 9000), False)])
def test_the_pixels_of_alpha_count(size: tuple[int, int], accepted: bool) -> None:
    """libheif decodes alpha of any size and scales it; phones' depth and gain maps are small enough."""
    image = scene(256, 192).convert("RGBA")
    image.putalpha(image.convert("L"))
    items = read_items(save(image, "HEIC"))
    [alpha] = items.auxiliaries[items.primary or 0]
    assert items.sizes[alpha] == (256, 192)
    items.sizes[alpha] = size
    if accepted:
        items.check("HEIC", "hvc1", LIMITS)
    else:
        with pytest.raises(PictureRejected, match="megapixels are decoded"):
            items.check("HEIC", "hvc1", LIMITS)
