"""Bitstreams for tests: one by the document alone, and those that icepack makes."""

from hw.flow.tools import Toolchain

__all__ = ["ASC", "bitstream", "packed"]

ASC = ".comment\nempty\n.device 5k\n.io_tile 1 0\n"
"""A design of nothing, as place-and-route writes one."""


def bitstream(*, awake=True, data=bytes(range(256)), comment=b"\xff\0test\0\0\xff"):
    """Of one configuration bank and one block RAM bank, with `data` in each, of 256 bytes.

    As Project IceStorm's documentation has it; the chip would not take it.
    """
    mode = 0x20 | awake
    bank = b"\x62\x00\x7f\x72\x00\x10\x82\x00\x00\x11\x00"  # 128 wide, 16 high
    return b"".join([
        comment, b"\x7e\xaa\x99\x7e", b"\x51\x00", b"\x01\x05", b"\x92\x00", bytes([mode]), bank,
        b"\x01\x01", data, b"\0\0", b"\x01\x03", data, b"\0\0", b"\x22\x12\x34", b"\x01\x06", b"\0",
    ])  # fmt: skip


def packed(folder, *options):
    """What icepack makes of `ASC`; `-s` among the options or not."""
    (folder / "top.asc").write_text(ASC)
    Toolchain().run(
        "icepack", [*options, "top.asc", "top.bin"], log=folder / "log", directory=folder
    )
    return (folder / "top.bin").read_bytes()
