"""Files of the user's that hide our packages: said in one line; the command does not see them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

PLAN = ("hw.build", "--board", "icebreaker", "--plan")
HELP = ("firmware", "--help")
SCRIPT = "import sys\nfrom firmware.decisivenets import main\nsys.exit(main())\n"


def run(folder, *words, path=(ROOT,)):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, words)],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


def write(folder, name):
    """A file, a package, or for "NAME/" a bare folder of that name; returns what hides ours."""
    place = folder / name
    if name.endswith("/"):
        (place / "pictures").mkdir(parents=True)
    else:
        place.parent.mkdir(exist_ok=True)
        place.write_text("raise SystemExit('the file of the user was run')\n")
    return place.parent if place.name == "__init__.py" else place


@pytest.mark.parametrize(
    "name, hidden, program",
    [
        ("model.py", "model", PLAN),
        ("model/__init__.py", "model", PLAN),
        ("sim.py", "sim", PLAN),
        ("model.py", "model", HELP),
        ("hw/__init__.py", "hw", HELP),
        ("hw.py", "hw", HELP),
        ("sim/__init__.py", "sim", HELP),
        ("hw.py", "hw", ("sim", "--help")),
        ("model.py", "model", ("sim.board", "--help")),
    ],
)
def test_hidden_package(name, hidden, program, tmp_path):
    place = write(tmp_path, name)
    done = run(tmp_path, "-m", *program)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"error: {place} hides the package {hidden!r} of decisivenets: run `decisivenets`, or "
        "`python -P -m ...`, or from another folder (docs/command.md)\n"
    )


@pytest.mark.parametrize("name", ["model.py", "model/__init__.py", "hw.py", "hw/__init__.py"])
def test_what_the_message_advises(name, tmp_path):
    write(tmp_path, name)
    assert run(tmp_path, "-P", "-m", *PLAN).returncode == 0
    other = tmp_path / "other"
    other.mkdir()
    assert run(other, "-m", *PLAN).returncode == 0


@pytest.mark.parametrize(
    "name, program",
    [
        ("model/", PLAN), ("hw/", PLAN), ("hw/", HELP), ("sim/", PLAN), ("firmware/", HELP),
        ("firmware.py", PLAN), ("hw.py", ("model.show", "dham8-up5k")),
    ],
)  # fmt: skip
def test_what_hides_nothing_that_the_program_needs(name, program, tmp_path):
    write(tmp_path, name)
    done = run(tmp_path, "-m", *program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["model.py", "model/__init__.py", "hw/__init__.py", "sim.py", "firmware.py", "hw/"]
)
def test_the_command_does_not_look_into_the_current_folder(name, tmp_path):
    bin_folder, here = tmp_path / "bin", tmp_path / "here"
    bin_folder.mkdir()
    here.mkdir()
    script = bin_folder / "decisivenets"  # what `pip` writes there
    script.write_text(SCRIPT)
    write(here, name)
    for words in (("plan", "--board", "icebreaker"), ("show", "dham8-up5k"), ("info", "--help")):
        done = run(here, script, *words)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_command_says_what_hides_a_package_on_the_path(tmp_path):
    bin_folder, other = tmp_path / "bin", tmp_path / "other"
    bin_folder.mkdir()
    other.mkdir()
    script = bin_folder / "decisivenets"
    script.write_text(SCRIPT)
    place = write(other, "hw.py")
    done = run(tmp_path, script, "info", path=(other, ROOT))
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {place} hides the package 'hw' of decisivenets: rename it, or take its folder off "
        "PYTHONPATH (docs/command.md)\n"
    )


def test_programs_of_others_are_left_alone(tmp_path):
    """They may have a `sim.py` of their own, and import from `hw` what does not need ours."""
    (tmp_path / "sim.py").write_text("MINE = True\n")
    (tmp_path / "mine.py").write_text("import hw.capability, sim\nassert sim.MINE\n")
    done = run(tmp_path, Path("mine.py"))
    assert done.returncode == 0, done.stderr


def test_a_plan_within_a_search_is_ours(tmp_path):
    write(tmp_path, "hw.py")
    code = (
        "from model.searching.cycles import BoardCycles; print(BoardCycles('icebreaker').clock_hz)"
    )
    done = run(tmp_path, "-P", "-c", code)
    assert done.stdout == "36000000.0\n", done.stderr
