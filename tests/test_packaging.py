"""What `pip` installs: every source file, nothing else; it works away from the sources."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.programs import PACKAGES, ROOT


def sources():
    """Files of the packages: those that git has, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
         *PACKAGES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def top_level():
    return {p.name for p in ROOT.iterdir()} - {".pytest_cache", ".ruff_cache", ".mypy_cache"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, as `pip wheel .` makes it; the tree is left as it was."""
    folder = tmp_path_factory.mktemp("wheel")
    before = top_level()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, "."],
        cwd=ROOT, check=True,
    )  # fmt: skip
    assert top_level() == before
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's files in a folder, as `pip` puts them into site-packages."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def names(archive):
    return {n for n in zipfile.ZipFile(archive).namelist() if ".dist-info/" not in n}


def test_every_source_file_is_in_the_wheel_and_nothing_else(wheel):
    found = sources()
    assert len(found) > 150
    assert names(wheel) == found


def test_what_programs_read_is_among_the_files(wheel):
    """Files that are no Python: a rule that loses them would lose them from both lists above."""
    found = names(wheel)
    assert found >= {
        "model/zoo/dham8-up5k.dham", "model/dham/fused.cpp", "model/data/cifar_fs.json",
        "model/explain/page.html", "firmware/device/main.c", "firmware/device/device.h",
        "sim/board/board.cpp", "sim/board/board.h",
    }  # fmt: skip


def test_builds_of_the_user_are_neither_packed_nor_touched(tmp_path):
    """On a copy of the sources, with a bitstream and leavings in the places where they may be."""
    copy = tmp_path / "copy"
    for name in sources() | {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    mine = {
        "build/icebreaker/top.bin": "bits", "build/lib/hw/old.py": "old", "runs/a.pt": "weights",
        "model/__pycache__/a.pyc": "", "decisivenets.egg-info/PKG-INFO": "old",
    }  # fmt: skip
    for name, text in mine.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(text)
    before = sorted(path.relative_to(copy) for path in copy.rglob("*"))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "made"],
        cwd=copy, check=True, capture_output=True,
    )  # fmt: skip
    (made,) = (tmp_path / "made").glob("*.whl")
    assert names(made) == sources()
    assert sorted(path.relative_to(copy) for path in copy.rglob("*")) == before
    assert all((copy / name).read_text() == text for name, text in mine.items())


def run(installed, folder, *words, **options):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", *words],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "-m hw.build --board icebreaker --plan",
        "-m model.show resnet8-l2",
        "-m model.multiplications --network dham8",
        "-m firmware.compile --board icebreaker --output device.bin",
        "-m firmware.decisivenets plan --board icebreaker",
        "-m firmware.decisivenets --version",
        "-c import\tmodel.explain.page,hw,os;print(hw.__file__)",
    ],
)
def test_works_away_from_the_sources(words, installed, tmp_path):
    done = run(installed, tmp_path, *(word.replace("\t", " ") for word in words.split(" ")))
    assert done.returncode == 0, done.stderr
    if "hw.__file__" in words:
        assert done.stdout.strip() == str(installed / "hw" / "__init__.py")


def test_without_a_checkout_the_commit_is_unknown(installed, tmp_path):
    code = "from model.training.origin import commit_of; print(commit_of())"
    assert run(installed, tmp_path, "-c", code).stdout == "unknown\n"


def test_explanation_away_from_the_sources(installed, tmp_path):
    from PIL import Image

    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "red.png")
    done = run(installed, tmp_path, "-m", "firmware.decisivenets", "explain", "red.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "build/explain/red.html").stat().st_size > 10_000
