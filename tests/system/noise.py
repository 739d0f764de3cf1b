"""A bad line: a port that changes what goes through it."""

import random

__all__ = ["FAULTS", "NoisyPort"]


class NoisyPort:
    """A port that changes what goes through it, each byte with a chance of 1 in `rarity`.

    Parameters
    ----------
    port : Port
        The one behind it.
    fault : str
        One of `FAULTS`.
    directions : set of str
        "out" and "in".
    """

    def __init__(self, port, fault, *, seed, rarity, directions=("out", "in")):
        self.port, self.fault = port, fault
        self.rng, self.rarity, self.directions = random.Random(seed), rarity, directions
        self.faults = 0

    @property
    def in_waiting(self):
        return self.port.in_waiting

    def read(self, count):
        return self._pass(self.port.read(count), "in")

    def write(self, data):
        return self.port.write(self._pass(data, "out"))

    def close(self):
        self.port.close()

    def _pass(self, data, direction):
        if direction not in self.directions:
            return data
        out = b""
        for byte in data:
            one = bytes([byte])
            if self.rng.randrange(self.rarity) == 0:
                self.faults += 1
                one = FAULTS[self.fault](self.rng, one)
            out += one
        return out


def _garbled(rng, one):
    """What a receiver makes of a byte at a wrong rate: some of its bits, shifted."""
    return bytes([(one[0] << rng.randrange(1, 7) | rng.randrange(64)) & 0xFF])


FAULTS = {
    "random bytes": lambda rng, one: rng.randbytes(rng.randint(1, 20)) + one,
    "zeros": lambda rng, one: bytes(rng.randint(1, 3)) + one,
    "dropped": lambda rng, one: b"",
    "doubled": lambda rng, one: one * 2,
    "a bit flipped": lambda rng, one: bytes([one[0] ^ 1 << rng.randrange(8)]),
    "garbled": _garbled,
}
