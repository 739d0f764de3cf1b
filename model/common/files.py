"""Files that a program writes: whole or not at all, checked before the work, one writer at a time.

Only the standard library is needed, and filelock for locks.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model.common.errors import UserError

__all__ = ["check_output", "in_build", "locked", "output_folder", "write", "write_or_print"]


def write(path: Path, data: bytes | str, *, durable: bool = False) -> None:
    """Write `data` (text as UTF-8) to a temporary name beside `path`, then rename it.

    Readers see the old file or the new one. The name is this writer's own: two programs cannot
    write into one another's. `durable` waits until the disk has it, before it is renamed. An
    `OSError` names `path`.
    """
    # Not tempfile's: that one is private, and this is to have the permissions of any new file.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # the one that matters is on its way
            temporary.unlink()


def write_or_print(output: Path | None, text: str) -> None:
    """Write a text to the file that a program was given; None prints the text as it is."""
    if output is None:
        print(text, end="")
    else:
        write(output, text)


def check_output(text: str | Path, what: str, *, keep: Path | None = None) -> Path:
    """The path of a file to write, or a `UserError` that names `what`; before the work begins.

    Refused are an empty name, a folder, a device, a folder that does not exist or cannot be
    written, and `keep`, the file that is read.
    """
    path = Path(text)
    if not str(text).strip() or path.name in ("", ".", ".."):
        raise UserError(f"{what} needs the name of a file, not {str(text)!r}")
    if path.is_dir():
        raise UserError(f"{what} {path} is a folder: give the name of a file")
    if path.exists() and not path.is_file():
        raise UserError(f"{what} {path} is a device, not a file: give the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"{what} {path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"{what} {path}: nothing can be written into the folder {path.parent}")
    if keep is not None and path.exists() and keep.exists() and path.samefile(keep):
        raise UserError(f"{what} {path} is the file that is read: give another name")
    return path


def in_build(program: str, name: str) -> Path:
    """Where a program writes what the user gave no name for: build/PROGRAM/NAME, the folder made.

    Signs of `name` that are not letters, digits, dots or hyphens become "_".
    """
    folder = output_folder(Path("build") / program, "The default of --output")
    return folder / re.sub(r"[^\w.-]", "_", name)


def output_folder(text: str | Path, what: str) -> Path:
    """The folder to write into, made and tried now, or a `UserError` that names `what`."""
    if not str(text).strip():
        raise UserError(f"{what} needs the name of a folder, not {str(text)!r}")
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UserError(
            f"{what}: nothing can be written into the folder {folder}: {error.strerror}"
        ) from None


@contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is made, and removed at the end.

    Waits for another holder; where `busy` is given, that text is a `UserError` instead. The lock
    ends with the process; the file of a killed one stays, and holds nobody up.
    """
    from filelock import FileLock, Timeout

    # A marker in place of a lock, for file systems without locks, would outlive a killed process.
    lock = FileLock(path, blocking=busy is None, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(str(busy)) from None
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: a file that others may hold is never removed
        lock.release()
