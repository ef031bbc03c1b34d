"""CPU and bytes of a compressed list of files, by level: what `api.responses.COMPRESSION_LEVEL` was chosen by."""

from __future__ import annotations

import hashlib
import json
import zlib
from datetime import UTC, datetime
from functools import partial

from benchmarks.rounds import compare
from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner
from shoebox_client.renditions import RENDITIONS

FILES = 50  # a page of the gallery's list
LEVELS = (1, 3, 6, 9)
CREDENTIALS = Credentials("ASIAEXAMPLEEXAMPLE12", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token" * 60)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Print the table."""
    body = listing()
    timings = compare({str(level): partial(compress, body, level) for level in LEVELS}, calls=50)
    print(f"{FILES} files are {len(body):,} bytes\n\n| level | bytes | CPU ms |\n|---|---|---|")
    for level in LEVELS:
        print(f"| {level} | {len(compress(body, level)):,} | {timings[str(level)].cpu_us / 1000:.2f} |")


def listing() -> bytes:
    """Return a list of files as the API answers with it: most of it is presigned URLs."""
    presigner = Presigner(CREDENTIALS, region="us-east-1", endpoint_url="https://s3.us-east-1.amazonaws.com")
    files = []
    for n in range(FILES):
        sha256 = hashlib.sha256(str(n).encode()).hexdigest()
        key = f"renditions/demo/anna/f{sha256[:32]}/01J{sha256[:23].upper()}/1"
        sign = partial(presigner.url, "GET", "shoebox-personal", at=AT, expires=3600)
        renditions = [
            {"name": name, "width": side, "height": side * 3 // 4, "url": sign(f"{key}/{name}.jpg")}
            for name, side in RENDITIONS.items()
        ]
        file = {"file_id": f"f{sha256[:32]}", "name": f"IMG_{n:04}.jpg", "sha256": sha256, "state": "READY"}
        files.append({**file, "renditions": renditions, "original_url": sign(key)})
    return json.dumps({"files": files, "next_cursor": None}, separators=(",", ":")).encode()


def compress(body: bytes, level: int) -> bytes:
    """Compress as starlette's GZipMiddleware does."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


if __name__ == "__main__":
    main()
