"""A queue of one entry between two streams."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Queue"]


class Queue(wiring.Component):
    """One-entry stream queue: takes an item whenever it is empty or is being emptied.

    An item is seen at the output in the cycle after it enters.

    Parameters
    ----------
    shape : ShapeLike
        Payload.

    Members
    -------
    i, o : stream of `shape`
    clear : In(1)
        Drop the item.
    """

    def __init__(self, shape: ShapeLike) -> None:
        self._shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        some = Signal()
        item = Signal(self._shape)
        m.d.comb += [
            self.i.ready.eq(~some | self.o.ready),
            self.o.valid.eq(some),
            self.o.payload.eq(item),
        ]
        with m.If(self.i.ready):
            m.d.sync += [item.eq(self.i.payload), some.eq(self.i.valid)]
        with m.If(self.clear):
            m.d.sync += some.eq(0)
        return m
