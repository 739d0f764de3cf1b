"""What a bitstream can do: the generator's parameters, fixed at synthesis.

One :class:`Capability` sizes the hardware (``hw.engine``), is what a plan is made against
(``hw.compile.plan``), and is what the host reads back from the device (``hw.register_map``).
"""

from dataclasses import dataclass, fields

from hw.weight_blocks import WEIGHT_BLOCKS

__all__ = ["Capability", "address_bits"]

SLICE_BITS = 4  # bits of one lane's weight; wider weights take two lanes
OPERAND_BITS = 8  # bits of the multiplier's unsigned operand
PRODUCT_BITS = 16  # of one lane, signed
PARAMETER_BITS = 48  # of one word of the parameter memory
REQUANTISE_INTERVAL = 4  # cycles between two sums of the requantiser, in which it multiplies

#: What a word of the layer table has room for (`hw.layer_entry`), and the multiplier.
_LIMITS = {
    "lanes": 64,
    "size_bits": 7,
    "winner_bits": 7,
    "parameter_words": 65536,
    "activation_bits": OPERAND_BITS,
    "pipeline": 1,
}

_MAY_BE_ZERO = ("processor_words", "pipeline")

_OF_FAMILY = -1  # the pipeline that the family chooses

#: The pipeline of each family whose memories and multipliers need more than the short one.
_FAMILY_PIPELINES = {"ecp5": 1}


def address_bits(depth: int) -> int:
    """Bits that address `depth` entries (at least 1)."""
    return max(1, (depth - 1).bit_length())


