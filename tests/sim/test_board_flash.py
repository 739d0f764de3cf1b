"""The flash model of the simulated board, driven by its pins: each rule, kept and broken."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import sim.board

SOURCES = Path(sim.board.__file__).parent
CLOCK_HZ = 36_000_000
TYPICAL = {"program": 0.7e6, "erase": 45e6}  # ns
CONTENT = bytes(range(256)) * 64  # four sectors

CS, CLK, DI = 1, 2, 4
IDLE = str(CS)
PAGE_PROGRAM, READ, READ_STATUS, WRITE_ENABLE, FAST_READ, SECTOR_ERASE = 2, 3, 5, 6, 0x0B, 0x20


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    compiler = shutil.which("g++")
    assert compiler, "g++ must be installed"
    program = tmp_path_factory.mktemp("flash") / "flash_pins"
    here = Path(__file__).parent
    subprocess.run(
        [compiler, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}",
         str(here / "flash_pins.cpp"), str(SOURCES / "flash.cpp"), "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


@dataclass
class Result:
    """``bits`` of DO, a cycle each; what is wrong; the content afterwards."""

    bits: str
    powered: bool
    violations: list
    content: bytes

    def data(self, skip):
        """Bytes that were read in the only instruction, after `skip` bytes of it."""
        # Sampled while CLK is high, as the SoC does.
        bits = self.bits[2::2]
        bits = bits[8 * skip :]
        return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))


@pytest.fixture
def drive(driver, tmp_path):
    def run(wave, *, clock_hz=CLOCK_HZ, content=CONTENT, cut=-1, **busy):
        file = tmp_path / "content.bin"
        file.write_bytes(content)
        times = TYPICAL | busy
        done = subprocess.run(
            [driver, str(clock_hz), str(times["program"]), str(times["erase"]), str(cut), file],
            input=wave, capture_output=True, text=True, check=True,
        )  # fmt: skip
        bits, powered, *violations = done.stdout.splitlines()
        return Result(bits, powered == "1", [one.split(" ", 1)[1] for one in violations],
                      file.read_bytes())  # fmt: skip

    return run


def bits(data):
    return [byte >> (7 - i) & 1 for byte in data for i in range(8)]


def instruction(*data, gap=4, cut=None):
    """The pins of one instruction as the controller sends it; `cut`: only so many bits."""
    wave = IDLE * gap
    for bit in bits(bytes(data))[:cut]:
        wave += str(DI * bit) + str(DI * bit | CLK)
    return wave + "0" + IDLE


def address(where):
    return tuple(where.to_bytes(3, "big"))


WAIT = "." * 2  # longer than any page or sector takes at 36 MHz


@pytest.mark.parametrize(
    ("words", "skip", "expected"),
    [
        ((READ, *address(0x1FE), *bytes(4)), 4, CONTENT[0x1FE:0x202]),
        ((FAST_READ, *address(0x1FE), *bytes(5)), 5, CONTENT[0x1FE:0x202]),
        ((0x9F, 0, 0, 0), 1, bytes([0xEF, 0x40, 0x18])),
        ((READ_STATUS, 0, 0), 1, bytes(2)),
        ((READ, 0xFF, 0xFF, 0xFF, 0, 0, 0), 4, bytes([0xFF]) + CONTENT[:2]),
    ],
    ids=["read", "fast-read", "id", "status", "wraps"],
)
def test_reads(drive, words, skip, expected):
    result = drive(instruction(*words, gap=1))
    assert result.data(skip) == expected
    assert result.violations == []
    assert result.content == CONTENT


def enabled(*words, **options):
    return instruction(WRITE_ENABLE) + instruction(*words, **options)


def test_page_program_clears_bits_and_stays_in_its_page(drive):
    erased = b"\xff" * 512
    data = bytes(range(1, 7))
    result = drive(enabled(PAGE_PROGRAM, *address(0xFD), *data), content=erased)
    assert result.violations == []
    assert result.content == data[3:] + b"\xff" * 250 + data[:3] + b"\xff" * 256


def test_page_program_of_more_than_a_page(drive):
    """The last 256 bytes count."""
    data = bytes(i % 251 for i in range(300))
    result = drive(enabled(PAGE_PROGRAM, *address(0), *data), content=b"\xff" * 256)
    assert result.content == data[256:] + data[44:256]


def test_page_program_over_what_is_not_erased(drive):
    content = b"\xff\x0f\xf0" + bytes(253)
    result = drive(enabled(PAGE_PROGRAM, *address(0), 0x55, 0xFF, 0x31), content=content)
    assert result.content[:3] == bytes([0x55, 0x0F, 0x30])
    assert result.violations == [
        "flash: page program at 0x000002: 0x31 over 0xF0, which is not erased"
    ]


def test_sector_erase(drive):
    result = drive(enabled(SECTOR_ERASE, *address(0x1234)))
    assert result.violations == []
    assert result.content == CONTENT[:0x1000] + b"\xff" * 0x1000 + CONTENT[0x2000:]


def test_status_while_busy(drive):
    """Busy for the data sheet's typical time: 45 ms are 1,620,000 cycles."""
    wave = enabled(SECTOR_ERASE, *address(0)) + instruction(READ_STATUS, 0)
    assert drive(wave).bits[-17:-2:2] == "00000011"
    late = enabled(SECTOR_ERASE, *address(0)) + "." + instruction(READ_STATUS, 0)
    assert drive(late).bits[-17:-2:2] == "00000011"
    over = enabled(SECTOR_ERASE, *address(0)) + ".." + instruction(READ_STATUS, 0)
    assert drive(over).bits[-17:-2:2] == "00000000"


