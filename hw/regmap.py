"""The register map: the one description of what a host sees of the accelerator.

The hardware (`hw.device`), the host tool (`firmware`), the C header, the SVD, LiteX's csr.csv and
`docs/registers.md` all derive from `REGISTER_MAP`; nothing is typed twice.

`python -m hw.regmap --format python|c|svd|csv|md [--output FILE]`
"""

from dataclasses import fields
from pathlib import Path

from hw.bus.export import FORMATS
from hw.bus.registers import Field, Register, RegisterMap, Window
from hw.capability import SLICE_BITS, Capability
from hw.engine.interface import Region
from model.errors import Parser, run_cli
from model.files import write

__all__ = [
    "IDENTITY",
    "REGISTER_MAP",
    "STOP_NEVER",
    "capability_from_words",
    "capability_words",
    "constant_words",
]

IDENTITY = 0x4448_414D
"""`ID` register: "DHAM" in ASCII."""

STOP_NEVER = 0xFF
"""`STOP_AFTER` value with which every layer runs."""


MAJOR, MINOR = 1, 0
"""Version of the map. Under another major number an old host misreads the device; a larger minor
number only adds."""


def _ro(name, low, width, doc):
    return Field(name=name, low=low, width=width, access="ro", doc=doc)


def _fixed(name, low, width, doc):
    return Field(name=name, low=low, width=width, access="ro", doc=doc, constant=True)


def _rw(name, low, width, doc, reset=0):
    return Field(name=name, low=low, width=width, access="rw", doc=doc, reset=reset)


def _pulse(name, low, doc):
    return Field(name=name, low=low, width=1, access="wo", doc=doc)


_REGISTERS = (
    ("ID", 0x00, "Identity of the accelerator.", (
        _fixed("ID", 0, 32, "0x4448414D, DHAM in ASCII."),
    )),
    ("VERSION", 0x04, "Version of this register map.", (
        _fixed("MINOR", 0, 16, "Grows when something is added."),
        _fixed("MAJOR", 16, 16, "Grows when something changes its meaning."),
    )),
    ("CLOCK_HZ", 0x08, "Clock of the engine.", (
        _fixed("CLOCK_HZ", 0, 32, "Frequency in Hz: cycles / CLOCK_HZ is time."),
    )),
    ("ARRAY", 0x0C, "Capability: size of the array.", (
        _fixed("LANES", 0, 16, "P: output channels at once."),
        _fixed("BANKS", 16, 8, "B: groups, or taps and groups, at once."),
        _fixed("CLUSTERS", 24, 8, "C: pixels at once."),
    )),
    ("RECORD", 0x10, "Capability: records and weights.", (
        _fixed("ACTIVATION_BITS", 0, 8, "Widest value of a record."),
        _fixed("WINNER_BITS", 8, 8, "Widest winner of a record."),
        _fixed("RECORDS_PER_WORD", 16, 8, "Records in a word of activation memory."),
        _fixed("WEIGHT_BITS", 24, 8, "Bits of a weight that takes one lane of a weight word."),
    )),
    ("ARITHMETIC", 0x14, "Capability: accumulator and requantiser.", (
        _fixed("ACCUMULATOR_BITS", 0, 8, "Bits of an accumulator, sign included."),
        _fixed("REQUANTISE_BITS", 8, 8, "The requantiser's shift s, and bits of its sum."),
        _fixed("MULTIPLIER_BITS", 16, 8, "Bits of the requantiser's multiplier m."),
        _fixed("BIAS_BITS", 24, 8, "Bits of the bias b, sign included."),
    )),
    ("GEOMETRY", 0x18, "Capability: residuals and sizes.", (
        _fixed("FACTOR_BITS", 0, 8, "Bits of the identity residual's factor r, sign included."),
        _fixed("SIZE_BITS", 8, 8, "Bits of heights, widths and kernel sizes."),
    )),
    ("WEIGHT_WORDS", 0x1C, "Capability: depth of the weight memory.", (
        _fixed("WEIGHT_WORDS", 0, 32, "Words of one weight slice per lane."),
    )),
    ("ACTIVATION_WORDS", 0x20, "Capability: depth of the activation memory.", (
        _fixed("ACTIVATION_WORDS", 0, 32, "Packed record words."),
    )),
    ("PARAMETER_WORDS", 0x24, "Capability: depth of the parameter memory.", (
        _fixed("PARAMETER_WORDS", 0, 32, "48-bit words, one a channel."),
    )),
    ("LAYER_ENTRIES", 0x28, "Capability: depth of the layer table.", (
        _fixed("LAYER_ENTRIES", 0, 32, "Layers."),
    )),
    ("IMAGE_BYTES", 0x2C, "Capability: size of the image memory.", (
        _fixed("IMAGE_BYTES", 0, 32, "Bytes."),
    )),
    ("LOGIT_WORDS", 0x30, "Capability: room for logits.", (
        _fixed("LOGIT_WORDS", 0, 32, "Words at the end of the activation memory."),
    )),
    ("CONTROL", 0x40, "Start and stop the engine.", (
        _pulse("START", 0, "Write 1: run one frame on the resident image; ignored while busy."),
        _pulse("RESET", 1, "Write 1: abort; memories are kept. STATUS.BUSY falls when it is done."),
        _rw("REPEAT", 2, 1, "While 1, each frame is followed at once by the next."),
    )),
    ("STATUS", 0x44, "What the engine is doing.", (
        _ro("BUSY", 0, 1, "A frame is running."),
        _ro("DONE", 1, 1, "The last frame is complete; cleared by START and RESET."),
        _ro("LAYER", 8, 8, "Index of the layer that runs, or that ran last."),
    )),
    ("STOP_AFTER", 0x48, "Halt early, so that a layer's records can be read.", (
        _rw("STOP_AFTER", 0, 8, "Index of the last layer to run; 0xFF: all.", reset=STOP_NEVER),
    )),
    ("CLASS", 0x4C, "Decision of the last frame.", (
        _ro("CLASS", 0, 8, "Lowest index of the largest logit."),
    )),
    ("FRAMES", 0x50, "Count of frames.", (
        _ro("FRAMES", 0, 16, "Frames completed since START, modulo 2 ** 16."),
    )),
    ("CYCLES", 0x54, "Length of a frame.", (
        _ro("CYCLES", 0, 32, "Clock cycles of the frame since its start; stands when it is done."),
    )),
    ("NETWORK", 0x58, "Left by the host, to know later what is loaded.", (
        _rw("NETWORK", 0, 32, "First 32 bits of the loaded network's hash; 0: none."),
    )),
)  # fmt: skip

