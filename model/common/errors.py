"""One way to tell a user that something is wrong: a clear line on stderr and exit status 2.

Free of torch and numpy, so that every package can use it.
"""

import argparse
import contextlib
import functools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

from model.common.heartbeat import beating
from model.common.lookalikes import readable_streams

__all__ = [
    "Parser",
    "Terminated",
    "UserError",
    "how_stopped",
    "missing",
    "nearest",
    "run_cli",
    "starting",
    "without",
]

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
_PATIENCE = 2  # signals while a program cleans up, before it ends without


class UserError(Exception):
    """Something that the user can mend: wrong input, a missing file, a network that does not fit.

    Parameters
    ----------
    message : str
        One line: what is wrong, and what would mend it.
    status : int
        Exit status of the program: 2, or 1 for a failed verification.
    """

    def __init__(self, message: str, status: int = 2):
        super().__init__(message)
        self.status = status


class Terminated(KeyboardInterrupt):
    """SIGTERM, or the terminal was closed (SIGHUP): everything ends as with Ctrl-C.

    ``number`` is that of the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def how_stopped(error: KeyboardInterrupt) -> tuple[str, int]:
    """Whether a program was ``interrupted`` or ``terminated``, and its exit status."""
    number = error.number if isinstance(error, Terminated) else signal.SIGINT
    return ("interrupted" if number == signal.SIGINT else "terminated"), 128 + number


def missing(package: str) -> NoReturn:
    """End a program that needs a package of the extra `model` which is not installed."""
    print(
        f"error: this program needs {package}: pip install 'decisivenets[model]'",
        file=sys.stderr,
    )
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """An argument parser that reports wrong options in one line, as all other bad input.

    Attributes
    ----------
    called : dict of str to str
        What `firmware.decisivenets` calls the program whose `prog` is "python -m MODULE".
    complete : function of a Parser, or None
        Answers a shell that asks what may follow, and ends the program.
    """

    called: ClassVar[dict[str, str]] = {}
    complete: ClassVar[Callable[["Parser"], Any] | None] = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.prog = self.called.get(self.prog, self.prog)

    def parse_args(self, args=None, namespace=None):
        if Parser.complete is not None:
            Parser.complete(self)
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def without(words: Sequence[str], *, valued: Sequence[str], flags: Sequence[str]) -> list[str]:
    """A command's words without the options `valued` (and their values) and `flags`.

    "--data DIR" and "--data=DIR" are both left out; what is kept is what changes a result.
    """
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif word not in flags and not word.startswith(tuple(f"{name}=" for name in valued)):
            kept.append(word)
    return kept


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Text that lists the known names, to end an error message with; first a near one, if any.

    Near is what slips of the hand, or capitals, make of a name, not what shares a few letters.
    """
    text = f"known: {', '.join(known)}"
    plain = {word.casefold(): word for word in known}
    close = get_close_matches(name.casefold(), plain, n=1, cutoff=0.65)
    return f"did you mean {plain[close[0]]}? ({text})" if close else text


def run_cli(main: Callable[..., int | None]) -> Callable[..., NoReturn]:
    """Wrap a program's `main`, which returns its exit status (None is 0).

    A `UserError`, a full disk or another operating system error becomes one line on stderr and an
    exit status, with no traceback; Ctrl-C becomes status 130, SIGTERM 143. Defects keep their
    traceback. What is printed is readable in any encoding, and long work says that it goes on.
    Use as a decorator, or as `run_cli(main)()`.
    """

    @functools.wraps(main)
    def program(*args, **kwargs) -> NoReturn:
        readable_streams()
        with _signals():
            try:
                with beating():
                    status = main(*args, **kwargs)
                    if sys.stdout is not None:
                        sys.stdout.flush()
            except UserError as error:
                _forget_unused()
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
                sys.exit(error.status)
            except KeyboardInterrupt as error:
                _forget_unused()
                word, status = how_stopped(error)
                print(f"error: {word}", file=sys.stderr)
                sys.exit(status)
            except BrokenPipeError:
                _forget_unused()
                _abandon_output()
                sys.exit(141)
            except OSError as error:
                _forget_unused()
                _abandon_output()
                where = f": {error.filename}" if error.filename else ""
                print(f"error: {error.strerror or error}{where}", file=sys.stderr)
                sys.exit(2)
            sys.exit(status or 0)

    return program


def starting() -> None:
    """Until `run_cli` takes over, Ctrl-C and SIGTERM end the program at once, in one line.

    For a package's `__init__`, where it is run as a program: its imports take seconds.
    """
    if sys.argv[:1] == ["-m"]:  # what the interpreter sets while it looks for `python -m`'s module

        def end(number, frame) -> NoReturn:
            word = "interrupted" if number == signal.SIGINT else "terminated"
            os.write(2, f"error: {word}\n".encode())
            os._exit(128 + number)

        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, end)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Within the block the first signal is an exception; later ones do not disturb its cleaning up.

    One that is ignored, as Ctrl-C is by a shell's background job, remains so.
    """
    asked = 0

    def ask(number, frame) -> None:
        nonlocal asked
        asked += 1
        _forget_unused()
        if asked == 1:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)
        if asked > _PATIENCE:
            os.write(2, b"error: ended before it was cleaned up\n")
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _forget_unused() -> None:
    """Amaranth warns of each part of a design that was not used: of all, where a program fails."""
    if (hdl := sys.modules.get("amaranth.hdl")) is not None:
        warnings.simplefilter("ignore", hdl.UnusedElaboratable)


def _abandon_output() -> None:
    """Where output cannot be written (a full disk, a closed pipe), do not try again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, ValueError):  # closed before the start, or by now
        pass
