"""What a loader says and does, and what that proves: stand-ins, and the real one without USB."""

import os
import re
import stat

import pytest

from firmware.loader import Evidence, Loader
from firmware.loader_words import explain
from firmware.usb import Chip
from hw.boards import BOARDS
from hw.flow.tools import Toolchain
from model.common.errors import UserError
from tests.firmware.real_loader import BOARD as DEVICE
from tests.firmware.real_loader import OTHER, SECOND, Usb
from tests.firmware.test_loader_words import DENIED, FAILED, GOOD, TABLE, UNVERIFIED

BOARD = BOARDS["icebreaker"]
IMAGE = bytes(range(256)) * 300 + b"the end"


def fails(text, status):
    caught = pytest.raises(UserError, match=f"^{re.escape(text)}$")

    class Checked:
        def __enter__(self):
            self.caught = caught.__enter__()

        def __exit__(self, *error):
            done = caught.__exit__(*error)
            assert self.caught.value.status == status
            return done

    return Checked()


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A loader that says a text and ends with a status; `dump`, a shell line, makes the file read
    back, `$last`."""
    program = tmp_path / "loader"

    def says(text, status=0, dump="", end=""):
        (tmp_path / "text").write_text(text)
        program.write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
for last; do :; done
case "$*" in *--dump-flash*) {dump or ":"};; *) cat {tmp_path}/text;; esac
{end}
exit {status}
""")
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        return Loader(BOARD, Toolchain())

    monkeypatch.setenv("OPENFPGALOADER", str(program))
    return says


def write(loader, folder, chip=None):
    return loader.write(IMAGE, chip=chip, logs=folder)


def calls(folder):
    return (folder / "calls").read_text().splitlines()


def test_its_own_verification_is_believed(stand_in, tmp_path):
    chip = Chip(name="x", serial="s", bus=3, address=14)
    assert write(stand_in(GOOD), tmp_path, chip).by == "loader"
    [call] = calls(tmp_path)
    assert re.fullmatch(r"-b ice40_generic --busdev-num 3:14 -f --verify \S+/flash\.bin", call)
    assert GOOD.splitlines()[0] in (tmp_path / "flash.log").read_text()


SAYS = "The board is not flashed: openFPGALoader says "
HOLDS = (
    "the flash does not hold what was written: it is write-protected or locked, was not erased, "
    "is worn out, or its wiring or power is bad"
)


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("text, expected", [
    (FAILED, f"'Fail | Verification failed at 0': {HOLDS}"),
    ("Jedec ID          : ff\nVerification failed at 0\n", "'Verification failed at 0': the "
     "board's flash chip does not answer: is the board powered, its flash wired to the USB chip "
     "(jumpers), and is it this board?"),
    ("Error: block protection is set\n", "'Error: block protection is set': the flash is "
     "write-protected: take the protection off (openFPGALoader --unprotect-flash)"),
    (GOOD.replace("Wait for CDONE:\nDone", "Wait for CDONE: FAIL"), "'Reset and Wait for CDONE: "
     "FAIL': the FPGA does not start from what was written: wrong bitstream for this board, or bad "
     "wiring"),
    ("VERIFY: mismatch at 0x3", f"'VERIFY: mismatch at 0x3': {HOLDS}"),
])  # fmt: skip
def test_words_of_failure_whatever_the_status(text, expected, status, stand_in, tmp_path):
    with fails(f"{SAYS}{expected}; log: {tmp_path}/flash.log", 1):
        write(stand_in(text, status, dump=f"cp {tmp_path}/../image $last"), tmp_path)
    assert len(calls(tmp_path)) == 1


def test_other_words_of_failure_without_a_verification(stand_in, tmp_path):
    with fails(f"{SAYS}'Error: strange': the flash may hold neither the old nor the new image; "
               f"log: {tmp_path}/flash.log", 1):  # fmt: skip
        write(stand_in("Error: strange"), tmp_path)


SILENT = [UNVERIFIED, "", "done\n", GOOD[: GOOD.rindex("Done\nReset")],
          GOOD + "Can't read iSerialNumber: considered as empty\n"]  # fmt: skip


@pytest.mark.parametrize("text", SILENT)
def test_without_its_word_the_flash_is_read_back(text, stand_in, tmp_path):
    """Of a loader that ends at once, says nothing, or complains of something by the way."""
    (tmp_path / "image").write_bytes(IMAGE)
    evidence = write(stand_in(text, dump=f"cp {tmp_path}/image $last"), tmp_path)
    assert evidence == Evidence(by="read-back", text="read back and compared, byte for byte")
    reading = calls(tmp_path)[1]
    assert f"--dump-flash --file-size {len(IMAGE)} " in reading


