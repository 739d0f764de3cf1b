"""A channel's word of the parameter memory: order, widths and signs of its fields.

The hardware's struct (`hw.engine.drain.layouts`) and the words that a host loads
(`hw.compile.words`) derive from it. Nothing here needs Amaranth.
"""

from dataclasses import dataclass

from hw.capability import Capability

__all__ = ["ParameterField", "pack_parameters", "parameter_fields"]


@dataclass(frozen=True, kw_only=True)
class ParameterField:
    """A field of the parameter word; ``width``: bits, the sign's included."""

    name: str
    width: int
    signed: bool

    @property
    def least(self) -> int:
        """Smallest value that it holds."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def most(self) -> int:
        """Largest value that it holds."""
        return self.least + (1 << self.width) - 1


def parameter_fields(capability: Capability) -> tuple[ParameterField, ...]:
    """Multiplier m, bias b and residual factor r, lowest bits first."""
    return (
        ParameterField(name="multiplier", width=capability.multiplier_bits, signed=False),
        ParameterField(name="bias", width=capability.bias_bits, signed=True),
        ParameterField(name="factor", width=capability.factor_bits, signed=True),
    )


def pack_parameters(capability: Capability, *, multiplier: int, bias: int, factor: int) -> int:
    """The word of a channel with these values.

    Raises `ValueError` where a value leaves its field: a plan that was not checked.
    """
    values = {"multiplier": multiplier, "bias": bias, "factor": factor}
    word = position = 0
    for field in parameter_fields(capability):
        value = values[field.name]
        if not field.least <= value <= field.most:
            raise ValueError(
                f"Parameter {field.name} must be {field.least} to {field.most}, not {value}"
            )
        word |= (value & (1 << field.width) - 1) << position
        position += field.width
    return word
