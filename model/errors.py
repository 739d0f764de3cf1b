"""One way to tell a user that something is wrong: a clear line on stderr and exit status 2.

Free of torch and numpy, so that every package can use it.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

__all__ = ["Parser", "UserError", "missing", "nearest", "run_cli", "without"]


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
    exit status, with no traceback; Ctrl-C becomes status 130. Defects keep their traceback.
    Use as a decorator, or as `run_cli(main)()`.
    """

    @functools.wraps(main)
    def program(*args, **kwargs) -> NoReturn:
        try:
            status = main(*args, **kwargs)
        except UserError as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(error.status)
        except KeyboardInterrupt:
            print("error: interrupted", file=sys.stderr)
            sys.exit(130)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(141)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            print(f"error: {error.strerror or error}{where}", file=sys.stderr)
            sys.exit(2)
        sys.exit(status or 0)

    return program
