"""What a picture costs by format: peak memory and CPU of a process that renders it, beside the pipeline's estimates.

Each file is rendered by a process of its own, which has rendered a small picture of that format before. Peaks are
growth of resident memory (VmHWM after clear_refs), so Linux only. `./run bench picture_costs [MEGAPIXELS]`; 24 by
default.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_avif  # noqa: F401 - it registers AVIF with Pillow
import pillow_heif
from PIL import Image

from shoebox_client.samples import scene

TYPES = {form: f"image/{form.lower()}" for form in ("JPEG", "PNG", "WEBP", "GIF", "HEIC", "AVIF")}
MEASURE = """
import json, pathlib, sys, time
from workers.imaging import ImageLimits, PictureRejected, inspect, render

def memory(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))

small, large, media_type = sys.argv[1:]
anything = ImageLimits(max_bytes=10**9, max_pixels=10**9, max_pixels_by_type={}, max_scan_pixels=10**12)
render(inspect(pathlib.Path(small).read_bytes(), media_type, anything))
data = pathlib.Path(large).read_bytes()
pathlib.Path("/proc/self/clear_refs").write_text("5")
before, cpu = memory("VmRSS"), time.process_time()
inspection = inspect(data, media_type, anything)
inspected = time.process_time() - cpu
try:
    render(inspection)
    end = "READY"
except PictureRejected as rejected:
    end = rejected.reason
print(json.dumps({
    "end": end, "peak": memory("VmHWM") - before, "estimate": inspection.peak_bytes,
    "pixels": inspection.width * inspection.height, "cpu": time.process_time() - cpu, "inspect": inspected,
    "cpu_estimate": inspection.cpu_seconds,
}))
"""


def kinds() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Format, mode and options of what is measured, by name."""
    return {
        "JPEG": ("JPEG", "RGB", {"quality": 92}),
        "JPEG, progressive, 4:4:4": ("JPEG", "RGB", {"quality": 92, "progressive": True, "subsampling": 0}),
        "JPEG, progressive, CMYK": ("JPEG", "CMYK", {"quality": 92, "progressive": True}),
        "PNG, RGB": ("PNG", "RGB", {"compress_level": 1}),
        "PNG, RGBA": ("PNG", "RGBA", {"compress_level": 1}),
        "PNG, grey": ("PNG", "L", {"compress_level": 1}),
        "PNG, 16-bit grey": ("PNG", "I;16", {"compress_level": 1}),
        "PNG, palette": ("PNG", "P", {"compress_level": 1}),
        "WebP, RGB": ("WEBP", "RGB", {"quality": 85, "method": 0}),
        "WebP, RGBA": ("WEBP", "RGBA", {"quality": 85, "method": 0}),
        "WebP, lossless RGBA": ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
        "GIF": ("GIF", "P", {}),
        "GIF, transparent": ("GIF", "P", {"transparency": 0}),
        "HEIC": ("HEIC", "RGB", {}),
        "HEIC, RGBA": ("HEIC", "RGBA", {}),
        "AVIF": ("AVIF", "RGB", {}),
        "AVIF, 4:4:4": ("AVIF", "RGB", {"subsampling": "4:4:4", "quality": 90}),
        "AVIF, RGBA": ("AVIF", "RGBA", {}),
    }


def picture(width: int, height: int, mode: str) -> Image.Image:
    """Return a scene with a little noise, so that codecs work as for a photo."""
    tile = np.asarray(scene(2000, 1500)).astype(np.int16)
    tile = tile + np.random.default_rng(1).integers(-6, 7, tile.shape, dtype=np.int16)
    tile = tile.clip(0, 255).astype(np.uint8)
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    image = Image.fromarray(np.tile(tile, repeats)[:height, :width])
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        return image
    return image.convert(mode)


def saved(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    """`image` as a file."""
    out = io.BytesIO()
    if form == "HEIC":
        pillow_heif.from_pillow(image).save(out, quality=60)
    else:
        image.save(out, form, **({"speed": 10} | options if form == "AVIF" else options))
    return out.getvalue()


def measure(width: int, height: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and figures of each kind."""
    with tempfile.TemporaryDirectory(prefix="shoebox-costs-") as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        for name, (form, mode, options) in kinds().items():
            small.write_bytes(saved(picture(320, 240, mode), form, options))
            large.write_bytes(saved(picture(width, height, mode), form, options))
            command = [sys.executable, "-c", MEASURE, str(small), str(large), TYPES[form]]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            yield name, json.loads(run.stdout) | {"bytes": large.stat().st_size}


def main() -> None:
    """Print the table."""
    megapixels = float(sys.argv[1]) if len(sys.argv) > 1 else 24.0
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    columns = "| | file MB | peak MB | estimated | bytes a pixel | CPU s | estimated | of it inspect | ends |"
    print(f"{width} x {height}\n\n{columns}\n{'|---' * 9}|")
    for name, found in measure(width, height):
        row = (
            f"{found['bytes'] / 1e6:.1f}", f"{found['peak'] / 1e6:.0f}", f"{found['estimate'] / 1e6:.0f}",
            f"{found['peak'] / found['pixels']:.1f}", f"{found['cpu']:.2f}", f"{found['cpu_estimate']:.1f}",
            f"{found['inspect']:.3f}", found["end"],
        )  # fmt: skip
        print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