@pytest.mark.parametrize("text", SILENT)
@pytest.mark.parametrize("dump, told", [
    ("", "gave nothing"),
    ("head -c 5 {image} > $last", f"gave 5 of {len(IMAGE):,} bytes"),
    ("cat {image} {image} > $last", f"gave {2 * len(IMAGE):,} of {len(IMAGE):,} bytes"),
    ("exit 1", "gave nothing"),
    ("kill -9 $$", "gave nothing"),
])  # fmt: skip
def test_nothing_proves_it(text, dump, told, stand_in, tmp_path):
    (tmp_path / "image").write_bytes(IMAGE)
    evidence = write(stand_in(text, dump=dump.format(image=tmp_path / "image")), tmp_path)
    assert evidence.by is None and evidence.text == (
        f"openFPGALoader does not say that it verified the flash, and reading it back {told} "
        f"(logs: {tmp_path}/flash.log, {tmp_path}/flash-read.log)"
    )


OLD = bytes(len(IMAGE) - 2)


@pytest.mark.parametrize("found, state", [
    (b"\xff" * len(IMAGE), "it is erased, or does not answer: all that was read is FF"),
    (IMAGE[:-1] + b"x", f"1 of {len(IMAGE):,} bytes differ, the first at {len(IMAGE) - 1:#x} (78 "
     "instead of 64)"),
    (b"\1" + IMAGE[1:], f"1 of {len(IMAGE):,} bytes differ, the first at 0x0 (01 instead of 00)"),
    (IMAGE[:2] + OLD, f"{sum(map(bool, IMAGE[2:])):,} of {len(IMAGE):,} bytes differ, the first "
     "at 0x2 (00 instead of 02)"),
])  # fmt: skip
@pytest.mark.parametrize("text", SILENT)
def test_the_flash_holds_something_else(found, state, text, stand_in, tmp_path):
    """Such as the image of last week, where the loader wrote nothing."""
    (tmp_path / "found").write_bytes(found)
    with fails(f"The board is not flashed: read back, the flash does not hold the image: {state}; "
               "is it write-protected or locked, or its wiring bad? log: "
               f"{tmp_path}/flash-read.log", 1):  # fmt: skip
        write(stand_in(text, dump=f"cp {tmp_path}/found $last"), tmp_path)


@pytest.mark.parametrize("end, text", [
    ("exit 3", "openfpgaloader failed with status 3"),
    ("kill -9 $$", "openfpgaloader failed with status -9"),
    ("kill -11 $$", "openfpgaloader failed with status -11"),
])  # fmt: skip
def test_a_loader_that_ends_badly(end, text, stand_in, tmp_path):
    """Also if all that it said until then was good."""
    last = "Reading: [==================================================] 100.00% | Done | Reset "
    with fails(f"{text}; log: {tmp_path}/flash.log; it ends with: "
               "Reading: [==================                                ] 35.65% | "
               f"{last}and Wait for CDONE: | Done; the flash may be written in part: flash anew",
               2):  # fmt: skip
        write(stand_in(GOOD, end=end), tmp_path)


@pytest.mark.parametrize("status", [0, 1])
def test_no_board_is_reached(status, stand_in, tmp_path):
    with fails("No board found on USB: plug it in; or stop before the cable with --image-only "
               f"(log: {tmp_path}/flash.log)", 2):  # fmt: skip
        write(stand_in("unable to open ftdi device: -3 (device not found)", status), tmp_path)


def test_an_earlier_log_explains_nothing(tmp_path, monkeypatch):
    (tmp_path / "flash.log").write_text("unable to open ftdi device: -3")
    monkeypatch.setenv("OPENFPGALOADER", "/none")
    with pytest.raises(UserError, match="^openfpgaloader is missing"):
        write(Loader(BOARD, Toolchain()), tmp_path)


@pytest.mark.parametrize("text, status, expected", [
    ("openFPGALoader v1.1.1", 0, None),
    ("unknown option", 1, None),  # another loader: it starts, at least
    ("error while loading shared libraries: libftdi1.so.2: cannot open", 127, "openFPGALoader "
     "needs the system's libftdi1.so.2: run `sudo apt install libusb-1.0-0 libftdi1-2 "
     "libhidapi-libusb0`"),
    ("", 127, "openFPGALoader does not run: status 127: it says nothing"),
])  # fmt: skip
def test_whether_it_starts(text, status, expected, stand_in):
    loader = stand_in(text, status)
    if expected is None:
        loader.check()
        return
    with fails(expected, 2):
        loader.check()


def test_a_loader_that_cannot_start(stand_in):
    with fails("openFPGALoader does not run: killed by signal 4: it says nothing", 2):
        stand_in("", end="kill -4 $$").check()


