"""What the chips between USB and a serial line can do."""

__all__ = ["FT231X_BAUDS", "FT2232H_BAUDS"]

FT2232H_BAUDS = (12_000_000, 8_000_000, 6_000_000, 4_000_000, 3_000_000, 2_000_000, 1_000_000)
"""What an FT2232H makes of its 12 MHz without rounding (FTDI AN_120, section 3)."""

FT231X_BAUDS = (2_000_000, 1_000_000)
"""What an FT231X makes without rounding (FTDI AN_120, section 3), and the default clocks as well:
they miss 3,000,000 by up to 2 %."""
