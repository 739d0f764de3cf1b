import csv
import importlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hw import register_map, regmap, soc
from hw.bus.export import FORMATS, constants, to_c, to_csv, to_markdown, to_python, to_svd
from hw.bus.registers import Register
from hw.capability import Capability
from hw.regions import Region
from hw.register_map import (
    ENGINE_MAP,
    REGISTER_MAP,
    SOC_MAP,
    constant_words,
)
from hw.soc.accelerator_registers import IDENTITY

PAGE = Path(register_map.__file__).parents[1] / "docs" / "registers.md"


def c_constants(text):
    return {
        name: int(value, 0) for name, value in re.findall(r"^#define (\w+) (\w+)u$", text, re.M)
    }


def test_identity_and_regions():
    assert IDENTITY == 0x4448414D == int.from_bytes(b"DHAM", "big")
    assert [(one.name, one.index) for one in REGISTER_MAP.windows] == [
        (one.name, int(one)) for one in Region
    ]
    assert REGISTER_MAP.register("ID").offset == 0
    assert REGISTER_MAP.register("STOP_AFTER").reset == 0xFF


def test_parts():
    """The accelerator's registers and those around it are all, each in a block of its own."""
    base = 0x80
    names = [one.name for one in ENGINE_MAP.registers + SOC_MAP.registers]
    assert names == [one.name for one in REGISTER_MAP.registers]
    for one in ENGINE_MAP.registers:
        assert one == REGISTER_MAP.register(one.name) and one.offset < base
    for one in SOC_MAP.registers:
        assert one.offset + base == REGISTER_MAP.register(one.name).offset
        assert one.fields == REGISTER_MAP.register(one.name).fields
    assert ENGINE_MAP.bytes == base and ENGINE_MAP.windows == REGISTER_MAP.windows
    assert SOC_MAP.windows == () and SOC_MAP.bytes <= base == REGISTER_MAP.bytes // 2
    assert not any(one.constant for one in SOC_MAP.registers)
    assert {one.name: one.access for one in REGISTER_MAP.windows} == {
        "WEIGHTS": "rw", "IMAGE": "wo", "ACTIVATIONS": "ro", "PARAMETERS": "wo", "LAYERS": "wo",
        "LOGITS": "ro",
    }  # fmt: skip


def test_the_numbers_in_the_map_are_the_hardwares():
    """Times and widths that the documentation of a field says."""
    target = REGISTER_MAP.register("DMA_TARGET").field("WORD")
    last = REGISTER_MAP.windows[-1]
    assert 4 << target.width == last.base + 3 * last.size  # all eight windows' range
    told = REGISTER_MAP.register("BOOT").field("ALIVE").doc
    assert "within 2 ** 20 cycles of the start and then every 2 ** 25, frames" in told
    assert "the 4096th cycle" in REGISTER_MAP.register("DMA").field("WAIT").doc


def test_every_register_of_a_peripheral_has_a_place():
    described = {
        register.name
        for path in Path(soc.__file__).parent.glob("*_registers.py")
        for register in vars(importlib.import_module(f"hw.soc.{path.stem}")).values()
        if isinstance(register, Register)
    }
    assert described == {one.name for one in REGISTER_MAP.registers}


def test_every_data_field_has_a_pulse():
    """A `wo` field of several bits means something only in the cycle of a pulse beside it."""
    for one in REGISTER_MAP.registers:
        given = [field for field in one.fields if field.access == "wo" and field.width > 1]
        pulses = [field for field in one.fields if field.access == "wo" and field.width == 1]
        assert not given or pulses, one.name


def test_python_c_and_map_agree():
    scope = {}
    exec(compile(to_python(REGISTER_MAP), "constants", "exec"), scope)
    del scope["__builtins__"], scope["__doc__"]
    assert scope == c_constants(to_c(REGISTER_MAP)) == constants(REGISTER_MAP)
    for register in REGISTER_MAP.registers:
        assert scope[f"DHAM_{register.name}_ADDR"] == register.offset
        for field in register.fields:
            assert scope[f"DHAM_{register.name}_{field.name}_MASK"] == field.mask
    for window in REGISTER_MAP.windows:
        assert scope[f"DHAM_{window.name}_BASE"] == window.base


