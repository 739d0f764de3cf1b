"""The simulated board as a whole: processor, flash, UART, DMA, watchdog, power, programs."""

import json
import os
import pty
import random
import re
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import serial
from cobs import cobs

from hw.soc.addresses import FIRMWARE_COPIES, FLASH_SIZE
from hw.soc.stream import CRC_RESIDUE
from model.common.errors import UserError
from sim.board import start
from tests.sim.programs import assemble, image

BAUD = 6_000_000
DATA = 0x3_0000  # an address in flash behind the programs


@pytest.fixture
def board():
    """Starts a board, its clock standing until its port is opened; the port is opened too."""
    opened = []

    def run(flash, **options):
        one = start(flash, wait=True, **{"timing": "short"} | options)
        opened.append(one)
        port = serial.Serial(one.port, BAUD, timeout=30)
        opened.append(port)
        return one, port

    yield run
    for one in reversed(opened):
        one.close() if isinstance(one, serial.Serial) else one.stop()


def test_runs(board):
    """Registers are written, and bytes come out."""
    one, port = board(image("put LEDS, 0x55\n print 'H'\n print 'i'\n 1: j 1b"))
    assert port.read(2) == b"Hi"
    assert one.leds == 0x55 | 2  # red, while it is not alive
    assert one.violations == []
    port.close()
    assert one.stop() == 0


def test_alive_ends_the_watchdog(board):
    """No "!" within two of its periods, and the red light is out."""
    one, port = board(
        image(
            """
            put BOOT, BOOT_ALIVE
            put LEDS, 1
            lw s0, TIMER(zero)
            li s1, 0x220000
            1: lw s2, TIMER(zero)
            sub s2, s2, s0
            blt s2, s1, 1b
            print 'A'
            1: j 1b
            """
        )
    )
    assert port.read(1) == b"A"
    assert one.leds == 1


WHO = """
    lw s0, BOOT(zero)       # which copy
    print {name}
    send s0
    1: j 1b
"""


def test_watchdog_takes_the_other_copy(board):
    """Each is started in turn, with "!" between; COPY says which it is."""
    one, port = board(image(WHO.format(name="'a'"), WHO.format(name="'b'")))
    assert port.read(8) == b"a\0!b\2!a\0"
    port.close()
    assert one.stop() == 0


SECOND = """
    put BOOT, BOOT_ALIVE
    lw s0, BOOT(zero)
    print 'b'
    send s0
    li s1, FLASH_BASE + {place:#x}
    lw s0, 0(s1)
    word s0
    1: j 1b
"""


@pytest.mark.parametrize(
    "first, told", [("1: j 1b", b""), ("put UART, UART_SEND + 0x58\n .word -1, 0\n 1: j 1b", b"X")]
)
def test_first_copy_that_hangs(board, first, told):
    """The second one runs, says so, and sees both where they are."""
    second = SECOND.format(place=FIRMWARE_COPIES[1])
    one, port = board(image(first, second))
    assert port.read_until(b"b") == told + b"!b"
    assert port.read(5) == b"\2" + assemble(second)[:4]
    assert not one.leds & 2


@pytest.mark.parametrize("at, bit", [(0, 0), (5, 7), (4000, 3), (8187, 6), (8191, 7)])
def test_damaged_first_copy(board, at, bit):
    """One bit, of what is executed or not: nothing of it is."""
    flash = bytearray(image(WHO.format(name="'a'"), SECOND.format(place=FIRMWARE_COPIES[1])))
    flash[FIRMWARE_COPIES[0] + at] ^= 1 << bit
    _, port = board(bytes(flash))
    assert port.read(3) == b"!b\2"


def test_restart(board):
    """Deliberate: the first copy again, no "!"."""
    one, port = board(
        image(
            """
            print 'x'
            put BOOT, BOOT_ALIVE
            1: lw t0, UART(zero)
            andi t0, t0, UART_READY
            beqz t0, 1b
            put BOOT, BOOT_RESTART
            1: j 1b
            """
        )
    )
    assert port.read(10) == b"x" * 10
    assert one.violations == []


