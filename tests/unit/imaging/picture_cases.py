"""Pictures as real devices and tools write them, and how each must end: one table, `CASES`.

Each stands for a kind. Rows are added here; `test_picture_cases.py` tries all of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from picture_builders import POSITION, Fields, chunk, save, scan_bomb, tiff_block, webp_of, xmp_packet
from PIL import Image

from shoebox_client.samples import scene

ICC = b"ICC_PROFILE\0"
PICTURE = scene(96, 64)
JPEG = save(PICTURE, "JPEG", quality=85)
LARGE_JPEG = save(scene(640, 480), "JPEG", quality=85)
CMYK_JPEG = save(scene(640, 480).convert("CMYK"), "JPEG", quality=85)
PNG = save(PICTURE, "PNG")
GIF = save(PICTURE.quantize(), "GIF", save_all=True, append_images=[PICTURE.rotate(10).quantize()], duration=100)
WEBP = save(PICTURE, "WEBP", lossless=True)
ANIMATED_WEBP = save(PICTURE, "WEBP", lossless=True, save_all=True, append_images=[PICTURE.rotate(10)], duration=100)
TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "avif": "image/avif",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A file and its end: READY without a `reason`, else REJECTED.

    `white` are points, in pixels of the picture, where nothing is drawn; `metadata` are values that must be found.
    """

    data: bytes = field(repr=False)
    why: str
    reason: str | None = None
    warnings: Sequence[str] = ()
    white: Sequence[tuple[int, int]] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def before(data: bytes, marker: int, extra: bytes) -> bytes:
    """Return `data` with `extra` before the first segment of this marker; only for markers that no segment contains."""
    start = data.index(bytes([0xFF, marker]))
    return data[:start] + extra + data[start:]


