import os
import shlex
import subprocess
import sys

import pytest

from model.common.invocation import command


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Makes the program `name`, below the folder that is current, the interpreter that runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")

    def use(name):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.symlink_to(sys.executable)  # as venv makes it
        monkeypatch.setattr(sys, "executable", str(program))
        return program

    return use


def test_below_the_current_folder(environment):
    environment(".venv/bin/python")
    assert command("firmware", "info") == ".venv/bin/python -m firmware info"


def test_in_the_current_folder(environment):
    environment("python")
    assert command("firmware") == "./python -m firmware"


@pytest.mark.parametrize("name", ["python3.11", "python"])
def test_on_path(name, environment, tmp_path, monkeypatch):
    program = environment(f"there/{name}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir("here")
    assert command("firmware") == f"{program} -m firmware"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command("firmware") == f"{name} -m firmware"


def test_another_of_that_name_on_path(environment, tmp_path, monkeypatch):
    program = environment("there/python")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "python").symlink_to(sys.executable)
    monkeypatch.chdir("here")
    monkeypatch.setenv("PATH", str(tmp_path / "here"))
    assert command("firmware") == f"{program} -m firmware"


def test_words_are_quoted_as_the_shell_needs_it(environment, tmp_path):
    environment("a b/python")
    text = command("firmware", "--flash", tmp_path / "it's.bin", "classify", "IMAGE...")
    assert text.startswith("'a b/python' -m firmware --flash ")
    assert text.endswith(" classify IMAGE...")
    assert shlex.split(text)[4] == str(tmp_path / "it's.bin")


def test_it_runs_as_it_is_printed(environment):
    """Pasted into a shell in the same folder."""
    environment("an environment/bin/python")
    text = command("this", "it's", "*", "$HOME")
    done = subprocess.run(
        ["/bin/sh", "-c", text.replace("-m this", "-c 'import sys; print(sys.argv[1:])'")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "[\"it's\", '*', '$HOME']\n", done.stderr


def test_the_current_folder_is_gone(environment, tmp_path, monkeypatch):
    program = environment("python")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir("gone")
    os.rmdir(tmp_path / "gone")
    assert command("firmware") == f"{program} -m firmware"
