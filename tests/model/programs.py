"""How the tests run a program on bad input."""

import sys
from collections.abc import Callable, Sequence

import pytest

from model.common.errors import run_cli


def refusal(
    main: Callable[..., int | None],
    arguments: Sequence[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The one line that a program says to bad input, before it ends with status 2."""
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        run_cli(main)()
    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err
