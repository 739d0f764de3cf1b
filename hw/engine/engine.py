"""The engine: how its parts are wired."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect

from hw.capability import Capability
from hw.engine.array import SparseArray
from hw.engine.delay import delayed
from hw.engine.drain import Drain
from hw.engine.fetch import Fetch
from hw.engine.host import HostAccess
from hw.engine.interface import HostPort
from hw.engine.issuer import RecordIssuer
from hw.engine.memory import (
    ActivationMemory,
    ImageMemory,
    LayerMemory,
    ParameterMemory,
    WeightMemory,
)
from hw.engine.operands import Operands
from hw.engine.queue import Queue
from hw.engine.sequencer import Sequencer
from hw.engine.stages import WordStages
from hw.engine.taps import TapGenerator, tap_layout
from hw.engine.walker import WordWalker
from hw.pipeline import pipeline_of

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Runs a network of convolutions and a classifier on images, frame by frame.

    Taps flow from the generator through a queue to the walker, words of records from the walker
    through memory to the issuer; in a long pipeline stages hold them on the way. Behind the
    issuer every part has a fixed latency: operands, array and drain.

    Parameters
    ----------
    capability : Capability

    Members
    -------
    host : Out(HostPort)
    """

    def __init__(self, capability: Capability) -> None:
        self._capability = capability
        super().__init__({"host": Out(HostPort())})

    def elaborate(self, platform):
        m = Module()
        capability = self._capability
        host = self.host
        pipeline = pipeline_of(capability)
        m.submodules.sequencer = sequencer = Sequencer(capability)
        m.submodules.generator = generator = TapGenerator(capability)
        m.submodules.queue = queue = Queue(tap_layout(capability))
        m.submodules.walker = walker = WordWalker(capability)
        m.submodules.fetch = fetch = Fetch(capability)
        m.submodules.issuer = issuer = RecordIssuer(capability)
        m.submodules.operands = operands = Operands(capability)
        m.submodules.access = access = HostAccess(capability)
        m.submodules.activations = activations = ActivationMemory(capability)
        m.submodules.image = image = ImageMemory(capability)
        m.submodules.weights = weights = WeightMemory(capability)
        m.submodules.parameters = parameters = ParameterMemory(capability)
        m.submodules.layers = layers = LayerMemory(capability)
        m.submodules.array = array = SparseArray(capability)
        m.submodules.drain = drain = Drain(capability)

        # Control: what the host says, and what the sequencer tells everybody.
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
            layers.addr.eq(sequencer.table_addr),
            sequencer.table_data.eq(layers.data),
            sequencer.layer_done.eq(drain.done),
            sequencer.layer_decision.eq(drain.decision),
        ]
        for part in (generator, walker, issuer, drain):
            m.d.comb += part.layer.eq(sequencer.layer)
        for part in (generator, drain):
            m.d.comb += [part.loads.eq(sequencer.loads), part.start.eq(sequencer.layer_start)]
        for part in (generator, queue, walker, issuer, drain):
            m.d.comb += part.clear.eq(sequencer.clear)

        # Taps, and the words that they lead to.
        connect(m, generator.o_taps, queue.i)
        connect(m, queue.o, walker.i_taps)
        words, records, pixels = walker.o_words, activations.a_data, image.data
        address = walker.address
        if pipeline.word_stages:
            m.submodules.stages = stages = WordStages(capability)
            m.d.comb += [
                stages.clear.eq(sequencer.clear),
                stages.i_records.eq(records),
                stages.i_bytes.eq(pixels),
                activations.a_advance.eq(stages.advance),
                image.advance.eq(stages.advance),
            ]
            connect(m, words, stages.i_words)
            address = words.payload.address
            words, records, pixels = stages.o_words, stages.o_records, stages.o_bytes
        connect(m, words, issuer.i_words)

        def late(signal):
            """As the host's address is on its way to the weights, so is whatever else is its."""
            return delayed(m, signal, pipeline.address_cycles - 1, name=f"{signal.name}_late")

        # The host's memory window: its addresses enter where the engine's own would.
        m.d.comb += [
            access.mem_region.eq(host.mem_region),
            access.mem_addr.eq(host.mem_addr),
            access.mem_write.eq(host.mem_write),
            host.mem_read_data.eq(late(access.mem_read_data)),
            access.idle.eq(~sequencer.busy),
            access.word_data.eq(records),
            access.weights_data.eq(weights.data),
            walker.idle.eq(~sequencer.busy),
            walker.host_address.eq(access.word_addr << capability.sub_bits),
            operands.idle.eq(~sequencer.busy),
            operands.host_weights.eq(access.weights_addr),
        ]

        # What the host writes, as much later as its address is at the weights.
        m.d.comb += [
            weights.write.eq(late(access.write_weights)),
            weights.write_half.eq(late(access.weights_half)),
            weights.write_mask.eq(late(host.mem_write_mask)),
            weights.write_data.eq(late(host.mem_write_data)),
            image.write.eq(late(access.write_image)),
            image.write_addr.eq(late(host.mem_addr)),
            image.write_data.eq(late(host.mem_write_data)),
            parameters.write.eq(late(access.write_parameters)),
            parameters.write_addr.eq(late(access.parameters_addr)),
            parameters.write_high.eq(late(access.parameters_high)),
            parameters.write_data.eq(late(host.mem_write_data)),
            layers.write.eq(late(access.write_layers)),
            layers.write_addr.eq(late(host.mem_addr)),
            layers.write_data.eq(late(host.mem_write_data)),
        ]

        # From addresses to words, from records to operands.
        m.d.comb += [
            fetch.address.eq(address),
            fetch.word.eq(words.payload),
            issuer.i_data.eq(fetch.data),
            operands.valid.eq(issuer.valid),
            operands.last.eq(issuer.last),
            operands.issue.eq(issuer.issue),
            operands.drain.eq(sequencer.drain),
            activations.a_addr.eq(fetch.word_addr),
            fetch.word_data.eq(records),
            image.addr.eq(fetch.image_addr),
            fetch.image_data.eq(pixels),
            weights.addr.eq(operands.weights_addr),
            array.valid.eq(operands.o_valid),
            array.last.eq(operands.o_last),
            array.value.eq(operands.o_value),
            array.weights.eq(weights.data),
            array.wide.eq(sequencer.layer.wide),
        ]

        # From sums to records.
        m.d.comb += [
            drain.soon.eq(array.soon),
            drain.last_tile.eq(operands.last_tile),
            drain.last_window.eq(operands.last_window),
            drain.i_lane.eq(array.o_lane),
            array.shift.eq(drain.shift),
            parameters.addr.eq(drain.parameter_addr),
            drain.parameter_data.eq(parameters.data),
            activations.b_used.eq(sequencer.busy & sequencer.layer.identity),
            activations.b_addr.eq(drain.identity_addr),
            drain.identity_data.eq(activations.b_data),
            activations.write.eq(drain.write),
            activations.write_addr.eq(drain.write_addr),
            activations.write_data.eq(drain.write_data),
        ]
        return m
