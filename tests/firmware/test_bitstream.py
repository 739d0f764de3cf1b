"""Which bitstreams may go into a flash image: icepack's own, and each thing that is wrong."""

import pytest

from firmware.bitstream import check_bitstream
from model.common.errors import UserError
from tests.bitstreams import bitstream, packed

SLEEPS = (
    "The bitstream puts the flash to sleep, so that the device could not read its firmware: pack "
    "it with `icepack -s`"
)


def refused(data):
    with pytest.raises(UserError) as caught:
        check_bitstream(data)
    return str(caught.value)


@pytest.mark.parametrize("options", [(), ("-n",)], ids=["all", "without block RAMs"])
def test_what_icepack_makes(tmp_path, options):
    check_bitstream(packed(tmp_path, "-s", *options))
    assert refused(packed(tmp_path, *options)) == SLEEPS


def test_by_the_document():
    check_bitstream(bitstream())
    assert refused(bitstream(awake=False)) == SLEEPS
    # What looks like commands within the data is none, and what follows counts for nothing.
    tricky = b"\x92\x00\x21\x01\x06".ljust(256, b"\xab")
    assert refused(bitstream(awake=False, data=tricky)) == SLEEPS
    check_bitstream(bitstream(data=b"\x92\x00\x20\x01\x06".ljust(256, b"\xab")))
    check_bitstream(bitstream() + b"\x92\x00\x20\x01\x06")
    assert refused(bitstream(awake=False) + bitstream()) == SLEEPS
    check_bitstream(bitstream(comment=b"x" * 1024))


def test_what_is_none():
    lacks = "The bitstream is none of an iCE40: its first 1024 bytes lack 7eaa997e"
    for data in (b"", b"nothing", b"\xff" * 5000, bitstream(comment=b"x" * 1025)):
        assert refused(data) == lacks


def test_what_is_cut_off():
    whole = bitstream()
    for size in (15, 30, 100, 300, len(whole) - 2):
        text = f"The bitstream is truncated: it has {size} bytes and does not end"
        assert refused(whole[:size]) == text
    check_bitstream(whole[:-1])  # the last byte is for the chip's clock


def test_an_ecp5s():
    whole = b"\xff\x00Part: LFE5U-25F\x00\xff\xff\xbd\xb3" + bytes(100)
    done = b"\x5e\x00\x00\x00\xff\xff\xff\xff"
    check_bitstream(whole + done, "ecp5")
    for data, text in (
        (bitstream(), "The bitstream is none of an ECP5: its first 1024 bytes lack ffffbdb3"),
        (whole, "The bitstream is truncated: its 122 bytes do not end with the command that ends "
         "the configuration"),
    ):  # fmt: skip
        with pytest.raises(UserError) as caught:
            check_bitstream(data, "ecp5")
        assert str(caught.value) == text


def test_what_is_of_another_kind():
    """A header of several images; a command that nobody knows."""
    text = (
        "The bitstream is damaged, or of another kind: byte {} is {}, which begins no command that "
        "is known here"
    )
    header = bytes.fromhex("7eaa997e92000044030000a082000001080000")
    assert refused(header) == text.format(7, "0x44")
    whole = bytearray(bitstream())
    whole[13] = 0x31
    assert refused(bytes(whole)) == text.format(13, "0x31")
