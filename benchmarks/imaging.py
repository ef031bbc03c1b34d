"""CPU of preparing a photo: Shoebox's pipeline beside plain Pillow code, in one process with the Pillow installed here.

Both give three upright sRGB JPEG renditions; Shoebox's also verifies the file, reads its metadata and makes a
placeholder.
"""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import PIL
from PIL import Image, ImageCms, ImageOps

from benchmarks.rounds import compare
from shoebox_client.renditions import RENDITIONS
from shoebox_client.samples import jpeg_of_size, write_samples
from workers.imaging import ImageLimits, prepare

LIMITS = ImageLimits(max_bytes=100 * 2**20, max_pixels=100_000_000, max_side=30_000)
SRGB = ImageCms.createProfile("sRGB")


def plain(data: bytes) -> None:
    """Make the same renditions as they are usually made."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if profile := image.info.get("icc_profile"):
        image = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB)
    for size in RENDITIONS.values():
        rendition = image.copy()
        rendition.thumbnail((size, size), Image.Resampling.LANCZOS)
        rendition.save(io.BytesIO(), "JPEG", quality=85)


def main() -> None:
    """Print the table."""
    with TemporaryDirectory(prefix="shoebox-photos-") as folder:
        samples = {sample.path.name: sample.path.read_bytes() for sample in write_samples(Path(folder))}
    photos = {
        "12 MP": samples["12-megapixels.jpg"],
        "24 MP": samples["24-megapixels.jpg"],
        "2 MP, Display P3": samples["wide-gamut.jpg"],
        "1 MP, 100 KB": jpeg_of_size(1, 1200, 900, 100_000),
    }
    print(f"Pillow {PIL.__version__}\n\n| JPEG | plain Pillow, CPU ms | Shoebox, CPU ms |\n|---|---|---|")
    for name, data in photos.items():
        calls = 5 if len(data) > 10**6 else 20
        timings = compare(
            {"plain": lambda: plain(data), "shoebox": lambda: prepare(data, "image/jpeg", LIMITS)},  # noqa: B023
            calls=calls,
        )
        print(f"| {name} | {timings['plain'].cpu_us / 1000:.1f} | {timings['shoebox'].cpu_us / 1000:.1f} |")


if __name__ == "__main__":
    main()
