"""The contract between host code and whatever carries its reads and writes to the device.

A serial port and a simulation both implement `Transport`; the host code above runs unchanged.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from model.errors import UserError

__all__ = ["Transport", "TransportError", "check_access"]


class TransportError(UserError):
    """The device was not reached: no port, no permission, no answer."""


class Transport(ABC):
    """Reads and writes of 32-bit words at byte addresses. A context manager: leaving it closes it.

    `read` returns `count` words from `address` on; `write` writes `words` from `address` on. Both
    take addresses that are multiples of 4, and any number of words; an address that the device
    does not map reads 0xFFFFFFFF and ignores writes. Both raise `TransportError` if the device
    is not reached, and `ValueError` for a bad address or word (`check_access`).
    """

    @abstractmethod
    def read(self, address: int, count: int) -> list[int]: ...

    @abstractmethod
    def write(self, address: int, words: Sequence[int]) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Give back what the transport holds; may be called twice."""

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def check_access(address: int, count: int, words: Sequence[int] = ()) -> None:
    """Raise `ValueError` for what no transport can carry."""
    if address < 0 or address % 4 or address + 4 * count > 1 << 34:
        raise ValueError(f"Address must be a multiple of 4 within 34 bits, not {address:#x}")
    if count < 0:
        raise ValueError(f"Count must not be negative, not {count}")
    for word in words:
        if not 0 <= word < 1 << 32:
            raise ValueError(f"Word must fit 32 bits, not {word:#x}")
