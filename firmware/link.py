"""Requests and replies over a port: sequence numbers, time-outs, repeats, and what is no reply."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from firmware.frames import Reply, Splitter, request
from firmware.messages import FLASH_ANEW
from firmware.protocol import Command
from model.common.errors import UserError
from model.common.invocation import command

__all__ = ["ALARM", "TRIES", "Link", "LinkError", "NoAnswer", "Port", "Request"]

ALARM = b"!"
"""What the hardware sends each time that the firmware did not start, or hung (`hw.soc.boot`)."""

TRIES = 3
"""How often a request is sent, unless the caller says otherwise."""

_BITS_PER_BYTE = 10  # 8N1
_AHEAD_SECONDS = 0.05  # half of what the device waits for the next of several requests
_TURN_SECONDS = 0.03  # of the device on any request beside its work: 24 ms, measured (FEATURES)


class LinkError(UserError):
    """The device was not reached: no port, no permission, unplugged, no answer."""


class NoAnswer(LinkError):
    """No reply came in time, to any of the tries."""


class Port(Protocol):
    """What a link needs of an open port: pyserial's `Serial`, or a stand-in.

    `read` returns at most `count` bytes, and waits only a moment for the first of them: the
    port's own time-out, which is short.
    """

    @property
    def in_waiting(self) -> int: ...
    def read(self, count: int) -> bytes: ...
    def write(self, data: bytes) -> int | None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to ask: a command, its argument and data; the seconds that the device works on it."""

    command: Command
    argument: int = 0
    data: bytes = b""
    seconds: float = 0.0


class _Pending:
    """A request under way."""

    def __init__(self, asked: Request, sequence: int, line: bytes):
        self.asked, self.sequence, self.line = asked, sequence, line
        self.reply: Reply | None = None


