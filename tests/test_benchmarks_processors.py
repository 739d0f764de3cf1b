"""`benchmarks.processors`: the interpreter, the program that every core runs, wrong options."""

import random

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from benchmarks import processors
from benchmarks.processors import CORES, Core, build_program, execute, expected, main, simulate
from hw.bus.wishbone import Signature
from hw.flow.steps import Workspace
from hw.flow.tools import Toolchain
from model.common.errors import UserError

MASK = 0xFFFF_FFFF
A, B, RESULT, BASE = 5, 6, 7, 8  # registers
EDGES = (0, 1, 2, 31, 32, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def i_type(opcode, funct3, rd, rs1, immediate):
    return (immediate & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def r_type(funct3, rd, rs1, rs2, funct7=0):
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | 0x33


def store(funct3, rs2, rs1, offset):
    high, low = (offset & 0xFFF) >> 5, offset & 31
    return high << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | low << 7 | 0x23


def branch(funct3, rs1, rs2, offset):
    high = (offset >> 12 & 1) << 6 | offset >> 5 & 63
    low = (offset >> 1 & 15) << 1 | offset >> 11 & 1
    return high << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | low << 7 | 0x63


def jal(rd, offset):
    bits = (offset >> 20 & 1) << 19 | (offset >> 1 & 0x3FF) << 9 | (offset >> 11 & 1) << 8
    return (bits | offset >> 12 & 0xFF) << 12 | rd << 7 | 0x6F


def load_constant(rd, value):
    """LUI and ADDI."""
    return [(value + 0x800 & 0xFFFF_F000) | rd << 7 | 0x37, i_type(0x13, 0, rd, rd, value)]


def run(*words, show=(RESULT,), limit=1000):
    """The values of registers after these instructions."""
    code = list(words) + load_constant(BASE, 0x8000_0000)
    code += [store(2, register, BASE, 0) for register in show] + [store(2, 0, BASE, 4)]
    image = b"".join(word.to_bytes(4, "little") for word in code)
    outputs, _ = execute(image, limit)
    return outputs[0] if len(show) == 1 else outputs


def as_signed(value):
    return value - (1 << 32) if value >> 31 else value


# By funct3 and funct7; what the manual says of each, on plain integers.
ARITHMETIC = {
    "add": (0, 0x00, lambda a, b: a + b),
    "sub": (0, 0x20, lambda a, b: a - b),
    "sll": (1, 0x00, lambda a, b: a * 2 ** (b % 32)),
    "slt": (2, 0x00, lambda a, b: as_signed(a) < as_signed(b)),
    "sltu": (3, 0x00, lambda a, b: a < b),
    "xor": (4, 0x00, lambda a, b: a ^ b),
    "srl": (5, 0x00, lambda a, b: a // 2 ** (b % 32)),
    "sra": (5, 0x20, lambda a, b: as_signed(a) // 2 ** (b % 32)),
    "or": (6, 0x00, lambda a, b: a | b),
    "and": (7, 0x00, lambda a, b: a & b),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_register_arithmetic(name):
    funct3, funct7, model = ARITHMETIC[name]
    for a in EDGES:
        for b in EDGES:
            words = [*load_constant(A, a), *load_constant(B, b)]
            found = run(*words, r_type(funct3, RESULT, A, B, funct7))
            assert found == model(a, b) & MASK, (name, hex(a), hex(b))


@pytest.mark.parametrize("name", [name for name in ARITHMETIC if name != "sub"])
def test_immediate_arithmetic(name):
    funct3, funct7, model = ARITHMETIC[name]
    shift = name in ("sll", "srl", "sra")
    for a in EDGES:
        for b in (0, 1, 5, 31) if shift else (0, 1, -1, 2047, -2048):
            field = funct7 << 5 | b if shift else b
            found = run(*load_constant(A, a), i_type(0x13, funct3, RESULT, A, field))
            assert found == model(a, b & MASK) & MASK, (name, hex(a), b)


@pytest.mark.parametrize(
    ("funct3", "model"),
    [
        (0, lambda a, b: a == b),
        (1, lambda a, b: a != b),
        (4, lambda a, b: as_signed(a) < as_signed(b)),
        (5, lambda a, b: as_signed(a) >= as_signed(b)),
        (6, lambda a, b: a < b),
        (7, lambda a, b: a >= b),
    ],
)
def test_branches(funct3, model):
    for a in EDGES:
        for b in EDGES:
            skipped = i_type(0x13, 0, RESULT, 0, 1)
            words = [*load_constant(A, a), *load_constant(B, b), branch(funct3, A, B, 8), skipped]
            assert run(*words) == (not model(a, b)), (funct3, hex(a), hex(b))


def test_jumps_link_and_go_both_ways():
    add = i_type(0x13, 0, RESULT, RESULT, 1)
    # 0: over to 12; 4: adds and goes on to 16; 12: back to 4.
    assert run(jal(A, 12), add, jal(B, 8), jal(1, -8), show=(A, 1, B, RESULT)) == [4, 16, 12, 1]
    # The lowest bit of JALR's target is cleared.
    assert run(i_type(0x67, 0, A, 0, 9), add, show=(A, RESULT)) == [4, 0]


def test_upper_immediates():
    assert run(0xABCDE << 12 | RESULT << 7 | 0x37) == 0xABCD_E000
    assert run(0x13, 0xABCDE << 12 | RESULT << 7 | 0x17) == 0xABCD_E004  # after a nop


@pytest.mark.parametrize(
    ("funct3", "at", "value"),
    [(0, 3, 0xFFFF_FF89), (4, 3, 0x89), (1, 2, 0xFFFF_89AB), (5, 2, 0x89AB), (2, 0, 0x89AB_CDEF),
     (0, 0, 0xFFFF_FFEF), (1, 0, 0xFFFF_CDEF)],
)  # fmt: skip
def test_loads(funct3, at, value):
    words = [*load_constant(A, 0x1000), *load_constant(B, 0x89AB_CDEF), store(2, B, A, -4)]
    assert run(*words, i_type(0x03, funct3, RESULT, A, at - 4)) == value


@pytest.mark.parametrize(
    ("funct3", "at", "value"),
    [(0, 0, 0x4444_44EF), (0, 3, 0xEF44_4444), (1, 2, 0xCDEF_4444), (2, 0, 0x89AB_CDEF)],
)
def test_stores(funct3, at, value):
    words = [*load_constant(A, 0x1000), *load_constant(B, 0x4444_4444), store(2, B, A, 8)]
    words += [*load_constant(B, 0x89AB_CDEF), store(funct3, B, A, 8 + at)]
    assert run(*words, i_type(0x03, 2, RESULT, A, 8)) == value


def test_register_0_stays_0_and_fence_does_nothing():
    assert run(i_type(0x13, 0, 0, 0, 5), 0x0FF0_000F, i_type(0x13, 0, RESULT, 0, 0)) == 0


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x0000_0000, "Instruction 0x00000000 at 0x0 is none of RV32I"),
        (0x0000_0073, "Instruction 0x00000073 at 0x0 is none of RV32I"),  # ECALL
        (r_type(0, RESULT, A, B, 1), "is none of RV32I"),  # MUL
        (r_type(4, RESULT, A, B, 0x20), "is none of RV32I"),
        (i_type(0x13, 1, RESULT, A, 0x400), "is none of RV32I"),
        (i_type(0x03, 3, RESULT, 0, 0), "is none of RV32I"),
        (branch(2, A, B, 8), "is none of RV32I"),
        (i_type(0x03, 2, RESULT, 0, 2), "Access to 0x2 at 0x0: misaligned, or no memory"),
        (i_type(0x03, 2, RESULT, 0, -4), "Access to 0xfffffffc at 0x0: misaligned, or no memory"),
        (store(1, A, 0, 1), "Access to 0x1 at 0x0: misaligned, or no memory"),
        (i_type(0x67, 0, 0, 0, 6), "Access to 0x6 at 0x6: misaligned, or no memory"),
        (jal(0, 0), "The program did not end within 1000 instructions"),
    ],
)
def test_what_rv32i_has_not_is_refused(word, text):
    with pytest.raises(ValueError) as caught:
        run(word)
    assert text in str(caught.value)


def test_instructions_are_counted():
    halt = [*load_constant(BASE, 0x8000_0000), store(2, 0, BASE, 4)]
    image = b"".join(word.to_bytes(4, "little") for word in [0x13] * 7 + halt)
    assert execute(image) == ([], 10)


@pytest.mark.parametrize("seed", [processors._SEED, 1, random.Random(4).getrandbits(32)])
def test_program_computes_what_python_does(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(processors, "_SEED", seed)
    monkeypatch.setitem(processors._NAMES, "seed", seed)
    results, instructions = execute(build_program(tmp_path))
    assert results == expected()
    assert len(results) == 5 and instructions > 10_000


def test_program_that_does_not_compile(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_PROGRAM", "int broken(")
    with pytest.raises(UserError, match="The program did not compile: program.c:1"):
        build_program(tmp_path)


class Faulty(wiring.Component):
    """Asks for one address; drops `stb` after the answer, or does not."""

    def __init__(self, *, address, drops):
        self._address, self._drops = address, drops
        super().__init__({"bus": Out(Signature(addr_width=30))})

    def elaborate(self, platform):
        m = Module()
        asks = Signal(init=1)
        with m.If(self.bus.ack & self._drops):
            m.d.sync += asks.eq(0)
        m.d.comb += [
            Cat(self.bus.cyc, self.bus.stb).eq(asks.replicate(2)),
            self.bus.adr.eq(self._address),
        ]
        return m


@pytest.mark.parametrize(
    ("address", "drops", "text"),
    [(0, False, "stb did not drop after ack"), (0x1000, True, "access outside of the memory")],
)
def test_core_that_breaks_the_rules_of_the_bus(tmp_path, address, drops, text):
    core = Core(name="one", wheel="", make=lambda: Faulty(address=address, drops=drops))
    with pytest.raises(UserError) as caught:
        simulate(core, b"\x13" * 4, Toolchain(), Workspace(directory=tmp_path))
    assert str(caught.value) == f"one failed in simulation: ERROR: {text}"
    assert caught.value.status == 1


def test_core_that_computes_wrongly():
    wrong = [*expected()[:-1], expected()[-1] ^ 1]
    with pytest.raises(UserError) as caught:
        processors._check("The core", wrong)
    assert str(caught.value) == f"The core computed {wrong}, not {expected()}"
    assert caught.value.status == 1


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_facts_of_every_core(core):
    facts = core.facts()
    assert facts["version"] and ("ISC" in facts["licence"] or "BSD" in facts["licence"])
    assert facts["upstream"] == "not told" or facts["upstream"].split()[-1].isdigit()


def test_serv_of_the_wheel_is_one_bit_wide(tmp_path):
    """The documentation says so: no parameter W in its modules yet."""
    files = CORES[0].copy_files(tmp_path)
    top = (tmp_path / "serv_top.v").read_text("utf-8")
    assert "serv_rf_top.v" in files and "parameter WITH_CSR" in top
    assert "parameter W " not in top and "parameter W=" not in top


def test_missing_core_is_one_line(monkeypatch, tmp_path):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(processors.importlib, "import_module", refuse)
    with pytest.raises(UserError) as caught:
        CORES[0].copy_files(tmp_path)
    assert str(caught.value) == (
        "pythondata_cpu_serv is missing: run `pip install pythondata-cpu-serv`"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--seeds", "0"], "error: Seeds must be a positive integer, not 0\n"),
        (["--seeds", "x"], "error: argument --seeds: invalid int value: 'x' (see python -m "
                           "benchmarks.processors --help)\n"),
    ],
)  # fmt: skip
def test_wrong_options(words, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err == text
