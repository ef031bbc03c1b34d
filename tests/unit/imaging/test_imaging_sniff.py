import pytest
from picture_builders import TYPES, save

from shoebox_client.picture_types import MEDIA_TYPES, REFUSED
from shoebox_client.samples import scene
from tests.unit.test_picture_types import FILES, ftyp
from workers.imaging import PictureRejected
from workers.imaging.costs import DECODER_NS
from workers.imaging.sniff import confirm


@pytest.mark.parametrize(("form", "media_type"), TYPES.items())
def test_real_files_are_known_by_their_bytes(form: str, media_type: str) -> None:
    """Each accepted format is told by what its encoder writes."""
    assert confirm(save(scene(64, 48), form), media_type) == media_type


def test_what_may_be_registered_is_what_a_worker_can_read() -> None:
    """Each type that is accepted has a file in these tests, and costs by which it is judged."""
    assert set(MEDIA_TYPES.values()) == set(TYPES.values()) == set(DECODER_NS)


def test_heif_is_another_name_for_heic() -> None:
    """Senders may declare either."""
    assert confirm(ftyp(b"heic"), "image/heif") == "image/heic"


@pytest.mark.parametrize("form", ["HEIC", "AVIF"])
@pytest.mark.parametrize("declared", ["image/heic", "image/avif"])
@pytest.mark.parametrize("brand", [b"mif1", b"mif2", b"miaf"])
def test_a_brand_for_any_coding_leaves_the_choice_to_the_content(form: str, declared: str, brand: bytes) -> None:
    """Behind a brand that allows any coding nobody can declare the right type, so the picture's own coding decides."""
    data = save(scene(64, 48), form)
    size = int.from_bytes(data[:4], "big")
    generic = ftyp(brand, b"miaf").ljust(size, b"\0")
    generic = size.to_bytes(4, "big") + generic[4:] + data[size:]
    assert confirm(generic, declared) == TYPES[form]


def test_a_lie_about_the_type_is_rejected() -> None:
    """Bytes beat the declared type."""
    with pytest.raises(PictureRejected, match="image/png") as caught:
        confirm(save(scene(64, 48), "PNG"), "image/jpeg")
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize(("head", "media_type"), [(head, kind) for head, _, kind in FILES if kind in REFUSED and head])
def test_what_is_not_accepted_is_named(head: bytes, media_type: str) -> None:
    """A TIFF that calls itself a JPEG is told that TIFF is not accepted, and what to do."""
    if head.startswith(b"II*\0") and media_type != "image/x-canon-cr2":
        media_type = "image/tiff"  # a RAW file that only its name tells from a TIFF
    with pytest.raises(PictureRejected) as caught:
        confirm(head, "image/jpeg")
    name, advice = REFUSED[media_type]
    assert (caught.value.reason, caught.value.detail) == ("unsupported_type", f"{name} is not accepted; {advice}.")


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"BM", b"hello", b"RIFF\0\0\0\0WAVE"])
def test_other_bytes_are_no_picture(data: bytes) -> None:
    """Bytes of no known format are only called a wrong type."""
    with pytest.raises(PictureRejected) as caught:
        confirm(data, "image/jpeg")
    assert caught.value.reason == "wrong_type"


@pytest.mark.parametrize("declared", ["image/svg+xml", "image/tiff", "text/plain", ""])
def test_a_type_that_nobody_promised_is_rejected(declared: str) -> None:
    """The list of types is closed."""
    with pytest.raises(PictureRejected) as caught:
        confirm(b"\xff\xd8\xff", declared)
    assert caught.value.reason == "unsupported_type"
