"""The recorded command names no folder and no device; what --quick shortens."""

import pytest

from model.training.options import command_line, parse, recipe_of


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


@pytest.mark.parametrize("arguments, epochs", [("--quick", 1), ("--quick --epochs 3", 3)])
def test_quick_leaves_epochs_that_are_given(arguments, epochs):
    assert recipe_of(parse(arguments.split())).epochs == epochs
