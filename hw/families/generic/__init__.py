"""No family in particular: simulation alone."""

from hw.families.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(name="generic", title="generic", blocks_module="hw.families.generic.blocks")
