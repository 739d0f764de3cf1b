"""Output files are whole or absent, refused before the work, and written by one at a time."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.common import files
from model.common.errors import UserError

ROOT = Path(__file__).parents[3]


def test_text_and_bytes(tmp_path):
    path = tmp_path / "a.txt"
    files.write(path, "ℓ = 4\n")
    assert path.read_bytes() == b"\xe2\x84\x93 = 4\n"
    files.write(path, b"\r\n\0", durable=True)
    assert path.read_bytes() == b"\r\n\0"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_two_writers_at_once(tmp_path, monkeypatch):
    """Each has a name of its own: both files are whole, and the last to finish stays."""
    path, names = tmp_path / "a.bin", set()
    replace = Path.replace

    def noted(self, target):
        names.add(self.name)
        data = self.read_bytes()
        assert len(data) == 100_000 and len(set(data)) == 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: files.write(path, bytes([n]) * 100_000), range(64)))
    data = path.read_bytes()
    assert len(names) == 64 and len(data) == 100_000 and len(set(data)) == 1
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("before")
    monkeypatch.setattr(files, "open", lambda *_: open("/dev/full", "wb"), raising=False)
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.write(path, "after")
    assert caught.value.filename == str(path)
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_rename_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write(tmp_path / "folder", "text")
    assert str(caught.value).endswith(f"Is a directory: '{tmp_path}/folder'")  # the user's name
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(FileNotFoundError) as missing:
        files.write(tmp_path / "none" / "a.txt", "text")
    assert missing.value.filename == f"{tmp_path}/none/a.txt"
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as under:
        files.write(tmp_path / "file" / "a.txt", "text")
    assert under.value.filename == f"{tmp_path}/file/a.txt"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_of_a_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        files.write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_check_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("read.txt").write_text("kept")
    Path("link.txt").symlink_to("read.txt")
    assert files.check_output("new.txt", "--output") == Path("new.txt")
    assert files.check_output("folder/new.txt", "--output", keep=Path("read.txt"))
    assert files.check_output("read.txt", "--output") == Path("read.txt")
    assert os.listdir("folder") == []

    def refused(text, **keywords):
        with pytest.raises(UserError) as caught:
            files.check_output(text, "--output", **keywords)
        return str(caught.value)

    for name in ("", " ", ".", "folder/.."):
        assert refused(name) == f"--output needs the name of a file, not {name!r}"
    assert refused("folder") == "--output folder is a folder: give the name of a file"
    assert refused("/dev/null") == (
        "--output /dev/null is a device, not a file: give the name of a file"
    )
    assert refused("none/a.txt") == "--output none/a.txt: the folder none does not exist"
    assert refused("read.txt/a") == "--output read.txt/a: the folder read.txt does not exist"
    for name in ("read.txt", "link.txt"):
        assert refused(name, keep=Path("read.txt")) == (
            f"--output {name} is the file that is read: give another name"
        )
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert refused("folder/a.txt") == (
        "--output folder/a.txt: nothing can be written into the folder folder"
    )


def test_output_folder(tmp_path):
    made = files.output_folder(tmp_path / "a" / "b", "--output")
    assert made == tmp_path / "a" / "b" and os.listdir(made) == []
    (tmp_path / "file").write_text("")
    for place, reason in (("file", "File exists"), ("file/under", "Not a directory")):
        with pytest.raises(UserError) as caught:
            files.output_folder(tmp_path / place, "--output")
        assert str(caught.value) == (
            f"--output: nothing can be written into the folder {tmp_path / place}: {reason}"
        )
    with pytest.raises(UserError, match="--output needs the name of a folder, not ''"):
        files.output_folder("", "--output")


HOLDER = """
import sys
from pathlib import Path
from model.common.files import locked
with locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_of_another_process(tmp_path):
    path = tmp_path / "a.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match="^another one works$"),
            files.locked(path, "another one works"),
        ):
            pytest.fail("two hold it")
        holder.kill()  # the lock goes with its process, its file stays
    assert path.exists()
    with files.locked(path, "another one works"):
        pass
    with files.locked(path):
        assert path.exists()
    assert not path.exists()


CONTENDER = """
import os, sys
from pathlib import Path
from model.common.files import locked
lock, held = map(Path, sys.argv[1:])
print("ready", flush=True)
sys.stdin.read(1)
for _ in range(2000):
    with locked(lock):
        os.close(os.open(held, os.O_CREAT | os.O_EXCL))  # FileExistsError: two hold it
        held.unlink()
"""


def test_one_holder_at_a_time_though_the_file_is_removed(tmp_path):
    """A lock on a file that its holder removed meanwhile is none."""
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, tmp_path / "a.lock", tmp_path / "held"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(4)
    ]
    for one in contenders:
        assert one.stdout.readline() == "ready\n"
    for one in contenders:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in contenders:
        _, text = one.communicate()
        assert one.returncode == 0, text
    assert os.listdir(tmp_path) == []


def test_a_lock_ends_with_an_error_too(tmp_path):
    with pytest.raises(KeyError), files.locked(tmp_path / "a.lock"):
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_lock_ends_with_the_block_even_where_a_child_lives(tmp_path):
    path = tmp_path / "a.lock"
    with files.locked(path, "busy"):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        with files.locked(path, "busy"):
            pass
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)


def test_what_the_user_gave_no_name_for_lies_in_build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.in_build("explain", "a b:c\udce9.html") == Path("build/explain/a_b_c_.html")
    assert os.listdir(tmp_path) == ["build"]
    (tmp_path / "build" / "onnx").touch()
    with pytest.raises(UserError, match="^The default of --output: nothing can be written into"):
        files.in_build("onnx", "a.onnx")
