"""Which flash image `--port sim` takes where the user names none. The images are real ones."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from firmware.drawings import drawings
from firmware.flash_image import make_flash_image
from firmware.layout import LEARNED_BYTES, LEARNED_SLOTS, SECTIONS
from firmware.recent import last_board, remember, simulated_image
from hw.boards import BOARDS
from hw.soc.addresses import firmware_copy
from model import zoo
from model.network import load

BOARD = BOARDS["icebreaker"]


@pytest.fixture(scope="session")
def packed():
    network = load(zoo.find())
    return make_flash_image(
        bitstream=None, copy=firmware_copy(bytes(range(1, 256)) * 20), network=network,
        capability=BOARD.capability, demo=drawings(network),
    )  # fmt: skip


@pytest.fixture
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setenv("DECISIVENETS_STATE", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def make(packed):
    """Makes images; `make.calls` are the networks' names."""

    def make(board, network):
        make.calls.append(network.name)
        assert board is BOARD
        return packed

    make.calls = []
    return make


def never(board, network):
    raise AssertionError("an image is made")


@pytest.fixture
def flashed(packed, tmp_path, state):
    """The image of the last `flash`, by a relative name."""
    (tmp_path / "flash.bin").write_bytes(packed.bytes)
    remember(tmp_path / ".." / tmp_path.name / "flash.bin", packed.bytes, BOARD)
    return tmp_path / "flash.bin"


def test_the_last_one_from_any_folder(flashed, tmp_path, monkeypatch, capsys):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert simulated_image(None, BOARD, never) == flashed and flashed.is_absolute()
    assert capsys.readouterr().err == ""
    record = json.loads((tmp_path / "state" / "flash.json").read_text())
    assert set(record) == {"image", "sha256", "board", "board_file"} and len(record["sha256"]) == 64


def test_with_what_was_learned_on_it(flashed):
    """The simulated board writes that into the image, which stays the same image."""
    content = bytearray(flashed.read_bytes())
    for slot in LEARNED_SLOTS:
        content[slot] = content[slot + LEARNED_BYTES - 1] = 7
    flashed.write_bytes(content)
    assert simulated_image(None, BOARD, never) == flashed


def test_the_later_one(flashed, packed, tmp_path):
    (tmp_path / "later.bin").write_bytes(packed.bytes)
    remember(tmp_path / "later.bin", packed.bytes, BOARD)
    assert simulated_image(None, BOARD, never) == tmp_path / "later.bin"


def change(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def gone(path, state):
    path.unlink()


def no_image(path, state):
    path.write_bytes(b"something else")


def one_byte(path, state):
    change(path, 100)  # where the bitstream is: the rest is sound


def one_weight(path, state):
    change(path, SECTIONS + 100)


def folder(path, state):
    path.unlink()
    path.mkdir()


def other_board(path, state):
    record = json.loads((state / "flash.json").read_text())
    (state / "flash.json").write_text(json.dumps(record | {"board": "another"}))


@pytest.mark.parametrize("spoil, why", [
    (gone, "The last flash image, {path}, is gone"),
    (folder, "The last flash image, {path}, is gone"),
    (no_image, "The last flash image, {path}, cannot be used (The flash image is truncated: "),
    (one_byte, "The last flash image, {path}, is not the one that was made"),
    (one_weight, "The last flash image, {path}, cannot be used (Section WEIGHTS is damaged: "),
    (other_board, "The last flash image, {path}, is for the board another"),
])  # fmt: skip
def test_a_record_that_leads_nowhere_is_passed_over(spoil, why, flashed, state, make, capsys):
    spoil(flashed, state)
    found = simulated_image(None, BOARD, make)
    assert found.parent == state and make.calls == [zoo.DEFAULT]
    err = capsys.readouterr().err
    assert err.startswith(why.format(path=flashed)) and err.count("\n") == 1
    assert err.endswith(f": {found} is simulated instead\n")


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", "{}", '{"image": 3, "sha256": "", "board": 1}', "\0", "\x80",
])  # fmt: skip
def test_a_damaged_record(text, state, make, capsys):
    state.mkdir()
    (state / "flash.json").write_bytes(text.encode("latin-1"))
    assert simulated_image(None, BOARD, make).parent == state
    assert capsys.readouterr().err.startswith(
        f"The record of the last flash image, {state}/flash.json, is damaged: "
    )


def test_one_of_our_own_where_there_is_none(state, make, packed, tmp_path, capsys):
    """Made once, with what it learns; nothing is written into the current folder."""
    path = simulated_image(None, BOARD, make)
    assert path.read_bytes() == packed.bytes and path.parent == state
    assert os.listdir(tmp_path) == ["state"] and os.listdir(state) == [path.name]
    change(path, LEARNED_SLOTS[0])
    learned = path.read_bytes()
    assert simulated_image(None, BOARD, make) == path and path.read_bytes() == learned
    assert make.calls == [zoo.DEFAULT] and capsys.readouterr().err == ""


def test_one_for_each_network(state, make):
    names = [name for name in zoo.names() if name != zoo.DEFAULT][:1]
    paths = [simulated_image(name, BOARD, make) for name in (None, *names, None)]
    assert paths[0] == paths[2] != paths[1] and make.calls == [zoo.DEFAULT, *names]


def test_one_of_an_earlier_version_is_made_anew(state, make, packed):
    path = simulated_image(None, BOARD, make)
    change(path, SECTIONS + 5)
    assert simulated_image(None, BOARD, make) == path and path.read_bytes() == packed.bytes
    assert len(make.calls) == 2


def test_two_at_once_make_it_once(state, make):
    def slowly(board, network):
        time.sleep(0.2)
        return make(board, network)

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(simulated_image(None, BOARD, slowly)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 3 and len(make.calls) == 1


def test_no_record_is_no_failure_of_flash(tmp_path, packed, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DECISIVENETS_STATE", str(tmp_path / "file"))
    remember(tmp_path / "flash.bin", packed.bytes, BOARD)
    err = capsys.readouterr().err
    assert err.startswith("warning: `--port sim` will not find this image: The folder ")
    assert "DECISIVENETS_STATE" in err and err.count("\n") == 1


def test_the_board_that_was_flashed_last(state, packed, tmp_path, monkeypatch):
    """Is the one that commands mean; one of a user's own by its file, from any folder."""
    assert last_board() is BOARD
    other = BOARDS["ulx3s_25f"]
    remember(tmp_path / "flash.bin", packed.bytes, other)
    assert last_board() is other
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\n"
        "from hw.boards import BOARDS\n"
        "BOARD = replace(BOARDS['icebreaker'], name='mine', title='Mine')\n"
    )
    (tmp_path / "elsewhere").mkdir()
    remember(tmp_path / "flash.bin", packed.bytes, replace(BOARD, name="mine"), Path("mine.py"))
    monkeypatch.chdir("elsewhere")
    assert last_board().title == "Mine"
    mine.unlink()
    assert last_board() is BOARD


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"board": 1}', '{"board": "x"}'])
def test_without_a_sound_record_the_default_board_is_meant(content, state):
    state.mkdir()
    (state / "flash.json").write_text(content)
    assert last_board() is BOARD
