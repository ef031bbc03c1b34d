"""Sample photos made from formulas: no photo of anybody is shipped, and every byte can be made again.

All show the same scene: a gradient with waves, discs, and an arrow in the upper left that points up. `corners` says
which colour is where, so that a test can tell by four pixels whether a picture is upright.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pillow_heif
import simplejpeg
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Colour = tuple[int, int, int]
State = Literal["READY", "REJECTED"]

RED, GREEN, BLUE, YELLOW = (200, 30, 40), (30, 170, 60), (30, 60, 200), (230, 210, 40)
CAPTURED_AT = "2024:06:21 18:30:05"
CAMERA = ("Shoebox", "Formula 1")
# 48°08'14" N, 11°34'32" E: as EXIF's three fractions, recognisable bytes to search for in a rendition.
LATITUDE, LONGITUDE = (48.0, 8.0, 14.0), (11.0, 34.0, 32.0)
BASE = (1600, 1200)
GRAIN = 256
# How to store an upright picture so that a reader who obeys EXIF's orientation sees it upright again.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, the type its sender would declare, and how it must end: its state, and why if it is rejected."""

    path: Path
    media_type: str
    state: State = "READY"
    reason: str | None = None


def write_samples(folder: Path, *, small: bool = False) -> list[Sample]:
    """Write the set into `folder` (made if missing) and say what each must come to.

    `small` leaves out the 12- and 24-megapixel photos. The same call writes the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = _pictures() + ([] if small else _large_pictures()) + _faulty()
    samples = []
    for name, media_type, data, reason in made:
        path = folder / name
        path.write_bytes(data)
        samples.append(Sample(path, media_type, "REJECTED" if reason else "READY", reason))
    return samples


def corners() -> dict[str, Colour]:
    """Return the colour in the middle of the disc at each corner, when the scene is upright."""
    return {"top_left": RED, "top_right": GREEN, "bottom_left": BLUE, "bottom_right": YELLOW}


def scene(width: int, height: int) -> Image.Image:
    """Return the scene at any size, RGB. Grain is added, so that a JPEG of it weighs what a photo's does."""
    image = Image.fromarray(_base()).resize((width, height), Image.Resampling.BILINEAR)
    return Image.fromarray(_grainy(np.asarray(image), seed=1))


def stored_sideways(image: Image.Image, orientation: int) -> Image.Image:
    """`image` as a camera would store it whose EXIF then says `orientation` (1-8)."""
    turn = STORED.get(orientation)
    return image if turn is None else image.transpose(turn)


