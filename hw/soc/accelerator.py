"""The device: the engine behind a Wishbone bus, with registers and memory windows."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bus.csr import CSRBank
from hw.bus.window import MemoryWindows
from hw.bus.wishbone import Decoder, Signature
from hw.pipeline import pipeline_of
from hw.regions import Region
from hw.register_map import ENGINE_MAP, constant_words

__all__ = ["ADDRESS_WIDTH", "Accelerator"]

ADDRESS_WIDTH = 23
"""Bits of the device's word address: 32 MiB of byte addresses; the upper half is a flash's."""

_WINDOWS = 1 << 19  # words of all eight windows' address range, and where it starts


class Accelerator(wiring.Component):
    """Wishbone subordinate with everything of `hw.register_map.ENGINE_MAP`, around an engine.

    Latency: a register 2 cycles after `stb`; a window write 2, a window read
    `Pipeline.memory_latency` + 1; an address that is not mapped ends in `err` after 1.

    Parameters
    ----------
    engine : Component
        With a member `host` of signature `hw.engine.interface.HostPort`. It becomes a submodule.
    capability : hw.capability.Capability
        What the engine was built for: content of the capability registers.
    clock_hz : int
        Content of the CLOCK_HZ register.
    beside : dict of str to (int, int)
        Other regions of the bus: name to first word address and words, as for `Decoder`.

    Members
    -------
    bus : In(wishbone.Signature(ADDRESS_WIDTH))
        From the host.
    abort : In(1)
        Pulse: as CONTROL.RESET.
    <name> : Out(wishbone.Signature(log2(words)))
        To what lies beside, addressed from 0.

    Raises
    ------
    TypeError, ValueError
        `clock_hz` is not a positive integer; a capability does not fit its register.
    """

    def __init__(self, *, engine, capability, clock_hz, beside=None):
        if not isinstance(clock_hz, int) or isinstance(clock_hz, bool):
            raise TypeError(f"Clock must be an integer of Hz, not {clock_hz!r}")
        if clock_hz < 1:
            raise ValueError(f"Clock must be positive, not {clock_hz} Hz")
        self._engine = engine
        self._pipeline = pipeline_of(capability)
        self._constants = constant_words(capability=capability, clock_hz=clock_hz)
        self._beside = dict(beside or {})
        super().__init__(
            {"bus": In(Signature(addr_width=ADDRESS_WIDTH)), "abort": In(1)}
            | {
                name: Out(Signature(addr_width=exact_log2(words)))
                for name, (_, words) in self._beside.items()
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = self._engine
        m.submodules.csr = csr = CSRBank(registers=ENGINE_MAP, constants=self._constants)
        m.submodules.windows = windows = MemoryWindows(
            readable=[one.index for one in ENGINE_MAP.windows if "r" in one.access],
            writable=[one.index for one in ENGINE_MAP.windows if "w" in one.access],
            by_byte=[Region.WEIGHTS],
            read_latency=self._pipeline.memory_latency,
        )
        m.submodules.decoder = decoder = Decoder(
            addr_width=ADDRESS_WIDTH,
            regions={
                "csr": (0, ENGINE_MAP.bytes // 4),
                "windows": (_WINDOWS, _WINDOWS),
                **self._beside,
            },
        )
        wiring.connect(m, wiring.flipped(self.bus), decoder.bus)
        wiring.connect(m, decoder.csr, csr.bus)
        wiring.connect(m, decoder.windows, windows.bus)
        for name in self._beside:
            wiring.connect(m, getattr(decoder, name), wiring.flipped(getattr(self, name)))

        host = self._engine.host
        m.d.comb += [
            host.start.eq(csr.control_start),
            host.abort.eq(csr.control_reset | self.abort),
            host.repeat.eq(csr.control_repeat),
            host.stop_after.eq(csr.stop_after),
            csr.status_busy.eq(host.busy),
            csr.status_done.eq(host.done),
            csr.status_layer.eq(host.layer),
            getattr(csr, "class").eq(host.decision),
            csr.cycles.eq(host.cycles),
            host.mem_region.eq(windows.mem_region),
            host.mem_addr.eq(windows.mem_addr),
            host.mem_write.eq(windows.mem_write),
            host.mem_write_mask.eq(windows.mem_write_mask),
            host.mem_write_data.eq(windows.mem_write_data),
            windows.mem_read_data.eq(host.mem_read_data),
        ]
        return m