REFUSED = {
    "program without write enable": (
        instruction(PAGE_PROGRAM, *address(0), 0),
        "instruction 0x02 without write enable",
    ),
    "erase without write enable": (
        instruction(SECTOR_ERASE, *address(0)),
        "instruction 0x20 without write enable",
    ),
    "write enable is used up": (
        enabled(PAGE_PROGRAM, *address(0), 0xFF) + WAIT + instruction(PAGE_PROGRAM, *address(0), 0),
        "instruction 0x02 without write enable",
    ),
    "write disable": (
        instruction(WRITE_ENABLE) + instruction(4) + instruction(SECTOR_ERASE, *address(0)),
        "instruction 0x20 without write enable",
    ),
    "read while busy": (
        enabled(PAGE_PROGRAM, *address(0), 0xFF) + instruction(READ, *address(0), 0),
        "instruction 0x03 while busy",
    ),
    "cut in the instruction": (
        instruction(READ, cut=5),
        "instruction cut off after 5 bits",
    ),
    "cut in the address": (
        enabled(SECTOR_ERASE, *address(0), cut=31),
        "instruction 0x20 of 31 bits: it is not carried out",
    ),
    "no data": (
        enabled(PAGE_PROGRAM, *address(0)),
        "instruction 0x02 of 32 bits: it is not carried out",
    ),
    "cut in the data": (
        enabled(PAGE_PROGRAM, *address(0), 0, 0, cut=44),
        "instruction 0x02 of 44 bits: it is not carried out",
    ),
    "erase of too many bytes": (
        enabled(SECTOR_ERASE, *address(0), 0),
        "instruction 0x20 of 40 bits: it is not carried out",
    ),
    "unknown": (
        instruction(0x77),
        "instruction 0x77 is not one that this model knows",
    ),
    "asleep": (
        instruction(0xB9) + "." + instruction(WRITE_ENABLE) + instruction(0xAB) + ".",
        "instruction 0x06 during power-down",
    ),
    "just awake": (
        instruction(0xB9) + "." + instruction(0xAB) + instruction(READ, *address(0), 0),
        "instruction 0x03 while the chip wakes or falls asleep (tRES1, tDP)",
    ),
    "chip select high too shortly after a write": (
        instruction(WRITE_ENABLE) + instruction(READ_STATUS, 0, gap=0),
        "/CS is high for 27.8 ns, not 50 ns, between two instructions (tSHSL)",
    ),
    "data changes as the clock rises": (
        IDLE + "06" + "0" + IDLE,
        "DI changes too shortly before CLK rises (tDVCH)",
    ),
    "selected as the clock rises": (
        IDLE + "2" + "0" + IDLE,
        "selected while CLK is high: not SPI mode 0",
    ),
    "deselected as the clock rises": (
        IDLE + "0" + "3" + IDLE,
        None,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(drive, name):
    wave, text = REFUSED[name]
    result = drive(wave)
    assert result.content == CONTENT
    if text is not None:
        assert f"flash: {text}" in result.violations
    elif name == "deselected as the clock rises":
        assert result.violations == []  # nothing was clocked: the chip does not care


def test_deselected_as_the_clock_rises(drive):
    result = drive(IDLE + "0" + "2" + "0" + "3" + IDLE)
    assert "flash: deselected as CLK rises (tSHCH)" in result.violations


@pytest.mark.parametrize(
    ("words", "clock_hz", "fast"),
    [
        ((READ, 0, 0, 0, 0), 100e6, False),
        ((READ, 0, 0, 0, 0), 101e6, True),
        ((FAST_READ, 0, 0, 0, 0, 0), 200e6, False),
        ((FAST_READ, 0, 0, 0, 0, 0), 270e6, True),
        ((READ_STATUS, 0), 266e6, False),
    ],
)
def test_clock_too_fast(drive, words, clock_hz, fast):
    """03h up to 50 MHz, the others up to 133 MHz; the SPI clock is half of this one."""
    result = drive(instruction(*words, gap=20), clock_hz=clock_hz)
    assert any("MHz is too fast" in one for one in result.violations) == fast


@pytest.mark.parametrize(("clock_hz", "wrong"), [(300e6, False), (400e6, True)])
def test_data_changes_too_soon(drive, clock_hz, wrong):
    """DI stands for 3 ns after CLK rises."""
    result = drive(IDLE * 9 + "0" * 9 + "26666" + "4444" + IDLE, clock_hz=clock_hz)
    assert ("flash: DI changes too soon after CLK rises (tCHDX)" in result.violations) == wrong


def test_lone_high_half_too_short(drive):
    """45 % of 20 ns, whatever the other half is."""
    wave = IDLE * 4 + "0" * 9
    for bit in bits(bytes((READ, 0, 0, 0, 0))):
        wave += str(DI * bit) * 3 + str(DI * bit | CLK)
    result = drive(wave + "0" * 9 + IDLE, clock_hz=120e6)
    assert any("is too fast, at most 50 MHz" in one for one in result.violations)


@pytest.mark.parametrize("cut", [0, 1, 5, 9])
def test_power_fails_while_programming(drive, cut):
    data = bytes(10)
    result = drive(enabled(PAGE_PROGRAM, *address(0), *data), content=b"\xff" * 256, cut=cut)
    assert not result.powered
    assert result.content[:cut] == bytes(cut)
    assert result.content[cut + 1 :] == b"\xff" * (255 - cut)


def test_power_fails_after_all(drive):
    """Steps that are enough: nothing happens."""
    data = bytes(10)
    result = drive(enabled(PAGE_PROGRAM, *address(0), *data), content=b"\xff" * 256, cut=10)
    assert result.powered
    assert result.content == data + b"\xff" * 246


@pytest.mark.parametrize("cut", [0, 7, 15])
def test_power_fails_while_erasing(drive, cut):
    content = bytes(8192)
    result = drive(enabled(SECTOR_ERASE, *address(0)), content=content, cut=cut)
    assert not result.powered
    done = 256 * cut
    assert result.content[:done] == b"\xff" * done
    half = result.content[done : done + 256]
    assert half != bytes(256) and half != b"\xff" * 256
    assert result.content[done + 256 :] == bytes(8192 - done - 256)


def test_a_dead_chip_does_nothing(drive):
    wave = enabled(PAGE_PROGRAM, *address(0), 0) + WAIT + enabled(SECTOR_ERASE, *address(0))
    result = drive(wave, cut=0)
    assert result.violations == []
    assert result.content[1:] == CONTENT[1:]


def test_power_off_in_the_middle_of_an_erase(drive):
    """62 % of the 45 ms have passed."""
    wave = enabled(SECTOR_ERASE, *address(0)) + "." + "!"
    content = bytes(8192)
    result = drive(wave, content=content)
    done = int(4096 * (1_000_000 + 3) / 1_620_000)
    assert result.content[: done - 8] == b"\xff" * (done - 8)
    assert result.content[done + 300 :] == bytes(8192 - done - 300)


def test_power_off_forgets_write_enable(drive):
    result = drive(instruction(WRITE_ENABLE) + "!" + instruction(SECTOR_ERASE, *address(0)))
    assert result.violations == ["flash: instruction 0x20 without write enable"]
    assert result.content == CONTENT
