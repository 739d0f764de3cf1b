"""What a device answers, as values."""

from dataclasses import dataclass

from firmware.messages import HARMLESS

__all__ = ["Bench", "Decision", "Features", "Info", "Learned", "SelfTest"]

_FRAME_SECONDS = 0.1  # of a device that has not measured one


@dataclass(frozen=True, kw_only=True)
class Info:
    """What a device says of itself: the fields of `INFO_FIELDS`, and the network's name."""

    words: dict[str, int]
    network_name: str

    def __getattr__(self, name: str) -> int:
        try:
            return self.__dict__["words"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def network_hash(self) -> str:
        """SHA-256 of the network file, 64 hexadecimal digits."""
        words = [self.words[f"network_hash{index}"] for index in range(8)]
        return b"".join(word.to_bytes(4, "little") for word in words).hex()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.image_height, self.image_width, self.image_channels

    @property
    def ready(self) -> bool:
        """Whether the device classifies."""
        return self.boot_error in HARMLESS

    @property
    def frame_seconds(self) -> float:
        """Of one frame, as the device measured it, or a guess."""
        return self.frame_cycles / self.clock_hz if self.frame_cycles else _FRAME_SECONDS


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One image classified: index of the class, a logit a class, cycles of the frame."""

    decision: int
    logits: list[int]
    cycles: int


@dataclass(frozen=True, kw_only=True)
class Features:
    """One image's features, each a sum over the pixels; cycles of the frame."""

    features: list[int]
    cycles: int


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """Golden vectors that were equal, how many there are, cycles of the slowest frame."""

    equal: int
    vectors: int
    cycles: int

    @property
    def passed(self) -> bool:
        """Whether all were equal, and there were any."""
        return self.equal == self.vectors > 0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Frames run, cycles of all by the device's timer, cycles of the last one by the engine's."""

    frames: int
    cycles: int
    frame_cycles: int


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Index of a learned label, and the images that it has been shown."""

    index: int
    images: int