_WINDOW_BASE = 0x20_0000
_WINDOW_SIZE = 0x4_0000
_WINDOWS = (
    (Region.WEIGHTS, "rw", "32 bits of a weight word, the lowest first; lane i is bits 4i + 3 to "
     "4i of the weight word."),
    (Region.IMAGE, "rw", "4 bytes of the image, the first in bits 7 to 0."),
    (Region.ACTIVATIONS, "ro", "One word of packed records, from bit 0."),
    (Region.PARAMETERS, "rw", "Half of a 48-bit parameter word: bits 31 to 0 first, then bits 47 "
     "to 32 in bits 15 to 0."),
    (Region.LAYERS, "rw", "One 16-bit word of the layer table, from bit 0."),
    (Region.LOGITS, "ro", "One logit, sign-extended."),
)  # fmt: skip

REGISTER_MAP = RegisterMap(
    name="DHAM",
    doc="Accelerator of deep hetero-associative memories",
    version=MAJOR << 16 | MINOR,
    registers=tuple(
        Register(name=name, offset=offset, doc=doc, fields=fields_)
        for name, offset, doc, fields_ in _REGISTERS
    ),
    windows=tuple(
        Window(
            name=region.name,
            index=int(region),
            base=_WINDOW_BASE + region * _WINDOW_SIZE,
            size=_WINDOW_SIZE,
            access=access,
            doc=doc,
        )
        for region, access, doc in _WINDOWS
    ),
    constants={"IDENTITY": IDENTITY, "STOP_NEVER": STOP_NEVER},
)


_IMPLIED = {"banks": 1, "clusters": 1, "weight_bits": SLICE_BITS}
"""Capability fields of the registers that are the same in every engine of this version."""

_CAPABILITY = tuple(
    one
    for one in REGISTER_MAP.registers
    if one.constant and one.name not in ("ID", "VERSION", "CLOCK_HZ")
)


def capability_words(capability):
    """Dict of register name to word, of the registers that hold a `Capability`.

    Raises `ValueError` where a value does not fit its register.
    """
    values = {one.name: getattr(capability, one.name) for one in fields(capability)} | _IMPLIED
    return {
        register.name: register.pack(
            **{one.name.lower(): values[one.name.lower()] for one in register.fields}
        )
        for register in _CAPABILITY
    }


def capability_from_words(words, *, family="generic"):
    """The `Capability` that a device's registers tell: inverse of `capability_words`.

    Other registers in `words` are ignored. The device does not tell its `family`, which does not
    change what it computes.

    Raises `ValueError` for values that no engine of this version has.
    """
    values = {}
    for register in _CAPABILITY:
        values |= register.unpack(words[register.name])
    for name, expected in _IMPLIED.items():
        if (value := values.pop(name)) != expected:
            raise ValueError(f"Capability {name} must be {expected}, not {value}")
    return Capability(family=family, **values)


def constant_words(*, capability, clock_hz):
    """Dict of register name to word, of every constant register of a device.

    Parameters
    ----------
    capability : Capability
        What the engine is built for.
    clock_hz : int
        Its clock, Hz.
    """
    return {
        "ID": IDENTITY,
        "VERSION": REGISTER_MAP.version,
        "CLOCK_HZ": REGISTER_MAP.register("CLOCK_HZ").pack(clock_hz=clock_hz),
        **capability_words(capability),
    }


def main(argv=None):
    parser = Parser(prog="python -m hw.regmap", description=__doc__.split("\n")[0])
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    options = parser.parse_args(argv)
    text = FORMATS[options.format](REGISTER_MAP)
    if options.output is None:
        print(text, end="")
    else:
        write(options.output, text)


if __name__ == "__main__":
    run_cli(main)()