ECHO = """
    put BOOT, BOOT_ALIVE
    1: lw s0, STREAM(zero)
    andi s1, s0, STREAM_VALID
    beqz s1, 1b
    put STREAM, STREAM_NEXT
    andi s1, s0, STREAM_END
    bnez s1, 2f
    andi s0, s0, 0xFF
    send s0
    j 1b
    2: srli s0, s0, 10          # CUT
    addi s0, s0, '0'
    print '\\n'
    send s0
    j 1b
"""


def test_bytes_from_the_host(board):
    """Frames of COBS, among zeros; a cut one; nothing is lost up to the FIFO's size."""
    one, port = board(image(ECHO))
    generator = random.Random(1)
    for length in (1, 3, 100, 254, 255, 400):
        data = generator.randbytes(length).replace(b"\n", b"\0")
        port.write(b"\0\0" + cobs.encode(data) + b"\0\0")
        assert port.read(length + 2) == data + b"\n0"
    port.write(b"\5ab\0")
    assert port.read(4) == b"ab\n1"
    assert one.violations == []


OVERRUN = """
    put BOOT, BOOT_ALIVE
    1: lw s0, UART(zero)
    andi s0, s0, UART_OVERRUN
    beqz s0, 1b
    print '!'
    put UART, UART_OVERRUN_CLEAR
    lw s0, UART(zero)
    andi s0, s0, UART_OVERRUN
    print '0'
    1: j 1b
"""


def test_overrun(board):
    """Nobody takes the bytes: 513 and a frame's end are more than the FIFO holds."""
    one, port = board(image(OVERRUN))
    port.write(b"\1" * 513)
    time.sleep(0.5)
    assert port.in_waiting == 0
    port.write(b"\1" * 16)
    assert port.read(2) == b"!0"


IMAGE_BY_DMA = """
    put BOOT, BOOT_ALIVE
    put CRC_FEED, CRC_FEED_CLEAR
    li t0, DMA_TARGET_LOAD + (MEMORY + 0x1000) / 4
    sw t0, DMA_TARGET(zero)
    put DMA, DMA_START + {words}
    print 'R'
    1: lw t0, DMA_STATUS(zero)
    andi t0, t0, DMA_STATUS_BUSY
    bnez t0, 1b
    1: lw s0, CRC(zero)
    word s0
    li s1, MEMORY + 0x1000
    li s2, MEMORY + 0x1000 + 4 * {words}
    1: lw s0, 0(s1)
    word s0
    addi s1, s1, 4
    blt s1, s2, 1b
    1: j 1b
"""


def test_dma_from_the_uart(board):
    """An image of 3072 bytes at full speed: six times the FIFO, not a byte lost."""
    data = random.Random(2).randbytes(3072)
    one, port = board(image(IMAGE_BY_DMA.format(words=768)))
    assert port.read(1) == b"R"
    port.write(cobs.encode(data) + b"\0")
    answer = port.read(4 + len(data))
    assert int.from_bytes(answer[:4], "little") == zlib.crc32(data)
    assert answer[4:] == data
    assert one.violations == []


FLASH_BY_DMA = """
    put CRC_FEED, CRC_FEED_CLEAR
    li t0, DMA_TARGET_LOAD + (MEMORY + 0x1000) / 4
    sw t0, DMA_TARGET(zero)
    li t0, FLASH_BASE + {source:#x}
    sw zero, 0(t0)
    lw s0, TIMER(zero)
    put DMA, DMA_START + 0x800
    1: lw t0, DMA_STATUS(zero)
    andi t0, t0, DMA_STATUS_BUSY
    bnez t0, 1b
    lw s1, TIMER(zero)
    put FLASH, FLASH_STOP
    put BOOT, BOOT_ALIVE
    sub s1, s1, s0
    word s1
    lw s0, CRC(zero)
    word s0
    li t0, FLASH_BASE + {source:#x} + 8
    lw s0, 0(t0)
    word s0
    li s1, MEMORY + 0x1000 + 8188
    lw s0, 0(s1)
    word s0
    1: j 1b
"""


