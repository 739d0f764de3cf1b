"""Sparse MAC array: P lanes multiply one record's value by their own weights and accumulate."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, SLICE_BITS
from hw.families import find_family
from hw.pipeline import PRODUCT_CYCLES, SUM_CYCLES

__all__ = ["SparseArray"]


class SparseArray(wiring.Component):
    """P multiply-accumulate lanes with a drain register behind each.

    Every cycle one value meets one weight slice per lane. The accumulators are never cleared:
    behind a window's last product they are copied to the drain registers, which shift out lane by
    lane, and whoever reads them subtracts what the lane showed at its last window, modulo
    2^accumulator_bits. Next window's products follow without a gap, and adder and accumulator
    share their logic cells.

    On iCE40 two lanes share one SB_MAC16 as two 8x8 multipliers with registered inputs and
    products (Lattice TN1295); the accumulators are logic, as wide as the worst case needs.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    wide : In(1)
        Weights are two slices: even lanes hold the unsigned low, odd lanes the signed high one.
    valid, last : In(1)
        ``value`` and ``weights`` are a product to add; it is the window's last one. A last one
        need not be valid: the accumulators are copied as they are.
    value : In(8)
        Unsigned operand of all lanes.
    weights : In(P * 4)
        Lane i's slice in bits 4i+3 to 4i.
    soon : Out(1)
        Two cycles before `o_lane` shows lane 0 of a finished window.
    shift : In(1)
        In the next cycle `o_lane` shows the next lane; without effect one cycle after `soon`.
    o_lane : Out(signed accumulator)
        The lane's running sum.
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "wide": In(1),
                "valid": In(1),
                "last": In(1),
                "value": In(OPERAND_BITS),
                "weights": In(capability.lanes * SLICE_BITS),
                "soon": Out(1),
                "shift": In(1),
                "o_lane": Out(signed(capability.accumulator_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._capability.lanes
        bits = self._capability.accumulator_bits

        operands = []
        for lane in range(lanes):
            weight = self.weights.word_select(lane, SLICE_BITS)
            sign = weight[-1] & ~self.wide if lane % 2 == 0 else weight[-1]
            operands.append(Cat(weight, sign.replicate(OPERAND_BITS - SLICE_BITS)))

        # Two pipeline stages in the multipliers: operands, products; then the sum.
        valid = Signal(PRODUCT_CYCLES)
        last = Signal(PRODUCT_CYCLES + SUM_CYCLES)
        m.d.sync += [
            valid.eq(Cat(self.valid, valid[:-1])),
            last.eq(Cat(self.last, last[:-1])),
        ]
        blocks = find_family(self._capability.family).blocks()
        products = blocks.products(m, operands, self.value)

        load = last[-1]
        m.d.comb += self.soon.eq(last[-2])
        drains = [Signal(signed(bits), name=f"drain{lane}") for lane in range(lanes)]
        for lane in range(lanes):
            accumulator = Signal(signed(bits), name=f"accumulator{lane}")
            with m.If(valid[-1]):
                m.d.sync += accumulator.eq(accumulator + products[lane])
            following = drains[lane + 1] if lane + 1 < lanes else Const(0, bits)
            with m.If(load | self.shift):
                m.d.sync += drains[lane].eq(Mux(load, accumulator, following))
        m.d.comb += self.o_lane.eq(drains[0])
        return m
