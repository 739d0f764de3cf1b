"""The command that is recorded with a network names no folder and no device."""

import pytest

from model.train_options import command_line


@pytest.mark.parametrize(
    "arguments, kept",
    [
        ("--seed 3 --data /a/b --output=/c --resume --device cuda --compile", "--seed 3"),
        ("--teacher /a/b/t.pt --distil 0.3", "--teacher t.pt --distil 0.3"),
        ("--teacher=/a/b/t.pt --output x --name data", "--teacher t.pt --name data"),
    ],
)
def test_command(arguments, kept):
    assert command_line(arguments.split()) == f"python -m model.train {kept}"
