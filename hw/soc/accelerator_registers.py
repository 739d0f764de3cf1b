"""Registers and memory windows of `hw.soc.accelerator`, and how they tell a `Capability`.

Free of Amaranth. Where the registers lie, `hw.register_map` says.
"""

from collections.abc import Mapping
from dataclasses import fields

from hw.bus.registers import Window, described, fixed, pulse, read_only, read_write
from hw.capability import SLICE_BITS, Capability
from hw.regions import WINDOW_SIZE, Region, window_base

__all__ = [
    "ACTIVATION_WORDS",
    "ARITHMETIC",
    "ARRAY",
    "CAPABILITY",
    "CLASS",
    "CLOCK_HZ",
    "CONTROL",
    "CYCLES",
    "GEOMETRY",
    "ID",
    "IDENTITY",
    "IMAGE_BYTES",
    "LAYER_ENTRIES",
    "LOGIT_WORDS",
    "PARAMETER_WORDS",
    "RECORD",
    "STATUS",
    "STOP_AFTER",
    "STOP_NEVER",
    "VERSION",
    "WEIGHT_WORDS",
    "WINDOWS",
    "capability_from_words",
    "capability_words",
]

IDENTITY = 0x4448_414D
"""`ID` register: "DHAM" in ASCII."""

STOP_NEVER = 0xFF
"""`STOP_AFTER` value with which every layer runs."""

ID = described(
    "ID",
    "Identity of the accelerator.",
    fixed("ID", 0, 32, f"0x{IDENTITY:08X}, DHAM in ASCII."),
)

VERSION = described(
    "VERSION",
    "Version of this register map.",
    fixed("MINOR", 0, 16, "Grows when something is added."),
    fixed("MAJOR", 16, 16, "Grows when something changes its meaning."),
)

CLOCK_HZ = described(
    "CLOCK_HZ",
    "Clock of the engine.",
    fixed("CLOCK_HZ", 0, 32, "Frequency in Hz: cycles / CLOCK_HZ is time."),
)


ARRAY = described(
    "ARRAY",
    "Capability: size of the array.",
    fixed("LANES", 0, 16, "P: output channels at once."),
    fixed("SLOTS", 16, 8, "B: groups, or taps and groups, at once."),
    fixed("CLUSTERS", 24, 8, "C: pixels at once."),
)

RECORD = described(
    "RECORD",
    "Capability: records and weights.",
    fixed("ACTIVATION_BITS", 0, 8, "Widest value of a record."),
    fixed("WINNER_BITS", 8, 8, "Widest winner of a record."),
    fixed("RECORDS_PER_WORD", 16, 8, "Records in a word of activation memory."),
    fixed("WEIGHT_BITS", 24, 8, "Bits of a weight that takes one lane of a weight word."),
)

ARITHMETIC = described(
    "ARITHMETIC",
    "Capability: accumulator and requantiser.",
    fixed("ACCUMULATOR_BITS", 0, 8, "Bits of an accumulator, sign included."),
    fixed("REQUANTISE_BITS", 8, 8, "The requantiser's shift s, and bits of its sum."),
    fixed("MULTIPLIER_BITS", 16, 8, "Bits of the requantiser's multiplier m."),
    fixed("BIAS_BITS", 24, 8, "Bits of the bias b, sign included."),
)

GEOMETRY = described(
    "GEOMETRY",
    "Capability: residuals and sizes.",
    fixed("FACTOR_BITS", 0, 8, "Bits of the identity residual's factor r, sign included."),
    fixed("SIZE_BITS", 8, 8, "Bits of heights, widths and kernel sizes."),
)

WEIGHT_WORDS = described(
    "WEIGHT_WORDS",
    "Capability: depth of the weight memory.",
    fixed("WEIGHT_WORDS", 0, 32, "Words of one weight slice per lane."),
)

ACTIVATION_WORDS = described(
    "ACTIVATION_WORDS",
    "Capability: depth of the activation memory.",
    fixed("ACTIVATION_WORDS", 0, 32, "Packed record words."),
)

PARAMETER_WORDS = described(
    "PARAMETER_WORDS",
    "Capability: depth of the parameter memory.",
    fixed("PARAMETER_WORDS", 0, 32, "48-bit words, one a channel."),
)

LAYER_ENTRIES = described(
    "LAYER_ENTRIES",
    "Capability: depth of the layer table.",
    fixed("LAYER_ENTRIES", 0, 32, "Layers."),
)

