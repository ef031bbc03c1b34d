"""JPEGs in chroma layouts that simplejpeg declines: whole ones are READY, and no missing data goes unnoticed."""

import random

import pytest
from picture_builders import Sampling, jpeg_in_scans, jpeg_of_layout, save, scans_of

from shoebox_client.samples import scene
from workers.imaging import ImageLimits, PictureRejected, Prepared, prepare
from workers.imaging import decode_jpeg as decoding

ONE = (1, 1)
LAYOUTS: tuple[Sampling, ...] = (
    ((3, 1), ONE, ONE),
    ((1, 4), ONE, ONE),
    ((4, 2), ONE, ONE),
    ((2, 2), (2, 1), ONE),
    ((1, 2), ONE, (2, 1)),
    ((2, 1), ONE, ONE, ONE),
    (ONE, (2, 2), ONE, ONE),
)
EACH_LAYOUT = pytest.mark.parametrize("sampling", LAYOUTS, ids=str)
MISSING = (5, 20, 40, 60, 80, 95)  # percent


def tried(data: bytes) -> Prepared | str:
    """Return what was prepared, or why not."""
    try:
        return prepare(data, "image/jpeg", ImageLimits())
    except PictureRejected as rejected:
        return rejected.reason


def coded(data: bytes) -> list[tuple[int, int]]:
    """Where the coded data of each scan stand."""
    found, at = [], 0
    while (at := data.find(b"\xff\xda", at)) >= 0:
        start = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        ends = (data.find(bytes([0xFF, marker]), start) for marker in (0xC4, 0xDA, 0xDB, 0xDD, 0xD9, 0xE0))
        at = min(end for end in ends if end >= 0)
        found.append((start, at))
    return found


@EACH_LAYOUT
@pytest.mark.parametrize("interval", [0, 1, 4])
def test_a_cut_scan_is_truncated(sampling: Sampling, interval: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut anywhere, and ended by an end-of-image marker; whole, it is READY, and another decoder than usual has it."""
    used = []
    monkeypatch.setattr(decoding, "decode_unusual", lambda *a, f=decoding.decode_unusual: used.append(a) or f(*a))
    data = jpeg_of_layout(sampling, interval=interval)
    whole = tried(data)
    assert isinstance(whole, Prepared)
    assert used
    assert set(whole.warnings) <= {"cmyk_without_profile"}
    [(start, end)] = coded(data)
    outcomes = {percent: tried(data[: start + (end - start) * percent // 100] + b"\xff\xd9") for percent in MISSING}
    assert outcomes == dict.fromkeys(MISSING, "truncated")


@EACH_LAYOUT
@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_scan_among_others_is_truncated(sampling: Sampling, progressive: bool) -> None:
    """Whichever scan lacks data, at whatever place."""
    data = jpeg_in_scans(sampling, progressive=progressive)
    assert isinstance(tried(data), Prepared)
    scans = coded(data)
    assert len(scans) > len(sampling) if progressive else len(scans) == len(sampling)
    chosen = random.Random(0).sample([(*scan, percent) for scan in scans for percent in MISSING], 12)
    outcomes = [tried(data[: start + (end - start) * part // 100] + data[end:]) for start, end, part in chosen]
    assert outcomes == ["truncated"] * len(chosen)


@EACH_LAYOUT
def test_a_missing_restart_interval_is_noticed(sampling: Sampling) -> None:
    """One in the middle is damage; where the last ones are missing the picture is truncated."""
    data = jpeg_of_layout(sampling, interval=1)
    [(start, _)] = coded(data)
    first, third = data.index(b"\xff\xd0", start), data.index(b"\xff\xd2", start)
    assert tried(data[:first] + b"\xff\xd9") == "truncated"
    assert tried(data[:first] + data[third:]) == "corrupt"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_cut_scan_of_a_usual_layout_is_truncated(mode: str, options: dict[str, object]) -> None:
    """The same of what cameras write: libjpeg tells, and a progressive picture must have all of its scans."""
    data = save(scene(160, 120).convert(mode), "JPEG", **options)
    start = data.index(b"\xff\xda")
    outcomes = {
        part: tried(data[: start + (len(data) - start) * part // 100] + b"\xff\xd9") for part in range(5, 100, 5)
    }
    assert outcomes == dict.fromkeys(outcomes, "truncated")


SEQUENTIAL = save(scene(160, 120), "JPEG")
RESTARTS = save(scene(160, 120), "JPEG", restart_marker_blocks=1)
PROGRESSIVE = save(scene(160, 120), "JPEG", progressive=True)
START = SEQUENTIAL.index(b"\xff\xda") + 14
FIRST, LAST = RESTARTS.index(b"\xff\xd0"), RESTARTS.rindex(b"\xff\xd4")
SCANS = scans_of(PROGRESSIVE)
WARNED = {
    "premature end of data segment": SEQUENTIAL[: START + 99] + b"\xff\xd9",
    "found marker 0xd9 instead of RST": RESTARTS[:LAST] + b"\xff\xd9",
    "instead of RST": RESTARTS[:FIRST] + RESTARTS[RESTARTS.index(b"\xff\xd3") :],
    "extraneous bytes before marker": SEQUENTIAL[:-2] + bytes(range(200)) + b"\xff\xd9",
    "bad Huffman code": SEQUENTIAL[:START] + b"\xff\0" * 99 + SEQUENTIAL[START:],
    "Inconsistent progression sequence": SCANS[0] + b"".join([*SCANS[1], SCANS[1][-1]]) + b"\xff\xd9",
}


@pytest.mark.parametrize("words", WARNED)
def test_each_warning_of_libjpeg_has_its_verdict(words: str) -> None:
    """Those that are left when the codec gets only what pixels depend on are about pixels."""
    with pytest.raises(PictureRejected, match=words) as caught:
        prepare(WARNED[words], "image/jpeg", ImageLimits())
    assert caught.value.reason == decoding.VERDICTS[words]


def test_every_verdict_is_tested() -> None:
    """But for one about arithmetic coding, which nothing here writes."""
    assert set(decoding.VERDICTS) - set(WARNED) == {"bad arithmetic code"}
