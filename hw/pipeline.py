"""The pipeline in clock cycles: what each part takes, from which all sums are made.

The engine's parts (``hw.engine``) take their depths from here; the cycle model
(``hw.compile.timing``) adds them up; the guarantees of the byte stream (``hw.soc.stream``) are what
a plan may count on. Most parts take the same in every engine: those are constants. The others
depend on how fast a family's memories and multipliers are: those are fields of a `Pipeline`, which
`pipeline_of` finds for a capability. All values are clock cycles. Nothing here needs Amaranth.
"""

from dataclasses import dataclass

from hw.capability import REQUANTISE_INTERVAL, Capability
from hw.layer_entry import LAST_WORD

__all__ = [
    "AHEAD_CYCLES",
    "BYTE_CYCLES",
    "CHANNEL_SUM_STAGES",
    "FIRST_VISIT_CYCLES",
    "LONG",
    "OVERWRITE_CYCLES",
    "PIPELINES",
    "PRODUCT_CYCLES",
    "QUEUED_WORDS",
    "QUEUE_CYCLES",
    "QUEUE_TO_ISSUE_CYCLES",
    "SHORT",
    "SHORTCUT_CYCLES",
    "SOON_CYCLES",
    "SUM_CYCLES",
    "TAP_CYCLES",
    "WALK_CYCLES",
    "WINDOW_CYCLES",
    "WINNER_LATENCY",
    "Pipeline",
    "pipeline_of",
]

# --- from layer to layer: hw.engine.sequencer -----------------------------------------------------

_LEAVE_CYCLES = 1  # the state RUN sees that the layer is done
_FETCH_CYCLES = LAST_WORD + 1  # the state FETCH: the address of a word of fields each

# --- from tap to tap: hw.engine.taps --------------------------------------------------------------

_START_CYCLES = 2  # the states IDLE, which sees the start pulse, and BEGIN
_LOOK_CYCLES = 1  # the state LOOK
_VISIT_CYCLES = 1  # the state TAP, if nothing holds the generator
_MOVE_CYCLES = 1  # the state NEXT

FIRST_VISIT_CYCLES = _START_CYCLES + _LOOK_CYCLES
"""From the start pulse to the visit of the first tap."""

TAP_CYCLES = _VISIT_CYCLES + _LOOK_CYCLES
"""From tap to tap of a kernel, those outside the image included."""

SHORTCUT_CYCLES = 1
"""From the kernel's last tap to the projection's: the state PROJECTION follows at once."""

WINDOW_CYCLES = _VISIT_CYCLES + _MOVE_CYCLES + _LOOK_CYCLES
"""From a window's last tap to the next one's first; to the next pixel of a line stride - 1 more."""

QUEUE_CYCLES = 1
"""From the visit of a tap to its end of the queue."""

# --- from tap to product: hw.engine.walker, issuer, operands --------------------------------------

WALK_CYCLES = 1
"""From the queue's end to a tap's first word at the memory's output; each further word takes at
least one more."""

OVERWRITE_CYCLES = 1
"""From the cycle in which a word is taken from memory to that in which it may be overwritten."""

QUEUED_WORDS = 3
"""Words whose records wait to be issued, the one at work included."""

QUEUE_TO_ISSUE_CYCLES = 1
"""From the cycle in which the issuer takes a word to the issue of its first record."""


# --- the array: hw.engine.array -------------------------------------------------------------------

PRODUCT_CYCLES = 2
"""From value and weights to their product: registers of the operands and of the products."""

SUM_CYCLES = 1
"""From a product to the accumulator that holds it."""

SOON_CYCLES = PRODUCT_CYCLES + SUM_CYCLES - 1
"""From a window's last operands to `soon`, a cycle before the accumulators are copied."""

# --- the drain: hw.engine.drain -------------------------------------------------------------------

CHANNEL_SUM_STAGES = 2
"""Registers from a window's sum to S: sum and bias, S."""

WINNER_LATENCY = 1
"""From a group's last key to its winner."""

