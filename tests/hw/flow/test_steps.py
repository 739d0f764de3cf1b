"""The tools' steps on a small stand-in design: reproducible, and refused where it does not fit."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Elaboratable, Instance, Module, Signal
from amaranth.lib import io

from hw.boards import find_board
from hw.flow import steps as flow
from hw.flow.tools import Toolchain
from hw.soc import boot
from model.common.errors import UserError
from tests.hw.builds import Counter


def test_same_seed_same_bitstream(tmp_path):
    """Whatever the folder is called; another seed gives another layout."""
    board = find_board("icebreaker")

    def bitstream(name: str, seed: int) -> bytes:
        work = flow.Workspace(directory=tmp_path / name)
        work.directory.mkdir()
        flow.elaborate(board, Counter(20), work)
        flow.synthesise(Toolchain(), board, work)
        flow.place_and_route(Toolchain(), board, work, seed=seed, clock_mhz=12)
        flow.pack(Toolchain(), board, work)
        return (work.directory / "top.bin").read_bytes()

    first = bitstream("a", 1)
    assert first == bitstream("a-folder-with-a-longer-name", 1)
    assert first != bitstream("b", 2)


def test_digest_of_a_design(monkeypatch):
    """The same for the same hardware; another one for whatever else, with no version number
    changed: a bit of the watchdog, the clock, the engine."""
    board = find_board("icebreaker")

    def digest(clock_mhz=36.0, **changes):
        capability = replace(board.capability, **changes)
        return flow.design_sha256(board, board.make_top(capability, clock_mhz))

    ours = digest()
    others = {digest(), digest(30.0), digest(layer_entries=board.capability.layer_entries // 2)}
    monkeypatch.setattr(boot, "SILENCE_BIT", boot.SILENCE_BIT - 1)
    others.add(digest())
    assert ours in others and len(others) == 4


def test_design_that_is_too_large(tmp_path):
    class Large(Elaboratable):
        def elaborate(self, platform):
            m = Module()
            m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
            count, products = Signal(16), []
            m.d.sync += count.eq(count + 1)
            for index in range(9):
                products.append(Signal(32, name=f"product{index}"))
                m.submodules += Instance(
                    "SB_MAC16", i_A=count, i_B=count ^ index, o_O=products[index]
                )
            m.d.comb += led.o.eq(Cat(products).xor())
            return m

    work = flow.Workspace(directory=tmp_path)
    board = find_board("icebreaker")
    flow.elaborate(board, Large(), work)
    flow.synthesise(Toolchain(), board, work)
    with pytest.raises(UserError, match="does not fit iCE40UP5K: it needs 9 DSP blocks of 8;"):
        flow.place_and_route(Toolchain(), board, work, seed=1, clock_mhz=12)


def test_clock_that_nothing_runs_at_is_no_success(tmp_path):
    work = flow.Workspace(directory=tmp_path)
    board = find_board("icebreaker")
    flow.elaborate(board, Counter(4), work)
    flow.synthesise(Toolchain(), board, work)
    with pytest.raises(UserError, match="No clock of the placed design is constrained to 36 MHz"):
        flow.place_and_route(Toolchain(), board, work, seed=1, clock_mhz=36)
