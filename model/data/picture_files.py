"""Pictures as files: found by name, in folders or on standard input, and read as bytes.

What a file's bytes show is decided by `model.data.pictures`; nothing is decoded here.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from model.common.errors import UserError

__all__ = [
    "MOST_BYTES",
    "STANDARD_INPUT",
    "find_pictures",
    "formats",
    "note",
    "read_bytes",
    "shown",
]

STANDARD_INPUT = Path("-")
"""Stands for one picture on standard input."""

MOST_BYTES = 1 << 30
"""The largest file that is read."""

REFUSED = frozenset({"BUFR", "EPS", "FPX", "GRIB", "HDF5", "IPTC", "MIC", "MPEG", "WMF"})
"""Formats of Pillow that are not read. EPS starts a program, IPTC may hold EPS, Windows draws WMF,
FPX and MIC are pictures inside a file system, and of the others Pillow reads no pixels."""

_NAMED = 3  # of the entries that are passed over, how many a message names


def formats() -> list[str]:
    """The formats that are read: all that Pillow opens, without `REFUSED`."""
    Image.init()
    return [name for name in Image.ID if name not in REFUSED]


def shown(name: str | Path) -> str:
    """A name as it can be printed everywhere: no control character, no byte that is not UTF-8.

    Such a byte, which Python keeps as a surrogate, is written as in ``caf\\xe9.png``.
    """
    return "".join(one if one.isprintable() else _escaped(one) for one in str(name))


def _escaped(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def note(text: str) -> None:
    """Tell the user, on stderr, what was decided without asking."""
    print(f"note: {text}", file=sys.stderr)


def find_pictures(names: Iterable[str | Path], *, recursive: bool = False) -> list[Path]:
    """The files named, and of each folder named all pictures in it, by name; "-" stays as it is.

    A file that is named is taken whatever it is called. In a folder, pictures are the files whose
    suffix is that of a format that is read; with `recursive` also those of its subfolders. What
    is passed over is counted on stderr. Raises `UserError` for a name that is neither, for a
    folder without pictures, and for a second "-".
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path == STANDARD_INPUT:
            if path in found:
                raise UserError("Standard input (-) can be read once, but is named twice")
            found.append(path)
            continue
        try:
            kind = path.stat().st_mode
        except FileNotFoundError:
            raise UserError(f"No picture {shown(path)}") from None
        except OSError as error:
            raise UserError(f"No picture {shown(path)}: {error.strerror}") from error
        found += _of_folder(path, recursive) if stat.S_ISDIR(kind) else [path]
    return found


def read_bytes(path: Path) -> bytes:
    """What is in a file, or on standard input.

    Raises `OSError`, and `UserError` for more than `MOST_BYTES`; a device may never end.
    """
    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read(MOST_BYTES + 1) if sys.stdin else b""  # closed
    else:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"Cannot read picture {shown(path)}: larger than {MOST_BYTES >> 30} GiB")
    return data


# --- folders --------------------------------------------------------------------------------------


@dataclass
class _PassedOver:
    """What a folder holds besides the pictures that are taken."""

    entries: list[str] = field(default_factory=list)
    subfolders: int = 0

    def __str__(self) -> str:
        parts = []
        if self.entries:
            named = ", ".join(self.entries[:_NAMED]) + (", …" if len(self.entries) > _NAMED else "")
            parts.append(f"{_count(len(self.entries), 'other entry', 'other entries')} ({named})")
        if self.subfolders:
            parts.append(
                f"{_count(self.subfolders, 'subfolder', 'subfolders')} (--recursive enters them)"
            )
        return " and ".join(parts)


def _of_folder(folder: Path, recursive: bool) -> list[Path]:
    readable = set(formats())
    suffixes = {suffix for suffix, one in Image.registered_extensions().items() if one in readable}
    passed = _PassedOver()
    try:
        pictures = list(_walk(folder, folder, suffixes, recursive, passed, set()))
    except RecursionError:
        raise UserError(f"Folder {shown(folder)} has too many folders within folders") from None
    if not pictures:
        besides = f", only {passed}" if str(passed) else ""
        raise UserError(f"No picture in folder {shown(folder)}{besides}")
    if str(passed):
        taken = _count(len(pictures), "picture", "pictures")
        note(f"folder {shown(folder)}: {taken} taken; passed over: {passed}")
    return pictures


def _walk(
    top: Path,
    folder: Path,
    suffixes: set[str],
    recursive: bool,
    passed: _PassedOver,
    entered: set[tuple[int, int]],
) -> Iterator[Path]:
    """Pictures below `folder`, by name; a folder is `entered` once, whatever links lead to it."""
    try:
        entered.add(_identity(folder))
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"Cannot read folder {shown(folder)}: {error.strerror}") from error
    for entry in entries:
        usable = not entry.name.startswith(".") and os.access(entry, os.R_OK)
        if usable and entry.is_dir() and not recursive:
            passed.subfolders += 1
        elif usable and entry.is_dir() and _identity(entry) not in entered:
            yield from _walk(top, entry, suffixes, recursive, passed, entered)
        elif usable and entry.is_file() and entry.suffix.lower() in suffixes:
            yield entry
        else:
            passed.entries.append(shown(entry.relative_to(top)))


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