def exif_block(*, orientation: int = 1, gps: bool = False) -> bytes:
    """Return an EXIF block with camera, capture time, orientation, and a position if wanted."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = CAMERA
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update({0x9003: CAPTURED_AT, 0x9011: "+02:00"})
    if gps:
        exif.get_ifd(0x8825).update({1: "N", 2: LATITUDE, 3: "E", 4: LONGITUDE})
    return exif.tobytes()


def jpeg_of_size(seed: int, width: int, height: int, target_bytes: int) -> bytes:
    """Return a JPEG of about `target_bytes` (within a few per cent), different in every pixel for every `seed`.

    It is padded by a comment where quality steps are too coarse. About 6 ms for 1200x900 and 100 KB.
    """
    pixels = _shuffled(seed, width, height)
    quality = _quality_for(width, height, target_bytes)
    data = _jpeg(pixels, quality)
    while len(data) > target_bytes and quality > 5:
        quality = max(5, int(quality * target_bytes / len(data)) - 1)
        data = _jpeg(pixels, quality)
    return _padded(data, target_bytes)


@lru_cache(maxsize=1)
def display_p3_profile() -> bytes:
    """Return an ICC profile of Display P3's colours, by its published primaries: wider than sRGB, as phones have it."""
    primaries = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189)}
    primaries[b"bXYZ"] = (0.1571, 0.06657, 0.78407)
    white = (0.9642, 1.0, 0.8249)
    # The curve of IEC 61966-2-1 (sRGB), which Display P3 shares: ICC's parametric curve type 3.
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {b"desc": _localised("Shoebox P3"), b"cprt": _localised("CC0"), b"wtpt": _xyz(white)}
    tags |= {name: _xyz(value) for name, value in primaries.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(tags, white)


def _pictures() -> list[tuple[str, str, bytes, str | None]]:
    small = scene(640, 480)
    medium = scene(1600, 1200)
    made = [
        (f"orientation-{n}.jpg", "image/jpeg", _save(stored_sideways(small, n), "JPEG", exif=exif_block(orientation=n)))
        for n in range(1, 9)
    ]
    photo = {"quality": 88, "exif": exif_block(gps=True)}
    made += [
        ("gps.jpg", "image/jpeg", _save(medium, "JPEG", **photo)),
        ("wide-gamut.jpg", "image/jpeg", _save(medium, "JPEG", icc_profile=display_p3_profile(), **photo)),
        ("progressive.jpg", "image/jpeg", _save(medium, "JPEG", progressive=True, **photo)),
        ("cmyk.jpg", "image/jpeg", _save(small.convert("CMYK"), "JPEG")),
        ("grey.jpg", "image/jpeg", _save(small.convert("L"), "JPEG")),
        ("alpha.png", "image/png", _save(_with_alpha(small), "PNG", compress_level=1)),
        ("photo.webp", "image/webp", _save(medium, "WEBP", method=0)),
        ("photo.heic", "image/heic", _heic(small)),
        ("photo.avif", "image/avif", _avif(small)),
        ("animated.gif", "image/gif", _animation(small)),
    ]
    return [(name, media_type, data, None) for name, media_type, data in made]


def _large_pictures() -> list[tuple[str, str, bytes, str | None]]:
    return [
        (f"{name}.jpg", "image/jpeg", _with_exif(_jpeg(np.asarray(scene(*size)), 92)), None)
        for name, size in (("12-megapixels", (4032, 3024)), ("24-megapixels", (6000, 4000)))
    ]


def _faulty() -> list[tuple[str, str, bytes, str | None]]:
    whole = _save(scene(640, 480), "JPEG", quality=88)
    return [
        ("truncated.jpg", "image/jpeg", whole[: len(whole) * 2 // 3], "truncated"),
        ("text.jpg", "image/jpeg", b"This is no photo, whatever its name says.\n" * 20, "wrong_type"),
    ]


@lru_cache(maxsize=1)
def _base() -> Pixels:
    """Return the scene without grain, as (height, width, 3)."""
    width, height = BASE
    x = np.linspace(0, 1, width, dtype=np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    waves = 18 * np.sin(x * 40) * np.cos(y * 31)
    channels = (110 + 60 * x + waves, 150 - 50 * y + waves, 130 + 50 * y * x - waves)
    pixels = np.stack(np.broadcast_arrays(*channels), axis=-1).clip(0, 255).astype(np.uint8)
    for place, colour in corners().items():
        cx, cy = 0.88 if "right" in place else 0.12, 0.85 if "bottom" in place else 0.15
        pixels[((x - cx) * width / height) ** 2 + (y - cy) ** 2 < 0.01] = colour
    head = (np.abs(x - 0.35) < (y - 0.08) * 0.5) & (y > 0.08) & (y < 0.25)
    shaft = (np.abs(x - 0.35) < 0.025) & (y >= 0.25) & (y < 0.5)
    pixels[head | shaft] = 250
    return pixels


def _grainy(pixels: Pixels, seed: int) -> Pixels:
    """`pixels` with one square of noise laid over them like tiles: quick, and no codec sees through it."""
    height, width = pixels.shape[:2]
    noise = np.random.default_rng(seed).normal(0, 4, (GRAIN, GRAIN, 1)).round().astype(np.int8)
    grain = np.tile(noise.repeat(3, axis=2), (-(-height // GRAIN), -(-width // GRAIN), 1))[:height, :width]
    return (pixels.clip(16, 239).view(np.int8) + grain).view(np.uint8)


@lru_cache(maxsize=4)
def _scene_of(width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(_base()).resize((width, height), Image.Resampling.BILINEAR))


def _shuffled(seed: int, width: int, height: int) -> Pixels:
    """Return the scene rolled by a step that `seed` decides, with the seed's own grain."""
    step = np.random.default_rng(seed).integers(1, (width, height))
    rolled = np.roll(_scene_of(width, height), (int(step[1]), int(step[0])), axis=(0, 1))
    return _grainy(rolled, seed)


@lru_cache(maxsize=32)
def _quality_for(width: int, height: int, target_bytes: int) -> int:
    """Return the best JPEG quality that stays a little below `target_bytes`; found once for each size."""
    pixels = _shuffled(0, width, height)
    low, high = 5, 98
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_jpeg(pixels, middle)) <= target_bytes * 0.97
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _padded(data: bytes, target_bytes: int) -> bytes:
    """Return `data` with JPEG comments behind its start marker until it has `target_bytes`."""
    comments = []
    missing = target_bytes - len(data)
    while missing > 4:
        size = min(missing - 2, 0xFFFF)
        comments.append(b"\xff\xfe" + struct.pack(">H", size) + bytes(size - 2))
        missing -= size + 2
    return b"".join([data[:2], *comments, data[2:]])


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420"))


def _with_exif(jpeg: bytes) -> bytes:
    block = exif_block(gps=True)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def _save(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _heic(image: Image.Image) -> bytes:
    heif = pillow_heif.from_pillow(image)
    buffer = io.BytesIO()
    heif.save(buffer, quality=60, exif=exif_block(gps=True))
    return buffer.getvalue()


def _avif(image: Image.Image) -> bytes:
    import pillow_avif  # noqa: F401 - it registers AVIF with Pillow, and is large

    return _save(image, "AVIF", quality=60, speed=8, max_threads=1, exif=exif_block(gps=True))


def _with_alpha(image: Image.Image) -> Image.Image:
    """`image` fading out towards the right."""
    fade = np.linspace(255, 0, image.width).astype(np.uint8)
    copy = image.copy()
    copy.putalpha(Image.fromarray(np.tile(fade, (image.height, 1))))
    return copy


def _animation(image: Image.Image) -> bytes:
    frames = [image.resize((320, 240)).rotate(90 * turn) for turn in range(4)]
    return _save(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=200, loop=0)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _localised(text: str) -> bytes:
    raw = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(raw), 28) + raw


def _profile(tags: dict[bytes, bytes], white: tuple[float, float, float]) -> bytes:
    """Return a display profile holding `tags` (ICC.1:2022, 7.2 and 7.3)."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4xI", start + len(body), 0x04300000) + b"mntrRGB XYZ "
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*white)
    return head.ljust(128, b"\x00") + table + body
