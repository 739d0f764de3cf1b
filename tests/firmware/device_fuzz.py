"""Whatever comes on the line, the firmware does not hang, and answers the next frame.

`python -m tests.firmware.device_fuzz --seconds 600 [--seed N]`
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

from firmware.protocol import Command
from hw.register_map import REGISTER_MAP
from hw.soc.addresses import FLASH_BASE
from tests.firmware.device_host import (
    TENTH,
    Device,
    Network,
    compile_host,
    frame,
    is_text,
    label,
    load_host,
    parse,
)

__all__ = ["fuzz", "wire"]

# What WRITE may reach without harm to this test: not the firmware's own hardware, by which anybody
# can stop it.
_HARMLESS = [
    *(REGISTER_MAP.register(name).offset for name in ("ID", "CONTROL", "STOP_AFTER", "LEDS")),
    REGISTER_MAP.window("IMAGE").base,
    REGISTER_MAP.window("LOGITS").base,
    0x38_0000,
    FLASH_BASE,
    FLASH_BASE + 0x3_0000,
    0x3,
]


def _valid(rng, network):
    """A frame that is as it should be, or nearly."""
    image = network.image(rng.randrange(20))
    address = rng.choice(_HARMLESS)
    words = rng.randrange(2 if address < 0x100 else 36)  # not on to the next register
    word = address.to_bytes(4, "little")
    command, argument, data = rng.choice([
        (Command.INFO, 0, b""),
        (Command.CLASSIFY, rng.randrange(5), image),
        (Command.FEATURES, 0, image),
        (Command.BENCH, rng.randrange(4), b""),
        (Command.COUNTERS, 0, b""),
        (Command.LEARN, rng.randrange(3), label(f"label {rng.randrange(20)}") + image),
        (Command.FORGET, 0, rng.choice([b"", label(f"label {rng.randrange(20)}")])),
        (Command.SELF_TEST, 0, b""),
        (Command.READ, rng.randrange(40), rng.randbytes(4)),
        (Command.WRITE, 0, word + rng.randbytes(4 * words)),
        (Command.NAMES, rng.choice([0, 3, 0x8000, 0xFFFF]), b""),
        (Command.RESET, 0, b""),
        (rng.randrange(256), rng.randrange(65536), b""),
    ])  # fmt: skip
    kind = rng.randrange(8)
    if command != Command.WRITE:
        if kind == 0:
            data = rng.randbytes(rng.choice([0, 1, 3, 15, 16, 17, 140, 600, 4000]))
        elif kind == 1:
            data = data[: rng.randrange(len(data) + 1)]
        elif kind == 2:
            data += rng.randbytes(rng.randrange(8))
    return frame(command, argument, data, rng.randrange(256))


def wire(rng, network):
    """Bytes as a bad line has them, in pieces; a number is a silence."""
    kind = rng.randrange(8)
    if kind == 0:
        return [rng.randbytes(rng.choice([1, 3, 10, 700, 5000]))]
    data = bytearray(_valid(rng, network))
    if kind == 1 and rng.randrange(2):
        return [bytes(data), bytes(data)]
    if kind == 2:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 3:
        del data[rng.randrange(len(data))]
    elif kind == 4:
        at = rng.randrange(len(data))
        data.insert(at, data[at])
    elif kind == 5:
        del data[rng.randrange(len(data)) :]
    elif kind == 6:
        at = rng.randrange(len(data))
        return [bytes(data[:at]), rng.choice([10, 1000, TENTH // 2, 2 * TENTH]), bytes(data[at:])]
    return [bytes(data)]


def fuzz(device, *, seconds, seed):
    """Feed random lines for so long; how many. `AssertionError` where one does harm."""
    rng = random.Random(seed)
    end, rounds = time.monotonic() + seconds, 0
    device.host.model_span(rng.choice([0, 20_000, 220_000]))
    device.on()
    while time.monotonic() < end or rounds == 0:
        rounds += 1
        try:
            for _ in range(rng.randrange(1, 6)):
                for piece in wire(rng, device.network):
                    if isinstance(piece, int):
                        device.host.model_silence(piece)
                    else:
                        device.host.model_feed(piece, len(piece))
            for piece in device.run(rng.choice([0, 100, 2 * TENTH])):
                if not is_text(piece):
                    parse(piece)
            # What came last may have been cut: the silence, and the frame's own zero byte, end it.
            device.host.model_silence(2 * TENTH)
            wanted = rng.randrange(256)
            line = frame(Command.COUNTERS, rounds % 65536, b"", wanted)
            device.host.model_feed(line, len(line))
            replies = [parse(piece) for piece in device.run() if not is_text(piece)]
            assert replies, "no answer"
            assert replies[-1][:3] == bytes([Command.COUNTERS | 0x80, wanted, 0])
            assert len(replies[-1]) == 36
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, round {rounds}: {error}") from error
    return rounds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compiled", type=Path, help="a library that was compiled otherwise")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        host = load_host(options.compiled or compile_host(Path(folder)))
        rounds = fuzz(Device(host, Network()), seconds=options.seconds, seed=options.seed)
    print(f"{rounds} rounds, seed {options.seed}: every one answered")


if __name__ == "__main__":
    main()