def test_flash_by_dma(board):
    """8 KB from flash to memory with a CRC, 18 cycles a byte; then single words again."""
    data = random.Random(5).randbytes(8188)
    data += zlib.crc32(data).to_bytes(4, "little")
    one, port = board(image(FLASH_BY_DMA.format(source=DATA), parts={DATA: data}))
    answer = port.read(16)
    cycles, crc, word, last = (int.from_bytes(answer[i : i + 4], "little") for i in range(0, 16, 4))
    assert crc == CRC_RESIDUE
    assert word.to_bytes(4, "little") == data[8:12]
    assert last.to_bytes(4, "little") == data[-4:]
    assert abs(cycles - 18 * 8192) < 500
    assert one.violations == []


# exchange: a byte out of a0, one into a0.
WRITE_FLASH = """
    put BOOT, BOOT_ALIVE
    li sp, MEMORY_END
    j main
    exchange:
    ori a0, a0, FLASH_SEND
    sw a0, FLASH(zero)
    1: lw t0, FLASH(zero)
    li t1, FLASH_BUSY
    and t0, t0, t1
    bnez t0, 1b
    lw a0, STREAM(zero)
    andi a0, a0, 0xFF
    ret
    .macro spi value
    li a0, \\value
    jal exchange
    .endm
    .macro select
    put FLASH, FLASH_SELECT
    .endm
    .macro deselect
    put FLASH, FLASH_STOP
    .endm
    .macro await_ready
    2: select
    spi 5
    spi 0
    mv s2, a0
    deselect
    andi s2, s2, 1
    bnez s2, 2b
    .endm
    main:
"""
WRITES = (
    WRITE_FLASH
    + """
    select                  # who are you
    spi 0x9F
    spi 0
    send a0
    spi 0
    send a0
    spi 0
    send a0
    deselect
    select
    spi 6
    deselect
    select                  # erase
    spi 0x20
    spi 3
    spi 0x10
    spi 0
    deselect
    await_ready
    select
    spi 6
    deselect
    select                  # program
    spi 2
    spi 3
    spi 0x10
    spi 4
    li s0, 8
    li s1, 0xA0
    1: mv a0, s1
    jal exchange
    addi s1, s1, 1
    addi s0, s0, -1
    bnez s0, 1b
    deselect
    await_ready
    li t0, FLASH_BASE + 0x31008
    lw s0, 0(t0)
    word s0
    1: j 1b
"""
)


def test_writes_its_flash(board):
    """Identity, erase, program, and what was written read back as memory."""
    old = bytes(3 * 4096)
    one, port = board(image(WRITES, parts={DATA: old}))
    assert port.read(3) == bytes([0xEF, 0x40, 0x18])
    assert port.read(4) == bytes(range(0xA4, 0xA8))
    written = one.flash()[DATA : DATA + len(old)]
    expected = b"\xff" * 4 + bytes(range(0xA0, 0xA8)) + b"\xff" * (4096 - 12)
    assert written == old[:4096] + expected + old[8192:]
    status = one.status()
    assert (status["programs"], status["erases"], status["violations"]) == (1, 1, [])


def test_power_cycle_keeps_what_was_written(tmp_path):
    """In the file itself, too, and at once."""
    file = tmp_path / "flash.bin"
    file.write_bytes(image(WRITES))
    place = slice(0x3_1004, 0x3_100C)
    with start(file, in_place=True, wait=True, timing="short") as one:
        with serial.Serial(one.port, BAUD, timeout=30) as port:
            port.read(7)
            assert file.read_bytes()[place] == bytes(range(0xA0, 0xA8))
            one.power_cycle()
            assert port.read(7)[:1] == b"\xef"  # it starts anew
    assert file.read_bytes()[place] == bytes(range(0xA0, 0xA8))
    # What lay between the old end and the page is erased.
    assert set(file.read_bytes()[len(image(WRITES)) : 0x3_1004]) == {0xFF}


