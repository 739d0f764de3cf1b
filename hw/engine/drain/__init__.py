"""The drain: from finished sums to records in memory, one lane a cycle, behind the array's back."""

from hw.engine.drain.drain import Drain

__all__ = ["Drain"]
