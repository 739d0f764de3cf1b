import errno
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.frames import Reply
from firmware.link import Link, LinkError, NoAnswer, Request
from firmware.protocol import Command, Counter
from tests.firmware import fake
from tests.firmware.fake import FakeDevice, MemoryPort

ANEW = "flash the board anew with `python -m firmware flash --board icebreaker`"


def linked(timeout=0.03, **faults):
    """A link to a fake device: (link, device, port, text that came)."""
    device, text = FakeDevice(**faults), []
    port = MemoryPort(device)
    return Link(port, name="fake", timeout=timeout, on_text=text.append), device, port, text


def fails(kind, text):
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def test_requests_in_a_row():
    link, device, port, _ = linked()
    replies = [link.ask(Request(command=Command.COUNTERS)) for _ in range(300)]
    assert device.executed == [(6, 0)] * 300
    numbers = [reply.sequence for reply in replies]
    assert all(later == (before + 1) % 256 for before, later in pairwise(numbers))
    assert link.repeats == 0 and link.strays == 0
    first, *others = port.sent
    assert first[:3] == b"\0\0\0" and 0 not in first[3:-1] and first[-1] == 0
    assert all(line[0] == 0 and line[-1] == 0 and 0 not in line[1:-1] for line in others)
    link.close()
    assert port.closed


def test_device_that_starts_in_the_middle_of_a_byte():
    """The first byte comes as another one; the zero bytes behind it end what it seems to begin."""
    link, device, port, _ = linked()
    take = device.take
    device.take = lambda data: take(b"\x80" + data[1:])
    link.ask(Request(command=Command.INFO))
    assert link.repeats == 0 and device.executed == [(1, 0)]


def test_links_do_not_begin_with_the_same_number():
    assert len({linked()[0].ask(Request(command=Command.INFO)).sequence for _ in range(40)}) > 10


@pytest.mark.parametrize("faults", [
    {"lose_requests": [True, True]},
    {"lose_replies": [True, True]},
    {"lose_requests": [True], "lose_replies": [True]},
    {"damage_replies": [3, 0]},
    {"damage_replies": [1, 7]},
])  # fmt: skip
def test_what_is_lost_is_asked_again_and_executed_once(faults):
    link, device, port, _ = linked(**faults)
    reply = link.ask(Request(command=Command.LEARN, argument=1, data=bytes(16 + fake.IMAGE_BYTES)))
    assert reply.status == 0 and reply.data == b"\0\0\0\0\1\0\0\0"  # one image learned, not three
    assert device.executed == [(7, 1)]
    assert len(port.sent) == 3 and len(set(port.sent)) == 1 and link.repeats == 2


def test_three_tries_are_all():
    link, device, port, _ = linked(lose_replies=[True] * 3)
    text = (
        "No answer to INFO on fake at 6000000 baud, 3 x 0.03 s: nothing came: the board has no "
        f"bitstream, or another one; press its reset button or {ANEW}"
    )
    with fails(NoAnswer, text):
        link.ask(Request(command=Command.INFO))
    assert len(port.sent) == 3
    # The next request is another one, and is answered.
    assert link.ask(Request(command=Command.COUNTERS)).command == Command.COUNTERS


def test_late_and_doubled_replies():
    link, device, port, _ = linked(timeout=0.05, late=[0.08, 0, 0.08], double=[False, True])
    first = link.ask(Request(command=Command.COUNTERS))  # the first reply comes, or the repeat's
    assert int.from_bytes(first.data[:4], "little") == 1
    second = link.ask(Request(command=Command.COUNTERS))
    assert int.from_bytes(second.data[:4], "little") == 2 and second.sequence != first.sequence
    link.listen(0.1)
    assert device.executed == [(6, 0)] * 2
    assert link.repeats >= 1 and link.strays >= 2


def test_a_reply_to_another_command_is_not_taken():
    link, device, port, _ = linked(dead=True)
    for number in range(256):
        port.say(fake.frame(bytes([0x80 | Command.COUNTERS, number, 0, 0])))
    with pytest.raises(NoAnswer):
        link.ask(Request(command=Command.INFO))
    assert link.strays == 256