class Link:
    """Requests over an open port.

    Parameters
    ----------
    port : Port
        Open; `close` closes it.
    name : str
        For messages.
    baud : int
        Rate of the line, for time-outs and messages.
    timeout : float
        Seconds for an answer, besides the time on the line and twice the device's work.
    tries : int
        How often a request is sent before `NoAnswer`.
    slower : tuple of int
        Rates below `baud` that the board could be built for, the fastest first, for messages.
    slowness : float
        How much slower than a board the device is: a simulated one is. Stretches the time on the
        line and the device's work.
    on_text : callable
        Called with each line of text (bytes that are no reply) that comes.

    Raises
    ------
    LinkError
        The port fails, as when it is unplugged.
    NoAnswer
        No reply.
    """

    def __init__(
        self,
        port: Port,
        *,
        name: str = "port",
        baud: int = 6_000_000,
        timeout: float = 1.0,
        tries: int = TRIES,
        slower: tuple[int, ...] = (),
        slowness: float = 1.0,
        on_text: Callable[[str], None] | None = None,
    ):
        if timeout <= 0:
            raise ValueError(f"Time-out must be positive, not {timeout} s")
        if tries < 1:
            raise ValueError(f"Tries must be at least 1, not {tries}")
        self.name, self.baud, self.slowness = name, baud, slowness
        self.timeout, self.tries = timeout, tries
        self._slower = slower
        self.repeats = 0  # requests sent again
        self.answered = False  # a sound reply came at some time: rate and bitstream are right
        self.strays = 0  # replies that nobody waits for: late or doubled
        self._port = port
        self._on_text = on_text or (lambda text: None)
        self._splitter = Splitter()
        self._waiting: dict[tuple[int, int], _Pending] = {}
        self._heard = bytearray()  # since the request whose reply is awaited
        # A device that starts just now may begin in the middle of a byte: that is no zero, then.
        self._lead = b"\0\0"
        # Not where the last program left off: the device takes an equal request for a repeat.
        self._sequence = secrets.randbelow(256)

    def ask(self, asked: Request) -> Reply:
        """Send a request; its reply."""
        return next(self.exchange([asked]))

    def exchange(self, requests: Iterable[Request], *, window: int = 1) -> Iterator[Reply]:
        """Send requests; their replies, in the same order.

        From the first reply on, `window` requests may be under way at once: a reply is handed on
        when the next request has been sent, unless that one is late. The device knows a repeat only
        of the last one that it executed, so more than one is for requests that may be executed
        twice. An error of `requests` itself comes when all before it is answered.
        """
        coming = iter(requests)
        under_way: deque[_Pending] = deque()
        kept: list[Request] = []  # came too late to be sent while another one is under way
        failure: list[Exception] = []

        def fill(most: int, since: float) -> None:
            while len(under_way) < most and not failure:
                try:
                    asked = kept.pop() if kept else next(coming, None)
                except Exception as error:
                    failure.append(error)
                    return
                if asked is None:
                    return
                if under_way and time.monotonic() - since > _AHEAD_SECONDS:
                    kept.append(asked)
                    return
                under_way.append(self._start(asked))

        alone = False  # nothing is sent until all that is under way is answered
        try:
            fill(1, time.monotonic())
            while under_way:
                known = self.repeats
                reply = self._await(under_way[0])
                since = time.monotonic()
                under_way.popleft()
                if self.repeats != known:
                    alone = True
                    for pending in under_way:
                        if pending.reply is None:  # lost, too: it would have come by now
                            self._repeat(pending)
                if window > 1 and not (alone and under_way):
                    alone = False
                    fill(window, since)
                yield reply
                # By now the device may have begun a frame without the request that it waited for.
                alone |= time.monotonic() - since > _AHEAD_SECONDS
                if not under_way:
                    fill(1, since)
            if failure:
                raise failure[0]
        finally:
            for pending in under_way:
                self._waiting.pop((pending.asked.command, pending.sequence), None)

    def listen(self, seconds: float) -> None:
        """Take what comes for so long: text is handed on, replies are dropped."""
        end = time.monotonic() + seconds
        self._heard.clear()
        while time.monotonic() < end:
            self._receive()

    @property
    def alarmed(self) -> bool:
        """Whether most of what was heard of late is the hardware's word that nothing started."""
        return self._heard.count(ALARM) > len(self._heard) / 2

    @property
    def alarm(self) -> str:
        """What that means."""
        return (
            f"The firmware on {self.name} does not start (the hardware sends {ALARM.decode()}): "
            f"both copies in flash are damaged or of another version; {FLASH_ANEW}"
        )

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _start(self, asked: Request) -> _Pending:
        self._sequence = (self._sequence + 1) % 256
        line = request(asked.command, self._sequence, asked.argument, asked.data)
        line, self._lead = self._lead + line, b""
        pending = _Pending(asked, self._sequence, line)
        self._waiting[asked.command, self._sequence] = pending
        self._send(line)
        return pending

    def _await(self, pending: _Pending) -> Reply:
        asked = pending.asked
        self._heard.clear()
        line_seconds = len(pending.line) * _BITS_PER_BYTE / self.baud
        patience = self.timeout + self.slowness * (line_seconds + 2 * asked.seconds)
        patience += (self.slowness - 1) * _TURN_SECONDS
        for last in (*(False,) * (self.tries - 1), True):
            end = time.monotonic() + patience
            while pending.reply is None and time.monotonic() < end:
                self._receive()
            if pending.reply is not None:
                del self._waiting[asked.command, pending.sequence]
                return pending.reply
            if not last:
                self._repeat(pending)
        raise NoAnswer(self._silence(asked.command, patience))

    def _repeat(self, pending: _Pending) -> None:
        self.repeats += 1
        self._send(pending.line)

    def _send(self, line: bytes) -> None:
        with _failures(self.name):
            self._port.write(line)

    def _receive(self) -> None:
        with _failures(self.name):
            data = self._port.read(max(1, self._port.in_waiting))
        if len(self._heard) < 1 << 16:  # enough to say what it is
            self._heard += data
        for piece in self._splitter.feed(data):
            if not isinstance(piece, Reply):
                if piece.text is not None:
                    self._on_text(piece.text)
                continue
            self.answered = True
            if pending := self._waiting.get((piece.command, piece.sequence)):
                self.strays += pending.reply is not None
                pending.reply = piece
            else:
                self.strays += 1

    def _silence(self, command: Command, patience: float) -> str:
        """Why there may have been no answer, from what was heard instead."""
        asked = (
            f"No answer to {command.name} on {self.name} at {self.baud} baud, {self.tries} x "
            f"{patience:.3g} s"
        )
        if self.alarmed:
            return self.alarm
        if self.answered:
            return f"{asked}, though it has answered before: {self._advice()}"
        if self._heard:
            return (
                f"{asked}: {len(self._heard)} bytes came that are no answer: the board has another "
                f"bitstream or another rate (--baud); {FLASH_ANEW}"
            )
        return (
            f"{asked}: nothing came: the board has no bitstream, or another one; press its reset "
            f"button or {FLASH_ANEW}"
        )

    def _advice(self) -> str:
        """What helps where a device answers, but not always."""
        came = f"{len(self._heard)} bytes came" if self._heard else "nothing came"
        advice = (
            f"{came}, {self.repeats} requests were repeated so far; the line loses or damages "
            "bytes, or the board hung: press its reset button, try another cable without a hub"
        )
        if not self._slower:
            return advice
        anew = command("firmware", "flash", "--baud", str(self._slower[0]))
        return (
            f"{advice}, or build the board's design for a slower rate with `{anew}` "
            f"({', '.join(map(str, self._slower))} are possible)"
        )


class _failures:
    """Turn a port that fails, such as an unplugged one, into a `LinkError`."""

    def __init__(self, name: str):
        self._name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError):
            raise LinkError(
                f"Port {self._name} failed: {error}; was the board unplugged?"
            ) from error
        return False
