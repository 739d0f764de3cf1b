"""Winner-takes-all: comparator tree over the lanes of a cycle, running maximum over cycles."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WinnerTakesAll", "WinnerTree"]


class WinnerTree(wiring.Component):
    """Comparator tree: the first maximum of `lanes` keys. Combinational, log2(lanes) levels.

    Parameters
    ----------
    lanes : int
        Keys compared at once; a power of two.
    key_shape : Shape
        Signed or unsigned.

    Members
    -------
    keys : In(array of lanes)
    key, index : Out
        The maximum and its lane; the lowest lane where several are equal.

    Raises
    ------
    TypeError, ValueError
        A number of lanes that is no integer, or no power of two.
    """

    def __init__(self, *, lanes, key_shape):
        if not isinstance(lanes, int) or isinstance(lanes, bool):
            raise TypeError(f"Lanes must be an integer, not {lanes!r}")
        if lanes < 1 or lanes & (lanes - 1):
            raise ValueError(f"Lanes must be a power of two, not {lanes}")
        self._lanes = lanes
        self._key = key_shape
        super().__init__(
            {
                "keys": In(data.ArrayLayout(key_shape, lanes)),
                "key": Out(key_shape),
                "index": Out((lanes - 1).bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        level = [(self.keys[lane], lane) for lane in range(self._lanes)]
        depth = 0
        while len(level) > 1:
            above = []
            for number, (left, right) in enumerate(zip(level[::2], level[1::2], strict=True)):
                # The left one has the lower lanes: it wins ties.
                right_wins = Signal(name=f"right_{depth}_{number}")
                key = Signal(self._key, name=f"key_{depth}_{number}")
                m.d.comb += [
                    right_wins.eq(right[0] > left[0]),
                    key.eq(Mux(right_wins, right[0], left[0])),
                ]
                above.append((key, Mux(right_wins, right[1], left[1])))
            level = above
            depth += 1
        key, index = level[0]
        m.d.comb += [self.key.eq(key), self.index.eq(index)]
        return m


class WinnerTakesAll(wiring.Component):
    """The first maximum of each group, `lanes` keys a cycle.

    Groups are any number of cycles long; `first` and `last` mark where they begin and end. Over
    cycles a running maximum is kept, so a group may be longer than the array has lanes.

    Latency WINNER_LATENCY (``hw.pipeline``) from `last`, one set of keys a cycle.

    Parameters
    ----------
    lanes, key_shape
        As for :class:`WinnerTree`.
    index_bits : int
        Width of the winner's index in its group.

    Members
    -------
    i_valid, i_first, i_last : In(1)
    i_keys : In(array of lanes)
    i_index : In(index_bits)
        Index in the group of lane 0's key.
    o_valid : Out(1)
        One cycle: the group's winner stands at the output.
    o_key, o_index : Out
        Its key, and its index in the group.
    """

    def __init__(self, *, lanes, key_shape, index_bits):
        self._tree = WinnerTree(lanes=lanes, key_shape=key_shape)
        super().__init__(
            {
                "i_valid": In(1),
                "i_first": In(1),
                "i_last": In(1),
                "i_keys": In(data.ArrayLayout(key_shape, lanes)),
                "i_index": In(index_bits),
                "o_valid": Out(1),
                "o_key": Out(key_shape),
                "o_index": Out(index_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = tree = self._tree
        m.d.comb += tree.keys.eq(self.i_keys)
        m.d.sync += self.o_valid.eq(self.i_valid & self.i_last)
        # Strictly greater: the earlier of equals stays.
        with m.If(self.i_valid & (self.i_first | (tree.key > self.o_key))):
            m.d.sync += [
                self.o_key.eq(tree.key),
                self.o_index.eq(self.i_index + tree.index),
            ]
        return m