def test_a_file_that_is_no_program(tmp_path, monkeypatch):
    program = tmp_path / "loader"
    program.write_bytes(b"\x7fELF\0nothing")
    program.chmod(0o755)
    monkeypatch.setenv("OPENFPGALOADER", str(program))
    with pytest.raises(UserError, match="^openFPGALoader does not run: it did not start"):
        Loader(BOARD, Toolchain()).check()


def test_a_list_that_is_none(stand_in):
    assert stand_in("done").scan() is None
    assert stand_in(TABLE, status=1).scan() is None
    assert len(stand_in(TABLE).scan().chips) == 2


@pytest.fixture
def usb(usb_libraries, tmp_path, monkeypatch):
    """One board on USB, for the real openFPGALoader."""
    return Usb(usb_libraries, tmp_path / "flashes", monkeypatch)


@pytest.fixture
def real():
    return Loader(BOARD, Toolchain())


def test_real_without_its_libraries(real, tmp_path, monkeypatch):
    """Where this machine has them, they are hidden by files that are none."""
    for name in ("libusb-1.0.so.0", "libftdi1.so.2"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.delenv("OPENFPGALOADER", raising=False)
    with fails("openFPGALoader needs the system's libusb-1.0.so.0: run `sudo apt install "
               "libusb-1.0-0 libftdi1-2 libhidapi-libusb0`", 2):  # fmt: skip
        real.check()


def test_real_list(real, usb):
    real.check()
    usb.plug(DEVICE, OTHER, SECOND)
    assert [(chip.name, chip.serial, chip.place) for chip in real.scan().chips] == [
        ("iCEBreaker V1.0e", "ib111", "1:2"), ("Dual RS232-HS", "", "1:3"),
        ("iCEBreaker V1.0e", "ib222", "1:4"),
    ]  # fmt: skip
    usb.plug()
    assert real.scan().chips == () and real.scan().denied == 0
    usb.plug(f"{OTHER}:locked")
    assert real.scan().chips == () and real.scan().why == explain(DENIED, BOARD)


def test_real_write(real, usb, tmp_path):
    """A flash that held something else, and holds what lies behind the image still."""
    for image in (bytes(80_000), IMAGE):
        evidence = real.write(image, chip=real.scan().chips[0], logs=tmp_path)
        assert evidence.by == "loader"
        content = usb.flash("ib111")
        assert content.startswith(image) and not content[len(image) : 1 << 17].strip(b"\xff")


@pytest.mark.parametrize("index, serial", [(0, "ib111"), (1, "none"), (2, "ib222")])
def test_real_write_to_the_one_that_is_meant(index, serial, real, usb, tmp_path):
    usb.plug(DEVICE, OTHER, SECOND)
    evidence = real.write(IMAGE, chip=real.scan().chips[index], logs=tmp_path)
    # Of a chip without a serial number it complains, so that the flash is read back.
    assert evidence.by == ("read-back" if serial == "none" else "loader")
    assert [usb.flash(one) is not None for one in ("ib111", "none", "ib222")] == [
        one == serial for one in ("ib111", "none", "ib222")
    ]
    assert usb.flash(serial).startswith(IMAGE)


@pytest.mark.parametrize("mode, text", [
    ("locked", f"'Fail | Verification failed at 0': {HOLDS}"),
    ("flaky", f"'Fail | Verification failed at 999': {HOLDS}"),
    ("absent", '"Error: block protection is set | can\'t unlock without --unprotect-flash | Fail": '
     "the board's flash chip does not answer: is the board powered, its flash wired to the USB "
     "chip (jumpers), and is it this board?"),
])  # fmt: skip
def test_real_write_that_is_none(mode, text, real, usb, tmp_path):
    """openFPGALoader exits with status 0 each time."""
    usb.behave(mode)
    with fails(f"{SAYS}{text}; log: {tmp_path}/flash.log", 1):
        real.write(b"\1" + IMAGE, chip=real.scan().chips[0], logs=tmp_path)


@pytest.mark.parametrize("mode, by", [("good", "read-back"), ("fades", None)])
def test_real_read_back(mode, by, real, usb, tmp_path, monkeypatch):
    """Where its word is not taken: what it dumps is what the flash holds."""
    monkeypatch.setattr("firmware.loader.verified", lambda text: False)
    usb.behave(mode)
    chip = real.scan().chips[0]
    if by:
        assert real.write(IMAGE, chip=chip, logs=tmp_path).by == by
        return
    with pytest.raises(UserError, match="it is erased, or does not answer: all that"):
        real.write(IMAGE, chip=chip, logs=tmp_path)


def test_real_board_that_is_gone(real, usb, tmp_path):
    chip = Chip(name="x", serial="", bus=1, address=99)
    with pytest.raises(UserError, match=r"^No board found on USB") as caught:
        real.write(IMAGE, chip=chip, logs=tmp_path)
    assert caught.value.status == 2 and os.listdir(tmp_path / "flashes") == []
