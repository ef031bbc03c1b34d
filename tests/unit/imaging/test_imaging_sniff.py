import pytest
from picture_builders import TYPES, save

from shoebox.samples import scene
from workers.imaging import PictureRejected
from workers.imaging.sniff import confirm, sniff


def ftyp(*brands: bytes) -> bytes:
    """A HEIF file's first box with a major brand, a minor version and compatible brands."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 4).to_bytes(4, "big") + body


@pytest.mark.parametrize(("form", "media_type"), TYPES.items())
def test_real_files_are_known_by_their_bytes(form: str, media_type: str) -> None:
    """Each accepted format is told by what its encoder writes."""
    assert sniff(save(scene(64, 48), form)) == media_type


@pytest.mark.parametrize(
    ("brands", "media_type"),
    [
        ((b"heic", b"mif1", b"heic"), "image/heic"),
        ((b"mif1", b"mif1", b"heic", b"tmap"), "image/heic"),
        ((b"mif1", b"mif1"), "image/heic"),
        ((b"avif", b"mif1", b"miaf"), None),
        ((b"mif1", b"avif"), None),
        ((b"isom", b"mp42"), None),
        ((b"heic",), "image/heic"),
    ],
)
def test_brands_tell_heic_from_its_relatives(brands: tuple[bytes, ...], media_type: str | None) -> None:
    """AVIF and MP4 share HEIC's container and are not taken for it."""
    assert sniff(ftyp(*brands)) == media_type


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"BM", b"%PDF-1.7", b"<svg/>", b"RIFF\0\0\0\0WAVE"])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    """Formats that are not on the list are nothing at all."""
    assert sniff(data) is None


def test_heif_is_another_name_for_heic() -> None:
    """Senders may declare either."""
    assert confirm(ftyp(b"heic"), "image/heif") == "image/heic"


def test_a_lie_about_the_type_is_rejected() -> None:
    """Bytes beat the declared type."""
    with pytest.raises(PictureRejected, match="image/png") as caught:
        confirm(save(scene(64, 48), "PNG"), "image/jpeg")
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize("declared", ["image/svg+xml", "image/avif", "text/plain", ""])
def test_a_type_that_nobody_promised_is_rejected(declared: str) -> None:
    """The list of types is closed."""
    with pytest.raises(PictureRejected) as caught:
        confirm(b"\xff\xd8\xff", declared)
    assert caught.value.reason == "unsupported_type"
