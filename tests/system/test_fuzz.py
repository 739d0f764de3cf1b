"""Whatever comes over the line: the firmware on the host, with sanitizers, and the simulated board.

`python -m benchmarks.fuzz` does the first with libFuzzer, for longer.
"""

import random
import re
import struct
import subprocess
import time

import pytest
from cobs import cobs

from benchmarks import fuzz
from firmware.frames import Reply, Splitter, on_the_line
from firmware.frames import request as request_line
from firmware.protocol import Command
from tests.system import corpus
from tests.system.corpus import describe, expand, frames_of, random_input, seeds
from tests.system.fuzz.target import compile_standalone
from tests.system.helpers import BOARD, CAPABILITY

CLOCK_HZ = BOARD.clock_hz(BOARD.default_clock_mhz)
SEEDS = seeds()


# --- on the host ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return compile_standalone(tmp_path_factory.mktemp("target"))


def check(program, inputs):
    """Run inputs; `AssertionError` with the one at which something was found."""
    stream = b"".join(struct.pack("<I", len(one)) + one for one in inputs)
    result = subprocess.run([program], input=stream, capture_output=True, timeout=300)
    done = result.stdout.split()
    if result.returncode:
        what = result.stderr.decode(errors="replace")
        raise AssertionError(f"{what[:1500]}\nInput:\n{describe(inputs[int(done[-1])])}")
    assert len(done) == len(inputs)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 40))
def test_corpus(target, first):
    check(target, list(SEEDS.values())[first : first + 40])


def test_random_inputs(target):
    rng = random.Random(1)
    check(target, [random_input(rng, list(SEEDS.values())) for _ in range(5000)])


MUTANTS = {
    "the CRC counts for nothing": (
        "READ(CRC) != CRC_RESIDUE || count", "count", "FINDING",
    ),
    "a request that is too long overflows": (
        "if (count == TOO_MANY && token == 0) {", "if (count == 0 && token == 1) {",
        "runtime error: index",
    ),
    "a silence is waited for without end": (
        "READ(TIMER) - since <= device.tenth)", "READ(TIMER) - since != UINT32_MAX)",
        "FINDING: the watchdog strikes",
    ),
    "a repeated request is executed again": (
        "if (count == device.last_bytes &&", "if (count == 0 &&",
        "got another reply",
    ),
    "the fault that the fuzzer found": (
        "device.reply.command == (device.request.command | REPLY) &&", "",
        "the reply is to command 1, 7; the request was 3, 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_faults_are_found(tmp_path, name):
    """The checks are real: each of these faults in the firmware is found by the corpus."""
    before, after, expected = MUTANTS[name]

    def edit(text):
        assert text.count(before) == 1
        if name == "the fault that the fuzzer found":
            text = text.replace("device.reply.sequence == device.request.sequence", "1")
        return text.replace(before, after)

    program = compile_standalone(tmp_path, edit={"protocol.c": edit})
    with pytest.raises(AssertionError, match=re.escape(expected)):
        check(program, list(SEEDS.values()))


# --- the program that fuzzes for longer ----------------------------------------------------------


def test_libfuzzer_missing(monkeypatch, capsys):
    monkeypatch.setattr(fuzz.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as caught:
        fuzz.main([])
    assert caught.value.code == 2
    assert "libFuzzer's library is missing: run `pip install atheris`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seconds", "0"], "--seconds must be at least 1, not 0"),
        (["--show", "/nowhere/input"], "/nowhere/input cannot be read: No such file or directory"),
    ],
)
def test_wrong_options(capsys, words, message):
    with pytest.raises(SystemExit) as caught:
        fuzz.main(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_inputs_are_shown(tmp_path, capsys):
    file = tmp_path / "input"
    file.write_bytes(
        corpus.request(1) + corpus.REPEATED + corpus.damaged(2, 16) + corpus.without(3)
        + corpus.doubled(4) + corpus.cut(5) + corpus.silence() + corpus.run(0xAA, 3)
        + corpus.event(1) + corpus.raw(b"ab") + corpus.image(3, 9, change=-1)
    )  # fmt: skip
    with pytest.raises(SystemExit) as caught:
        fuzz.main(["--show", str(file)])
    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        r"payload(b'\x01\x01\x00\x00')", "REPEATED", "damaged(2, 0x10)", "without(3)",
        "doubled(4)", "cut(5)", "silence(True)", "run(170, 3)", "event('flash stays busy')",
        "raw(b'ab')", "image(03090000, b'', 0, 255)",
    ]  # fmt: skip


# --- what goes over the line ----------------------------------------------------------------------


def line_of(data):
    return list(expand(data, image_bytes=48, capability=CAPABILITY))


