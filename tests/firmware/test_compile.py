"""The firmware: what is built, its size, and that it is the same each time."""

import shutil
import struct
import sys
import zlib
from dataclasses import replace

import pytest

from firmware import compile as module
from firmware.compile import Firmware, build, compile_firmware, main
from hw.boards import BOARDS
from hw.soc.addresses import FIRMWARE_BYTES, processor_memory
from model.common.errors import UserError

CAPABILITY = BOARDS["icebreaker"].capability


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("one")


@pytest.fixture(scope="module")
def firmware(folder):
    return build(CAPABILITY, folder)


def test_copy(firmware):
    copy, size = firmware.copy, firmware.firmware_bytes
    assert len(copy) == FIRMWARE_BYTES >= size and size % 4 == 0
    assert int.from_bytes(copy[-4:], "little") == zlib.crc32(copy[:-4])
    assert copy[size - 8 : size - 4] != b"\xff" * 4
    assert set(copy[size - 4 : -4]) == {0xFF}


def test_memory_is_all_told(firmware):
    memory = processor_memory(CAPABILITY)
    data = firmware.data_bytes + firmware.learned_bytes + firmware.stack_bytes
    assert data + firmware.firmware_bytes - 4 == memory.size
    # 16 classes of 96 features, as the default network has them: it learns as many as there may be.
    assert firmware.learned_bytes >= 28 + 16 * (20 + 4 * 96)


def test_the_same_bytes_in_another_folder(firmware):
    assert compile_firmware(CAPABILITY) == firmware.copy


def test_it_follows_the_capability(firmware, tmp_path):
    other = build(replace(CAPABILITY, weight_words=12288, processor_words=4096), tmp_path)
    assert other.copy != firmware.copy
    assert other.learned_bytes == firmware.learned_bytes + 16384


def _instructions(folder, name):
    """The words of the program's functions, which its symbols tell from data."""
    data = (folder / f"{name}.elf").read_bytes()
    elf = module._Elf(data)
    segments = [part[1:] for part in elf._table(28, 42, "<IIIII") if part[0] == 1]
    tables = [part[4:6] for part in elf._table(32, 46, "<IIIIIIIIII") if part[1] == 2]
    for start, size in tables:
        for at in range(start, start + size, 16):
            _, address, length, info = struct.unpack_from("<IIIB", data, at)
            for offset, virtual, _, filled in segments:
                if info & 15 == 2 and virtual <= address < virtual + filled:
                    place = offset + address - virtual
                    yield from struct.unpack_from(f"<{length // 4}I", data, place)


def test_only_instructions_of_rv32i(firmware, folder):
    """SERV has no multiplier, no atomics, no CSRs, no compressed instructions."""
    words = list(_instructions(folder, "firmware"))
    assert len(words) >= 1500
    base = {0x37, 0x17, 0x6F, 0x67, 0x63, 0x03, 0x23, 0x13, 0x33}
    for word in words:
        assert word & 0x7F in base, f"{word:#010x}"
        if word & 0x7F == 0x33:
            assert word >> 25 in (0, 0x20), f"{word:#010x} multiplies or divides"


def test_it_begins_at_the_first_word(firmware, folder):
    """Where the processor comes out of reset."""
    symbols = module._Elf((folder / "firmware.elf").read_bytes()).symbols()
    assert symbols["_start"] == processor_memory(CAPABILITY).start


def test_summary():
    made = Firmware(copy=b"", firmware_bytes=2, data_bytes=3, learned_bytes=4, stack_bytes=5)
    assert made.summary == (
        "firmware 2 of 8192 bytes; memory: 3 bytes of data, 4 for learned classes, 5 of stack"
    )


def test_program(firmware, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "build", lambda capability, folder, compiler: firmware)
    main(["--output", str(tmp_path / "copy.bin")])
    assert (tmp_path / "copy.bin").read_bytes() == firmware.copy
    assert capsys.readouterr().out == firmware.summary + "\n"
    with pytest.raises(UserError, match="The firmware .* is a folder: give the name of a file"):
        main(["--output", str(tmp_path)])
    with pytest.raises(UserError, match="Unknown board 'x'"):
        main(["--board", "x"])


def _change(monkeypatch, tmp_path, name, old, new):
    """A copy of the sources, in one of which a text is another one."""
    shutil.copytree(module.SOURCES, tmp_path / "device")
    path = tmp_path / "device" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    monkeypatch.setattr(module, "SOURCES", tmp_path / "device")


def test_too_large(monkeypatch, tmp_path):
    banner = 'text("DecisiveNets firmware ");'
    _change(monkeypatch, tmp_path, "main.c", banner, f'text("{"x" * 1000}");')
    with pytest.raises(UserError, match=r"^The firmware has \d+ bytes, \d+ more than its room$"):
        build(CAPABILITY, tmp_path)


def test_no_room_for_what_is_learned(monkeypatch, tmp_path):
    first = "struct device {"
    _change(monkeypatch, tmp_path, "device.h", first, f"{first}\n  uint32_t wasted[1000];")
    with pytest.raises(UserError, match="does not build: .*too little memory is left"):
        build(CAPABILITY, tmp_path)


def test_wrong_c_is_one_line(monkeypatch, tmp_path):
    first = "void text_begin(void) {"
    _change(monkeypatch, tmp_path, "text.c", first, f"{first} nothing();")
    with pytest.raises(UserError) as error:
        build(CAPABILITY, tmp_path)
    text = str(error.value)
    assert text.startswith("The firmware does not build: ") and "\n" not in text
    assert "text.c" in text and "'nothing'" in text


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setattr(module.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="The C compiler is missing: run `pip install"):
        build(CAPABILITY, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError,
        match="None of these compilers is on PATH: riscv32-unknown-elf-gcc, "
        "riscv64-unknown-elf-gcc, riscv-none-elf-gcc",
    ):
        build(CAPABILITY, tmp_path, compiler="gcc")
    with pytest.raises(UserError, match="Compiler must be zig or gcc, not 'tcc'"):
        build(CAPABILITY, tmp_path, compiler="tcc")


def test_wrong_capability(tmp_path):
    with pytest.raises(UserError, match="engines of 16 lanes, not 32"):
        build(replace(CAPABILITY, lanes=32), tmp_path)


def test_linker_that_makes_something_else(tmp_path):
    with pytest.raises(UserError, match="did not make a 32-bit little-endian ELF file"):
        module._Elf(b"\x7fELF\x02\x01" + bytes(60))


def test_a_gcc_on_path_is_used(monkeypatch, tmp_path):
    """With a stand-in that notes how it is called, and fails."""
    tool = tmp_path / "riscv64-unknown-elf-gcc"
    tool.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "print('error: called with', *sys.argv[1:], file=sys.stderr)\nsys.exit(1)\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="error: called with -march=rv32i -mabi=ilp32 .*arithmetic"):
        build(CAPABILITY, tmp_path / "made", compiler="gcc")
