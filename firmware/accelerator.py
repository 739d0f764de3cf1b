"""The accelerator as a host sees it: identify, load a network, classify images."""

import time
from dataclasses import dataclass

from firmware.program import Program
from firmware.transport import Transport
from hw.capability import Capability
from hw.regmap import (
    IDENTITY,
    MAJOR,
    MINOR,
    REGISTER_MAP,
    STOP_NEVER,
    capability_from_words,
)
from model.errors import UserError

__all__ = ["Accelerator", "Device", "DeviceError", "Result"]

_VERIFY_WORDS = 4096  # words between two calls of `progress`


class DeviceError(UserError):
    """The device answers, but is not what was expected, or did not do what it should."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a device says of itself.

    Parameters
    ----------
    version : tuple of int
        Major and minor version of its register map.
    clock_hz : int
        Its clock.
    capability : Capability
        What it was built for.
    """

    version: tuple[int, int]
    clock_hz: int
    capability: Capability


@dataclass(frozen=True, kw_only=True)
class Result:
    """One classified image.

    Parameters
    ----------
    decision : int
        Index of the class.
    logits : list of int
        One a class.
    cycles : int
        Clock cycles of the frame, measured by the device.
    seconds : float
        The same as time.
    """

    decision: int
    logits: list[int]
    cycles: int
    seconds: float


