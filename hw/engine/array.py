"""Sparse MAC array: P lanes multiply one record's value by their own weights and accumulate."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.capability import OPERAND_BITS, SLICE_BITS
from hw.pipeline import PRODUCT_CYCLES, SUM_CYCLES

__all__ = ["SparseArray"]


PRODUCT_BITS = 16


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
        if self._capability.family == "ice40":
            products = self._products_ice40(m, operands)
        else:
            products = self._products(m, operands)

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

    def _products(self, m, operands):
        value = Signal(OPERAND_BITS)
        m.d.sync += value.eq(self.value)
        products = []
        for lane, operand in enumerate(operands):
            weight = Signal(signed(OPERAND_BITS), name=f"weight{lane}")
            product = Signal(signed(PRODUCT_BITS), name=f"product{lane}")
            m.d.sync += [weight.eq(operand), product.eq(weight * value)]
            products.append(product)
        return products

    def _products_ice40(self, m, operands):
        products = []
        for pair in range(len(operands) // 2):
            product = Signal(data.ArrayLayout(signed(PRODUCT_BITS), 2), name=f"product{2 * pair}")
            m.submodules[f"mac{pair}"] = Instance(
                "SB_MAC16",
                p_A_REG=1,
                p_B_REG=1,
                p_TOP_8x8_MULT_REG=1,
                p_BOT_8x8_MULT_REG=1,
                p_TOPOUTPUT_SELECT=2,  # 8x8 product
                p_BOTOUTPUT_SELECT=2,
                p_MODE_8x8=1,
                p_A_SIGNED=1,
                p_B_SIGNED=0,
                i_CLK=ClockSignal(),
                i_CE=Const(1),
                i_A=Cat(operands[2 * pair : 2 * pair + 2]),
                i_B=self.value.replicate(2),
                i_C=Const(0, 16),
                i_D=Const(0, 16),
                i_AHOLD=Const(0),
                i_BHOLD=Const(0),
                i_CHOLD=Const(0),
                i_DHOLD=Const(0),
                i_IRSTTOP=Const(0),
                i_IRSTBOT=Const(0),
                i_ORSTTOP=Const(0),
                i_ORSTBOT=Const(0),
                i_OLOADTOP=Const(0),
                i_OLOADBOT=Const(0),
                i_ADDSUBTOP=Const(0),
                i_ADDSUBBOT=Const(0),
                i_OHOLDTOP=Const(0),
                i_OHOLDBOT=Const(0),
                i_CI=Const(0),
                i_ACCUMCI=Const(0),
                i_SIGNEXTIN=Const(0),
                o_O=product.as_value(),
            )
            products += [product[0], product[1]]
        return products
