import errno
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.frames import Reply
from firmware.link import Link, LinkError, NoAnswer, Request
from firmware.protocol import Command, Counter
from model.common.invocation import command
from tests.firmware import fake
from tests.firmware.fake import FakeDevice, MemoryPort

ANEW = f"flash the board anew with `{command('firmware', 'flash', '--board', 'BOARD')}`"


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


@pytest.mark.parametrize("slower, end", [
    ((4_000_000, 1_000_000), ", or build the board's design for a slower rate with "
     f"`{command('firmware', 'flash', '--baud', '4000000')}` (4000000, 1000000 are possible)"),
    ((), ""),
])  # fmt: skip
@pytest.mark.parametrize("faults, came", [
    ({"lose_replies": [False, True, True, True]}, "nothing came"),
    ({"damage_replies": [None, 3, 3, 3]}, "N bytes came"),
])  # fmt: skip
def test_a_device_that_has_answered_before(slower, end, faults, came):
    """It has a bitstream: what may help is another line, or a slower one."""
    device = FakeDevice(**{name: list(values) for name, values in faults.items()})
    link = Link(MemoryPort(device), name="fake", timeout=0.03, slower=slower)
    link.ask(Request(command=Command.INFO))
    with pytest.raises(NoAnswer) as caught:
        link.ask(Request(command=Command.COUNTERS))
    assert re.sub(r"\d+ bytes", "N bytes", str(caught.value)) == (
        "No answer to COUNTERS on fake at 6000000 baud, 3 x 0.03 s, though it has answered before: "
        f"{came}, 2 requests were repeated so far; the line loses or damages bytes, or the board "
        f"hung: press its reset button, try another cable without a hub{end}"
    )
    assert link.ask(Request(command=Command.COUNTERS)).status == 0


def test_a_reply_that_comes_too_late_is_an_answer():
    link, _, _, _ = linked(late=[0.5] * 3)
    with pytest.raises(NoAnswer, match="nothing came: the board has no bitstream"):
        link.ask(Request(command=Command.INFO))
    link.listen(0.8)
    assert link.answered and link.strays == 3


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


def benches(count):
    return [Request(command=Command.BENCH, argument=frames) for frames in range(1, count + 1)]


def numbers(replies):
    return [int.from_bytes(reply.data[:4], "little") for reply in replies]


def test_several_under_way():
    """The first one alone; from then on each reply is handed on when the next request is sent."""
    link, device, port, _ = linked()
    sent = []
    for reply in link.exchange(benches(6), window=2):
        sent.append(len(port.sent))
        assert numbers([reply]) == [len(sent)]
    assert sent == [3, 4, 5, 6, 6, 6]
    assert link.repeats == 0 and device.executed == [(5, frames) for frames in range(1, 7)]


def test_the_first_of_several_is_sent_alone():
    link, device, port, _ = linked(lose_replies=[True] * 3)
    with pytest.raises(NoAnswer):
        next(link.exchange(benches(3), window=2))
    assert len(port.sent) == 3 and len(set(port.sent)) == 1


@pytest.mark.parametrize("lost, expected", [
    ([False, True], [3, 4, 6, 6, 6]),
    ([False, True, True], [3, 5, 7, 7, 7]),
])  # fmt: skip
def test_a_loss_is_mended_before_more_is_sent(lost, expected):
    """What was sent by the time of each reply: what is lost once more, and nothing new before."""
    link, device, port, _ = linked(lose_requests=list(lost))
    sent = [len(port.sent) for _ in link.exchange(benches(5), window=2)]
    assert sent == expected and link.repeats == sum(lost)


def test_a_slow_caller():
    """After a while the device has gone on without: nothing is sent before all is answered."""
    link, device, port, _ = linked()
    sent = []
    for _ in link.exchange(benches(7), window=2):
        sent.append(len(port.sent))
        if len(sent) == 2:
            time.sleep(0.06)
    assert sent == [3, 4, 4, 6, 7, 7, 7]
    assert link.repeats == 0 and device.executed == [(5, frames) for frames in range(1, 8)]


def test_a_slow_source():
    """A request that comes too late for the device to wait for is kept back, and none is lost."""
    link, device, port, _ = linked()
    sent = []

    def source():
        for number, asked in enumerate(benches(7)):
            if number == 3:
                time.sleep(0.06)
            yield asked

    for _ in link.exchange(source(), window=2):
        sent.append(len(port.sent))
    assert sent == [3, 3, 5, 6, 7, 7, 7]
    assert link.repeats == 0 and device.executed == [(5, frames) for frames in range(1, 8)]


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("good", [0, 1, 4])
def test_a_source_that_fails(window, good):
    """What was asked before is answered first."""
    link, device, _, _ = linked()

    def source():
        yield from benches(good)
        raise KeyError("picture")

    got = []
    with pytest.raises(KeyError, match="picture"):
        for reply in link.exchange(source(), window=window):
            got.append(reply)
    assert numbers(got) == list(range(1, good + 1)) and link._waiting == {}


def test_one_at_a_time_is_asked_for_one_at_a_time():
    """The next request may depend on the reply before it."""
    link, _, _, _ = linked()
    asked, got = [], []

    def source():
        for one in benches(4):
            assert len(got) == len(asked)
            asked.append(one)
            yield one

    for reply in link.exchange(source()):
        got.append(reply)
    assert numbers(got) == [1, 2, 3, 4]


@pytest.mark.parametrize("faults", [
    {"lose_requests": [False] * 2 + [True]},
    {"lose_requests": [False] * 2 + [True] * 3},
    {"lose_requests": [False, True, True]},
    {"lose_replies": [False, True]},
    {"lose_replies": [False] * 2 + [True] * 2},
    {"lose_replies": [False, False, True], "lose_requests": [False] * 3 + [True]},
    {"damage_replies": [None, 3, None, 5]},
])  # fmt: skip
def test_losses_with_several_under_way(faults):
    """All replies come in order, and nothing is left behind."""
    link, device, port, _ = linked(**faults)
    assert numbers(link.exchange(benches(8), window=2)) == list(range(1, 9))
    assert 0 < link.repeats <= 4 and link._waiting == {}


@settings(max_examples=60, deadline=None)
@given(
    lose_requests=now_and_then(st.booleans()),
    lose_replies=now_and_then(st.booleans()),
    damage_replies=now_and_then(st.integers(0, 40)),
    double=now_and_then(st.booleans()),
    late=st.lists(st.sampled_from([0, 0.004, 0.02]), max_size=12),
    window=st.integers(1, 3),
)
def test_any_faults_with_several_under_way(window, **faults):
    """The replies are the right ones, in order, up to where there is none."""
    link, device, _, _ = linked(timeout=0.01, **faults)
    got = []
    try:
        for reply in link.exchange(benches(6), window=window):
            got += numbers([reply])
    except NoAnswer:
        pass
    else:
        assert len(got) == 6
    assert got == list(range(1, len(got) + 1)) and link._waiting == {}


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
