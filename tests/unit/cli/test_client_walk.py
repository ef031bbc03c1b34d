"""Which files are uploaded: order, hidden ones, links, types by content and by name."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import api
from shoebox_client.exclusion import LEFT_OUT, MAX_IGNORE_BYTES, Exclusion, parse_patterns
from shoebox_client.walk import LeftOut, Picture, Unreadable, walk

JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def write(path: Path, content: bytes = JPEG) -> Path:
    """Write a file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Path, *, recursive: bool = True) -> list[str]:
    """Return what is found under a folder, as relative paths."""
    return [str(t.path.relative_to(folder)) for t in walk([folder], recursive=recursive) if isinstance(t, Picture)]


def reasons(folder: Path) -> dict[str, str]:
    """Return what is left out under a folder, and why."""
    return {str(t.path.relative_to(folder)): t.reason for t in walk([folder]) if isinstance(t, LeftOut)}


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    """The order does not depend on the file system."""
    for name in ("c.jpg", "a.jpg", "b/z.jpg", "b/a.jpg"):
        write(tmp_path / name)

    assert names(tmp_path) == ["a.jpg", "b/a.jpg", "b/z.jpg", "c.jpg"]


def test_hidden_ones_are_passed_over_unless_named(tmp_path: Path) -> None:
    """A dot keeps files and folders out; naming one takes it in."""
    hidden, inside = write(tmp_path / ".secret.jpg"), write(tmp_path / ".cache" / "a.jpg")

    assert names(tmp_path) == []
    assert reasons(tmp_path) == {".secret.jpg": "hidden", ".cache": "hidden"}
    assert [t.path for t in walk([hidden, inside.parent])] == [hidden, inside]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "a NAS's thumbnails"),
        (".@__thumb/a.jpg", "hidden"),
        ("@__thumb/a.jpg", "a NAS's thumbnails"),
        ("#recycle/a.jpg", "a recycle bin"),
        ("$RECYCLE.BIN/a.jpg", "a recycle bin"),
        ("__MACOSX/a.jpg", "a Mac's additions to an archive"),
        (".AppleDouble/a.jpg", "hidden"),
        ("._a.jpg", "hidden"),
        (".DS_Store", "hidden"),
        (".thumbnails/a.jpg", "hidden"),
        (".picasaoriginals/a.jpg", "hidden"),
        ("a.jpg_original", "ExifTool's backups"),
        ("Catalog Previews.lrdata/0/a.jpg", "Lightroom's previews"),
        ("VIDEO.THM", "thumbnails of videos"),
        ("Thumbs.db", "Windows' thumbnails"),
    ],
)
def test_what_programs_leave_in_folders_is_left_out(tmp_path: Path, name: str, reason: str) -> None:
    """It is told by its reason, taken in on request, and taken where it was named itself."""
    path = write(tmp_path / name)
    (tmp_path / "original.jpg").write_bytes(JPEG)
    (tmp_path / "eaDir").mkdir()
    taken = [t.path for t in walk([tmp_path], exclusion=Exclusion(defaults=False)) if isinstance(t, Picture)]

    assert names(tmp_path) == ["original.jpg"]
    assert list(reasons(tmp_path).values()) == [reason]
    assert path in taken
    assert [t.path for t in walk([path])] == [path]


def test_the_page_leaves_out_the_same() -> None:
    """api/static/left-out.js has the table, too."""
    text = (Path(api.__file__).parent / "static" / "left-out.js").read_text()
    table = re.search(r"export const LEFT_OUT = (\{.*?\n\});", text, re.DOTALL)

    assert table is not None
    assert json.loads(table[1]) == LEFT_OUT


@pytest.mark.parametrize(
    ("patterns", "files", "found"),
    [
        (["*.png"], ["a.jpg", "a.png", "b/a.png"], ["a.jpg"]),
        (["b/"], ["a.jpg", "b/a.jpg", "c/b/a.jpg"], ["a.jpg"]),
        (["/b/"], ["b/a.jpg", "c/b/a.jpg"], ["c/b/a.jpg"]),
        (["c/*.jpg"], ["a.jpg", "c/a.jpg", "d/c/a.jpg"], ["a.jpg", "d/c/a.jpg"]),
        (["*", "!keep.jpg"], ["a.jpg", "keep.jpg"], ["keep.jpg"]),
        (["!@eaDir/"], ["@eaDir/a.jpg", ".b.jpg"], ["@eaDir/a.jpg"]),
        (["# a comment", ""], ["a.jpg"], ["a.jpg"]),
    ],
)
def test_patterns_are_those_of_gitignore(
    tmp_path: Path, patterns: list[str], files: list[str], found: list[str]
) -> None:
    """As --exclude and as .shoeboxignore; what is said last is stronger than the defaults."""
    for name in files:
        write(tmp_path / name)
    excluded = [t for t in walk([tmp_path], exclusion=Exclusion(parse_patterns(patterns))) if isinstance(t, Picture)]
    (tmp_path / ".shoeboxignore").write_text("\n".join(patterns))

    assert [str(t.path.relative_to(tmp_path)) for t in excluded] == found
    assert names(tmp_path) == found


