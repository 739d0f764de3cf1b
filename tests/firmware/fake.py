"""A device in memory, for the host tool's tests: registers, memories, frames, and faults."""

from firmware.transport import Transport, check_access
from hw.capability import Capability
from hw.regmap import REGISTER_MAP, constant_words

UNMAPPED = 0xFFFF_FFFF


def network(input_shape=(4, 6, 3), classes=10, name="tiny"):
    """What the host tool uses of a `model.network.Network`."""

    class Network:
        pass

    made = Network()
    made.name, made.input_shape = name, input_shape
    made.classes = tuple(f"class{i}" for i in range(classes))
    return made


class FakeTransport(Transport):
    """A device behind a transport. Its logit i is the i-th byte of the image, less 100.

    Parameters
    ----------
    capability : Capability
        What it tells.
    polls : int
        Reads of STATUS until a frame is done; None: never.
    flips : dict of str to (int, int)
        Window name to (word, mask): what such a cell reads wrong.
    registers : dict of str to int
        Registers that read another word than they should.
    """

    def __init__(self, *, capability=None, polls=3, flips=None, registers=None):
        self.capability = capability or Capability()
        self.words = constant_words(capability=self.capability, clock_hz=36_000_000)
        self.words |= dict.fromkeys(("CONTROL", "STATUS", "CLASS", "CYCLES", "NETWORK"), 0)
        self.words["FRAMES"], self.words["STOP_AFTER"] = 0, 0xFF
        self.forced = registers or {}
        self.memory = {one.name: {} for one in REGISTER_MAP.windows}
        self.polls, self.left = polls, 0
        self.flips = flips or {}
        self.writes = []
        self.closed = False

    def _where(self, address):
        for register in REGISTER_MAP.registers:
            if register.offset == address:
                return register.name, None
        for window in REGISTER_MAP.windows:
            if window.base <= address < window.base + window.size:
                return window.name, (address - window.base) // 4
        return None, None

    def read(self, address, count):
        check_access(address, count)
        return [self._read_word(address + 4 * index) for index in range(count)]

    def _read_word(self, address):
        name, index = self._where(address)
        if name is None:
            return 0 if address < REGISTER_MAP.bytes else UNMAPPED
        if index is not None:
            word = self.memory[name].get(index, 0)
            cell, mask = self.flips.get(name, (None, 0))
            return word ^ mask if index == cell else word
        if name == "STATUS" and self.polls is not None and self.words["STATUS"] == 1:
            self.left -= 1
            if self.left <= 0:
                self._finish()
        return self.forced.get(name, self.words[name])

    def write(self, address, words):
        check_access(address, len(words), words)
        for offset, word in enumerate(words):
            name, index = self._where(address + 4 * offset)
            self.writes.append((name, index, word))
            if index is not None:
                if REGISTER_MAP.window(name).access == "rw":
                    self.memory[name][index] = word
            elif name == "CONTROL":
                control = REGISTER_MAP.register("CONTROL").unpack(word)
                if control["reset"]:
                    self.words["STATUS"] = 0
                elif control["start"]:
                    self.words["STATUS"], self.left = 1, self.polls
            elif name in ("STOP_AFTER", "NETWORK"):
                self.words[name] = word

    def _finish(self):
        image = self.memory["IMAGE"]
        data = b"".join(image.get(i, 0).to_bytes(4, "little") for i in range(4))
        logits = [value - 100 for value in data[:10]]
        for index, logit in enumerate(logits):
            self.memory["LOGITS"][index] = logit & 0xFFFF_FFFF
        self.words["CLASS"] = logits.index(max(logits))
        self.words["STATUS"] = 0x0702
        self.words["CYCLES"] = 123_456
        self.words["FRAMES"] += 1

    def close(self):
        self.closed = True