@pytest.mark.parametrize("cut", [0, 9, 16, 20])
def test_power_fails(board, cut):
    """16 pages of the sector, then 8 bytes: so many steps, the next one half done, then silence."""
    one, port = board(image(WRITES, parts={DATA: bytes(2 * 4096)}), cut=cut)
    assert port.read(3) == bytes([0xEF, 0x40, 0x18])
    while one.status()["powered"]:
        time.sleep(0.01)
    assert one.status()["steps"] == cut and one.leds == 0
    sector = one.flash()[DATA + 4096 :]
    if cut < 16:
        end = 256 * cut
        assert sector[:end] == b"\xff" * end
        assert sector[end + 256 :] == bytes(4096 - end - 256)
    else:
        end = 4 + cut - 16
        assert sector[:end] == b"\xff" * 4 + bytes(range(0xA0, 0xA0 + cut - 16))
        assert sector[end + 1 :] == b"\xff" * (4096 - end - 1)
    port.timeout = 0.2
    assert port.read(1) == b""
    one.power_cycle()
    port.timeout = 30
    assert port.read(7) == bytes([0xEF, 0x40, 0x18]) + bytes(range(0xA4, 0xA8))


def test_violation(board):
    """Erase without write enable: refused, reported, and the exit status says so."""
    program = WRITE_FLASH + (
        "select\n spi 0x20\n spi 3\n spi 0\n spi 0\n deselect\n await_ready\n print 'x'\n 1: j 1b\n"
    )
    old = bytes(4096)
    one, port = board(image(program, parts={DATA: old}))
    assert port.read(1) == b"x"
    assert len(one.violations) == 1
    assert re.fullmatch(
        r"cycle \d+: flash: instruction 0x20 without write enable", one.violations[0]
    )
    assert one.flash()[DATA:] == old
    port.close()
    assert one.stop() == 1
    assert "violation: cycle" in one.log and "violations: 1" in one.log


def test_buttons(board):
    one, port = board(
        image(
            """
            put BOOT, BOOT_ALIVE
            li s0, -1
            1: lw s1, BUTTONS(zero)
            beq s1, s0, 1b
            mv s0, s1
            sw s0, LEDS(zero)
            send s0
            j 1b
            """
        )
    )
    assert port.read(1) == b"\0"
    for number in range(4):
        one.press(number)
        assert port.read(1) == bytes([1 << number])
        assert one.leds == 1 << number
        one.release(number)
        assert port.read(1) == b"\0"


def test_noise_on_the_line(board):
    """The host at another rate: rubbish, and at the right one all is well again."""
    one, port = board(image(ECHO))
    one.set_divisor(37.5)
    port.write(bytes(range(1, 60)))
    while one.status()["queued"]:
        time.sleep(0.01)
    one.set_divisor(0)
    time.sleep(0.2)
    port.reset_input_buffer()
    port.write(b"\0\0")
    time.sleep(0.3)
    port.reset_input_buffer()
    port.write(cobs.encode(b"well") + b"\0")
    assert port.read(6) == b"well\n0"


COUNT = """
    put BOOT, BOOT_ALIVE
    li s0, 0
    1: andi s1, s0, 0xFF
    send s1
    addi s0, s0, 1
    j 1b
"""


def program(*words):
    return [sys.executable, "-m", "sim.board", *map(str, words)]


def ask(path, command="status"):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(str(path))
        control.sendall(f"{command}\n".encode())
        return control.makefile().readline().strip()


def test_nothing_is_lost_to_a_slow_host(tmp_path):
    """Time stands still while the host takes nothing: here a pipe of 4096 bytes."""
    file, control = tmp_path / "flash.bin", tmp_path / "control"
    file.write_bytes(image(COUNT))
    with subprocess.Popen(
        program("--flash", file, "--stdio", "--quiet", "--control", control),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pipesize=4096,
    ) as process:  # fmt: skip
        while not control.exists():
            time.sleep(0.05)
        cycles = [0, 1]
        while cycles[-1] != cycles[-2]:
            time.sleep(0.3)
            cycles.append(json.loads(ask(control))["cycles"])
        got = b""
        while len(got) < 6000:
            got += os.read(process.stdout.fileno(), 6000 - len(got))
        assert json.loads(ask(control))["cycles"] > cycles[-1]
        process.terminate()
        text = process.stderr.read().decode()
        assert process.wait() == 0, text
    assert got == bytes(i & 0xFF for i in range(6000))