def cut_scan(data: bytes) -> bytes:
    """Return a JPEG without the last two fifths of its bytes, but with an end-of-image marker."""
    return data[: len(data) * 6 // 10] + b"\xff\xd9"


def one_colour_png(depth: int, colour_type: int, samples: Sequence[int], transparent: Sequence[int]) -> bytes:
    """16x16 pixels of one colour, and the colour that tRNS names."""
    bits = "".join(format(sample, f"0{depth}b") for sample in samples) * 16
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    ihdr = struct.pack(">IIBBBBB", 16, 16, depth, colour_type, 0, 0, 0)
    trns = b"".join(struct.pack(">H", sample) for sample in transparent)
    chunks = chunk(b"IHDR", ihdr) + chunk(b"tRNS", trns) + chunk(b"IDAT", zlib.compress(row * 16))
    return PNG[:8] + chunks + chunk(b"IEND", b"")


def palette_png(depth: int) -> bytes:
    """16x16 pixels of a palette's second entry, which is transparent."""
    bits = format(1, f"0{depth}b") * 16
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    ihdr = struct.pack(">IIBBBBB", 16, 16, depth, 3, 0, 0, 0)
    chunks = [(b"IHDR", ihdr), (b"PLTE", bytes(6)), (b"tRNS", b"\xff\0"), (b"IDAT", zlib.compress(row * 16))]
    return PNG[:8] + b"".join(chunk(*each) for each in [*chunks, (b"IEND", b"")])


def small_frame_gif(left: int, top: int, *, transparent: bool = False) -> bytes:
    """Return a 40x30 screen with a blue background and one red frame of 10x10; with `transparent`, blue is."""
    palette = bytes([255, 0, 0, 0, 0, 255])
    control = b"\x21\xf9\x04\x01\0\0\x01\0" if transparent else b""
    codes = [4, *[0, 0, 4] * 49, 0, 0, 5]  # clear before a code grows
    bits = "".join(format(code, "03b") for code in reversed(codes))
    packed = int(bits, 2).to_bytes(-(-len(bits) // 8), "little")
    screen = b"GIF89a" + struct.pack("<HHBBB", 40, 30, 0x80, 1, 0) + palette
    frame = b"\x2c" + struct.pack("<HHHHB", left, top, 10, 10, 0) + b"\x02" + bytes([len(packed)]) + packed + b"\0"
    return screen + control + frame + b"\x3b"


def with_alpha(mode: str) -> Image.Image:
    """Red or black, transparent but for the left half."""
    image = Image.new(mode, (32, 16))
    image.paste(Image.new(mode, (16, 16), (255, 0, 0, 255) if mode == "RGBA" else (0, 255)))
    return image


def samples_of_16_bits(channels: int) -> bytes:
    """Return a PNG of 8x8 pixels with alpha of 16 bits, wholly transparent."""
    ihdr = struct.pack(">IIBBBBB", 8, 8, 16, {2: 4, 4: 6}[channels], 0, 0, 0)
    row = b"\0" + (b"\x12\x34" * (channels - 1) + b"\0\0") * 8
    return PNG[:8] + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(row * 8)) + chunk(b"IEND", b"")


def cases_of_jpeg() -> dict[str, Case]:
    """Files that libjpeg warns about."""
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")
    zeros = bytes(512)
    start = JPEG.index(b"\xff\xda")
    wrong_scan = JPEG[: start + 11] + b"\0\0\0" + JPEG[start + 14 :]
    surplus = bytes(range(1, 201))
    return {
        "icc-chunk-missing.jpg": Case(
            before(JPEG, 0xDB, segment(0xE2, ICC + b"\2\3" + b"x" * 200)),
            "a broken profile counts as none",
            warnings=["icc_profile_broken"],
        ),
        "icc-number-0.jpg": Case(
            before(JPEG, 0xDB, segment(0xE2, ICC + b"\0\1" + b"x" * 200)), "the same", warnings=["icc_profile_broken"]
        ),
        "icc-empty.jpg": Case(before(JPEG, 0xDB, segment(0xE2, ICC)), "the same", warnings=["icc_profile_broken"]),
        "icc-no-profile.jpg": Case(
            before(JPEG, 0xDB, segment(0xE2, ICC + b"\1\1" + b"x" * 200)), "the same", warnings=["icc_profile_broken"]
        ),
        "junk-before-dqt.jpg": Case(
            before(JPEG, 0xDB, bytes(range(1, 19))), "libjpeg skips to a marker", warnings=["extraneous_bytes"]
        ),
        "junk-before-sos.jpg": Case(
            before(JPEG, 0xDA, b"\xff\0junk"), "libjpeg skips to a marker", warnings=["extraneous_bytes"]
        ),
        "zeros-before-dht.jpg": Case(before(JPEG, 0xC4, b"\0\0"), "the same", warnings=["extraneous_bytes"]),
        "fill-before-dht.jpg": Case(before(JPEG, 0xC4, b"\xff" * 9), "T.81 allows fill bytes before a marker"),
        "zeros-before-eoi.jpg": Case(
            JPEG[:-2] + zeros + b"\xff\xd9", "padding of some cameras", warnings=["extraneous_bytes"]
        ),
        "surplus-before-eoi.jpg": Case(
            JPEG[:-2] + surplus + b"\xff\xd9", "that many bytes were part of the picture", reason="corrupt"
        ),
        "no-eoi-and-a-second-picture.jpg": Case(
            JPEG[:-2] + LARGE_JPEG, "the first is whole", warnings=["end_marker_missing"]
        ),
        "cut-behind-the-scan.jpg": Case(
            JPEG[:-2] + b"\xff\xe1\x40\0cut", "what is cut is no pixel", warnings=["end_marker_missing"]
        ),
        "cut-in-and-behind-the-scan.jpg": Case(
            JPEG[:-99] + b"\xff\xe1\x40\0cut", "pixels are missing as well", reason="truncated"
        ),
        "cut-and-a-second-picture.jpg": Case(JPEG[:-99] + LARGE_JPEG, "the first is cut", reason="truncated"),
        "no-eoi.jpg": Case(JPEG[:-2], "only the marker is missing", warnings=["end_marker_missing"]),
        "half-an-eoi.jpg": Case(JPEG[:-1], "the same", warnings=["end_marker_missing"]),
        "zeros-without-eoi.jpg": Case(
            JPEG[:-2] + zeros, "padding to a sector's end", warnings=["end_marker_missing", "extraneous_bytes"]
        ),
        "jfif-major-2.jpg": Case(
            JPEG.replace(b"JFIF\0\1", b"JFIF\0\2", 1), "it changes no pixel", warnings=["jfif_revision_unknown"]
        ),
        "adobe-transform-2.jpg": Case(
            before(JPEG, 0xDB, adobe), "YCbCr is meant", warnings=["adobe_transform_unknown"]
        ),
        "adobe-transform-2-without-jfif.jpg": Case(
            JPEG[:2] + adobe + JPEG[20:], "the same", warnings=["adobe_transform_unknown"]
        ),
        "scan-header-of-zeros.jpg": Case(
            wrong_scan, "a sequential scan has all coefficients", warnings=["scan_header_wrong"]
        ),
        "comment-too-short.jpg": Case(
            before(JPEG, 0xDB, b"\xff\xfe\0\0"), "a length below 2 is taken for 2, as by libjpeg"
        ),
        "cut-scan-with-eoi.jpg": Case(cut_scan(LARGE_JPEG), "pixels are missing", reason="truncated"),
        "cmyk.jpg": Case(CMYK_JPEG, "which inks are meant is not said", warnings=["cmyk_without_profile"]),
        "cut-cmyk-with-eoi.jpg": Case(cut_scan(CMYK_JPEG), "pixels are missing", reason="truncated"),
        "zeros-for-the-rest.jpg": Case(
            LARGE_JPEG[: len(LARGE_JPEG) // 2] + bytes(len(LARGE_JPEG) // 2), "half a download", reason="truncated"
        ),
        "scan-bomb.jpg": Case(scan_bomb(160, 120, 600), "hundreds of scans cost minutes", reason="too_costly"),
        "scan-bomb-hidden.jpg": Case(
            scan_bomb(160, 120, 883, hidden=True), "FF D9 in a comment is no end", reason="too_costly"
        ),
        "scan-bomb-behind-junk.jpg": Case(
            before(scan_bomb(160, 120, 600), 0xC2, b"\0\xff\0\xff\1\xff\xd1"), "libjpeg skips it", reason="too_costly"
        ),
    }


def cases_of_png() -> dict[str, Case]:
    """PNGs with damage behind their pixels, and with transparency of each kind."""
    text = chunk(b"tEXt", b"Title\0wrong")
    middle = ((8, 8),)
    greys = {
        f"transparent-grey{depth}.png": Case(
            one_colour_png(depth, 0, [sample], [sample]), "tRNS makes it transparent", white=middle
        )
        for depth, sample in ((1, 0), (2, 1), (4, 7), (8, 0x70), (16, 0x1234))
    }
    colours = {
        f"transparent-rgb{depth}.png": Case(
            one_colour_png(depth, 2, samples, samples), "tRNS makes it transparent", white=middle
        )
        for depth, samples in ((8, (0x11, 0x56, 0x99)), (16, (0x1111, 0x5678, 0x9999)))
    }
    palettes = {
        f"transparent-palette{depth}.png": Case(palette_png(depth), "tRNS makes the entry transparent", white=middle)
        for depth in (1, 2, 4, 8)
    }
    modes = {
        f"transparent-{mode.lower()}.png": Case(save(with_alpha(mode), "PNG"), "it has alpha", white=[(28, 8)])
        for mode in ("LA", "RGBA")
    }
    deep = {
        f"transparent-{channels}x16.png": Case(samples_of_16_bits(channels), "it has alpha", white=[(4, 4)])
        for channels in (2, 4)
    }
    return {
        **greys,
        **colours,
        **palettes,
        **modes,
        **deep,
        "iend-crc-missing.png": Case(PNG[:-4], "every pixel is checked", warnings=["end_marker_missing"]),
        "palette-damaged.png": Case(
            palette_png(8).replace(b"PLTE", b"PLTD"), "a palette's colours are lost", reason="corrupt"
        ),
        "palette-missing.png": Case(
            palette_png(8).replace(chunk(b"PLTE", bytes(6)), b""), "the same", reason="corrupt"
        ),
        "iphone-resource.png": Case(
            PNG[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + PNG[8:], "its pixels are no PNG's", reason="unsupported_type"
        ),
        "unknown-critical-chunk.png": Case(
            PNG[:33] + chunk(b"QIDT", b"1") + PNG[33:], "pixels may depend on it", reason="unsupported_type"
        ),
        "iend-kind-wrong.png": Case(
            PNG.replace(b"IEND", b"IENE"), "every pixel is there", warnings=["end_marker_missing", "metadata_damaged"]
        ),
        "iend-crc-wrong.png": Case(PNG[:-4] + bytes(4), "the same", warnings=["end_marker_missing"]),
        "iend-missing.png": Case(PNG[:-12], "the same", warnings=["end_marker_missing"]),
        "bytes-behind-iend.png": Case(PNG + b"more", "the picture has ended", warnings=["trailing_bytes"]),
        "text-crc-wrong.png": Case(
            PNG[:33] + text[:-1] + b"\0" + PNG[33:], "nobody reads it", warnings=["metadata_damaged"]
        ),
        "profile-broken.png": Case(
            PNG[:33] + chunk(b"iCCP", b"p\0\0garbage") + PNG[33:], "it counts as none", warnings=["icc_profile_broken"]
        ),
        "pixels-missing.png": Case(
            PNG[:33] + chunk(b"IDAT", zlib.compress(bytes(289 * 20))) + PNG[-12:], "it has 20 rows", reason="truncated"
        ),
    }


def cases_of_frames() -> dict[str, Case]:
    """GIFs and WebPs, of which only the first frame is used."""
    second = ANIMATED_WEBP.rindex(b"ANMF")
    riff = WEBP[:4] + struct.pack("<I", len(WEBP)) + WEBP[8:]
    exif = save(PICTURE, "WEBP", lossless=True, exif=b"Exif\0\0II*\0" + bytes(100))
    return {
        "no-trailer.gif": Case(GIF[:-1], "the first frame is whole", warnings=["end_marker_missing"]),
        "second-frame-cut.gif": Case(
            GIF[: len(GIF) * 8 // 10], "the first frame is whole", warnings=["later_frame_damaged"]
        ),
        "bytes-behind-trailer.gif": Case(GIF + b"more", "the picture has ended", warnings=["trailing_bytes"]),
        "first-frame-cut.gif": Case(GIF[: len(GIF) * 3 // 10], "pixels are missing", reason="truncated"),
        "frame-smaller-than-screen.gif": Case(
            small_frame_gif(0, 0), "outside of the frame nothing is drawn", white=[(39, 0), (25, 20), (0, 29)]
        ),
        "frame-in-the-corner.gif": Case(small_frame_gif(30, 20), "the same", white=[(0, 0), (10, 20), (39, 3)]),
        "frame-in-the-corner-transparent.gif": Case(
            small_frame_gif(30, 20, transparent=True), "the same", white=[(0, 0), (39, 3)]
        ),
        "bytes-behind.webp": Case(WEBP + b"more", "the picture has ended", warnings=["trailing_bytes"]),
        "length-off-by-8.webp": Case(riff, "some writers count the header", warnings=["length_wrong"]),
        "length-of-nothing.webp": Case(
            WEBP[:4] + bytes(4) + WEBP[8:], "the chunks have their own", warnings=["length_wrong"]
        ),
        "metadata-cut.webp": Case(exif[:-50], "no pixel depends on it", warnings=["metadata_damaged"]),
        "second-frame-cut.webp": Case(
            ANIMATED_WEBP[: second + 60], "the first frame is whole", warnings=["later_frame_damaged"]
        ),
        "first-frame-cut.webp": Case(ANIMATED_WEBP[: second - 60], "pixels are missing", reason="truncated"),
        "cut.webp": Case(WEBP[:-40], "pixels are missing", reason="truncated"),
        "transparent.webp": Case(save(with_alpha("RGBA"), "WEBP"), "it has alpha", white=[(28, 8)]),
        "transparent-lossless.webp": Case(
            save(with_alpha("RGBA"), "WEBP", lossless=True), "it has alpha", white=[(28, 8)]
        ),
        "frame-smaller-than-canvas.webp": Case(
            webp_of(Image.new("RGB", (10, 10), (255, 0, 0)), (40, 30)), "outside nothing is drawn", white=[(30, 25)]
        ),
    }


def with_colours(data: bytes, primaries: int, transfer: int) -> bytes:
    """Return a HEIC or AVIF whose `nclx` numbers (ITU-T H.273) say so."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def cases_of_heif() -> dict[str, Case]:
    """HEIC and AVIF."""
    heic, avif = save(PICTURE, "HEIC"), save(PICTURE, "AVIF")
    film = b"\0\0\0\x14ftyphevc\0\0\0\0msf1" + b"\0\0\0\x10moov" + bytes(8)
    see_through = PICTURE.copy()
    see_through.putalpha(0)
    return {
        "generic-brand.heic": Case(heic[:8] + b"mif2" + heic[12:], "what is inside decides"),
        "hdr.heic": Case(with_colours(heic, 9, 18), "no pixel is lost, but what is brighter", warnings=["hdr_clipped"]),
        "hdr.avif": Case(with_colours(avif, 9, 16), "the same", warnings=["hdr_clipped"]),
        "display-p3.avif": Case(
            with_colours(avif, 12, 13), "numbers are as good as a profile", metadata={"icc_profile": "Display P3"}
        ),
        "transparent.avif": Case(save(see_through, "AVIF"), "alpha is laid on white", white=[(48, 32)]),
        "cut.heic": Case(heic[: len(heic) * 6 // 10], "pixels are missing", reason="truncated"),
        "cut.avif": Case(avif[: len(avif) * 6 // 10], "pixels are missing", reason="truncated"),
        "uncompressed.heic": Case(heic.replace(b"hvc1", b"unci", 1), "no decoder for it", reason="unsupported_type"),
        "film.heic": Case(film, "it has no still picture", reason="unsupported_type"),
        "tiff.heic": Case(b"II*\0" + bytes(60), "it is a TIFF", reason="unsupported_type"),
    }


def with_notes(main: Fields, photo: Fields | None = None, gps: Fields | None = None, pointer_type: int = 4) -> bytes:
    """Return a JPEG with these EXIF directories."""
    block = b"Exif\0\0" + tiff_block(main, photo, gps, pointer_type)
    return JPEG[:2] + segment(0xE1, block) + JPEG[2:]


def cases_of_metadata() -> dict[str, Case]:
    """Return what cameras and programs note, in the places and types that they use (more: test_imaging_dates.py)."""
    day, other, zero = b"2024:07:05 10:11:12\0", b"2023:02:03 04:05:06\0", b"0000:00:00 00:00:00\0"

    def dated(data: bytes, source: str, date: str = "2024-07-05T10:11:12") -> Case:
        return Case(data, "the best date there is", metadata={"captured_at": date, "captured_at_source": source})

    original, created, modified = 0x9003, 0x9004, 0x0132
    packet = xmp_packet('xmp:CreateDate="2024-07-05T10:11:12"')
    in_jpeg = JPEG[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet) + JPEG[2:]
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet))
    position = {name: with_notes({}, None, POSITION, kind) for name, kind in (("slong", 9), ("ifd", 13), ("short", 3))}
    return {
        "date-digitized-only.jpg": dated(with_notes({}, {created: (2, day)}), "EXIF:CreateDate"),
        "date-modified-only.jpg": dated(with_notes({modified: (2, day)}), "EXIF:ModifyDate"),
        "date-zero-then-digitized.jpg": dated(
            with_notes({modified: (2, other)}, {original: (2, zero), created: (2, day)}), "EXIF:CreateDate"
        ),
        "date-original-in-ifd0.jpg": dated(with_notes({original: (2, day)}, {}), "EXIF:DateTimeOriginal"),
        "date-modified-in-sub-ifd.jpg": dated(with_notes({}, {modified: (2, day)}), "EXIF:ModifyDate"),
        "date-with-dashes.jpg": dated(
            with_notes({}, {original: (2, b"2024-07-05 10:11:12\0")}), "EXIF:DateTimeOriginal"
        ),
        "date-with-subseconds.jpg": dated(
            with_notes({}, {original: (2, b"2024:07:05 10:11:12.345\0")}), "EXIF:DateTimeOriginal"
        ),
        "date-with-offset.jpg": dated(
            with_notes({}, {original: (2, day), 0x9011: (2, b"+02:00\0")}),
            "EXIF:DateTimeOriginal",
            "2024-07-05T10:11:12+02:00",
        ),
        "date-undefined.jpg": dated(with_notes({}, {original: (7, day)}), "EXIF:DateTimeOriginal"),
        "date-xmp-only.jpg": dated(in_jpeg, "XMP:CreateDate"),
        "date-xmp-only.png": dated(PNG[:33] + text + PNG[33:], "XMP:CreateDate"),
        "date-xmp-only.webp": dated(save(PICTURE, "WEBP", lossless=True, xmp=packet), "XMP:CreateDate"),
        "date-of-no-day.jpg": Case(
            with_notes({modified: (2, b"2023:02:29 04:05:06\0")}, {original: (2, zero)}),
            "there is no such day",
            metadata={"captured_at": None, "captured_at_source": None},
        ),
        **{
            f"gps-pointer-{name}.jpg": Case(data, "some writers use this type", metadata={"has_gps": True})
            for name, data in position.items()
        },
        **{
            f"make-{name}.jpg": Case(
                with_notes({0x010F: (kind, b"Acme\0")}), "text of this type is text", metadata={"camera_make": "Acme"}
            )
            for name, kind in (("undefined", 7), ("byte", 1), ("utf8", 129))
        },
    }


CASES: dict[str, Case] = {
    **cases_of_jpeg(), **cases_of_png(), **cases_of_frames(), **cases_of_metadata(), **cases_of_heif()
}  # fmt: skip