def test_a_folders_own_patterns_hold_below_it_and_win(tmp_path: Path) -> None:
    """The nearest file decides, --exclude over all of them; a named file is excluded by --exclude only."""
    for name in ("a.png", "b/a.png", "b/c/a.png", "d/a.png"):
        write(tmp_path / name)
    (tmp_path / ".shoeboxignore").write_text("*.png")
    (tmp_path / "b" / ".shoeboxignore").write_text("!*.png")
    (tmp_path / "b" / "c" / ".shoeboxignore").write_text("/a.png")
    exclusion = Exclusion(parse_patterns(["b/"]))

    assert names(tmp_path) == ["b/a.png"]
    assert [t for t in walk([tmp_path], exclusion=exclusion) if isinstance(t, Picture)] == []
    assert [t.path for t in walk([tmp_path / "a.png"])] == [tmp_path / "a.png"]
    (named,) = walk([tmp_path / "a.png"], exclusion=Exclusion(parse_patterns(["*.png"])))
    assert named == LeftOut(tmp_path / "a.png", "excluded by --exclude")


@pytest.mark.parametrize("content", [b"!\n", b"#" * (MAX_IGNORE_BYTES + 1), None])
def test_a_folder_whose_patterns_cannot_be_understood_is_left_alone(tmp_path: Path, content: bytes | None) -> None:
    """What somebody wanted to keep is not uploaded by mistake; the folder beside it is."""
    write(tmp_path / "a" / "private.jpg")
    write(tmp_path / "b" / "a.jpg")
    ignore = tmp_path / "a" / ".shoeboxignore"
    ignore.mkdir() if content is None else ignore.write_bytes(content)

    things = list(walk([tmp_path]))

    assert [t.path for t in things if isinstance(t, Picture)] == [tmp_path / "b" / "a.jpg"]
    (unreadable,) = (t for t in things if isinstance(t, Unreadable))
    assert unreadable.path == ignore
    assert unreadable.detail.endswith("nothing of its folder is uploaded")


def test_a_link_to_nothing_fails_only_as_a_picture(tmp_path: Path) -> None:
    """A lock or a socket of a program, gone since, is no failure; a picture that is not there is, as is a named one."""
    for name in ("lock", "gone.jpg"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "loop").symlink_to("loop")

    things = {thing.path.name: thing for thing in walk([tmp_path])}

    assert things["lock"] == LeftOut(tmp_path / "lock", "not readable")
    assert things["loop"] == LeftOut(tmp_path / "loop", "not readable")
    assert things["gone.jpg"] == Unreadable(tmp_path / "gone.jpg", "it is a link to nowhere, which is not there")
    assert things["loop.jpg"] == Unreadable(tmp_path / "loop.jpg", "it is a link that leads back to itself")
    assert [type(thing) for thing in walk([tmp_path / "lock"])] == [Unreadable]


def test_links_are_followed_but_no_loop(tmp_path: Path) -> None:
    """A link to a folder above is entered no second time; a link to a picture is a picture."""
    photo = write(tmp_path / "album" / "a.jpg")
    (tmp_path / "album" / "up").symlink_to(tmp_path)
    (tmp_path / "z.jpg").symlink_to(photo)

    assert names(tmp_path) == ["album/a.jpg", "z.jpg"]
    assert reasons(tmp_path) == {"album/up": "a folder seen before"}


def test_without_recursion_only_the_named_folder_is_entered(tmp_path: Path) -> None:
    """Folders within are left out, and said so."""
    write(tmp_path / "a.jpg")
    write(tmp_path / "deep" / "b.jpg")

    assert names(tmp_path, recursive=False) == ["a.jpg"]


def test_a_path_named_twice_is_taken_once(tmp_path: Path) -> None:
    """A file and its folder, both named, give one upload."""
    photo = write(tmp_path / "a.jpg")

    assert [t.path for t in walk([photo, tmp_path, photo])] == [photo]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A link into nowhere is no picture, and no silence either."""
    (tmp_path / "a.jpg").symlink_to(tmp_path / "missing")

    (thing,) = walk([tmp_path])

    missing = tmp_path / "missing"
    assert thing == Unreadable(tmp_path / "a.jpg", f"it is a link to {missing}, which is not there")


def test_pipes_are_left_alone(tmp_path: Path) -> None:
    """Opening a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe.jpg")

    assert reasons(tmp_path) == {"pipe.jpg": "not a file"}


def test_what_is_not_accepted_is_left_out_by_name(tmp_path: Path) -> None:
    """Films, RAW files and scans beside the photos are named, with what to do."""
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "b.jpg").write_bytes(b"II*\0")
    (tmp_path / "c.NEF").write_bytes(b"II*\0")
    (tmp_path / "d.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    (tmp_path / "e.txt").write_bytes(b"notes")

    assert reasons(tmp_path) == {
        "b.jpg": "TIFF is not accepted; save it as JPEG or PNG",
        "c.NEF": "Nikon RAW (NEF) is not accepted; export it as JPEG",
        "d.mp4": "A film (MP4) is not accepted; save a still picture of it as JPEG",
        "e.txt": "not a picture Shoebox takes",
    }
