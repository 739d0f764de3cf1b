"""The engine: walker, memories, array and drain, driven by the layer table."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out, connect
from amaranth.utils import exact_log2

from hw.capability import OPERAND_BITS
from hw.engine.array import SparseArray
from hw.engine.drain import Drain
from hw.engine.interface import HostPort
from hw.engine.memory import ActivationMemory, ImageMemory, ParameterMemory, WeightMemory
from hw.engine.sequencer import Sequencer
from hw.engine.taps import Queue, TapGenerator, tap_layout
from hw.engine.walker import RecordWalker, issue_layout
from hw.layer_entry import ENTRY_WORDS
from hw.pipeline import SOON_CYCLES
from hw.regions import Region

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Runs a network of convolutions and a classifier on images, frame by frame.

    Taps flow from the generator through a queue to the walker; behind it every stage has a fixed
    latency: (0) record addresses, (1) the record's word, (2) value and winner, weight address,
    (3) weights, then the array's two stages and the drain.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    host : Out(HostPort)
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__({"host": Out(HostPort())})

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        host = self.host
        m.submodules.sequencer = sequencer = Sequencer(capability)
        m.submodules.generator = generator = TapGenerator(capability)
        m.submodules.queue = queue = Queue(tap_layout(capability))
        m.submodules.walker = walker = RecordWalker(capability)
        m.submodules.activations = activations = ActivationMemory(capability)
        m.submodules.image = image = ImageMemory(capability)
        m.submodules.weights = weights = WeightMemory(capability)
        m.submodules.parameters = parameters = ParameterMemory(capability)
        m.submodules.array = array = SparseArray(capability)
        m.submodules.drain = drain = Drain(capability)
        table_depth = capability.layer_entries * ENTRY_WORDS
        m.submodules.table = table = Memory(shape=16, depth=table_depth, init=[])
        table_read, table_write = table.read_port(), table.write_port()

        connect(m, generator.o_taps, queue.i)
        connect(m, queue.o, walker.i_taps)
        for part in (generator, walker, drain):
            m.d.comb += part.layer.eq(sequencer.layer)
        for part in (generator, drain):
            m.d.comb += part.loads.eq(sequencer.loads)
        m.d.comb += [
            sequencer.start.eq(host.start),
            sequencer.abort.eq(host.abort),
            sequencer.repeat.eq(host.repeat),
            sequencer.stop_after.eq(host.stop_after),
            host.busy.eq(sequencer.busy),
            host.done.eq(sequencer.done),
            host.layer.eq(sequencer.layer_index),
            host.cycles.eq(sequencer.cycles),
            host.frames.eq(sequencer.frames),
            host.decision.eq(sequencer.decision),
            generator.start.eq(sequencer.layer_start),
            generator.clear.eq(sequencer.clear),
            queue.clear.eq(sequencer.clear),
            walker.clear.eq(sequencer.clear),
            array.wide.eq(sequencer.layer.wide),
            drain.start.eq(sequencer.layer_start),
            drain.clear.eq(sequencer.clear),
            sequencer.layer_done.eq(drain.done),
            sequencer.layer_decision.eq(drain.decision),
        ]
        # Host: its addresses enter where the engine's own would.
        region, address = host.mem_region, host.mem_addr
        idle = ~sequencer.busy
        half_bits = exact_log2(capability.bus_words_per_weight_word)
        m.d.comb += [
            weights.write.eq(host.mem_write & (region == Region.WEIGHTS) & idle),
            weights.write_half.eq(address[:half_bits]),
            weights.write_mask.eq(host.mem_write_mask),
            weights.write_data.eq(host.mem_write_data),
            image.write.eq(host.mem_write & (region == Region.IMAGE)),
            image.write_addr.eq(address),
            image.write_data.eq(host.mem_write_data),
            parameters.write.eq(host.mem_write & (region == Region.PARAMETERS)),
            parameters.write_addr.eq(address[1:]),
            parameters.write_high.eq(address[0]),
            parameters.write_data.eq(host.mem_write_data),
            parameters.addr.eq(drain.parameter_addr),
            drain.parameter_data.eq(parameters.data),
            table_write.en.eq(host.mem_write & (region == Region.LAYERS)),
            table_write.addr.eq(address),
            table_write.data.eq(host.mem_write_data),
            table_read.addr.eq(sequencer.table_addr),
            sequencer.table_data.eq(table_read.data),
        ]

        # (0) Addresses of records: the walker's own registers.
        issue0 = walker.issue
        logits = 1 << capability.bank_bits | capability.bank_words - capability.logit_words
        host_word = Signal.like(activations.a_addr)
        m.d.comb += host_word.eq(
            Mux(
                region == Region.LOGITS,
                logits | address[: exact_log2(capability.logit_words)],
                address,
            )
        )
        m.d.comb += [
            activations.a_addr.eq(Mux(idle, host_word, issue0.address[capability.sub_bits :])),
            image.addr.eq(issue0.address[2:]),
            activations.b_addr.eq(drain.identity_addr),
            drain.identity_data.eq(activations.b_data),
            activations.write.eq(drain.write),
            activations.write_addr.eq(drain.write_addr),
            activations.write_data.eq(drain.write_data),
        ]

        # (1) The word: pick the record.
        valid1, issue1 = Signal(), Signal(issue_layout(capability))
        m.d.sync += [valid1.eq(walker.valid), issue1.eq(issue0)]
        record = activations.a_data.word_select(
            issue1.address[: capability.sub_bits], capability.record_bits
        )
        pixel = image.data.word_select(issue1.address[:2], OPERAND_BITS)

        # (2) Value and winner: the weights' address.
        valid2, issue2 = Signal(), Signal(issue_layout(capability))
        value2, winner2 = Signal(OPERAND_BITS), Signal(capability.winner_bits)
        m.d.sync += [valid2.eq(valid1), issue2.eq(issue1)]
        with m.If(issue1.image):
            m.d.sync += [value2.eq(pixel), winner2.eq(0)]
        with m.Else():
            m.d.sync += [
                value2.eq(record[: capability.activation_bits]),
                winner2.eq(record[capability.activation_bits :]),
            ]
        with m.If(idle):
            m.d.sync += [issue2.weights.eq(address >> half_bits), winner2.eq(0)]
        m.d.comb += weights.addr.eq(issue2.weights + winner2)

        # (3) The weights; (4, 5) the array's stages.
        valid3, issue3, value3 = Signal(), Signal(issue_layout(capability)), Signal(OPERAND_BITS)
        m.d.sync += [
            valid3.eq(valid2),
            issue3.eq(issue2),
            value3.eq(value2 << issue2.exponent),
        ]
        m.d.comb += [
            array.valid.eq(valid3),
            array.last.eq((issue3.last & valid3) | sequencer.drain),
            array.value.eq(value3),
            array.weights.eq(weights.data),
            drain.soon.eq(array.soon),
            drain.i_lane.eq(array.o_lane),
            array.shift.eq(drain.shift),
        ]
        ends = Cat(issue3.last_tile & ~sequencer.drain, issue3.last_window)
        for _ in range(SOON_CYCLES):
            later = Signal(2)
            m.d.sync += later.eq(ends)
            ends = later
        m.d.comb += Cat(drain.last_tile, drain.last_window).eq(ends)

        # Host reads: of the weights, of records and of logits.
        chosen = weights.data.word_select(address[:half_bits], 32)
        word = activations.a_data
        signed = Mux(region == Region.LOGITS, word.as_signed(), word)
        m.d.comb += host.mem_read_data.eq(Mux(region == Region.WEIGHTS, chosen, signed))
        return m