IMAGE_BYTES = described(
    "IMAGE_BYTES",
    "Capability: size of the image memory.",
    fixed("IMAGE_BYTES", 0, 32, "Bytes."),
)

LOGIT_WORDS = described(
    "LOGIT_WORDS",
    "Capability: room for logits.",
    fixed("LOGIT_WORDS", 0, 32, "Words at the end of the activation memory."),
)


CONTROL = described(
    "CONTROL",
    "Start and stop the engine.",
    pulse("START", 0, "Write 1: run one frame on the resident image; ignored while busy."),
    pulse("RESET", 1, "Write 1: abort; memories are kept. STATUS.BUSY falls when it is done."),
    read_write("REPEAT", 2, 1, "While 1, each frame is followed at once by the next."),
)

STATUS = described(
    "STATUS",
    "What the engine is doing.",
    read_only("BUSY", 0, 1, "A frame is running."),
    read_only("DONE", 1, 1, "The last frame is complete; cleared by START and RESET."),
    read_only("LAYER", 8, 8, "Index of the layer that runs, or that ran last."),
)

STOP_AFTER = described(
    "STOP_AFTER",
    "Halt early, so that a layer's records can be read.",
    read_write(
        "STOP_AFTER",
        0,
        8,
        f"Index of the last layer to run; 0x{STOP_NEVER:X}: all.",
        reset=STOP_NEVER,
    ),
)

CLASS = described(
    "CLASS",
    "Decision of the last frame.",
    read_only("CLASS", 0, 8, "Lowest index of the largest logit."),
)

CYCLES = described(
    "CYCLES",
    "Length of a frame.",
    read_only(
        "CYCLES", 0, 32, "Clock cycles of the frame since its start; stands when it is done."
    ),
)


def _window(region: Region, access: str, doc: str) -> Window:
    return Window(
        name=region.name,
        index=int(region),
        base=window_base(region),
        size=WINDOW_SIZE,
        access=access,
        doc=doc,
    )


WINDOWS = (
    _window(
        Region.WEIGHTS,
        "rw",
        "32 bits of a weight word, the lowest first; lane i is bits 4i + 3 to 4i of the weight "
        "word.",
    ),
    _window(Region.IMAGE, "wo", "4 bytes of the image, the first in bits 7 to 0."),
    _window(Region.ACTIVATIONS, "ro", "One word of packed records, from bit 0."),
    _window(
        Region.PARAMETERS,
        "wo",
        "Half of a 48-bit parameter word: bits 31 to 0 first, then bits 47 to 32 in bits 15 to 0.",
    ),
    _window(Region.LAYERS, "wo", "One 16-bit word of the layer table, from bit 0."),
    _window(Region.LOGITS, "ro", "One logit, sign-extended."),
)
"""The engine's memories, as the bus sees them."""


_IMPLIED = {"slots": 1, "clusters": 1, "weight_bits": SLICE_BITS}
"""Capability fields of the registers that are the same in every engine of this version."""

CAPABILITY = (
    ARRAY,
    RECORD,
    ARITHMETIC,
    GEOMETRY,
    WEIGHT_WORDS,
    ACTIVATION_WORDS,
    PARAMETER_WORDS,
    LAYER_ENTRIES,
    IMAGE_BYTES,
    LOGIT_WORDS,
)
"""The registers that tell the `Capability`."""


def capability_words(capability: Capability) -> dict[str, int]:
    """Dict of register name to word, of the registers that hold a `Capability`.

    Raises `ValueError` where a value does not fit its register.
    """
    values = {one.name: getattr(capability, one.name) for one in fields(capability)} | _IMPLIED
    return {
        register.name: register.pack(
            **{one.name.lower(): values[one.name.lower()] for one in register.fields}
        )
        for register in CAPABILITY
    }


def capability_from_words(words: Mapping[str, int], *, family: str = "generic") -> Capability:
    """The `Capability` that a device's registers tell: inverse of `capability_words`.

    Other registers in `words` are ignored. The device does not tell its `family`, its
    `processor_words` nor its `pipeline`, which do not change what it computes. The pipeline is the
    one that `family` chooses; a frame's cycles depend on it.

    Raises `ValueError` for values that no engine of this version has.
    """
    values: dict[str, int] = {}
    for register in CAPABILITY:
        values |= register.unpack(words[register.name])
    for name, expected in _IMPLIED.items():
        if (value := values.pop(name)) != expected:
            raise ValueError(f"Capability {name} must be {expected}, not {value}")
    return Capability(family=family, **values)
