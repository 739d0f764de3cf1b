"""The real openFPGALoader at USB libraries of our own (`stub_usb`): boards with flashes, no USB."""

import shutil
import subprocess
from pathlib import Path

__all__ = ["BOARD", "OTHER", "SECOND", "Usb", "libraries"]

BOARD = "0403:6010:1BitSquared:iCEBreaker V1.0e:ib111"
SECOND = "0403:6010:1BitSquared:iCEBreaker V1.0e:ib222"
OTHER = "0403:6010:FTDI:Dual RS232-HS"
"""Devices as `stub_usb/usb.c` takes them; the last one has no serial number."""


def libraries(folder: Path) -> Path:
    """Compile the libraries into a folder; gcc is a requirement of the project, as g++ is."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "gcc is missing: install Debian's gcc"
    here = Path(__file__).parent / "stub_usb"
    for source, library in (("usb.c", "libusb-1.0.so.0"), ("ftdi.c", "libftdi1.so.2")):
        others = [] if source == "usb.c" else [folder / "libusb-1.0.so.0"]
        subprocess.run(
            [compiler, "-w", "-O1", "-shared", "-fPIC", "-o", folder / library, here / source,
             *others],
            check=True,
        )  # fmt: skip
    return folder


class Usb:
    """What is on USB, for programs that are started from now on; the flashes' contents."""

    def __init__(self, libraries: Path, folder: Path, monkeypatch):
        self._folder, self._monkeypatch = folder, monkeypatch
        folder.mkdir()
        monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
        monkeypatch.setenv("STUB_FLASH", str(folder))
        monkeypatch.delenv("OPENFPGALOADER", raising=False)
        self.plug(BOARD)

    def plug(self, *devices: str) -> None:
        """These are there, and no others: at bus 1, addresses 2 on."""
        self._monkeypatch.setenv("STUB_USB", ";".join(devices))

    def behave(self, mode: str) -> None:
        """How all flashes behave: see `stub_usb/ftdi.c`."""
        self._monkeypatch.setenv("STUB_MODE", mode)

    def flash(self, serial: str) -> bytes | None:
        """What a board's flash holds; None if nothing ever reached it."""
        path = self._folder / serial
        return path.read_bytes() if path.exists() else None
