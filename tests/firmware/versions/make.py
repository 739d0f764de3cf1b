"""Makes what is kept of a version: run this before one of its numbers is raised (README.md).

`PYTHONPATH=. python tests/firmware/versions/make.py FOLDER`, from the root of a checkout.
"""

import lzma
import sys
from pathlib import Path

from firmware.compile import compile_firmware
from firmware.layout import FORMAT_VERSION
from firmware.link import Request
from firmware.protocol import Command
from tests.system.helpers import CAPABILITY, Session, coloured, colours, flash_image, with_file

SHOWN = {"warm": [("red", 1), ("red", 2)], "cold": [("blue", 3)]}


def main(folder: Path) -> None:
    network = with_file(colours(), folder)
    name = folder / f"format-{FORMAT_VERSION}"
    (folder / "colours.dham").rename(name.with_suffix(".dham"))
    demo = [coloured("green", 8), coloured("red", 9)]
    image = flash_image(network, compile_firmware(CAPABILITY), demo=demo)
    with Session(image) as session:
        device = session.restart()
        for label, shown in SHOWN.items():
            list(device.learn(label, [coloured(*one).tobytes() for one in shown]))
        device.reset()
        info = session.link.ask(Request(command=Command.INFO)).data
        flash = session.board.flash()[: len(image)]
    name.with_suffix(".info").write_bytes(info)
    name.with_suffix(".bin.xz").write_bytes(lzma.compress(flash))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
