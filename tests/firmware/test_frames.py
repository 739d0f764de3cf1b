import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.frames import (
    INFO_FIELDS,
    LONGEST_FRAME,
    Other,
    Reply,
    Splitter,
    decode,
    encode,
    request,
)
from firmware.protocol import BootError, Command, Status
from tests.firmware import fake

# Zeros and full blocks of COBS are what goes wrong.
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.integers(250, 260).map(lambda size: bytes(1 for _ in range(size))),
    st.lists(st.sampled_from([b"\0", b"\1", b"\xff" * 253, b"\1" * 254]), max_size=8).map(b"".join),
)


@given(PAYLOADS)
def test_equal_to_an_independent_encoder(payload):
    line = encode(payload)
    assert 0 not in line
    assert b"\0" + line + b"\0" == fake.frame(payload)
    assert decode(line) == payload
    assert fake.unstuff(line)[:-4] == payload


@given(PAYLOADS, st.integers(0, 10_000), st.integers(1, 255))
def test_one_damaged_byte_is_found(payload, at, flip):
    line = bytearray(encode(payload))
    line[at % len(line)] ^= flip
    assert decode(bytes(line)) != payload


@pytest.mark.parametrize("bad", [b"", b"\1", b"\5ab", b"\5abcd", b"\0", b"\2\0"])
def test_what_is_no_frame(bad):
    assert decode(bad) is None


def test_a_request_by_hand():
    line = request(Command.INFO, 0x2A)
    assert line[:4] == b"\0\x03\x01\x2a" and line[-1:] == b"\0"
    assert fake.unstuff(line[1:-1])[:4] == b"\x01\x2a\0\0"
    assert request(Command.BENCH, 7, 0x1234, b"xy") == fake.frame(b"\x05\x07\x34\x12xy")


@pytest.mark.parametrize("sequence, argument", [(256, 0), (-1, 0), (0, 0x1_0000), (0, -1)])
def test_numbers_that_do_not_fit(sequence, argument):
    text = f"Sequence number {sequence} or argument {argument} does not fit"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        request(Command.INFO, sequence, argument)


def pieces(line, size=None):
    splitter = Splitter()
    step = size or len(line)
    return [
        piece
        for start in range(0, len(line), step)
        for piece in splitter.feed(line[start : start + step])
    ]


REPLY = bytes([0x81, 9, 4, 5]) + b"data\0more"


@pytest.mark.parametrize("size", [1, 2, 7, None])
def test_replies_text_and_noise(size):
    line = b"noi\xffse" + fake.frame(REPLY) + b"\0hello\r\n\0" + b"!!!" + fake.frame(REPLY)
    reply = Reply(command=1, sequence=9, status=4, boot_error=5, data=b"data\0more")
    found = pieces(line, size)
    assert found == [
        Other(data=b"noi\xffse"), reply, Other(data=b"hello\r\n"), Other(data=b"!!!"), reply,
    ]  # fmt: skip
    assert [one.text for one in found if isinstance(one, Other)] == [None, "hello", "!!!"]


def test_a_request_is_no_reply():
    assert pieces(fake.frame(b"\x01\x02\0\0")) == [Other(data=fake.frame(b"\x01\x02\0\0")[1:-1])]


def test_short_frames_are_no_reply():
    assert all(isinstance(one, Other) for one in pieces(fake.frame(b"\x81\x02\0")))


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_before_a_frame(noise, size):
    """Whatever comes, the frame behind it is found."""
    found = pieces(noise + fake.frame(REPLY), size)
    assert isinstance(found[-1], Reply) and found[-1].data == b"data\0more"


def test_noise_without_end_is_not_kept():
    splitter = Splitter()
    kept = [piece for _ in range(100) for piece in splitter.feed(b"\x55" * 1000)]
    assert len(splitter.rest) <= LONGEST_FRAME and sum(len(one.data) for one in kept) > 90_000


@pytest.mark.parametrize(
    "data, text",
    [(b"caf\xc3\xa9\n", "café"), (b"\n", None), (b"a\x07", None), (b"\xff\xfe", None), (b"!", "!")],
)
def test_text(data, text):
    assert Other(data=data).text == text


def test_info_fields():
    assert len(INFO_FIELDS) == 28 == len(set(INFO_FIELDS))
    assert INFO_FIELDS[:3] == ("protocol_version", "firmware_version", "map_version")
    assert INFO_FIELDS.index("network_hash0") == 8 and INFO_FIELDS[-1] == "window"


def documented():
    return (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def test_document_names_every_number():
    """docs/protocol.md is written by hand: it says what `firmware.protocol` does."""
    text = documented()
    for command in Command:
        assert f"| {int(command)} | {command.name} |" in text
    for status in Status:
        assert f"| {int(status)} | {status.name} |" in text
    rows = re.findall(r"^\| ([\d, ]+) \| ([A-Z_, ]+)(?::.*?)? \|", text, re.MULTILINE)
    errors = {}
    for numbers, names in rows:
        errors |= dict(zip(map(int, numbers.split(",")), names.split(", "), strict=True))
    # Commands and statuses have the same numbers in other tables: boot errors stand last.
    assert {int(one): one.name for one in BootError}.items() <= errors.items()


def test_document_names_every_word_of_info():
    table = documented().split("INFO's words, in order:")[1].split("Counters,")[0]
    names = re.findall(r"^\| ([\d a-z]+(?:, [\d]+)*) \| ([\w, ]+) \|", table, re.MULTILINE)
    listed = []
    for numbers, text in names:
        ends = [int(number) for number in re.findall(r"\d+", numbers)]
        first, last = ends[0], ends[-1]
        parts = text.split(", ")
        if len(parts) == 1 and last > first:
            parts = [f"{text}{index}" for index in range(last - first + 1)]
        assert first == len(listed) and last - first + 1 == len(parts)
        listed += parts
    assert tuple(listed) == INFO_FIELDS


def test_examples_of_the_document():
    request_line = request(Command.INFO, 0x2A).hex(" ")
    reply_line = fake.frame(bytes([0x80 | Command.RESET, 0x2C, 0, 0]))[1:].hex(" ")
    assert f"`{request_line}`" in documented() and f"`{reply_line}`" in documented()
