"""Registers in a row: as many as a pipeline asks for, none where it asks for none."""

from amaranth.hdl import Module, Signal, ValueLike

__all__ = ["delayed"]


def delayed(m: Module, value: ValueLike, cycles: int, *, name: str) -> ValueLike:
    """`value` as it was `cycles` clock cycles ago; `value` itself if that is 0.

    The registers are called `name`. A signal's have its reset value, any other value's 0.
    """
    for _ in range(cycles):
        register = Signal.like(value, name=name)
        m.d.sync += register.eq(value)
        value = register
    return value
