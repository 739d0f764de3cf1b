"""What differs from one FPGA family to the next: one object each, found by its name."""

from hw.families.ecp5 import FAMILY as ECP5
from hw.families.family import Family
from hw.families.generic import FAMILY as GENERIC
from hw.families.ice40 import FAMILY as ICE40

__all__ = ["FAMILIES", "Family", "find_family"]

FAMILIES: dict[str, Family] = {family.name: family for family in (ICE40, ECP5, GENERIC)}


def find_family(name: str) -> Family:
    """The family of that name; `KeyError` for others, which no `Capability` has."""
    return FAMILIES[name]
