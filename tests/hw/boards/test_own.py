"""A board of a user's own: `docs/new-board.md`, followed word for word, and files that are none."""

import re
import shlex
import subprocess
import sys

import pytest

from hw.boards import find_board
from hw.flow.steps import Workspace, elaborate
from model.common.errors import UserError
from tests.programs import ROOT

PAGE = (ROOT / "docs/new-board.md").read_text("utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(CONSOLE,) = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for line in CONSOLE.splitlines()]
NAME = "my_board.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the file of the page, in which a user works."""
    assert f"Write `{NAME}`" in PAGE
    (tmp_path / NAME).write_text(CODE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def follow(command):
    """What the command prints."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-m"]
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_about_a_page_of_code():
    assert len(CODE.splitlines()) <= 45
    assert [shlex.split(command)[2] for command in COMMANDS] == [
        "hw.boards", "hw.build", "hw.build", "firmware",
    ]  # fmt: skip


def test_the_commands_that_take_seconds(folder):
    assert "my_board" in follow(COMMANDS[0])
    assert "on My board (iCE40UP5K), 16 lanes, 36 MHz" in " ".join(follow(COMMANDS[1]).split())


@pytest.mark.slow
def test_the_commands_that_take_minutes(folder):
    follow(COMMANDS[2])
    assert (folder / "build/my_board/top.bin").is_file()
    follow(COMMANDS[3])
    assert (folder / "build/my_board/flash.bin").is_file()


def test_the_design_has_the_pins_of_the_page(folder, tmp_path):
    board = find_board(NAME)
    work = Workspace(directory=tmp_path)
    elaborate(board, board.make_top(board.capability, board.default_clock_mhz), work)
    places = re.findall(r"set_io \S+ (\w+)", (tmp_path / "top.pcf").read_text())
    assert sorted(places, key=int) == sorted(
        ["35", "6", "9", "16", "15", "14", "17", "37", "11", "10"], key=int
    )


@pytest.mark.parametrize("text, message", [
    (None, "No board file my_board.py"),
    ("x = 1", "Board file my_board.py has no `BOARD = Board(...)` (hw.boards.Board)"),
    ("BOARD = 'icebreaker'", "Board file my_board.py has no `BOARD = Board(...)` "
     "(hw.boards.Board)"),
    ("BOARD =", "Board file my_board.py fails: SyntaxError: invalid syntax (my_board.py, line 1)"),
    ("import nothing_such", "Board file my_board.py fails: ModuleNotFoundError: No module named "
     "'nothing_such'"),
    ("raise SystemExit(3)", "Board file my_board.py fails: SystemExit: 3"),
    ("from hw.boards.up5k import up5k_board\nBOARD = up5k_board(name='x')",
     "Board file my_board.py fails: TypeError: "),
])  # fmt: skip
def test_files_that_are_no_board(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / NAME).write_text(text)
    with pytest.raises(UserError) as caught:
        find_board(NAME)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_folder_is_no_board(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    with pytest.raises(UserError, match="No board file my_board.py"):
        find_board(NAME)