def test_program_prints_its_port(tmp_path):
    """A link leads to it; what nobody reads is lost; SIGTERM ends it, and the link."""
    file, link, out = (tmp_path / name for name in ("flash.bin", "link", "out.bin"))
    file.write_bytes(image(WRITES))
    with subprocess.Popen(
        program("--flash", file, "--pty-link", link, "--flash-timing", "short", "--flash-out", out),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        first = process.stdout.readline()
        assert re.fullmatch(r"port: /dev/\S+\n", first)
        assert os.readlink(link) == first.split()[1]
        while out.read_bytes()[0x3_1004:0x3_100C] != bytes(range(0xA0, 0xA8)):
            time.sleep(0.05)
        process.terminate()
        assert process.wait() == 0
        text = process.stderr.read()
        assert re.search(r" ms  lights:\n(.*\n)*\d+ cycles in .* M cycles/s\n$", text), text
    assert not link.is_symlink()
    assert file.read_bytes() == image(WRITES)


def test_slows_down_where_nothing_happens(tmp_path):
    """With no byte from anywhere it leaves the processor to others, and wakes for the next."""
    file, control = tmp_path / "flash.bin", tmp_path / "control"
    file.write_bytes(image(ECHO))
    with subprocess.Popen(
        program("--flash", file, "--stdio", "--control", control, "--idle", 1.5, "--quiet"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        while not control.exists():
            time.sleep(0.05)
        time.sleep(2)
        before = json.loads(ask(control))["cycles"]
        time.sleep(1)
        assert 0 < json.loads(ask(control))["cycles"] - before < 100_000
        process.stdin.write(cobs.encode(b"awake") + b"\0")
        process.stdin.flush()
        assert process.stdout.read(7) == b"awake\n0"
        process.terminate()
        assert process.wait() == 0


def test_keys(tmp_path):
    """On a terminal, keys are buttons, power and the end."""
    file, control = tmp_path / "flash.bin", tmp_path / "control"
    file.write_bytes(image("1: lw s1, BUTTONS(zero)\n sw s1, LEDS(zero)\n j 1b"))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        program("--flash", file, "--control", control), stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not control.exists():
            time.sleep(0.05)

        def await_(key, reached):
            os.write(ours, key)
            while not reached(json.loads(ask(control))):
                time.sleep(0.02)

        await_(b"1", lambda status: status["leds"] == 0b11 and status["buttons"] == 1)
        await_(b"3", lambda status: status["leds"] == 0b111)
        await_(b"1", lambda status: status["leds"] == 0b110)
        await_(b"p", lambda status: status["since_start"] < status["cycles"])
        os.write(ours, b"q")
        assert process.wait() == 0
        assert process.stderr.readline().startswith("keys: 1 to 4 press and release buttons, p")
    os.close(ours)
    os.close(theirs)


def test_ends_by_itself(tmp_path):
    done = subprocess.run(program("--stdio", "--cycles", 100_000, "--quiet"), input=b"", check=True)
    assert done.returncode == 0
    started = time.monotonic()
    subprocess.run(program("--stdio", "--max-idle", 0.5, "--quiet"), input=b"", check=True)
    assert time.monotonic() - started < 20


def test_same_file_twice(tmp_path):
    file = tmp_path / "flash.bin"
    file.write_bytes(b"")
    with start(file, in_place=True), pytest.raises(
        UserError, match=r"^The simulated board did not start: flash .* is in use by another"
    ):  # fmt: skip
        start(file, in_place=True)


def test_ends_with_its_owner(tmp_path):
    """A program that started a board and was killed leaves none behind."""
    text = (
        "import os, sim.board\n"
        "b = sim.board.start()\n"
        "print(b._process.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    process = Path("/proc") / done.stdout.strip()
    for _ in range(100):
        if not process.exists():
            break
        time.sleep(0.05)
    assert done.stdout.strip() and not process.exists()


def test_stopped(board):
    one, port = board(image("1: j 1b"))
    assert one.stop() == 0
    assert one.flash() == image("1: j 1b")
    assert one.stop() == 0
    assert one.status()["violations"] == []
    with pytest.raises(UserError, match="^The simulated board is stopped$"):
        one.press(0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--flash", "{folder}/none"], "Flash {folder}/none cannot be read: No such file"),
        (["--flash", "{folder}"], "Flash {folder} cannot be read: Is a directory"),
        (["--flash", "{folder}/large"], "Flash {folder}/large has 16777217 bytes, more than"),
        (["--in-place"], "--in-place needs --flash FILE"),
        (["--flash", "{folder}/small", "--in-place", "--flash-out", "x"],
         "--in-place and --flash-out cannot be used together"),
        (["--flash", "{folder}/small", "--flash-out", "{folder}/small"],
         "--flash-out {folder}/small is the file that is read"),
        (["--board", "icebraker"], "Unknown board 'icebraker': did you mean icebreaker?"),
        (["--clock", "37"], "Clock of 37 MHz is not reachable from 12 MHz; the nearest is"),
        (["--clock", "12.5.5"], "argument --clock: invalid float value"),
        (["--threads", "0"], "--threads must be at least 1, not 0"),
        (["--idle", "-1"], "--idle must be at least 0, not -1"),
        (["--cut", "-2"], "Power can fail after 0 steps or more, not -2"),
        (["--trace-from", "5"], "--trace-from and --trace-cycles need --trace FILE"),
        (["--trace", "{folder}/none/x"], "--trace {folder}/none/x: the folder"),
        (["--stdio", "--pty-link", "x"], "--stdio makes no serial port"),
        (["--pty-link", "{folder}/small"], "--pty-link {folder}/small is a file: give another"),
        (["--control", "{folder}/" + 120 * "x"], "control socket {folder}/xxx"),
        (["--pty-link", "{folder}/none/x"], "link {folder}/none/x cannot be made: No such file"),
    ],
)  # fmt: skip
def test_wrong_options(tmp_path, words, text):
    (tmp_path / "small").write_bytes(b"")
    with open(tmp_path / "large", "wb") as file:
        file.truncate(FLASH_SIZE + 1)
    words = [word.format(folder=tmp_path) for word in words]
    done = subprocess.run(program(*words), capture_output=True, text=True, input="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: " + text.format(folder=tmp_path)), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"flash": b"", "in_place": True}, "Only a file can be written in place: give the flash"),
        ({"timing": "slow"}, "Flash timing must be one of typical, maximum, short, not 'slow'"),
        ({"flash": bytes(FLASH_SIZE + 1)}, "Flash has 16777217 bytes, more than the chip's"),
    ],
)
def test_wrong_parameters(options, text):
    with pytest.raises(UserError, match=f"^{text}"):
        start(**options)


