"""Runs a program in a process group of its own, and ends the group when the one who asked is gone.

    python -I -S supervisor.py PARENT COMMAND...

PARENT is the process that started this one (`model.common.children`). While it lives, SIGTERM here
is SIGTERM for the whole group, and SIGKILL after some seconds. When it is gone, killed or not, the
group is killed at once: parents are looked at, not a pipe to them, because copies of a pipe's end
stay open in other children. POSIX; no import but the standard library's smallest.
"""

import contextlib
import os
import signal
import sys
import time

_LOOK_SECONDS = 0.1  # between two looks at the parent
_PATIENCE = 3.0  # seconds from SIGTERM to SIGKILL
_OURS = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)  # a terminal's, which the parent answers
_BLOCKED = (signal.SIGTERM, signal.SIGALRM)


def _supervise(parent: int, command: list[str]) -> int:
    """Run `command`; returns its exit status, negative for a signal."""
    asked = None

    def end(number: int) -> None:
        with contextlib.suppress(OSError):  # it has ended
            os.killpg(child, number)

    def ask(number, frame) -> None:
        nonlocal asked
        asked = asked or time.monotonic()
        end(signal.SIGTERM)

    def look(number, frame) -> None:
        late = asked is not None and time.monotonic() - asked > _PATIENCE
        if late or os.getppid() != parent:
            end(signal.SIGKILL)

    for number in _OURS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    if os.getppid() != parent:
        return -signal.SIGKILL
    child = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        setpgroup=0,
        setsigmask=(),
        setsigdef=(*_OURS, *_BLOCKED, signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these two
    )
    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if asked is not None or os.getppid() != parent:
        end(signal.SIGKILL)  # what the program itself left behind
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    command = sys.argv[2:]
    try:
        status = _supervise(int(sys.argv[1]), command)
    except OSError as error:
        print(f"error: {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(126)
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
