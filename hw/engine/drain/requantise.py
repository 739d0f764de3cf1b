"""Requantiser: from a sum S to a value Q (``docs/arithmetic.md``, rule 4), a few cycles each."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import REQUANTISE_INTERVAL
from hw.engine.delay import delayed
from hw.pipeline import pipeline_of

__all__ = ["Requantiser"]


class Requantiser(wiring.Component):
    """Q = clamp((S * m + 2^(s-1)) >> s, 0, maximum) with a fixed shift s.

    A multiplier of any smaller shift is brought to s by doubling it, which changes no Q. Sums are
    clamped to 0 .. 2^s - 1 before the multiplication: exact as long as 2^s - 1 saturates Q, that
    is for every m >= maximum (the plan checks it). The product is made of a quarter of m's bits
    in each of REQUANTISE_INTERVAL cycles, lowest first; what falls out below is never needed. In a
    long pipeline the product of each digit has a register of its own.

    Parameters
    ----------
    capability : Capability
        ``requantise_bits`` is s; ``multiplier_bits``, ``accumulator_bits``, ``activation_bits``.

    Members
    -------
    i_valid : In(1)
        Not again within REQUANTISE_INTERVAL cycles.
    i_sum, i_multiplier : In
    maximum : In(activation_bits)
        2^a - 1 of the layer.
    o_soon : Out(1)
        REQUANTISE_INTERVAL cycles after `i_valid`.
    o_valid, o_value : Out
        `Pipeline.requantise_latency` cycles after `i_valid`, for one cycle.
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "i_valid": In(1),
                "i_sum": In(signed(capability.accumulator_bits)),
                "i_multiplier": In(capability.multiplier_bits),
                "maximum": In(capability.activation_bits),
                "o_soon": Out(1),
                "o_valid": Out(1),
                "o_value": Out(capability.activation_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        pipeline = pipeline_of(self._capability)
        shift = self._capability.requantise_bits
        digit = self._capability.multiplier_digit

        total = Signal(shift)
        multiplier = Signal(digit * REQUANTISE_INTERVAL)
        product = Signal(shift + digit)
        # One bit runs along with each sum: a digit a step, then rounding, then the result.
        steps = Signal(pipeline.requantise_latency)
        further = pipeline.multiply_cycles - 1
        part = delayed(m, total * multiplier[:digit], further, name="part")
        m.d.sync += [
            steps.eq(steps << 1 | self.i_valid),
            product.eq(Mux(steps[further], 0, product >> digit) + part),
            multiplier.eq(multiplier >> digit),
        ]
        clamped = self.i_sum[:shift]
        if len(self.i_sum) - 1 > shift:  # else no sum is larger
            clamped |= self.i_sum[shift:-1].any().replicate(shift)
        with m.If(self.i_valid):
            m.d.sync += [multiplier.eq(self.i_multiplier), total.eq(clamped)]
            with m.If(self.i_sum < 0):
                m.d.sync += total.eq(0)

        # `product` is P >> dropped. Round half up: P >> s is ((P >> (s - 1)) + 1) >> 1.
        dropped = self._capability.dropped_bits
        width = len(self.maximum)
        tail = product[shift - 1 - dropped :]
        rounded = Signal(width + 2)
        m.d.comb += [
            rounded.eq(tail[: width + 1] + 1),
            self.o_soon.eq(steps[REQUANTISE_INTERVAL - 1]),
            self.o_valid.eq(steps[-1]),
        ]
        exceeds = tail[width + 1 :].any() | (rounded[1:] > self.maximum)
        m.d.sync += self.o_value.eq(Mux(exceeds, self.maximum, rounded[1:]))
        return m