def test_fault_in_the_rtl(board):
    """An edit of the Verilog reaches what runs."""

    def edit(verilog):
        text, count = re.subn(r"(= \\?leds\S*) +\| ", r"\1 & ", verilog)
        assert count == 1
        return text

    one, port = board(image("put LEDS, 0x53\n print 'x'\n 1: j 1b"), edit=edit)
    assert port.read(1) == b"x"
    assert one.leds == 2


def test_verilog_that_does_not_compile(tmp_path):
    with pytest.raises(UserError, match=r"^The simulated board did not compile: .*log: \S+"):
        start(edit=lambda text: text.replace("endmodule", "end", 1), cache=tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".log"]


@pytest.mark.slow
def test_trace(tmp_path):
    wave = tmp_path / "wave.vcd"
    done = subprocess.run(
        program("--stdio", "--cycles", 5000, "--trace", wave, "--trace-from", 1000,
                "--trace-cycles", 100),
        input=b"", capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0
    text = wave.read_text()
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert len(times) == 200
    assert times[0] == 1000 * 1_000_000 // 36
    assert "flash_sck" in text


@pytest.mark.slow
def test_threads(board):
    one, port = board(image("print 'H'\n 1: j 1b"), threads=2)
    port.timeout = 300  # the two threads wait for each other
    assert port.read(1) == b"H"
