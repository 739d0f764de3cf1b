"""The register map: the one description of what the processor sees of the system.

The hardware (`hw.soc.accelerator`, `hw.soc`), the host tool (`firmware`), the C header, the SVD,
LiteX's csr.csv and `docs/registers.md` all derive from `REGISTER_MAP`; nothing is typed twice.
"""

from dataclasses import fields

from hw.bus.registers import Field, Register, RegisterMap, Window
from hw.capability import SLICE_BITS, Capability
from hw.regions import WINDOW_SIZE, Region, window_base

__all__ = [
    "ENGINE_MAP",
    "IDENTITY",
    "REGISTER_MAP",
    "SOC_MAP",
    "STOP_NEVER",
    "capability_from_words",
    "capability_words",
    "constant_words",
]

IDENTITY = 0x4448_414D
"""`ID` register: "DHAM" in ASCII."""

STOP_NEVER = 0xFF
"""`STOP_AFTER` value with which every layer runs."""


MAJOR, MINOR = 2, 1
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


def _given(name, low, width, doc):
    return Field(name=name, low=low, width=width, access="wo", doc=doc)


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
    ("CYCLES", 0x54, "Length of a frame.", (
        _ro("CYCLES", 0, 32, "Clock cycles of the frame since its start; stands when it is done."),
    )),
)  # fmt: skip

_SOC_BASE = 0x80
_SOC_REGISTERS = (
    ("TIMER", 0x80, "Time.", (
        _ro("TIMER", 0, 32, "Clock cycles since the start, modulo 2 ** 32."),
    )),
    ("LEDS", 0x84, "The board's lights.", (
        _rw("LEDS", 0, 7, "1: on. Bit 0 green, 1 red, the others as the board has them."),
    )),
    ("BUTTONS", 0x88, "The board's buttons.", (
        _ro("BUTTONS", 0, 4, "1: pressed."),
    )),
    ("BOOT", 0x8C, "How the firmware was started.", (
        _pulse("ALIVE", 0, "Write 1: checked firmware runs. To be written within 2 ** 20 cycles of "
               "the start and then every 2 ** 25, frames not counted, or the other copy is "
               "started. Until the first time the red light is on."),
        _ro("COPY", 1, 1, "Which copy in flash was taken: 1 if the first one is damaged or hung."),
        _pulse("RESTART", 2, "Write 1: start anew, with the first copy; aborts engine and DMA. "
               "Before ALIVE, the other copy is started."),
    )),
    ("UART", 0x90, "To the host.", (
        _given("DATA", 0, 8, "Byte to send, with SEND."),
        _pulse("SEND", 8, "Write 1 while READY: send DATA."),
        _ro("READY", 9, 1, "A byte can be sent."),
        _ro("OVERRUN", 10, 1, "Bytes from the host were lost: the FIFO was full."),
        _pulse("OVERRUN_CLEAR", 11, "Write 1: clear OVERRUN."),
    )),
    ("STREAM", 0x94, "The byte stream: UART behind its COBS decoder, or flash while it is read.", (
        _ro("DATA", 0, 8, "Byte at the front."),
        _ro("VALID", 8, 1, "Something is at the front."),
        _ro("END", 9, 1, "It is no byte but the end of a frame."),
        _ro("CUT", 10, 1, "With END: the frame ended within a COBS block."),
        _pulse("NEXT", 11, "Write 1 while VALID: take it; a byte goes through the CRC."),
    )),
    ("CRC", 0x98, "CRC-32 of the bytes taken from the stream, or fed.", (
        _ro("CRC", 0, 32, "As in Ethernet and zlib; valid 8 cycles after the last byte."),
    )),
    ("CRC_FEED", 0x9C, "Compute a CRC.", (
        _given("DATA", 0, 8, "Byte, with FEED."),
        _pulse("FEED", 8, "Write 1 while the DMA rests: put DATA through the CRC, 8 cycles."),
        _pulse("CLEAR", 9, "Write 1: begin a CRC."),
    )),
    ("DMA_TARGET", 0xA0, "Where the DMA writes next.", (
        _given("WORD", 0, 20, "Word address on the bus, byte address / 4: of a window."),
        _pulse("LOAD", 20, "Write 1: take WORD."),
    )),
    ("DMA", 0xA4, "Moves words from the stream to the bus, also while a frame runs.", (
        _given("WORDS", 0, 16, "How many, at least 1, with START."),
        _pulse("START", 16, "Write 1: begin."),
        _pulse("STOP", 17, "Write 1: end early."),
        _given("WAIT", 18, 1, "With START: begin with the 4096th cycle of the next frame, or with "
               "its end."),
    )),
    ("DMA_STATUS", 0xA8, "How far the DMA is.", (
        _ro("BUSY", 0, 1, "Words are being moved."),
        _ro("END", 1, 1, "The stream's front is the end of a frame: the DMA cannot go on."),
    )),
    ("FLASH", 0xAC, "The flash, byte by byte, and the end of a sequential read.", (
        _given("DATA", 0, 8, "Byte, with SEND."),
        _pulse("SEND", 8, "Write 1 while selected and not BUSY: exchange a byte, 17 cycles. "
               "STREAM.DATA then is the one that came."),
        _pulse("SELECT", 9, "Write 1: keep the flash selected, until STOP."),
        _pulse("STOP", 10, "Write 1: the sequential read ends, the stream is the UART's again; "
               "ends SELECT."),
        _ro("BUSY", 11, 1, "The flash controller is at work."),
    )),
)  # fmt: skip

_WINDOWS = (
    (Region.WEIGHTS, "rw", "32 bits of a weight word, the lowest first; lane i is bits 4i + 3 to "
     "4i of the weight word."),
    (Region.IMAGE, "wo", "4 bytes of the image, the first in bits 7 to 0."),
    (Region.ACTIVATIONS, "ro", "One word of packed records, from bit 0."),
    (Region.PARAMETERS, "wo", "Half of a 48-bit parameter word: bits 31 to 0 first, then bits 47 "
     "to 32 in bits 15 to 0."),
    (Region.LAYERS, "wo", "One 16-bit word of the layer table, from bit 0."),
    (Region.LOGITS, "ro", "One logit, sign-extended."),
)  # fmt: skip

REGISTER_MAP = RegisterMap(
    name="DHAM",
    doc="Accelerator of deep hetero-associative memories",
    version=MAJOR << 16 | MINOR,
    registers=tuple(
        Register(name=name, offset=offset, doc=doc, fields=fields_)
        for name, offset, doc, fields_ in _REGISTERS + _SOC_REGISTERS
    ),
    windows=tuple(
        Window(
            name=region.name,
            index=int(region),
            base=window_base(region),
            size=WINDOW_SIZE,
            access=access,
            doc=doc,
        )
        for region, access, doc in _WINDOWS
    ),
    constants={"IDENTITY": IDENTITY, "STOP_NEVER": STOP_NEVER},
)


ENGINE_MAP = REGISTER_MAP.part(0, _SOC_BASE)
"""The registers of the accelerator: all that a device without a processor has."""

SOC_MAP = REGISTER_MAP.part(_SOC_BASE, 2 * _SOC_BASE)
"""The registers of what is around it, from offset 0 of their own."""


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

    Other registers in `words` are ignored. The device does not tell its `family` nor its
    `processor_words`, which do not change what it computes.

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
