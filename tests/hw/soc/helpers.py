"""What the tests of the system on chip share: an SPI flash, streams with stalls, a COBS model."""

from cobs import cobs

READ, STATUS, IDENTIFY = 0x03, 0x05, 0x9F


class SpiFlash:
    """A read-only SPI flash that checks mode 0, and answers Read Data and Read JEDEC ID.

    Its answer comes late and goes early: it is right only while the clock is high, and random
    before. `commands` are the bytes of each time that the flash was selected.
    """

    def __init__(self, pins, content, *, rng):
        self.pins, self.content, self.rng = pins, content, rng
        self.commands = []
        self.clocks = 0  # of this selection
        self.answer = 0

    async def run(self, ctx):
        """Background testbench."""
        pins = self.pins
        before = (1, 0, 0)
        while True:
            now = ctx.get(pins.cs_n), ctx.get(pins.sck), ctx.get(pins.copi)
            self._check(before, now)
            (_, was_high, _), (deselected, high, copi) = before, now
            if before[0] and not deselected:
                self.commands.append([])
                self.clocks = 0
            if deselected and not before[0]:
                assert self.clocks % 8 == 0, f"deselected after {self.clocks} clocks"
            if high and not was_high:
                self._rise(copi)
            # The bit of this clock is out while it is high; no bit is, else.
            ctx.set(pins.cipo, self.answer if high else self.rng.randrange(2))
            before = now
            await ctx.tick()

    def _check(self, before, now):
        (was_deselected, was_high, was_copi), (deselected, high, copi) = before, now
        if high and not was_high:
            assert not was_deselected and not deselected, "a clock while not selected"
        assert not (high and was_high), "the clock must be high for one cycle"
        assert not (high and deselected), "a clock while not selected"
        assert copi == was_copi or not high, "data must change while the clock is low"
        if was_deselected and not deselected:
            assert not was_high and not high, "selected while the clock is high"

    def _rise(self, copi):
        """Take a bit; the one that goes out during it was decided by those before."""
        command = self.commands[-1]
        byte, bit = divmod(self.clocks, 8)
        self.answer = self._byte(command, byte) >> 7 - bit & 1
        if bit == 0:
            command.append(0)
        command[-1] = command[-1] << 1 | copi
        self.clocks += 1

    def _byte(self, command, index):
        if command and command[0] == READ and index >= 4:
            start = int.from_bytes(bytes(command[1:4]), "big")
            return self.content(start + index - 4 & 0xFF_FFFF)
        if command and command[0] == IDENTIFY and 1 <= index <= 3:
            return (0xEF, 0x40, 0x18)[index - 1]
        return 0xFF


def content(address):
    """A byte for each flash address, that differs from all near it."""
    return (address * 167 ^ address >> 8 ^ address >> 15) & 0xFF


def content_word(address):
    return int.from_bytes(bytes(content(address + i) for i in range(4)), "little")


def framed(data):
    """A frame of the line."""
    return cobs.encode(data) + b"\0"


def tokens(line):
    """(byte, end, cut) of all that a COBS decoder gives for the bytes of a line.

    Nothing after the last zero byte counts. Of a frame that is cut, the missing bytes are put in
    its place and taken away again, so that `cobs.decode` need not refuse it.
    """
    found = []
    for frame in bytes(line).split(b"\0")[:-1]:
        if not frame:
            continue
        missing = 0
        while True:
            try:
                data = cobs.decode(frame + b"\1" * missing)
                break
            except cobs.DecodeError:
                missing += 1
        data = data[: len(data) - missing]
        found += [(byte, 0, 0) for byte in data] + [(0, 1, int(missing > 0))]
    return found
