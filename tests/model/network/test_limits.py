"""The bounds of a network's numbers."""

import pytest

from hw.capability import Capability
from model.network import limits


@pytest.mark.parametrize("name", ["multiplier_bits", "bias_bits", "factor_bits"])
def test_training_stays_within_what_the_hardware_does_by_default(name):
    """model/ does not import hw/, so that each has the number."""
    assert getattr(Capability(), name) == getattr(limits, name.upper())
