"""Random capabilities: parameters that may clash."""

from dataclasses import fields

import numpy as np

from hw.capability import Capability

__all__ = ["draw_fields"]

_USUAL = Capability(family="generic")

#: Values to draw of each parameter: small and large ones, and what is no power of two.
_CHOICES = {
    "family": ("generic", "generic", "ice40"),
    "lanes": (8, 16, 32),
    "activation_bits": (1, 2, 3, 4, 5, 8),
    "winner_bits": (1, 2, 3, 4, 5),
    "records_per_word": (1, 2, 4, 8),
    "accumulator_bits": (12, 14, 16, 20, 22, 26, 32),
    "requantise_bits": (6, 8, 10, 12, 14, 16, 18, 20),
    "multiplier_bits": (4, 6, 8, 10, 12, 14, 16, 18),
    "bias_bits": (6, 10, 14, 18, 20, 24),
    "factor_bits": (2, 5, 8, 12, 14),
    "size_bits": (3, 4, 5, 6, 7),
    "weight_words": (256, 1000, 4096, 16384),
    "processor_words": (0, 0, 0, 100, 2048),
    "activation_words": (512, 2048, 4096, 6144),
    "parameter_words": (40, 100, 512),
    "layer_entries": (4, 7, 16),
    "image_bytes": (64, 100, 1024, 3072, 5000),
    "logit_words": (4, 16, 128),
    "pipeline": (0, 1),
}


def draw_fields(rng: np.random.Generator) -> dict:
    """Parameters of a capability: about half of them drawn, the others as usual. They may clash."""
    assert set(_CHOICES) == {one.name for one in fields(Capability)}
    drawn = {
        name: values[rng.integers(len(values))] if rng.random() < 0.5 else getattr(_USUAL, name)
        for name, values in _CHOICES.items()
    }
    return drawn
