"""Time of a picture when many are classified: `python -m benchmarks.images --images N`.

On the simulated board, in clock cycles of the RTL from reply to reply: one request at a time, and
with the next image sent during the frame. What this computer needs for its part passes on the
simulated board too, though less of it: it runs slower than a real one.
"""

import json
import sys
from pathlib import Path

from firmware.client import Device
from firmware.compile import compile_firmware
from firmware.drawings import drawings
from firmware.flash_image import make_flash_image
from firmware.link import Link
from firmware.ports import SIMULATED_SLOWNESS, open_serial
from firmware.protocol import Counter
from hw.boards import find_board
from model import zoo
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console
from model.network import load
from sim.board import start

__all__ = ["main", "measure"]


def measure(board, device, images, window):
    """Cycles a picture, a frame, and of firmware and reply.

    A picture: from the reply to the second image to that to the last one but one, for the first
    image is sent alone, and the last one has none behind it. A frame: the mean of the same images.
    Firmware and reply: from the last byte of the last image to the end of its reply, less its
    frame.
    """
    ends, frames = [], []
    for decision in device.classify(images, window=window):
        status = board.status()
        ends.append(status["last_out"])
        frames.append(decision.cycles)
    picture = (ends[-2] - ends[1]) / (len(ends) - 3)
    answer = status["last_out"] - status["last_in"] - frames[-1]
    return picture, sum(frames[2:-1]) / (len(frames) - 3), answer


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = Parser(prog="python -m benchmarks.images", description=__doc__.split("\n")[0])
    parser.add_argument("--board", default="icebreaker")
    parser.add_argument("--network", metavar="FILE", help="default: that of the zoo")
    parser.add_argument("--images", type=int, default=20, metavar="N")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result as JSON")
    options = parser.parse_args(argv)
    if options.images < 4:
        raise UserError(f"Images must be at least 4, not {options.images}")
    board = find_board(options.board)
    clock_hz = board.clock_hz(board.default_clock_mhz)
    baud = board.baud(clock_hz)
    network = load(zoo.find(options.network))
    image = make_flash_image(
        bitstream=None, copy=compile_firmware(board.capability), network=network,
        capability=board.capability, demo=[],
    )  # fmt: skip
    shown = drawings(network)
    images = [shown[number % len(shown)] for number in range(options.images)]

    def progress(line):
        print(line, file=sys.stderr, flush=True)

    with start(image.bytes, board=board.name, wait=True, progress=progress) as simulated:
        port = open_serial(simulated.port, baud=baud)
        link = Link(port, name=simulated.port, baud=baud, slowness=SIMULATED_SLOWNESS)
        device = Device(link, starting=True)
        cycles = {
            window: measure(simulated, device, images, window)
            for window in range(1, device.info.window + 1)
        }
        overruns, repeats = device.counters()[Counter.OVERRUNS], link.repeats
        line = 10 * device.info.image_bytes * clock_hz / baud
        link.close()
    result = {
        "board": board.name,
        "network": network.name,
        "images": options.images,
        "frame_ms": 1e3 * cycles[1][1] / clock_hz,
        "line_ms": 1e3 * line / clock_hz,
        "picture_ms": {window: 1e3 * found[0] / clock_hz for window, found in cycles.items()},
        "answer_ms": 1e3 * cycles[1][2] / clock_hz,
        "overruns": overruns,
        "repeats": repeats,
    }
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    title = f"{network.name}, {board.title}"
    table = Table("Requests under way", "ms a picture", title=title, left=0)
    for window, milliseconds in result["picture_ms"].items():
        table.add(window, f"{milliseconds:.2f}")
    table.show(console())
    print(
        f"frame {result['frame_ms']:.2f} ms, image on the line {result['line_ms']:.2f} ms, "
        f"firmware and reply {result['answer_ms']:.2f} ms; "
        f"{overruns} overruns, {repeats} requests sent again"
    )
    return 0


if __name__ == "__main__":
    main()