def test_expand():
    frame = on_the_line(b"\1\2\0\0")
    data = corpus.request(1, 2) + corpus.REPEATED + corpus.cut(3) + corpus.silence()
    data += corpus.without(0) + corpus.doubled(1) + corpus.damaged(1, 4) + corpus.run(7, 2)
    changed = bytes([frame[0], frame[1] ^ 4]) + frame[2:]
    assert line_of(data) == [
        frame, frame, frame[:3], 0.15, frame[1:], frame[:2] + frame[1:], changed, b"\7" * 128,
    ]  # fmt: skip
    [image] = line_of(corpus.image(3, 5, change=-4))
    assert len(cobs.decode(image.strip(b"\0"))) == 4 + 44 + 4
    assert frames_of(image) == [cobs.decode(image.strip(b"\0"))[:-4]]


def test_a_write_that_can_stop_the_device_is_left_out():
    stop = corpus.request(Command.WRITE, data=struct.pack("<II", 0x40, 4))
    assert line_of(corpus.request(1) + stop + corpus.request(2)) == [on_the_line(b"\1\1\0\0")]


# --- on the simulated board -----------------------------------------------------------------------


class Wire:
    """The simulated board's port, byte by byte."""

    def __init__(self, session):
        self.session, self.port = session, session.port
        self.splitter, self.replies = Splitter(), []
        self.sequence = 0

    def cycles(self):
        return self.session.board.status()["cycles"]

    def receive(self):
        data = self.port.read(max(1, self.port.in_waiting))
        self.replies += [one for one in self.splitter.feed(data) if isinstance(one, Reply)]

    def wait(self, seconds):
        """Of the board's time."""
        end = self.cycles() + seconds * CLOCK_HZ
        while self.cycles() < end:
            self.receive()

    def send(self, data):
        """An input; all that it put on the line."""
        line = b""
        for part in expand(data, image_bytes=48, capability=CAPABILITY):
            if isinstance(part, bytes):
                self.port.write(part)
                line += part
            else:
                self.sent()
                self.wait(part)
        self.sent()
        return line

    def sent(self):
        """Until the last byte is in the FIFO."""
        self.session.wait(lambda status: status["queued"] == 0)

    def ask(self, command, tries):
        """The reply to a request without data, within 1 s of the board's time a try."""
        self.sequence = (self.sequence + 1) % 256
        for _ in range(tries):
            end = self.cycles() + CLOCK_HZ
            self.port.write(request_line(command, self.sequence))
            last = time.monotonic() + 120
            while self.cycles() < end and time.monotonic() < last:
                self.receive()
                for reply in self.replies:
                    if (reply.command, reply.sequence) == (command, self.sequence):
                        assert reply.status == 0
                        return reply.data
        raise AssertionError(f"No answer to {command.name}")

    def check(self, name, data):
        """After an input: INFO at once, the learned classes and the flash as before, replies."""
        flash, learned = self.session.board.flash(), self.learned
        self.replies = []
        self.sequence = 199
        flooded = "flood" in name or "many" in name
        line = self.send(data)
        self.learned = self.ask(Command.INFO, 3 if flooded else 1)[22 * 4 : 23 * 4]
        frames = [one for one in frames_of(line) if one[0] not in (0x40,)]
        changing = {one[0] for one in frames} & {Command.LEARN, Command.FORGET, Command.RESET}
        if not changing:
            assert self.learned == learned, name
        if not changing & {Command.LEARN, Command.FORGET}:
            assert self.session.board.flash() == flash, name
        if not flooded and "silence" not in name:
            expected = [(one[0] & 0x7F, one[1]) for one in frames if not one[0] & 0x80]
            got = [(one.command, one.sequence) for one in self.replies[:-1]]
            assert got == expected, name

    learned = bytes(4)


def run_on_board(session, inputs):
    session.restart()
    wire = Wire(session)
    wire.learned = wire.ask(Command.INFO, 1)[22 * 4 : 23 * 4]
    for name, data in inputs.items():
        wire.check(name, data)


def test_some_of_the_corpus_on_the_board(board):
    names = [*corpus.FOUND, *list(SEEDS)[4::5], "flood", "silence before the end"]
    run_on_board(board, {name: SEEDS[name] for name in names})


@pytest.mark.slow
def test_all_of_the_corpus_on_the_board(board):
    run_on_board(board, SEEDS)


@pytest.mark.slow
def test_random_inputs_on_the_board(board):
    """That the board answers; which replies come is the host's part."""
    rng = random.Random(2)
    inputs = {f"flood {n}": random_input(rng, list(SEEDS.values())) for n in range(100)}
    run_on_board(board, inputs)
