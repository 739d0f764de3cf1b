import pytest

from firmware.loader_words import explain, failures, read_scan, verified
from firmware.usb import Chip, mend_usb
from hw.boards import BOARDS

BOARD = BOARDS["icebreaker"]

# What openFPGALoader 1.1.1 says: to the write of an iCE40 board, and to a list of USB.
GOOD = """\
empty
write to flash
Jtag frequency : requested 6.00MHz    -> real 6.00MHz
Parse file DONE
JEDEC ID: 0xef4018
Detected: Winbond W25Q128 256 sectors size: 128Mb
00000000 00000000 00000000 00
start addr: 00000000, end_addr: 00060000
\rErasing: [=========================                         ] 50.00%\
\rErasing: [==================================================] 100.00%
Done
\rWriting: [==================================================] 100.00%
Done
Verifying write (May take time)
\rReading: [==================                                ] 35.65%\
\rReading: [==================================================] 100.00%
Done
Reset and Wait for CDONE:
Done
"""
FAILED = GOOD.replace("100.00%\nDone\nReset", "100.00%\nFail\nVerification failed at 0\nReset")
UNVERIFIED = GOOD[: GOOD.index("Verifying")] + "Reset and Wait for CDONE:\nDone\n"
TABLE = """\
empty
Bus device vid:pid       probe_type manufacturer      serial product
001 002    0x0403:0x6010 FTDI2232   1BitSquared       ib111  iCEBreaker V1.0e
003 014    0x0403:0x6010 FTDI2232   Lattice semi corp none   Dual RS232-HS
001 004    0x0403:0x6014 ft232H     1BitSquared       ib222  iCEBreaker
"""
DENIED = "Error: can't open device with vid:vid = 0x0403:0x6010. Error code -3 Access denied\n"


@pytest.mark.parametrize("text, said, equal", [
    (GOOD, [], True),
    (GOOD.replace("\n", "\r\n"), [], True),
    (GOOD.replace("Done", "\x1b[32mDone\x1b[0m"), [], True),
    (FAILED, ["Fail", "Verification failed at 0"], False),
    (UNVERIFIED, [], False),
    ("", [], False),
    ("done\n", [], False),
    (GOOD[: GOOD.rindex("Done\nReset")], [], False),  # it ended, and did not say how
    (GOOD[: GOOD.index("\rReading: [==================    ")], [], False),
    (GOOD.replace("] 100.00%\nDone\nReset", "] 99.00%\nDone\nReset"), [], False),
    (GOOD.replace("100.00%\nDone\nReset", "100.00%\nReset"), [], False),
    ("Verifying write (May take time)\nRead flash : [==] 100.00%\nDone\n", [], True),
    ("Verifying write\nRead flash : [=] 100.00% Done\n", [], True),
    ("VERIFY OK\ncdone: high\n", [], True),
    ("reading..\nVerified: done\n", [], True),
    ("not verified ok\nVerify: not OK\n", ["not verified ok", "Verify: not OK"], False),
    ("0 errors, no error\nVerified OK", [], True),
    ("3 errors", ["3 errors"], False),
    ("Timed out", ["Timed out"], False),
])  # fmt: skip
def test_what_it_says(text, said, equal):
    assert failures(text) == said and verified(text) == equal


@pytest.mark.parametrize("text, meaning", [
    ("nothing known", None),
    ("x: error while loading shared libraries: libusb-1.0.so.0: cannot open", "openFPGALoader "
     "needs the system's libusb-1.0.so.0: run `sudo apt install libusb-1.0-0 libftdi1-2 "
     "libhidapi-libusb0`"),
    ("dyld: Library not loaded: @rpath/libftdi1.2.dylib", "openFPGALoader needs the system's "
     "@rpath/libftdi1.2.dylib: run `brew install libusb libftdi hidapi`"),
    ("unable to open ftdi device: -3 (device not found)", "No board found on USB: plug it in; or "
     "stop before the cable with --image-only"),
    ("unable to open ftdi device: -4 (usb_open() failed)", f"No permission for the board's USB "
     f"chip: {mend_usb(BOARD)}"),
    (DENIED, f"No permission for the board's USB chip: {mend_usb(BOARD)}"),
    ("unable to open ftdi device: -5 (unable to claim)", "The board's USB chip is in use by "
     "another program: end it first"),
])  # fmt: skip
def test_why_it_does_not_reach_the_board(text, meaning):
    assert explain(f"before\n{text}\nbehind", BOARD) == meaning


def test_list_of_usb():
    scan = read_scan(TABLE, BOARD)
    assert scan.chips == (
        Chip(name="iCEBreaker V1.0e", serial="ib111", bus=1, address=2, seen=True),
        Chip(name="Dual RS232-HS", serial="", bus=3, address=14, seen=True),
    )
    assert scan.denied == 0
    scan = read_scan(TABLE.splitlines()[1] + DENIED + TABLE.splitlines()[2] + "\n" + DENIED, BOARD)
    assert scan.denied == 2 and scan.why == explain(DENIED, BOARD)
    other = DENIED.replace("6010", "6014")
    assert read_scan(TABLE + other, BOARD).denied == 0
    assert read_scan("Bus device vid:pid manufacturer serial product\n", BOARD).chips == ()
    assert read_scan("done\n", BOARD) is None  # another program, or another version
