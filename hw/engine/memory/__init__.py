"""The engine's memories: records, image, weights, parameters, layer table.

All reads are synchronous. Each memory says of what arrays of words it is made (`WordArray`), so
that a simulation finds them.
"""

from hw.engine.memory.activations import ActivationMemory
from hw.engine.memory.image import ImageMemory
from hw.engine.memory.layers import LayerMemory
from hw.engine.memory.parameters import ParameterMemory
from hw.engine.memory.weights import WeightMemory
from hw.engine.memory.word_array import WordArray

__all__ = [
    "ActivationMemory",
    "ImageMemory",
    "LayerMemory",
    "ParameterMemory",
    "WeightMemory",
    "WordArray",
]
