"""What the engine's blocks are where every tool infers them: simulation."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib.memory import Memory

from hw.capability import OPERAND_BITS, PRODUCT_BITS

__all__ = ["products", "weight_store"]


def products(m: Module, operands: Sequence[Value], i_value: Value) -> list[Value]:
    """Products of a pipeline of two registers: operands, then products."""
    value = Signal(OPERAND_BITS)
    m.d.sync += value.eq(i_value)
    products = []
    for lane, operand in enumerate(operands):
        weight = Signal(signed(OPERAND_BITS), name=f"weight{lane}")
        product = Signal(signed(PRODUCT_BITS), name=f"product{lane}")
        m.d.sync += [weight.eq(operand), product.eq(weight * value)]
        products.append(product)
    return products


def weight_store(m: Module, port: Any, write: Sequence[Value], *, depth: int) -> None:
    """A memory for each 32 bits of a word."""
    for half in range(len(write)):
        m.submodules[f"half{half}"] = memory = Memory(shape=32, depth=depth, init=[])
        read = memory.read_port()
        write_port = memory.write_port(granularity=8)
        m.d.comb += [
            read.addr.eq(port.addr),
            port.data.word_select(half, 32).eq(read.data),
            write_port.addr.eq(port.addr),
            write_port.data.eq(port.write_data),
            write_port.en.eq(write[half].replicate(4) & port.write_mask),
        ]
