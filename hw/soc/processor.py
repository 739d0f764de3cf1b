"""The processor: SERV as a Wishbone initiator."""

from importlib import util
from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.bus.wishbone import Signature
from model.common.errors import UserError

__all__ = ["Processor", "verilog_files"]

_FILES = (
    "serv_aligner", "serv_alu", "serv_bufreg", "serv_bufreg2", "serv_compdec", "serv_csr",
    "serv_ctrl", "serv_decode", "serv_immdec", "serv_mem_if", "serv_rf_if", "serv_rf_ram",
    "serv_rf_ram_if", "serv_rf_top", "serv_state", "serv_top",
)  # fmt: skip


def verilog_files() -> list[Path]:
    """SERV's Verilog, from its wheel. Raises `UserError` if it is not installed."""
    spec = util.find_spec("pythondata_cpu_serv")
    if spec is None or spec.origin is None:
        raise UserError(
            "The processor SERV is missing: run `pip install pythondata-cpu-serv` (or `make demo`, "
            "which installs everything)"
        )
    folder = Path(spec.origin).parent / "verilog" / "rtl"
    return [folder / f"{name}.v" for name in _FILES]


class Processor(wiring.Component):
    """RV32I, a bit a cycle: about 40 cycles an instruction. No interrupts, no CSRs.

    Instructions and data share the bus: SERV never asks for both at once. It knows no bus errors;
    a read that ends in one returns what the bus returned, all ones.

    Parameters
    ----------
    reset_address : int
        Byte address of the first instruction.

    Members
    -------
    hold : In(1)
        In reset while high.
    bus : Out(wishbone.Signature(30))
        Instructions and data.

    Source: SERV 1.2 (ISC licence), `rtl/serv_rf_top.v`.
    """

    def __init__(self, *, reset_address):
        if reset_address % 4 or not 0 <= reset_address < 1 << 32:
            raise ValueError(
                f"Reset address must be a multiple of 4 below 2**32, not {reset_address:#x}"
            )
        self._reset_address = reset_address
        super().__init__({"hold": In(1), "bus": Out(Signature(addr_width=30))})

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        fetch, fetch_address = Signal(), Signal(32)
        access, access_address, write = Signal(), Signal(32), Signal()
        select = Signal(4)
        answered = Signal()
        m.submodules.serv = Instance(
            "serv_rf_top",
            p_RESET_PC=self._reset_address,
            p_RESET_STRATEGY="MINI",
            p_WITH_CSR=0,
            p_PRE_REGISTER=0,
            p_RF_WIDTH=2,
            i_clk=ClockSignal(),
            i_i_rst=self.hold,
            i_i_timer_irq=0,
            o_o_ibus_adr=fetch_address,
            o_o_ibus_cyc=fetch,
            i_i_ibus_rdt=bus.dat_r,
            i_i_ibus_ack=answered & fetch,
            o_o_dbus_adr=access_address,
            o_o_dbus_dat=bus.dat_w,
            o_o_dbus_sel=select,
            o_o_dbus_we=write,
            o_o_dbus_cyc=access,
            i_i_dbus_rdt=bus.dat_r,
            i_i_dbus_ack=answered & ~fetch,
            i_i_ext_rd=0,
            i_i_ext_ready=0,
        )
        m.d.comb += [
            answered.eq(bus.ack | bus.err),
            bus.cyc.eq(fetch | access),
            bus.stb.eq(fetch | access),
            bus.we.eq(access & write),  # not in reset, where `write` means nothing
            bus.sel.eq(Mux(bus.we, select, 0b1111)),
            bus.adr.eq(Mux(fetch, fetch_address[2:], access_address[2:])),
        ]
        return m