def test_c_header_compiles(tmp_path):
    compiler = shutil.which("cc") or shutil.which("g++")
    assert compiler, "no C compiler found; the project needs g++ anyway"
    header = tmp_path / "dham.h"
    header.write_text(to_c(REGISTER_MAP))
    source = tmp_path / "use.c"
    source.write_text('#include "dham.h"\n#include "dham.h"\nunsigned id = DHAM_IDENTITY;\n')
    subprocess.run(
        [compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic", source], check=True
    )


def test_csv():
    rows = [row for row in csv.reader(io.StringIO(to_csv(REGISTER_MAP))) if row[0][0] != "#"]
    assert {len(row) for row in rows} == {5}
    assert rows[0] == ["csr_base", "dham", "0x00000000", "", ""]
    registers = {row[1]: row[2:] for row in rows if row[0] == "csr_register"}
    assert len(registers) == len(REGISTER_MAP.registers)
    for one in REGISTER_MAP.registers:
        address, length, mode = registers[f"dham_{one.name.lower()}"]
        assert int(address, 16) == one.offset and length == "1"
        assert mode == ("ro" if one.access == "ro" else "rw")
    memories = {row[1]: row[2:] for row in rows if row[0] == "memory_region"}
    for one in REGISTER_MAP.windows:
        address, size, kind = memories[f"dham_{one.name.lower()}"]
        assert int(address, 16) == one.base and int(size) == one.size and kind == "io"
    values = {row[1]: int(row[2]) for row in rows if row[0] == "constant"}
    assert values["dham_identity"] == IDENTITY


def test_svd_structure_and_values():
    device = ElementTree.fromstring(to_svd(REGISTER_MAP))
    assert device.tag == "device" and device.get("schemaVersion") == "1.3"
    # The schema demands this order; `modifiedWriteValues` follows `access` in a field.
    assert [one.tag for one in device] == [
        "vendor", "name", "version", "description", "addressUnitBits", "width", "size", "access",
        "resetValue", "resetMask", "peripherals",
    ]  # fmt: skip
    for peripheral in device.iter("peripheral"):
        assert [one.tag for one in peripheral] == [
            "name", "description", "baseAddress", "addressBlock", "registers"
        ]  # fmt: skip
        assert [one.tag for one in peripheral.find("addressBlock")] == ["offset", "size", "usage"]
        for name in peripheral.iter("name"):
            assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\[%s\])?", name.text)
    first, *windows = device.iter("peripheral")
    found = {one.findtext("name"): one for one in first.iter("register")}
    assert list(found) == [one.name for one in REGISTER_MAP.registers]
    access = {"ro": "read-only", "rw": "read-write", "wo": "write-only"}
    for one in REGISTER_MAP.registers:
        register = found[one.name]
        assert [part.tag for part in register] == [
            "name", "description", "addressOffset", "size", "access", "resetValue", "resetMask",
            "fields",
        ]  # fmt: skip
        assert int(register.findtext("addressOffset"), 0) == one.offset
        assert int(register.findtext("resetValue"), 0) == one.reset
        fields = {part.findtext("name"): part for part in register.iter("field")}
        assert list(fields) == [part.name for part in one.fields]
        for part in one.fields:
            field = fields[part.name]
            assert int(field.findtext("bitOffset")) == part.low
            assert int(field.findtext("bitWidth")) == part.width
            assert field.findtext("access") == access[part.access]
    for one, peripheral in zip(REGISTER_MAP.windows, windows, strict=True):
        assert peripheral.findtext("name") == one.name
        assert int(peripheral.findtext("baseAddress"), 0) == one.base
        array = peripheral.find("registers/register")
        assert 4 * int(array.findtext("dim")) == one.size
        assert array.findtext("access") == access[one.access]


def test_page_is_current():
    assert PAGE.read_text() == to_markdown(REGISTER_MAP), (
        "run `python -m hw.regmap --format md --output docs/registers.md`"
    )


def test_page_has_every_name():
    text = to_markdown(REGISTER_MAP)
    for one in REGISTER_MAP.registers:
        assert f"| 0x{one.offset:02X} | {one.name} |" in text
        for field in one.fields:
            assert f"| {one.name} | " in text and f"| {field.name} |" in text
    for line in text.splitlines():
        assert line.count("|") in (0, 3, 6, 7)


def test_clock_that_does_not_fit():
    text = r"^Value of field CLOCK_HZ must fit 32 bits, not 4294967296$"
    with pytest.raises(ValueError, match=text):
        constant_words(capability=Capability(), clock_hz=1 << 32)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_command_line(name, tmp_path, capsys):
    output = tmp_path / "output"
    for words in (["--output", str(output)], []):
        with pytest.raises(SystemExit) as stopped:
            regmap.main(["--format", name, *words])
        assert stopped.value.code == 0
    assert output.read_text() == capsys.readouterr().out == FORMATS[name](REGISTER_MAP)
    assert list(tmp_path.iterdir()) == [output]


def test_command_line_errors(tmp_path):
    command = [sys.executable, "-m", "hw.regmap", "--format", "md", "--output"]
    folder = tmp_path / "missing"
    done = subprocess.run([*command, str(folder / "file")], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --output {folder / 'file'}: the folder {folder} does not exist\n"
    )


def test_the_output_is_checked_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(regmap, "FORMATS", {"md": None})
    for output, text in ((tmp_path, f"{tmp_path} is a folder"), ("", "needs the name of a file")):
        with pytest.raises(SystemExit) as stopped:
            regmap.main(["--format", "md", "--output", str(output)])
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: --output {text}")
