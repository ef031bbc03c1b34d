"""What a neighbour's photo takes beside pictures that are made to cost much, on a running stack.

    ./run up --memory --data FOLDER --free-ports --json        # in another terminal
    ./run bench bombs GATEWAY_URL FOLDER [scans|webp] [COUNT]

`scans`: JPEGs of 100 megapixels with 883 scans, behind a comment that holds an end-of-image marker. `webp`: files of 34
bytes that claim 100 megapixels. One user uploads COUNT of them (6 and 12), another one photo of 100 KB at once after.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import aiohttp
from PIL import Image

from shoebox_client.api import Api
from shoebox_client.samples import jpeg_of_size

GIVE_UP_SECONDS = 900
SIDE = 10_000
Bomb = tuple[bytes, str]


def scan_bombs(count: int) -> list[Bomb]:
    """Progressive JPEGs whose last scan stands 873 times more."""
    out = io.BytesIO()
    Image.new("L", (SIDE, SIDE), 77).save(out, "JPEG", progressive=True)
    data = out.getvalue().removesuffix(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xda") :]
    return [
        (data + b"\xff\xfe\x00\x07\xff\xd9" + bytes([1, 2, n]) + last * 873 + b"\xff\xd9", "image/jpeg")
        for n in range(count)
    ]


def webp_bombs(count: int) -> list[Bomb]:
    """Lossless WebPs of one chunk: a size, and nearly nothing."""
    head = b"\x2f" + struct.pack("<I", (SIDE - 1) | (SIDE - 1) << 14)
    bodies = [head + bytes([n]) + bytes(8) for n in range(count)]
    return [
        (b"RIFF" + struct.pack("<I", 26) + b"WEBPVP8L" + struct.pack("<I", 13) + body + b"\0", "image/webp")
        for body in bodies
    ]


async def upload(session: aiohttp.ClientSession, api: Api, pictures: Sequence[Bomb]) -> list[str]:
    """Register and upload; their ids."""
    entries = [
        {"name": f"{n}", "size": len(data), "content_type": kind, "sha256": sha256(data).hexdigest()}
        for n, (data, kind) in enumerate(pictures)
    ]
    found = await api.register(entries)
    for document, (data, _) in zip(found, pictures, strict=True):
        link = document["upload"]
        async with session.request(
            link.get("method", "PUT"), link["url"], data=data, headers=link["headers"]
        ) as response:
            response.raise_for_status()
    return [document["file_id"] for document in found]


async def final_states(api: Api, ids: Sequence[str]) -> tuple[Counter[str], float]:
    """Wait until all have a final state, or for `GIVE_UP_SECONDS`: the states, and seconds."""
    began = time.monotonic()
    while True:
        files = await api.files(ids)
        states = Counter(f"{f['state']} {f['reason'] or ''}".strip() for f in files)
        seconds = time.monotonic() - began
        if all(f["state"] in {"READY", "REJECTED"} for f in files) or seconds > GIVE_UP_SECONDS:
            return states, seconds
        await asyncio.sleep(0.1)


async def main() -> None:
    """Run the experiment and print its outcome."""
    url, folder, kind, count = [*sys.argv[1:], *("scans", "")[len(sys.argv) - 3 :]][:4]
    make, number = {"scans": (scan_bombs, 6), "webp": (webp_bombs, 12)}[kind]
    bombs = make(int(count or number))
    tokens = [_token(folder, user) for user in ("attacker", "neighbour")]
    async with aiohttp.ClientSession() as session:
        attacker, neighbour = (Api(session, url, token) for token in tokens)
        seeds = itertools.count(int(time.time()))  # new bytes in each run: known ones are not uploaded again
        for _ in range(2):  # the second one finds warm functions
            _, alone = await final_states(
                neighbour,
                await upload(session, neighbour, [(jpeg_of_size(next(seeds), 1200, 900, 100_000), "image/jpeg")]),
            )
        bomb_ids = await upload(session, attacker, bombs)
        photo = await upload(session, neighbour, [(jpeg_of_size(next(seeds), 1200, 900, 100_000), "image/jpeg")])
        waits = asyncio.gather(final_states(attacker, bomb_ids), final_states(neighbour, photo))
        (bomb_states, bomb_seconds), (photo_states, photo_seconds) = await waits

        print(
            f"{len(bombs)} {kind} bombs of {len(bombs[0][0]):,} bytes: {dict(bomb_states)} after {bomb_seconds:.1f} s"
        )
        print(f"the neighbour's photo: {dict(photo_states)} after {photo_seconds:.1f} s; alone {alone:.1f} s")


def _token(folder: str, user: str) -> str:
    command = [sys.executable, "-m", "shoebox_cli", "token", "mint", "--data", folder, "--user", user]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    asyncio.run(main())
