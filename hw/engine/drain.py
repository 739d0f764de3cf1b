"""Drain: from finished sums to records in memory, one lane a cycle, behind the array's back."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.capability import PARAMETER_BITS, SLICE_BITS, address_bits
from hw.engine.layout import layer_layout, loads_layout
from hw.engine.requantise import Requantiser
from hw.engine.winner import WinnerTakesAll
from hw.parameter_word import parameter_fields
from hw.pipeline import SUM_STAGES

__all__ = ["Drain", "parameter_layout"]

INDEX_BITS = 8


def parameter_layout(capability):
    """One channel's word of parameter memory: multiplier m, bias b, residual factor r."""
    return data.StructLayout(
        {
            field.name: signed(field.width) if field.signed else unsigned(field.width)
            for field in parameter_fields(capability)
        }
    )


class Drain(wiring.Component):
    """Bias, residual, requantiser, winner-takes-all, packing and write-back.

    A lane enters every `lane_cycles` cycles after `soon`; nothing behind it waits. Stages, named
    by what their registers hold: (0) the residual's address, (1) the residual's word, (2) the
    lane's running sum, (3) the window's sum, (4) sum and bias, (5) S, (6) the winner by S, (7) the
    requantiser, (8) the winner by Q. In order `before` stage 7 sees one sum a group, in order
    `after` each channel's: `lane_cycles` keeps them REQUANTISE_INTERVAL cycles apart.

    The array's accumulators run on from window to window: what each lane showed last is kept in
    a small memory and subtracted. While `clear` holds, lanes update it and nothing else happens.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    layer, loads : In(layer_layout), In(loads_layout)
    start : In(1)
        Pulse: a layer begins.
    clear : In(1)
        Lanes pass without effect but on that memory; held until the stages have run empty.
    soon, last_tile, last_window : In(1)
        In two cycles `i_lane` shows lane 0 of a window; which window it is.
    shift : Out(1)
        In the next cycle `i_lane` must show the next lane (or, if there is none, anything).
    i_lane : In(signed accumulator)
    parameter_addr, parameter_data : Out, In
        Parameter memory, one cycle of latency.
    identity_addr, identity_data : Out, In
        Activation memory's second port, one cycle of latency.
    write, write_addr, write_data : Out
        Activation memory's write port.
    done : Out(1)
        Pulse: the layer's last word has been written.
    decision : Out(8)
        The classifier's class, valid with `done`.
    """

    def __init__(self, capability):
        self._capability = capability
        word = 1 + capability.bank_bits
        super().__init__(
            {
                "layer": In(layer_layout(capability)),
                "loads": In(loads_layout()),
                "start": In(1),
                "clear": In(1),
                "soon": In(1),
                "last_tile": In(1),
                "last_window": In(1),
                "shift": Out(1),
                "i_lane": In(signed(capability.accumulator_bits)),
                "parameter_addr": Out(address_bits(capability.parameter_words)),
                "parameter_data": In(PARAMETER_BITS),
                "identity_addr": Out(word),
                "identity_data": In(capability.word_bits),
                "write": Out(1),
                "write_addr": Out(word),
                "write_data": Out(capability.word_bits),
                "done": Out(1),
                "decision": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        layer = self.layer
        sum_shape = signed(capability.accumulator_bits)
        ends = data.StructLayout({"valid": 1, "pixel": 1, "layer": 1})
        flags = data.StructLayout(
            {
                "valid": 1,
                "first": 1,  # of its group
                "last": 1,
                "starts": 1,
                "ends": 1,  # what is compared by S: its group, or it alone
                "pixel": 1,
                "layer": 1,
                "index": INDEX_BITS,
            }
        )

        # Stage 0: counts lanes; address of the residual.
        lane = Signal(address_bits(capability.lanes))
        running = Signal()  # there are lanes from `lane` on
        pause = Signal(2)  # cycles until the next one
        tile_ends, layer_ends = Signal(), Signal()
        odd = Signal()  # second lane of a wide channel
        residual_index = Signal(capability.winner_bits)  # in the residual's own group
        identity = Signal(1 + capability.bank_bits + capability.sub_bits)

        active, ends_tile, ends_layer = Signal(), Signal(), Signal()
        here = Signal.like(lane)
        channel = Signal()  # this lane completes a channel
        final = Signal()  # the window's last lane
        following_final = Signal()  # the next one is
        stage0 = Signal(ends)
        m.d.comb += [
            active.eq(self.soon | (running & (pause == 0))),
            ends_tile.eq(Mux(self.soon, self.last_tile, tile_ends)),
            ends_layer.eq(Mux(self.soon, self.last_window, layer_ends)),
            here.eq(Mux(self.soon, 0, lane)),
            channel.eq(~layer.wide | odd),
            final.eq(Mux(self.soon, self.last_tile & (layer.tile_lanes == 0), following_final)),
            stage0.valid.eq(active & channel & ~self.clear),
            stage0.pixel.eq(final & ends_tile),
            stage0.layer.eq(final & ends_layer),
            self.identity_addr.eq(identity[capability.sub_bits :]),
        ]
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(active):
            m.d.sync += [
                odd.eq(~channel & ~final),
                pause.eq(layer.lane_cycles),
                running.eq(~final),
                lane.eq(here + 1),
                following_final.eq(
                    here + 1 == Mux(ends_tile, layer.tile_lanes, capability.lanes - 1)
                ),
                tile_ends.eq(ends_tile),
                layer_ends.eq(ends_layer),
            ]
        with m.If(stage0.valid):
            m.d.sync += residual_index.eq(residual_index + 1)
            with m.If(residual_index == layer.identity_group):
                m.d.sync += [residual_index.eq(0), identity.eq(identity + 1)]
            with m.If(stage0.pixel):
                # Records of a pixel begin with a word.
                word = identity[capability.sub_bits :] + 1
                m.d.sync += identity.eq(word << capability.sub_bits)

        # Stage 1: the residual's word; what the lane showed last time is read.
        stage1 = Signal(ends)
        active1, odd1 = Signal(), Signal()
        lane1 = Signal.like(lane)
        sub1 = Signal(capability.sub_bits)
        residual_index1 = Signal.like(residual_index)
        m.d.sync += [
            stage1.eq(stage0),
            active1.eq(active),
            odd1.eq(odd),
            lane1.eq(here),
            sub1.eq(identity[: capability.sub_bits]),
            residual_index1.eq(residual_index),
        ]
        residual = self.identity_data.word_select(sub1, capability.record_bits)
        residual_value = residual[: capability.activation_bits]
        residual_winner = residual[capability.activation_bits :]
        m.submodules.shown = shown = Memory(
            shape=signed(capability.accumulator_bits), depth=capability.lanes, init=[]
        )
        shown_read, shown_write = shown.read_port(), shown.write_port()
        m.d.comb += [self.shift.eq(active1), shown_read.addr.eq(lane1)]

        # Stage 2: the lane's running sum; address of the parameters; the residual's value.
        stage2 = Signal(ends)
        active2, odd2 = Signal(), Signal()
        lane2 = Signal.like(lane)
        parameter = Signal.like(self.parameter_addr)
        addend2 = Signal(capability.activation_bits)
        m.d.sync += [
            stage2.eq(stage1),
            active2.eq(active1),
            odd2.eq(odd1),
            lane2.eq(lane1),
            addend2.eq(
                Mux(layer.identity & (residual_winner == residual_index1), residual_value, 0)
            ),
        ]
        m.d.comb += [
            shown_write.en.eq(active2),
            shown_write.addr.eq(lane2),
            shown_write.data.eq(self.i_lane),
            self.parameter_addr.eq(parameter),
        ]
        with m.If(stage2.valid):
            m.d.sync += parameter.eq(Mux(stage2.pixel, layer.parameters, parameter + 1))

        # Stage 3: the window's sum; the channel's parameters and index.
        stage3 = Signal(ends)
        active3, odd3 = Signal(), Signal()
        window = Signal(sum_shape)
        addend3 = Signal(capability.activation_bits)
        index = Signal(INDEX_BITS)
        flags3 = Signal(flags)
        alone = Signal()  # each channel is requantised, not only its group's winner
        m.d.sync += [
            stage3.eq(stage2),
            active3.eq(active2),
            odd3.eq(odd2),
            window.eq(self.i_lane - shown_read.data),
            addend3.eq(addend2),
        ]
        m.d.comb += [
            alone.eq(~layer.before),
            flags3.valid.eq(stage3.valid),
            flags3.first.eq(index == 0),
            flags3.last.eq(index == layer.output_group),
            flags3.starts.eq(flags3.first | alone),
            flags3.ends.eq(flags3.last | alone),
            flags3.pixel.eq(stage3.pixel),
            flags3.layer.eq(stage3.layer),
            flags3.index.eq(index),
        ]
        layout = parameter_layout(capability)
        parameters = data.View(layout, self.parameter_data[: layout.size])
        with m.If(stage3.valid):
            m.d.sync += index.eq(Mux(flags3.last, 0, index + 1))

        # Stage 4: sum and bias (a wide channel's slices are added in two steps); r * R. The
        # multiplier stays until the requantiser takes it: the next one is far enough behind.
        stage4 = Signal(flags)
        biased = Signal(sum_shape)
        product = Signal(signed(capability.factor_bits + capability.activation_bits))
        multiplier = Signal(capability.multiplier_bits)
        with m.If(active3):
            m.d.sync += biased.eq(
                Mux(odd3, window << SLICE_BITS, window) + Mux(odd3, biased, parameters.bias)
            )
        with m.If(stage3.valid & flags3.ends):
            m.d.sync += multiplier.eq(parameters.multiplier)
        m.d.sync += [stage4.eq(flags3), product.eq(parameters.factor * addend3)]

        # Stage 5: S.
        stage5 = Signal(flags)
        total = Signal(sum_shape)
        m.d.sync += [stage5.eq(stage4), total.eq(biased + product)]
        assert len((stage1, stage2, stage3, stage4, stage5)) == SUM_STAGES

        # Stage 6: the group's winner by S, where the order is `before`; else each channel's own S.
        # Compared as offset binary (sign bit inverted): an unsigned comparison is a plain carry.
        m.submodules.by_sum = by_sum = WinnerTakesAll(
            lanes=1, key_shape=unsigned(capability.accumulator_bits), index_bits=INDEX_BITS
        )
        offset = 1 << capability.accumulator_bits - 1
        stage6 = Signal(flags)
        m.d.comb += [
            by_sum.i_valid.eq(stage5.valid),
            by_sum.i_first.eq(stage5.starts),
            by_sum.i_last.eq(stage5.ends),
            by_sum.i_keys[0].eq(total.as_unsigned() ^ offset),
            by_sum.i_index.eq(stage5.index),
        ]
        m.d.sync += stage6.eq(stage5)

        # Stage 7: the requantiser. What belongs to its sum waits beside it.
        m.submodules.requantiser = requantiser = Requantiser(capability)
        m.d.comb += [
            requantiser.i_valid.eq(by_sum.o_valid),
            requantiser.i_sum.eq((by_sum.o_key ^ offset).as_signed()),
            requantiser.i_multiplier.eq(multiplier),
            requantiser.maximum.eq(layer.maximum),
        ]
        waiting, stage7 = Signal(flags), Signal(flags)
        with m.If(by_sum.o_valid):
            m.d.sync += [
                waiting.eq(stage6),
                waiting.first.eq(stage6.first | layer.before),
                waiting.index.eq(by_sum.o_index),
            ]
        with m.If(requantiser.o_soon):
            m.d.sync += stage7.eq(waiting)

        # Stage 8: the group's winner by Q, where the order is `after`.
        m.submodules.by_value = by_value = WinnerTakesAll(
            lanes=1, key_shape=capability.activation_bits, index_bits=INDEX_BITS
        )
        m.d.comb += [
            by_value.i_valid.eq(requantiser.o_valid),
            by_value.i_first.eq(stage7.first),
            by_value.i_last.eq(stage7.last),
            by_value.i_keys[0].eq(requantiser.o_value),
            by_value.i_index.eq(stage7.index),
        ]
        ends_pixel, ends_frame = Signal(), Signal()
        m.d.sync += [
            ends_pixel.eq(requantiser.o_valid & stage7.pixel),
            ends_frame.eq(requantiser.o_valid & stage7.layer),
        ]

        # Packing: records gather in a word, which is written when full or when its pixel ends.
        some = by_value.o_key.any()
        record = Cat(
            Mux(layer.binary, some, by_value.o_key),
            Mux(some, by_value.o_index[: capability.winner_bits], 0),
        )
        slot = Signal(capability.sub_bits)
        gathered = Signal(data.ArrayLayout(capability.record_bits, capability.records_per_word))
        packed = Signal.like(gathered)
        full = Signal()
        m.d.comb += packed.eq(gathered)
        for number in range(capability.records_per_word):
            with m.If(slot == number):
                m.d.comb += packed[number].eq(record)
        m.d.comb += full.eq(slot == capability.records_per_word - 1)
        output = Signal.like(self.write_addr)
        with m.If(by_value.o_valid):
            m.d.sync += [gathered.eq(packed), slot.eq(slot + 1)]
        with m.If(ends_pixel):
            m.d.sync += slot.eq(0)
        m.d.comb += [
            self.write.eq(
                Mux(layer.classifier, stage5.valid, by_value.o_valid & (full | ends_pixel))
            ),
            self.write_addr.eq(output),
            self.write_data.eq(Mux(layer.classifier, total, packed)),
            self.done.eq(ends_frame),
            self.decision.eq(by_value.o_index),
        ]
        with m.If(self.write):
            m.d.sync += output.eq(output + 1)

        with m.If(self.start):
            m.d.sync += [
                odd.eq(0),
                index.eq(0),
                residual_index.eq(0),
                parameter.eq(layer.parameters),
                slot.eq(0),
            ]
        with m.If(self.loads.identity_source):
            m.d.sync += identity.eq(layer.identity_source)
        with m.If(self.loads.output):
            m.d.sync += output.eq(layer.output[capability.sub_bits :])
        return m
