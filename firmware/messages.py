"""What a device's statuses and boot errors mean to people, and what would mend them."""

from firmware.protocol import BootError, Status
from model.common.invocation import command
from model.network import RENEW_PROGRAM

__all__ = [
    "FLASH_ANEW",
    "HARMLESS",
    "IMAGE_ANEW",
    "RENEW_PROGRAM",
    "boot_error_name",
    "explain_boot_error",
    "explain_status",
]

_FLASH = ("firmware", "flash", "--board", "BOARD")

FLASH_ANEW = f"flash the board anew with `{command(*_FLASH)}`"

IMAGE_ANEW = f"make it anew with `{command(*_FLASH, '--image-only')}`"

HARMLESS = frozenset({BootError.NONE, BootError.FIRMWARE_COPY, BootError.DEMO})
"""With these the device serves every request."""

BOOT_ERRORS = {
    BootError.NONE: "none",
    BootError.FIRMWARE_COPY: "the first copy of the firmware in flash is damaged, or it hung; the "
    f"second one runs and all works; `reset` the board, and if this stays, {FLASH_ANEW}",
    BootError.DIRECTORY: f"the flash holds no directory, or a damaged one: {FLASH_ANEW}",
    BootError.FORMAT: f"the flash image is of another format version than the firmware: "
    f"{FLASH_ANEW}",
    BootError.HARDWARE: f"the flash image was made for another bitstream (register map or "
    f"capability): {FLASH_ANEW}",
    BootError.WEIGHTS: f"the network's weights in flash are damaged: {FLASH_ANEW}",
    BootError.PARAMETERS: f"the network's parameters in flash are damaged: {FLASH_ANEW}",
    BootError.LAYERS: f"the network's layer table in flash is damaged: {FLASH_ANEW}",
    BootError.GOLDEN: f"the golden vectors in flash are damaged, so nothing can be tested: "
    f"{FLASH_ANEW}",
    BootError.SELF_TEST: f"the self-test failed: the hardware computed other logits than the "
    f"golden vectors'; {FLASH_ANEW}, and if it stays, the board or its clock is at fault",
    BootError.DEMO: f"the demo images or the class names in flash are damaged; all else works; to "
    f"mend it, {FLASH_ANEW}",
}

STATUSES = {
    Status.UNKNOWN_COMMAND: f"it does not know this command: {FLASH_ANEW}",
    Status.WRONG_LENGTH: "the request has a length that it does not take",
    Status.WRONG_ARGUMENT: "the request's argument or address is out of range",
    Status.NOT_READY: "it is not ready",
    Status.FULL: "it has no room for one more label: `forget` one first",
    Status.UNKNOWN_LABEL: "it has learned no such label (see `info`)",
    Status.NOTHING_LEARNED: "it has learned nothing yet: `learn LABEL IMAGE...` first",
    Status.FLASH_FAILED: "the flash does not hold what was written: is it protected, or worn out?",
    Status.ENGINE_FAILED: "the engine did not end its frame: `reset` it",
}


def boot_error_name(number: int) -> str:
    """The name of a boot error; its number, if this version does not know it."""
    return BootError(number).name if number in BOOT_ERRORS else str(number)


def explain_boot_error(number: int) -> str:
    """What a boot error means, and what would mend it."""
    if number not in BOOT_ERRORS:
        return f"an error that this version does not know (number {number}): {FLASH_ANEW}"
    return BOOT_ERRORS[BootError(number)]


def explain_status(status: int, boot_error: int) -> str:
    """Why a request was refused. Status OK, which is no refusal, raises `ValueError`."""
    if status == Status.OK:
        raise ValueError("Status OK is no refusal")
    if status == Status.NOT_READY and boot_error != BootError.NONE:
        return f"{STATUSES[Status.NOT_READY]}: {explain_boot_error(boot_error)}"
    if status not in STATUSES:
        return f"status {status}, which this version does not know"
    return STATUSES[Status(status)]
