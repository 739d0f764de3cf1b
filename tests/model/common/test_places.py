import os
import re
import subprocess
import sys

import pytest

from model.common.errors import UserError
from model.common.places import cache_folder, state_folder

BOTH = [(cache_folder, "DECISIVENETS_CACHE"), (state_folder, "DECISIVENETS_STATE")]


@pytest.mark.parametrize("folder, variable", BOTH)
@pytest.mark.parametrize("name", ["a", "not there/with a space/ä"])
def test_the_variable_names_it(folder, variable, name, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, str(tmp_path / name))
    assert folder() == tmp_path / name and (tmp_path / name).is_dir()
    assert folder() == tmp_path / name  # as it is there already


@pytest.mark.parametrize("folder, variable", BOTH)
def test_a_relative_name_is_made_absolute(folder, variable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here/../there")
    assert folder() == tmp_path / "there" and (tmp_path / "there").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG's folders are those of Linux")
@pytest.mark.parametrize("folder, variable, xdg, default", [
    (cache_folder, "DECISIVENETS_CACHE", "XDG_CACHE_HOME", ".cache"),
    (state_folder, "DECISIVENETS_STATE", "XDG_STATE_HOME", ".local/state"),
])  # fmt: skip
@pytest.mark.parametrize("unset", [True, False])
def test_without_it(folder, variable, xdg, default, unset, tmp_path, monkeypatch):
    """Unset or empty is the same: the user's own folder."""
    monkeypatch.setenv(variable, "")
    if unset:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(xdg, raising=False)
    assert folder() == tmp_path / default / "decisivenets"
    monkeypatch.setenv(xdg, str(tmp_path / "xdg"))
    assert folder() == tmp_path / "xdg" / "decisivenets" and folder().is_dir()


@pytest.mark.parametrize("folder, variable", BOTH)
@pytest.mark.parametrize("name, reason", [
    ("file", "File exists"), ("file/below", "Not a directory"), ("x" * 300, "File name too long"),
])  # fmt: skip
def test_a_folder_that_cannot_be_made(folder, variable, name, reason, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / name))
    text = (
        f"The folder {tmp_path / name} cannot be made ({reason}): name another one with the "
        f"environment variable {variable}"
    )
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        folder()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not even root's")
@pytest.mark.parametrize("folder, variable", BOTH)
def test_a_folder_that_cannot_be_written(folder, variable, monkeypatch):
    monkeypatch.setenv(variable, "/proc")
    with pytest.raises(UserError, match=f"^The folder /proc cannot be written into .*{variable}$"):
        folder()


@pytest.mark.parametrize("program", [["sim", "--board", "icebreaker", "--images", "1"],
                                     ["sim.board", "--cycles", "1"]])  # fmt: skip
def test_programs_say_so_in_a_line(program, tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", *program],
        capture_output=True,
        text=True,
        env={**os.environ, "DECISIVENETS_CACHE": str(tmp_path / "file" / "below")},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "variable DECISIVENETS_CACHE" in done.stderr


def test_no_heavy_import():
    script = (
        "import sys, model.common.places; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