def test_text_and_noise_between():
    link, device, port, text = linked(noise=b"\xff\x80noise\0boot ok\r\n")
    port.say(b"!\0self-test passed\n\0")
    assert isinstance(link.ask(Request(command=Command.INFO)), Reply)
    assert text == ["!", "self-test passed", "boot ok"]
    assert link.repeats == 0


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_any_noise_before_a_reply(noise):
    link, device, _, _ = linked(noise=noise)
    assert len(link.ask(Request(command=Command.COUNTERS)).data) == 4 * len(Counter)
    assert link.repeats == 0  # a frame begins with a zero byte, which ends the noise


def now_and_then(values):
    return st.lists(st.one_of(st.none(), values), max_size=12)


@settings(max_examples=40)
@given(
    lose_requests=now_and_then(st.booleans()),
    lose_replies=now_and_then(st.booleans()),
    damage_replies=now_and_then(st.integers(0, 40)),
    double=now_and_then(st.booleans()),
    late=st.lists(st.sampled_from([0, 0.004, 0.02, 0.05]), max_size=12),
    noise=st.binary(max_size=8),
)
def test_any_faults(**faults):
    """A reply is the right one, or there is none; nothing is executed twice."""
    link, device, _, _ = linked(timeout=0.01, **faults)
    for frames in range(1, 6):
        try:
            reply = link.ask(Request(command=Command.BENCH, argument=frames))
        except NoAnswer:
            continue
        assert int.from_bytes(reply.data[:4], "little") == frames
    asked = [argument for _, argument in device.executed]
    assert asked == sorted(set(asked))
    device.faults = fake.Faults()
    link.listen(0.06)
    assert link.ask(Request(command=Command.INFO)).command == Command.INFO


def test_work_and_slowness_stretch_the_time():
    link, _, port, _ = linked(late=[0.1])
    link.ask(Request(command=Command.INFO, seconds=0.1))
    assert len(port.sent) == 1
    link, _, port, _ = linked(late=[0.1])
    link.slowness = 10
    link.ask(Request(command=Command.INFO))
    assert len(port.sent) == 1


def test_several_under_way():
    link, device, port, _ = linked(late=[0.02, 0, 0.01, 0, 0])
    requests = [Request(command=Command.BENCH, argument=frames) for frames in range(1, 6)]
    replies = list(link.exchange(requests, window=3))
    assert [int.from_bytes(reply.data[:4], "little") for reply in replies] == [1, 2, 3, 4, 5]
    assert len(port.sent) == 5
    # The third request is sent before the first reply is there, the fourth after it.
    assert device.executed == [(5, frames) for frames in range(1, 6)]


def test_an_exchange_given_up_leaves_nothing_behind():
    link, _, port, _ = linked()
    for _ in range(3):
        exchange = link.exchange([Request(command=Command.INFO)] * 4, window=4)
        next(exchange)
        exchange.close()
    assert link._waiting == {}


ALARM = (
    "The firmware on fake does not start (the hardware sends !): both copies in flash are damaged "
    f"or of another version; {ANEW}"
)
ECHO = (
    "No answer to INFO on fake at 6000000 baud, 3 x 0.03 s: N bytes came that are no answer: the "
    f"board has another bitstream or another rate (--baud); {ANEW}"
)


@pytest.mark.parametrize("faults, text", [({"alarm": True}, ALARM), ({"echo": True}, ECHO)])
def test_wrong_or_no_firmware(faults, text):
    link, _, port, _ = linked(**faults)
    with pytest.raises(NoAnswer) as caught:
        link.ask(Request(command=Command.INFO))
    told = re.sub(r"\d+ bytes", "N bytes", str(caught.value))
    assert told == text
    assert link.alarmed == bool(faults.get("alarm"))


@pytest.mark.parametrize("moment", ["write", "read"])
def test_unplugged(moment):
    link, device, port, _ = linked()
    if moment == "write":
        port.fail = OSError(errno.EIO, "Input/output error")
    else:
        device.take = lambda data: setattr(port, "fail", OSError(errno.ENODEV, "Gone")) or []
    with pytest.raises(LinkError, match=r"^Port fake failed: .*; was the board unplugged\?$"):
        link.ask(Request(command=Command.INFO))


@pytest.mark.parametrize("wrong, text", [
    ({"timeout": 0}, "Time-out must be positive, not 0 s"),
    ({"tries": 0}, "Tries must be at least 1, not 0"),
])  # fmt: skip
def test_wrong_parameters(wrong, text):
    with fails(ValueError, text):
        Link(MemoryPort(FakeDevice()), **wrong)
