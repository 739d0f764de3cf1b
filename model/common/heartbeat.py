"""Long work that has nothing to print says at least every 30 seconds that it goes on.

`run_cli` starts the heart. Whoever works for long says what it is doing (`doing`); a line follows
where nothing was printed for a while. Only the standard library is needed.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["beating", "doing", "duration", "quiet", "said"]

INTERVAL = 20.0  # seconds without a line; less than 30, since a busy processor is late

_stack: list[tuple[Callable[[], str | None], float]] = []  # and since when
_last = 0.0  # when something was printed


def said() -> None:
    """Something was printed: the next line may wait."""
    global _last
    _last = time.monotonic()


@contextmanager
def doing(describe: Callable[[], str | None]) -> Iterator[None]:
    """Within the block, lines say what `describe` returns; none is printed where that is None.

    `describe` is called in another thread. The innermost block counts.
    """
    entry = (describe, time.monotonic())
    _stack.append(entry)
    try:
        yield
    finally:
        _stack.remove(entry)


def quiet():
    """As `doing`, without lines: what shows itself, or has nothing to say."""
    return doing(lambda: None)


def duration(seconds: float) -> str:
    """A time for people: 50 s, 2 min 5 s, 12 min, 3 h 5 min."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds / 60)
    if minutes < 10:
        return f"{minutes} min {seconds % 60:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def beating() -> Iterator[None]:
    """Within the block, the lines are printed on standard error."""
    started, end = time.monotonic(), threading.Event()
    said()

    def beat() -> None:
        while not end.wait(min(1.0, INTERVAL / 10)):
            if time.monotonic() - _last < INTERVAL:
                continue
            describe, since = _stack[-1] if _stack else (lambda: "still at work", started)
            try:
                what = describe()
            except (OSError, RuntimeError):  # it changes just now: said the next time
                what = None
            said()
            if what is not None:
                try:
                    passed = duration(time.monotonic() - since)
                    print(f"  {what}: {passed}", file=sys.stderr, flush=True)
                except (OSError, ValueError):  # closed
                    return

    heart = threading.Thread(target=beat, daemon=True, name="heartbeat")
    heart.start()
    try:
        yield
    finally:
        end.set()
        heart.join(timeout=2)