@dataclass(frozen=True, kw_only=True)
class Capability:
    """Parameters of the engine; every field is checked.

    Parameters
    ----------
    family : str
        One of `hw.families`, which makes multipliers and weight memory; ``"generic"`` infers
        everything (simulation with memories of any depth).
    lanes : int
        P, output channels computed at once: 8 times a power of two (whole 32-bit bus words).
    activation_bits, winner_bits : int
        Widest record: value and winner bits. The largest group is 2**winner_bits.
    records_per_word : int
        Records in one word of activation memory; a power of two.
    accumulator_bits : int
        Signed width of the accumulators and of the sum S.
    requantise_bits : int
        The requantiser's fixed shift s, and the width of its (saturated) sum.
    multiplier_bits, bias_bits, factor_bits : int
        Widths of m (unsigned), b and r (signed). Together at most 48: one parameter word.
    size_bits : int
        Bits of heights, widths and kernel sizes.
    weight_words, activation_words, parameter_words, layer_entries, image_bytes, logit_words : int
        Memory depths: weight words of P slices, activation words (two banks), parameter words
        (channels), layers, image bytes, and the part of the activation words, at its end, that
        the classifier's logits use.
    processor_words : int
        More words of the weight memory, behind those of networks: the processor's memory. 0 where
        there is no processor.
    pipeline : int
        Number of the pipeline (`hw.pipeline.PIPELINES`): 0 is the short one, 1 the long one. If
        none is given, the family chooses.
    """

    family: str = "ice40"
    lanes: int = 16
    activation_bits: int = 4
    winner_bits: int = 2
    records_per_word: int = 4
    accumulator_bits: int = 22
    requantise_bits: int = 16
    multiplier_bits: int = 16
    bias_bits: int = 20
    factor_bits: int = 12
    size_bits: int = 6
    weight_words: int = 16384
    processor_words: int = 0
    activation_words: int = 2048
    parameter_words: int = 512
    layer_entries: int = 16
    image_bytes: int = 3072
    logit_words: int = 128
    pipeline: int = _OF_FAMILY

    def __post_init__(self) -> None:
        if self.family not in WEIGHT_BLOCKS:
            known = ", ".join(WEIGHT_BLOCKS)
            raise ValueError(f"Family must be one of {known}, not {self.family!r}")
        if self.pipeline == _OF_FAMILY:
            object.__setattr__(self, "pipeline", _FAMILY_PIPELINES.get(self.family, 0))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "family":
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{_words(field.name)} must be an integer, not {value!r}")
            if value < (field.name not in _MAY_BE_ZERO):
                raise ValueError(f"{_words(field.name)} must be a positive integer, not {value}")
        if self.lanes % 8:
            raise ValueError(f"Lanes must be a multiple of 8, not {self.lanes}")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"Lanes must be a power of two, not {self.lanes}")
        for name, most in _LIMITS.items():
            value = getattr(self, name)
            if value > most:
                raise ValueError(f"{_words(name)} must be at most {most}, not {value}")
        for name in ("records_per_word", "logit_words"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ValueError(f"{_words(name)} must be a power of two, not {value}")
        parameter = self.multiplier_bits + self.bias_bits + self.factor_bits
        if parameter > PARAMETER_BITS:
            raise ValueError(
                f"Multiplier, bias and factor bits must be at most {PARAMETER_BITS}, "
                f"not {parameter}"
            )
        if self.multiplier_bits < self.activation_bits:
            raise ValueError(
                f"Multiplier bits must be at least the activation bits, {self.activation_bits}: a "
                f"smaller multiplier never reaches the largest value; not {self.multiplier_bits}"
            )
        if self.requantise_bits <= self.dropped_bits:
            raise ValueError(
                f"Requantise bits must be more than {self.dropped_bits}, which the requantiser "
                f"drops of a product with {self.multiplier_bits} multiplier bits; "
                f"not {self.requantise_bits}"
            )
        if self.word_bits > 32:
            raise ValueError(
                f"A word of {self.records_per_word} records must be at most 32 bits wide, "
                f"not {self.word_bits}"
            )
        if self.word_bits < self.accumulator_bits:
            raise ValueError(
                f"A word of activation memory must hold a logit of {self.accumulator_bits} bits, "
                f"not only {self.word_bits}"
            )
        if self.activation_words % (2 * self.logit_words):
            raise ValueError(
                f"Activation words must be a multiple of {2 * self.logit_words} "
                f"(two banks, logits), not {self.activation_words}"
            )
        if self.image_bytes % 4:
            raise ValueError(f"Image bytes must be a multiple of 4, not {self.image_bytes}")
        block = WEIGHT_BLOCKS[self.family]
        if block is not None and self.weight_depth > block.depth:
            raise ValueError(
                f"Weight words and the processor's must be at most {block.depth} together (the "
                f"depth of {block.title}), not {self.weight_depth}"
            )
        if self.record_address_bits > 16 or self.weight_address_bits > 16:
            raise ValueError("Memories must be addressed by 16 bits at most")

    @property
    def image_parts(self) -> tuple[int, int]:
        """Depths of the two memories of 32-bit words that hold the image; the second may be 0.

        The first is a power of two, as block RAMs have it: 3072 bytes are 512 + 256 words, six
        blocks and a choice of two.
        """
        words = self.image_bytes // 4
        first = 1 << (words.bit_length() - 1)
        return first, words - first

    @property
    def multiplier_digit(self) -> int:
        """Bits of a multiplier that the requantiser takes in each cycle."""
        return -(-self.multiplier_bits // REQUANTISE_INTERVAL)

    @property
    def dropped_bits(self) -> int:
        """Lowest bits of a product that the requantiser has shifted out when it is through."""
        return self.multiplier_digit * (REQUANTISE_INTERVAL - 1)

    @property
    def record_bits(self) -> int:
        """Bits of a record: value and winner."""
        return self.activation_bits + self.winner_bits

    @property
    def word_bits(self) -> int:
        """Bits of a word of activation memory."""
        return self.records_per_word * self.record_bits

    @property
    def bank_words(self) -> int:
        """Words of one of the two banks of activation memory."""
        return self.activation_words // 2

    @property
    def bank_bits(self) -> int:
        """Bits of a word's address within its bank."""
        return address_bits(self.bank_words)

    @property
    def sub_bits(self) -> int:
        """Bits that pick a record in its word."""
        return (self.records_per_word - 1).bit_length()

    @property
    def record_address_bits(self) -> int:
        """Bits of a record address: bank, word, record; or an image byte's."""
        activation = 1 + self.bank_bits + self.sub_bits
        return max(activation, address_bits(self.image_bytes))

    @property
    def weight_depth(self) -> int:
        """Depth of the weight memory: the networks' words and the processor's."""
        return self.weight_words + self.processor_words

    @property
    def weight_address_bits(self) -> int:
        """Bits of a weight word's address."""
        return address_bits(self.weight_depth)

    @property
    def bus_words_per_weight_word(self) -> int:
        """32-bit bus words in one weight word."""
        return self.lanes * SLICE_BITS // 32

    @property
    def largest_group(self) -> int:
        """Feature maps of the largest group."""
        return 2**self.winner_bits


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
