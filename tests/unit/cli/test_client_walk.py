"""Which files are uploaded: order, hidden ones, links, types by content and by name."""

from __future__ import annotations

import os
from pathlib import Path

from shoebox.client.walk import Found, Skipped, Unreadable, walk

JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def write(path: Path, content: bytes = JPEG) -> Path:
    """Write a file, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Path, *, recursive: bool = True) -> list[str]:
    """What is found under a folder, as relative paths."""
    return [str(t.path.relative_to(folder)) for t in walk([folder], recursive=recursive) if isinstance(t, Found)]


def reasons(folder: Path) -> dict[str, str]:
    """What is left out under a folder, and why."""
    return {str(t.path.relative_to(folder)): t.reason for t in walk([folder]) if isinstance(t, Skipped)}


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

    assert thing == Unreadable(tmp_path / "a.jpg", "No such file or directory")


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
