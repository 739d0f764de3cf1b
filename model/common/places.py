"""Folders that the user did not name: the one place that says where anything unasked is written.

`cache_folder` holds what can be made again (compiled simulations), `state_folder` what a program
keeps from one run to the next. Each is its environment variable's, else the system's own for the
user: on Linux those of the XDG base directory specification.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

from model.common.errors import UserError

__all__ = ["cache_folder", "state_folder"]

_NAME = "decisivenets"


def cache_folder() -> Path:
    """What can be made again: $DECISIVENETS_CACHE, or the user's cache folder. It is made.

    Raises `UserError`, which names the variable, if it cannot be made, or not be written into.
    """
    return _made("DECISIVENETS_CACHE", platformdirs.user_cache_path)


def state_folder() -> Path:
    """What is kept from run to run: $DECISIVENETS_STATE, or the user's state folder. It is made.

    Raises `UserError`, which names the variable, if it cannot be.
    """
    return _made("DECISIVENETS_STATE", platformdirs.user_state_path)


def _made(variable: str, default: Callable[..., Path]) -> Path:
    chosen = os.environ.get(variable)
    # Absolute: a program that changes its folder on the way keeps to the same one.
    folder = Path(os.path.abspath(chosen)) if chosen else default(_NAME, appauthor=False)
    doing = "made"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        doing = "written into"
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, ValueError) as error:  # a null character in its name is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"The folder {folder} cannot be {doing} ({reason}): name another one with the "
            f"environment variable {variable}"
        ) from None