_LANE_STAGES = 1  # the register of the lane's number, behind its turn: what it showed last is read
_WINDOW_STAGES = 1  # the register of the window's sum
_TAKE_CYCLES = 1  # the requantiser's registers of sum and multiplier
_ROUND_CYCLES = 1  # rounding and clamping


# --- what a family chooses ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """What the parts take that differ from pipeline to pipeline, and the sums of them.

    Cycles are 1, or 2 where a register stands between, unless said.

    Parameters
    ----------
    table_cycles : int
        From the address of a word of the layer table to the word.
    word_stages : int
        Stages between the walker and the issuer, each of which holds a word. 0: the memories of
        records and of the image are addressed a cycle ahead of the walker's word, and show this
        word. 2: the word addresses them; one stage is what they show, the other a register of it.
    address_cycles : int
        From the issue of a record to the weights' address, or from the host's address to it.
    weight_cycles : int
        From the address of a weight word to the weights: 1, or 3 where a register stands before
        each bank of the memory and one behind.
    drain_read_cycles : int
        From an address to what the drain reads there: a channel's parameters, the residual's word,
        what a lane showed last.
    multiply_cycles : int
        From a digit of the requantiser's multiplier to the sum that has its product.
    """

    table_cycles: int
    word_stages: int
    address_cycles: int
    weight_cycles: int
    drain_read_cycles: int
    multiply_cycles: int

    @property
    def turnaround_cycles(self) -> int:
        """From a layer's end to the start pulse of the next, behind the table's last word."""
        return _LEAVE_CYCLES + _FETCH_CYCLES + self.table_cycles

    @property
    def operand_cycles(self) -> int:
        """From the issue of a record to its operands: its value beside the weights."""
        return self.address_cycles + self.weight_cycles

    @property
    def window_sum_stages(self) -> int:
        """Registers from a lane's turn to its window's sum."""
        return _LANE_STAGES + self.drain_read_cycles + _WINDOW_STAGES

    @property
    def requantise_latency(self) -> int:
        """From a sum to its value."""
        return _TAKE_CYCLES + REQUANTISE_INTERVAL + self.multiply_cycles - 1 + _ROUND_CYCLES

    @property
    def drain_latency(self) -> int:
        """From `soon` to the cycle in which a one-lane window's last word is written: the winner by
        S, the requantiser and the winner by Q behind the sum."""
        sums = self.window_sum_stages + CHANNEL_SUM_STAGES
        return sums + WINNER_LATENCY + self.requantise_latency + WINNER_LATENCY

    @property
    def issue_to_write_cycles(self) -> int:
        """From a window's last issue to the write of its last word, if it has one lane."""
        return self.operand_cycles + SOON_CYCLES + self.drain_latency

    @property
    def memory_latency(self) -> int:
        """From a new address of the host's memory window to what is read there."""
        word = 1 + max(1, self.word_stages)  # through the walker's register
        read = max(word, self.address_cycles + self.weight_cycles)
        return read + self.address_cycles - 1  # and as many registers on the way back


SHORT = Pipeline(
    table_cycles=1,
    word_stages=0,
    address_cycles=1,
    weight_cycles=1,
    drain_read_cycles=1,
    multiply_cycles=1,
)
"""No register that can be done without: the iCE40's, whose logic cells are few."""

LONG = Pipeline(
    table_cycles=2,
    word_stages=2,
    address_cycles=2,
    weight_cycles=3,
    drain_read_cycles=2,
    multiply_cycles=2,
)
"""A register behind every memory, two before the many block RAMs of the weights, and one in the
requantiser: the ECP5's, whose block RAMs are slow beside its logic, and far from each other."""

PIPELINES = (SHORT, LONG)
"""By `Capability.pipeline`."""


def pipeline_of(capability: Capability) -> Pipeline:
    """The pipeline of the engine that `capability` describes."""
    return PIPELINES[capability.pipeline]


# --- the byte stream: hw.soc.stream ---------------------------------------------------------------

AHEAD_CYCLES = 4096
"""Cycles of a frame until the DMA that waits for it begins. The FIFO bridges so many."""

BYTE_CYCLES = 9
"""Cycles that each byte of the stream takes at least: to take it, and a bit a cycle."""