class Accelerator:
    """An accelerator behind a transport.

    Parameters
    ----------
    transport : Transport
        Open; the caller closes it.
    timeout : float
        Seconds to wait for a frame.

    The device is identified at once, and stopped, whatever it was doing.

    Raises
    ------
    DeviceError
        Wrong identity, version or capability.
    TransportError
        No answer.
    """

    def __init__(self, transport: Transport, *, timeout: float = 5.0):
        if timeout <= 0:
            raise ValueError(f"Time-out must be positive, not {timeout} s")
        self._transport = transport
        self._timeout = timeout
        self.device = self._identify()
        self.stop()

    def read_register(self, name: str) -> int:
        """The word of a register of `REGISTER_MAP`."""
        return self._transport.read(REGISTER_MAP.register(name).offset, 1)[0]

    def write_register(self, name: str, **fields: int) -> None:
        """Write a register; fields by lower-case name, the others 0."""
        register = REGISTER_MAP.register(name)
        self._transport.write(register.offset, [register.pack(**fields)])

    def read_fields(self, name: str) -> dict[str, int]:
        """A register's fields, by lower-case name."""
        return REGISTER_MAP.register(name).unpack(self.read_register(name))

    def read_memory(self, window: str, count: int, *, first: int = 0) -> list[int]:
        """`count` words of a memory window, from word `first`."""
        return self._transport.read(self._address(window, first, count), count)

    def write_memory(self, window: str, words, *, first: int = 0) -> None:
        """Write words to a memory window, from word `first`."""
        self._transport.write(self._address(window, first, len(words)), words)

    def stop(self) -> None:
        """Abort whatever is under way; run whole frames, one at a time, from now on.

        Returns when the engine is idle: before that it does not take what `load` writes.
        """
        self.write_register("CONTROL", reset=1)
        self.write_register("STOP_AFTER", stop_after=STOP_NEVER)
        self._await(lambda status: not status["busy"], "The device did not stop")

    def is_loaded(self, program: Program) -> bool:
        """Whether the device holds this program, by the fingerprint that `load` left."""
        return self.read_register("NETWORK") == program.fingerprint

    def load(self, program: Program, *, progress=None) -> None:
        """Write a program to the device's memories, and compare every word with what is read back.

        Parameters
        ----------
        program : Program
            Made for this device's capability.
        progress : callable
            Called with (window name, words done, words in all), now and then.

        Raises `DeviceError` at the first word that differs.
        """
        self.stop()
        self.write_register("NETWORK", network=0)
        total = sum(2 * len(words) for words in program.regions.values())
        done = 0
        for name, words in program.regions.items():
            for step in (self.write_memory, self._compare):
                for first in range(0, len(words), _VERIFY_WORDS):
                    part = words[first : first + _VERIFY_WORDS]
                    step(name, part, first=first)
                    done += len(part)
                    if progress is not None:
                        progress(name, done, total)
        self.write_register("NETWORK", network=program.fingerprint)
        if not self.is_loaded(program):
            raise DeviceError("Register NETWORK does not keep what is written to it")

    def classify(self, program: Program, image: bytes) -> Result:
        """Send an image, run one frame on it, and return what the device computed.

        Parameters
        ----------
        program : Program
            The loaded one.
        image : bytes
            Height × width × channels bytes, channels innermost.

        Raises
        ------
        ValueError
            The image has another size than the program's input.
        DeviceError
            The frame does not end in time, or the class does not match the logits.
        """
        height, width, channels = program.input_shape
        if len(image) != height * width * channels:
            raise ValueError(
                f"Image must have {height} x {width} x {channels} bytes, not {len(image)}"
            )
        padded = image + bytes(-len(image) % 4)
        words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
        self.write_memory("IMAGE", words)
        self.write_register("CONTROL", start=1)
        self._await(lambda status: status["done"], "The frame did not end")
        logits = [
            word - (word >> 31 << 32) for word in self.read_memory("LOGITS", len(program.classes))
        ]
        decision = self.read_fields("CLASS")["class"]
        if decision != logits.index(max(logits)):
            raise DeviceError(
                f"The device's class {decision} does not match its logits, whose maximum is at "
                f"{logits.index(max(logits))}"
            )
        cycles = self.read_register("CYCLES")
        return Result(
            decision=decision,
            logits=logits,
            cycles=cycles,
            seconds=cycles / self.device.clock_hz,
        )

    def _await(self, reached, complaint: str) -> None:
        end = time.monotonic() + self._timeout
        while True:
            late = time.monotonic() > end
            status = self.read_fields("STATUS")
            if reached(status):
                return
            if late:
                state = f"in layer {status['layer']}" if status["busy"] else "idle"
                raise DeviceError(f"{complaint} within {self._timeout:g} s; the device is {state}")

    def _identify(self) -> Device:
        constants = [one for one in REGISTER_MAP.registers if one.constant]
        values = self._transport.read(0, constants[-1].offset // 4 + 1)
        words = {one.name: values[one.offset // 4] for one in constants}
        if words["ID"] != IDENTITY:
            raise DeviceError(
                f"Not this accelerator: its ID is {words['ID']:#010x} instead of {IDENTITY:#010x}"
            )
        version = REGISTER_MAP.register("VERSION").unpack(words["VERSION"])
        if version["major"] != MAJOR or version["minor"] < MINOR:
            raise DeviceError(
                f"The device has register map {version['major']}.{version['minor']}, this program "
                f"needs {MAJOR}.{MINOR}: build the bitstream anew with this version"
            )
        if not words["CLOCK_HZ"]:
            raise DeviceError("The device tells a clock of 0 Hz")
        try:
            capability = capability_from_words(words)
        except ValueError as error:
            raise DeviceError(
                f"The device tells a capability that this program does not know: {error}"
            ) from error
        return Device(
            version=(version["major"], version["minor"]),
            clock_hz=words["CLOCK_HZ"],
            capability=capability,
        )

    def _compare(self, window: str, words, *, first: int) -> None:
        found = self.read_memory(window, len(words), first=first)
        for index, (expected, actual) in enumerate(zip(words, found, strict=True), first):
            if expected != actual:
                raise DeviceError(
                    f"Read-back differs in {window} at word {index} (address "
                    f"{self._address(window, index, 1):#x}): wrote {expected:#010x}, "
                    f"read {actual:#010x}"
                )

    @staticmethod
    def _address(window: str, first: int, count: int) -> int:
        one = REGISTER_MAP.window(window)
        if first < 0 or 4 * (first + count) > one.size:
            raise ValueError(
                f"Words {first} to {first + count - 1} must lie in {window}, "
                f"of {one.size // 4} words"
            )
        return one.base + 4 * first
