"""Bitstreams of each family: whether they are whole, and leave the flash awake."""

from model.common.errors import UserError

__all__ = ["check_bitstream"]

_SYNC = bytes.fromhex("7eaa997e")
_COMMENT_BYTES = 1024
_ACT, _WIDTH, _HEIGHT, _MODE = 0, 6, 7, 9
_CRAM, _BRAM, _RESET_CRC, _WAKE_UP = 1, 3, 5, 6
_KNOWN = {1, 2, 5, 8}  # bank, CRC, rate of the clock, offset: they matter to the chip alone
_KEEP_AWAKE = 1


def check_bitstream(data: bytes, family: str = "ice40") -> None:
    """Raise `UserError` unless this is a whole bitstream of the family, for the board's flash."""
    _CHECKS[family](data)


def _check_ice40(data: bytes) -> None:
    """Raise `UserError` unless this is the whole bitstream of an iCE40, made by `icepack -s`.

    A bitstream is: comments; the word 7E AA 99 7E; commands. A command is a byte, whose high half
    says which one and whose low half how many bytes of argument follow, highest first. Command 0
    says by its argument what is done: 1 and 3 are followed by data of configuration and block RAMs,
    as many bits as command 6's argument + 1 (width) times command 7's (height), and by two zero
    bytes; 5 resets the CRC; 6 wakes the chip up, and ends the bitstream. At that moment the chip
    sends Power-down (0xB9) to the flash unless bit 0 of command 9's argument is 1, and the design
    could read nothing any more.

    Source: documentation of Project IceStorm, "Bitstream file format"; Lattice TN1248. Bit 0 is
    documented by neither: it is what `icepack -s` sets. `sim/board/bitstream.cpp` reads the same.
    """
    at = data.find(_SYNC, 0, _COMMENT_BYTES + len(_SYNC))
    if at < 0:
        raise UserError(
            f"The bitstream is none of an iCE40: its first {_COMMENT_BYTES} bytes lack "
            f"{_SYNC.hex()}"
        )
    at += len(_SYNC)
    width = height = mode = 0
    while at < len(data):
        place = at
        command, size = divmod(data[at], 16)
        argument = int.from_bytes(data[at + 1 : at + 1 + size], "big")
        at += 1 + size
        if at > len(data):
            break
        if command == _ACT and argument in (_CRAM, _BRAM):
            at += width * height // 8 + 2
        elif (command, argument) == (_ACT, _WAKE_UP):
            if not mode & _KEEP_AWAKE:
                raise UserError(
                    "The bitstream puts the flash to sleep, so that the device could not read its "
                    "firmware: pack it with `icepack -s`"
                )
            return
        elif command == _WIDTH:
            width = argument + 1
        elif command == _HEIGHT:
            height = argument
        elif command == _MODE:
            mode = argument
        elif command not in _KNOWN and (command, argument) != (_ACT, _RESET_CRC):
            raise UserError(
                f"The bitstream is damaged, or of another kind: byte {place} is "
                f"{data[place]:#04x}, which begins no command that is known here"
            )
    raise UserError(f"The bitstream is truncated: it has {len(data)} bytes and does not end")


_PREAMBLE = bytes.fromhex("ffffbdb3")
_PROGRAM_DONE = bytes.fromhex("5e000000ffffffff")


def _check_ecp5(data: bytes) -> None:
    """Raise `UserError` unless this is the whole bitstream of an ECP5, made by `ecppack`.

    A bitstream is: comments, then FF FF BD B3, then commands. The last one, ISC_PROGRAM_DONE, ends
    the configuration; the flash stays awake behind it.

    Source: Lattice FPGA-TN-02039 (ECP5 sysCONFIG); documentation of Project Trellis, "Bitstream
    format".
    """
    if data.find(_PREAMBLE, 0, _COMMENT_BYTES + len(_PREAMBLE)) < 0:
        raise UserError(
            f"The bitstream is none of an ECP5: its first {_COMMENT_BYTES} bytes lack "
            f"{_PREAMBLE.hex()}"
        )
    if not data.endswith(_PROGRAM_DONE):
        raise UserError(
            f"The bitstream is truncated: its {len(data)} bytes do not end with the command that "
            "ends the configuration"
        )


_CHECKS = {"ice40": _check_ice40, "ecp5": _check_ecp5}
_CHECKS["generic"] = _check_ice40  # simulated, where no bitstream does anything
