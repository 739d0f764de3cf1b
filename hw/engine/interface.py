"""The engine's interface to its host: control, status and one window into its memories."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HostPort"]


class HostPort(wiring.Signature):
    """Control, status and memory window of the engine, seen from the engine.

    Members
    -------
    start, abort : In(1)
        Pulses: run a frame (ignored while busy); stop at once, whatever is under way.
    repeat : In(1)
        While set, a finished frame is followed by the next without a gap.
    stop_after : In(8)
        Index of the layer after which a frame ends; a larger one than the network has runs all.
    busy, done : Out(1)
        A frame is under way; the last one is complete (cleared by start and abort).
    layer : Out(8)
        The layer under way, or the last one that ran.
    cycles : Out(32)
        Clock cycles of the frame, from its start: counting while it is under way, then standing.
    frames : Out(16)
        Frames completed since start.
    decision : Out(8)
        Class of the last complete frame.
    mem_region, mem_addr, mem_write_data : In(3), In(16), In(32)
        Memory (`hw.regions.Region`), 32-bit word in it, and data. They stand still from the cycle
        before the write pulse to the cycle of it; for a read, until the data is taken.
    mem_write_mask : In(4)
        Bytes of the word to write, WEIGHTS only: elsewhere words are written whole.
    mem_write : In(1)
        Write pulse. The memory has the word `Pipeline.address_cycles` later. While a frame is under
        way only IMAGE takes writes without harm to it.
    mem_read_data : Out(32)
        Of WEIGHTS, ACTIVATIONS and LOGITS; the others cannot be read. Valid once region and address
        have stood still for `Pipeline.memory_latency` cycles. While a frame is under way it is
        undefined.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "abort": In(1),
                "repeat": In(1),
                "stop_after": In(8),
                "busy": Out(1),
                "done": Out(1),
                "layer": Out(8),
                "cycles": Out(32),
                "frames": Out(16),
                "decision": Out(8),
                "mem_region": In(3),
                "mem_addr": In(16),
                "mem_write": In(1),
                "mem_write_mask": In(4),
                "mem_write_data": In(32),
                "mem_read_data": Out(32),
            }
        )
