"""The flash image that `--port sim` takes where the user names none: that of the last `flash`.

`flash` leaves a record of it in the user's state folder, so that it is found from any folder; where
there is none, an image without a bitstream is made there. The simulated board writes what it learns
into the image, so a record knows it by what does not change with that.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from firmware.flash_image import FlashImage, FlashImageError, parse
from firmware.layout import LEARNED_BYTES, LEARNED_SLOTS, flash_offset
from hw.boards import DEFAULT_BOARD, Board, find_board
from model import zoo
from model.common.errors import UserError
from model.common.files import locked, write
from model.common.places import state_folder
from model.network import Network, load

__all__ = ["last_board", "remember", "simulated_image"]

_RECORD = "flash.json"
_ERASED = 0xFF


def remember(image: Path, content: bytes, board: Board, file: Path | None = None) -> None:
    """Leave the record of a flash image that was just written; a warning if that fails.

    `file` is the one that describes the board, if it is a board of the user's own.
    """
    record = {
        "image": str(image.resolve()),
        "sha256": _digest(content, board),
        "board": board.name,
        "board_file": None if file is None else str(file.resolve()),
    }
    try:
        write(state_folder() / _RECORD, json.dumps(record, indent=2) + "\n")
    except (UserError, OSError) as error:
        print(f"warning: `--port sim` will not find this image: {error}", file=sys.stderr)


def last_board() -> Board:
    """The board of the last image that `flash` made; the default one if there is no such record."""
    try:
        known = json.loads((state_folder() / _RECORD).read_text("utf-8"))
        return find_board(known.get("board_file") or known["board"])
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return DEFAULT_BOARD


def simulated_image(
    network_name: str | None, board: Board, make: Callable[[Board, Network], FlashImage]
) -> Path:
    """The flash image for a simulated board: the last one that `flash` made, or one of our own.

    `make` makes one without a bitstream, of the network named (None: the default one); it is kept
    in the state folder, one for each network, with what is learned on it. A record that leads
    nowhere is passed over, with a line.
    """
    path, why = _recorded(board)
    if path is not None:
        return path
    network = load(zoo.find(network_name or board.network))
    made = state_folder() / f"simulated-{board.name}-{str(network.sha256)[:16]}.bin"
    if why:
        print(f"{why}: {made} is simulated instead", file=sys.stderr)
    with locked(made.with_suffix(".lock")):  # two at once make it once
        if _unsound(made, board):
            write(made, make(board, network).bytes)
    return made


def _recorded(board: Board) -> tuple[Path | None, str]:
    """The image that the record leads to; else None, and why not ("" where there is no record)."""
    record = state_folder() / _RECORD
    try:
        known = json.loads(record.read_text("utf-8"))
        path, digest, name = Path(known["image"]), known["sha256"], known["board"]
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"The record of the last flash image, {record}, is damaged"
    if name != board.name:
        return None, f"The last flash image, {path}, is for the board {name}"
    what = f"The last flash image, {path},"
    if not path.is_file():
        return None, f"{what} is gone"
    if unsound := _unsound(path, board):
        return None, f"{what} cannot be used ({unsound})"
    if _digest(path.read_bytes(), board) != digest:
        return None, f"{what} is not the one that was made"
    return path, ""


def _unsound(path: Path, board: Board) -> str:
    """Why a file is no flash image for this version and board; "" if it is one."""
    try:
        parse(path.read_bytes(), board.capability)
    except FlashImageError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror or error)
    return ""


def _digest(content: bytes, board: Board) -> str:
    """SHA-256 of an image without what was learned on it."""
    plain = bytearray(content)
    for start in (flash_offset(board.capability) + slot for slot in LEARNED_SLOTS):
        plain[start : start + LEARNED_BYTES] = bytes([_ERASED]) * LEARNED_BYTES
    return hashlib.sha256(plain).hexdigest()
