import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model.common.errors import UserError
from model.data import picture_files
from model.data.picture_files import STANDARD_INPUT, find_pictures, formats, read_bytes, shown


def fails(text):
    return pytest.raises(UserError, match=f"^{re.escape(text)}$")


@pytest.fixture
def folder(tmp_path):
    """Two pictures among what file managers, programs and people leave in a folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "notes.txt", "._a.JPG", ".DS_Store", "Thumbs.db", "c.png~"):
        (folder / name).touch()
    return folder


def test_files_and_folders(folder, tmp_path, capsys):
    single = tmp_path / "odd-name"
    single.touch()
    assert find_pictures([single, folder]) == [single, folder / "a.JPG", folder / "b.png"]
    assert capsys.readouterr().err == (
        f"note: folder {folder}: 2 pictures taken; passed over: 5 other entries "
        "(.DS_Store, ._a.JPG, Thumbs.db, …)\n"
    )


def test_a_file_that_is_named_is_taken_whatever_its_name(folder):
    named = [folder / name for name in ("._a.JPG", "notes.txt", "b.png", "b.png")]
    assert find_pictures(named) == named


def test_a_folder_of_pictures_alone_says_nothing(tmp_path, capsys):
    (tmp_path / "a.png").touch()
    assert find_pictures([tmp_path]) == [tmp_path / "a.png"]
    assert capsys.readouterr().err == ""


def test_subfolders(folder, capsys):
    for name in ("deep/deeper/d.png", "deep/e.webp", "deep/._e.webp", ".hidden/f.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "other").mkdir()
    assert [path.name for path in find_pictures([folder])] == ["a.JPG", "b.png"]
    assert "6 other entries (.DS_Store, ._a.JPG, .hidden, …) and 2 subfolders (--recursive" in (
        capsys.readouterr().err
    )
    found = find_pictures([folder], recursive=True)
    assert [path.relative_to(folder).as_posix() for path in found] == [
        "a.JPG", "b.png", "deep/deeper/d.png", "deep/e.webp",
    ]  # fmt: skip
    assert "4 pictures taken; passed over: 7 other entries" in capsys.readouterr().err


def test_links(folder, tmp_path, capsys):
    """Circles end, what a link leads to is read once, and a link to nothing is passed over."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "z.png").touch()
    for name, target in (
        ("circle", folder), ("once", elsewhere), ("twice", elsewhere),
        ("gone.png", tmp_path / "gone"), ("self.png", folder / "self.png"),
        ("linked.png", elsewhere / "z.png"),
    ):  # fmt: skip
        (folder / name).symlink_to(target)
    found = find_pictures([folder], recursive=True)
    names = ["a.JPG", "b.png", "linked.png", "once/z.png"]
    assert [path.relative_to(folder).as_posix() for path in found] == names
    assert "9 other entries" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(elsewhere)
    assert find_pictures([tmp_path / "link"]) == [tmp_path / "link" / "z.png"]


def test_too_many_folders_within_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(sys.getrecursionlimit()):
        os.mkdir("a")
        os.chdir("a")
    monkeypatch.chdir(tmp_path)
    with fails("Folder . has too many folders within folders"):
        find_pictures(["."], recursive=True)
    # By its parts: the whole is too deep for pytest to remove.
    subprocess.run(["rm", "-r", "a"], check=True)


def test_a_pipe_in_a_folder_is_passed_over_and_one_that_is_named_is_read(tmp_path, capsys):
    (tmp_path / "a.png").touch()
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert find_pictures([tmp_path]) == [tmp_path / "a.png"]
    assert "(pipe.png)" in capsys.readouterr().err
    assert find_pictures([pipe]) == [pipe]


def test_nothing_found(tmp_path):
    with fails(f"No picture {tmp_path / 'none.png'}"):
        find_pictures([tmp_path / "none.png"])
    with fails(f"No picture in folder {tmp_path}"):
        find_pictures([tmp_path])
    (tmp_path / "notes.txt").touch()
    (tmp_path / "deep").mkdir()
    with fails(
        f"No picture in folder {tmp_path}, only 1 other entry (notes.txt) and 1 subfolder "
        "(--recursive enters them)"
    ):
        find_pictures([tmp_path])
    with fails(f"No picture {tmp_path / 'notes.txt' / 'a.png'}: Not a directory"):
        find_pictures([tmp_path / "notes.txt" / "a.png"])
    with pytest.raises(UserError, match="^No picture a{300}: File name too long$"):
        find_pictures(["a" * 300])


def test_standard_input_is_read_once():
    assert find_pictures(["-", __file__]) == [STANDARD_INPUT, Path(__file__)]
    with fails("Standard input (-) can be read once, but is named twice"):
        find_pictures(["-", "-"])


def test_bytes(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"12345")
    assert read_bytes(path) == b"12345"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"54321")))
    assert read_bytes(STANDARD_INPUT) == b"54321"
    monkeypatch.setattr(sys, "stdin", None)  # closed by the shell
    assert read_bytes(STANDARD_INPUT) == b""


def test_what_never_ends_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(picture_files, "MOST_BYTES", 1 << 20)
    with pytest.raises(UserError, match="^Cannot read picture /dev/zero: larger than "):
        read_bytes(Path("/dev/zero"))


@pytest.mark.parametrize("name, text", [
    ("a b.png", "a b.png"), ("käse ☃.png", "käse ☃.png"), ("[x]\\d.png", "[x]\\d.png"),
    (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"), ("a\nb\t\x1b[31m.png", r"a\nb\t\x1b[31m.png"),
    ("\u202egnp.exe", r"\u202egnp.exe"), ("\ud800", r"\ud800"),
])  # fmt: skip
def test_names_are_printable(name, text):
    assert shown(name) == shown(Path(name)) == text
    assert text.isprintable() and text.encode()


def test_formats_that_start_programs_are_not_read():
    assert not {"EPS", "IPTC", "WMF", "MPEG"} & set(formats())
    assert {"PNG", "JPEG", "GIF", "TIFF", "WEBP", "AVIF", "DDS", "BLP"} <= set(formats())
    assert set(formats()) <= set(Image.OPEN)
