"""Prepare one picture in this process, to debug or to try it: `python -m workers.imaging FILE MEDIA_TYPE`."""

from __future__ import annotations

import sys
from pathlib import Path

from workers.imaging import ImageLimits, prepare

if __name__ == "__main__":
    sys.stdout.write(f"{prepare(Path(sys.argv[1]).read_bytes(), sys.argv[2], ImageLimits())}\n")
