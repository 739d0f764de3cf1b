"""Control and status registers, generated from their description."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bus.registers import RegisterMap
from hw.bus.wishbone import Signature

__all__ = ["CSRBank", "port_name"]


def port_name(register, field):
    """Name of a field's port: the register's alone where it has one field, else both."""
    name = register.name if len(register.fields) == 1 else f"{register.name}_{field.name}"
    return name.lower()


class CSRBank(wiring.Component):
    """The registers of a `RegisterMap` as a Wishbone subordinate.

    Latency: `ack` one cycle after `stb`; a write takes effect in the cycle of its `ack`, where
    a `wo` field's pulse is high for that one cycle. Words without a register read 0; writing them
    or `ro` fields changes nothing. A write with `sel` other than `0b1111` ends in `err`.

    Parameters
    ----------
    registers : RegisterMap
        What to build. Constant registers are cheapest together in an aligned block of 16.
    constants : dict of str to int
        Register name to word, for each register with constant fields.

    Members
    -------
    bus : In(wishbone.Signature)
        Addressed from 0.
    <port_name> : In(width)
        Of each `ro` field that is not constant: its value.
    <port_name> : Out(width)
        Of each `rw` field: its value. Of a `wo` field of one bit: the bit written, for one cycle.
        Of a wider one: the bits on the bus, which are those written in the cycle of a pulse of
        the same register, and mean nothing in others.

    Raises
    ------
    TypeError, ValueError
        `registers` is no `RegisterMap`; a constant is missing, too many or does not fit.
    """

    def __init__(self, *, registers, constants):
        if not isinstance(registers, RegisterMap):
            raise TypeError(f"Registers must be a RegisterMap, not {registers!r}")
        needed = {one.name for one in registers.registers if any(f.constant for f in one.fields)}
        if needed != set(constants):
            odd = ", ".join(sorted(needed ^ set(constants)))
            raise ValueError(f"Constants must be given for exactly the constant registers: {odd}")
        for name, word in constants.items():
            allowed = sum(f.mask for f in registers.register(name).fields if f.constant)
            if word & ~allowed:
                raise ValueError(f"Constant {name} must fit its fields, not {word:#x}")
        self._registers = registers
        self._constants = constants
        members = {"bus": In(Signature(addr_width=exact_log2(registers.bytes // 4)))}
        for register, field in self._fields():
            if not field.constant:
                flow = In if field.access == "ro" else Out
                members[port_name(register, field)] = flow(field.width, init=field.reset)
        super().__init__(members)

    def _fields(self):
        return [(one, field) for one in self._registers.registers for field in one.fields]

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        ack = Signal()
        whole = Signal()
        m.d.comb += [whole.eq(bus.sel.all()), bus.ack.eq(ack & whole), bus.err.eq(ack & ~whole)]
        m.d.sync += ack.eq(bus.cyc & bus.stb & ~ack)
        write = Signal()
        m.d.comb += write.eq(bus.cyc & bus.stb & bus.we & ~ack & whole)

        value = self._constant(m)
        for register in self._registers.registers:
            selected = Signal(name=f"select_{register.name.lower()}")
            m.d.comb += selected.eq(bus.adr == register.offset // 4)
            word, end = [], 0
            for field in register.fields:
                word.append(Const(0, field.low - end))
                end = field.low + field.width
                readable = Const(0, field.width)
                if not field.constant:
                    port = getattr(self, port_name(register, field))
                    if field.access != "wo":
                        readable = port
                    if field.access == "wo" and field.width > 1:
                        # The initiator holds its data up to the decoder's registered answer.
                        m.d.comb += port.eq(bus.dat_w[field.low : end])
                        word.append(readable)
                        continue
                    if field.access == "wo":
                        m.d.sync += port.eq(0)
                    if field.access != "ro":
                        with m.If(write & selected):
                            m.d.sync += port.eq(bus.dat_w[field.low : end])
                word.append(readable)
            if not register.constant:
                value = value | Cat(*word) & selected.replicate(end)
        # Zero unless asked, so that the decoder need not select.
        data = Signal(32, reset_less=True)
        m.d.sync += data.eq(value)
        with m.If(~(bus.cyc & bus.stb)):
            m.d.sync += data.eq(0)
        m.d.comb += bus.dat_r.eq(data)
        return m

    def _constant(self, m):
        """The constants' word at the address, 0 elsewhere: each bit is one truth table."""
        tables = [0] * 32
        last = 0
        for name, word in self._constants.items():
            index = self._registers.register(name).offset // 4
            last = max(last, index)
            tables = [table | (word >> bit & 1) << index for bit, table in enumerate(tables)]
        # An entry beyond the last is 0, and stands for all addresses beyond the table.
        width = min((last + 1).bit_length(), len(self.bus.adr))
        index = Signal(width)
        m.d.comb += index.eq(self.bus.adr | (self.bus.adr >> width).any().replicate(width))
        return Cat(Const(table, 1 << width).bit_select(index, 1) for table in tables)
