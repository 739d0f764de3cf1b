"""Sequencer: runs the layers of the table one after the other, frame after frame."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.capability import address_bits
from hw.engine.delay import delayed
from hw.engine.layout import INITIAL, layer_layout, loads_layout
from hw.layer_entry import ENTRY_WORDS, LAST_WORD, WORD_BITS, table_words
from hw.pipeline import PIPELINES, pipeline_of

__all__ = ["Sequencer"]

#: Cycles in which every stage behind the issuer runs empty, beyond those of the drain's lanes.
CLEAR_CYCLES = 24
assert all(CLEAR_CYCLES >= one.issue_to_write_cycles for one in PIPELINES)


class Sequencer(wiring.Component):
    """Fetches a layer's fields, starts it, waits for its end; counts cycles and frames.

    Members
    -------
    start, abort, repeat, stop_after, busy, done, layer_index, cycles, frames, decision
        As in `HostPort`.
    layer, loads : Out(layer_layout), Out(loads_layout)
        The fields of the layer under way; the initial ones only in the cycle of their load.
    layer_start : Out(1)
        Pulse: the fields are valid, the layer begins.
    layer_done, layer_decision : In(1), In(8)
        Pulse: the layer's last word has been written; the class.
    clear : Out(1)
        Abort, and after a reset: held until the datapath has run empty.
    drain : Out(1)
        Pulse, in the middle of that: all lanes are drained once, so that the drain knows where
        the accumulators stand.
    table_addr, table_data : Out, In(16)
        Layer table memory, `Pipeline.table_cycles` of latency.
    """

    def __init__(self, capability):
        self._capability = capability
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "repeat": In(1),
                "stop_after": In(8),
                "busy": Out(1),
                "done": Out(1),
                "layer_index": Out(address_bits(capability.layer_entries)),
                "cycles": Out(32),
                "frames": Out(16),
                "decision": Out(8),
                "layer": Out(layer_layout(capability)),
                "loads": Out(loads_layout()),
                "layer_start": Out(1),
                "layer_done": In(1),
                "layer_decision": In(8),
                "clear": Out(1),
                "drain": Out(1),
                "table_addr": Out(address_bits(capability.layer_entries * ENTRY_WORDS)),
                "table_data": In(WORD_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(range(ENTRY_WORDS))
        previous = Signal.like(word)
        fetched = Signal()  # the memory shows word `previous`
        # All lanes at the slowest pace, behind what was under way and again behind the pulse.
        drain_at = 4 * self._capability.lanes + CLEAR_CYCLES
        idle_after = 2 * drain_at
        wait = Signal(range(idle_after + 1), init=idle_after)

        m.d.comb += self.table_addr.eq(Cat(word, self.layer_index))
        m.d.sync += [previous.eq(word), fetched.eq(0), self.layer_start.eq(0)]
        further = pipeline_of(self._capability).table_cycles - 1
        arrived = delayed(m, fetched, further, name="arrived")
        number_arrived = delayed(m, previous, further, name="number_arrived")
        kept = Signal(layer_layout(self._capability))
        for number, fields in enumerate(table_words(self._capability)):
            here = Signal(name=f"word{number}")
            m.d.comb += here.eq(arrived & (number_arrived == number))
            offset = 0
            for field in fields:
                name = field.name
                value = self.table_data[offset : offset + field.width]
                offset += field.width
                if name in INITIAL:
                    m.d.comb += [self.layer[name].eq(value), self.loads[name].eq(here)]
                else:
                    m.d.comb += self.layer[name].eq(kept[name])
                    with m.If(here):
                        m.d.sync += kept[name].eq(value)

        ends = Signal()  # this layer ends the frame
        m.d.comb += ends.eq(self.layer.final | (self.layer_index == self.stop_after))
        with m.If(self.busy):
            m.d.sync += self.cycles.eq(self.cycles + 1)

        def leave():
            with m.If(self.abort):
                m.d.sync += [self.done.eq(0), word.eq(0), fetched.eq(0), wait.eq(idle_after)]
                m.next = "CLEAR"

        with m.FSM(init="CLEAR") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [
                        self.layer_index.eq(0),
                        self.done.eq(0),
                        self.frames.eq(0),
                        self.cycles.eq(0),
                    ]
                    m.next = "FETCH"
                leave()
            with m.State("FETCH"):
                m.d.sync += [word.eq(word + 1), fetched.eq(1)]
                with m.If(word == LAST_WORD):
                    m.d.sync += word.eq(0)
                    m.next = "WAIT" if further else "BEGIN"
                leave()
            if further:  # the last word is in the register
                with m.State("WAIT"):
                    m.next = "BEGIN"
                    leave()
            with m.State("BEGIN"):
                m.d.sync += self.layer_start.eq(1)
                m.next = "RUN"
                leave()
            with m.State("RUN"):
                with m.If(self.layer_done):
                    m.next = "FETCH"
                    m.d.sync += self.layer_index.eq(self.layer_index + 1)
                    with m.If(ends):
                        m.d.sync += [
                            self.done.eq(1),
                            self.frames.eq(self.frames + 1),
                            self.decision.eq(self.layer_decision),
                        ]
                        with m.If(self.repeat):
                            m.d.sync += [self.layer_index.eq(0), self.cycles.eq(0)]
                        with m.Else():
                            m.d.sync += self.layer_index.eq(self.layer_index)
                            m.next = "IDLE"
                leave()
            with m.State("CLEAR"):
                m.d.comb += [self.clear.eq(1), self.drain.eq(wait == drain_at)]
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "IDLE"

        return m
