"""The pipeline in clock cycles: a constant for each part, from which all sums are made.

The engine's parts (``hw.engine``) take their depths from here; the cycle model
(``hw.compile.timing``) adds them up; the guarantees of the byte stream (``hw.soc.stream``) are what
a plan may count on. All values are clock cycles. Nothing here needs Amaranth.
"""

from hw.capability import REQUANTISE_INTERVAL
from hw.layer_entry import LAST_WORD

__all__ = [
    "AHEAD_CYCLES",
    "BYTE_CYCLES",
    "CHANNEL_SUM_STAGES",
    "DRAIN_LATENCY",
    "FIRST_VISIT_CYCLES",
    "ISSUE_TO_WRITE_CYCLES",
    "OVERWRITE_CYCLES",
    "PRODUCT_CYCLES",
    "QUEUED_WORDS",
    "QUEUE_CYCLES",
    "QUEUE_TO_ISSUE_CYCLES",
    "REQUANTISE_LATENCY",
    "SHORTCUT_CYCLES",
    "SOON_CYCLES",
    "SUM_CYCLES",
    "SUM_STAGES",
    "TAP_CYCLES",
    "TURNAROUND_CYCLES",
    "WALK_CYCLES",
    "WINDOW_CYCLES",
    "WINDOW_SUM_STAGES",
    "WINNER_LATENCY",
]

# --- from layer to layer: hw.engine.sequencer -----------------------------------------------------

_LEAVE_CYCLES = 1  # the state RUN sees that the layer is done
_FETCH_CYCLES = LAST_WORD + 1  # the state FETCH: a word of fields each
_BEGIN_CYCLES = 1  # the state BEGIN: the last word comes; the start pulse follows

TURNAROUND_CYCLES: int = _LEAVE_CYCLES + _FETCH_CYCLES + _BEGIN_CYCLES
"""From a layer's end to the start pulse of the next."""

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
"""From the cycle in which a word is taken from memory to the issue of its first record."""

_VALUE_CYCLES = 1  # from the issue of a record to its value and winner, and the weights' address
_WEIGHT_CYCLES = 1  # from the weights' address to the weights

# --- the array: hw.engine.array -------------------------------------------------------------------

PRODUCT_CYCLES = 2
"""From value and weights to their product: registers of the operands and of the products."""

SUM_CYCLES = 1
"""From a product to the accumulator that holds it."""

SOON_CYCLES = PRODUCT_CYCLES + SUM_CYCLES - 1
"""From a window's last operands to `soon`, a cycle before the accumulators are copied."""

# --- the drain: hw.engine.drain -------------------------------------------------------------------

WINDOW_SUM_STAGES = 3
"""Registers from a lane's turn to its window's sum: what the lane showed last, the lane's running
sum, the window's sum."""

CHANNEL_SUM_STAGES = 2
"""Registers from a window's sum to S: sum and bias, S."""

SUM_STAGES = WINDOW_SUM_STAGES + CHANNEL_SUM_STAGES
"""From a lane's turn to its S."""

WINNER_LATENCY = 1
"""From a group's last key to its winner."""

_TAKE_CYCLES = 1  # the requantiser's registers of sum and multiplier
_ROUND_CYCLES = 1  # rounding and clamping

REQUANTISE_LATENCY = _TAKE_CYCLES + REQUANTISE_INTERVAL + _ROUND_CYCLES
"""From a sum to its value."""

DRAIN_LATENCY = SUM_STAGES + WINNER_LATENCY + REQUANTISE_LATENCY + WINNER_LATENCY
"""From `soon` to the cycle in which a one-lane window's last word is written: the winner by S, the
requantiser and the winner by Q behind the sum."""

ISSUE_TO_WRITE_CYCLES = _VALUE_CYCLES + _WEIGHT_CYCLES + SOON_CYCLES + DRAIN_LATENCY
"""From a window's last issue to the write of its last word, if it has one lane."""

# --- the byte stream: hw.soc.stream ---------------------------------------------------------------

AHEAD_CYCLES = 4096
"""Cycles of a frame until the DMA that waits for it begins. The FIFO bridges so many."""

BYTE_CYCLES = 9
"""Cycles that each byte of the stream takes at least: to take it, and a bit a cycle."""
