import errno
import os
import re

import pytest

from firmware import serial_port
from firmware.serial_port import SerialTransport, UARTBoneTransport, open_serial
from firmware.transport import TransportError
from tests.hw.bus.helpers import READ, WRITE, command


class FakePort:
    """An open serial port with a bridge and a memory behind it; may lose bytes of answers."""

    def __init__(self, lose=()):
        self.memory, self.sent, self.answer = {}, [], b""
        self.lose = list(lose)  # bytes lost of the first answers
        self.timeout = None
        self.fail = None
        self.resets = 0
        self.closed = False

    def write(self, data):
        if self.fail:
            raise self.fail
        self.sent.append(list(data))
        kind, length = data[0], data[1]
        address = int.from_bytes(data[2:6], "big")
        if kind == WRITE:
            for i in range(length):
                word = int.from_bytes(data[6 + 4 * i : 10 + 4 * i], "big")
                self.memory[address + i] = word
            assert len(data) == 6 + 4 * length
        else:
            words = [self.memory.get(address + i, 0) for i in range(length)]
            answer = b"".join(word.to_bytes(4, "big") for word in words)
            lost = self.lose.pop(0) if self.lose else 0
            self.answer += answer[: len(answer) - lost]

    def flush(self):
        pass

    def read(self, count):
        data, self.answer = self.answer[:count], self.answer[count:]
        return data

    def reset_input_buffer(self):
        self.resets += 1
        self.answer = b""

    def close(self):
        self.closed = True


def transport(port):
    return UARTBoneTransport(port, name="fake", baud=1_000_000, silence=0)


def test_bytes_on_the_line():
    port = FakePort()
    with transport(port) as link:
        link.write(0x20_0008, [0x01020304, 0xFFFFFFFF])
        assert link.read(0x20_0008, 1) == [0x01020304]
    assert port.sent == [
        command(WRITE, 0x8_0002, 2, [0x01020304, 0xFFFFFFFF]),
        command(READ, 0x8_0002, 1),
    ]
    assert port.closed and port.resets == 1


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 1000])
def test_bursts(count):
    port = FakePort()
    link = transport(port)
    words = [i * 0x01010101 & 0xFFFF_FFFF for i in range(count)]
    link.write(0x400, words)
    assert link.read(0x400, count) == words
    assert port.memory == {0x100 + i: word for i, word in enumerate(words)}
    assert len(port.sent) == 2 * -(-count // 255)
    assert all(1 <= one[1] <= 255 for one in port.sent)


@pytest.mark.parametrize("lost", [1, 3, 4])
def test_lost_answer_is_asked_again(lost):
    port = FakePort(lose=[lost])
    port.memory[0] = 7
    link = transport(port)
    assert link.read(0, 1) == [7]
    assert port.resets == 2


@pytest.mark.parametrize(
    "lost, got", [([4, 4], "nothing came"), ([4, 1], "only 3 of 4 bytes came")]
)
def test_no_answer(lost, got):
    text = (
        f"No answer on fake at 1000000 baud ({got}): is the bitstream loaded, and built for this "
        "rate?"
    )
    with pytest.raises(TransportError, match=f"^{re.escape(text)}$"):
        transport(FakePort(lose=lost)).read(0, 1)


def test_unplugged():
    port = FakePort()
    link = transport(port)
    port.fail = OSError(errno.EIO, "Input/output error")
    for use in (lambda: link.read(0, 1), lambda: link.write(0, [1])):
        with pytest.raises(TransportError, match=r"^Port fake failed: .*Input/output error$"):
            use()


@pytest.mark.parametrize(
    "use, text",
    [
        (lambda link: link.read(2, 1), "Address must be a multiple of 4 within 34 bits, not 0x2"),
        (lambda link: link.read(-4, 1), "Address must be a multiple of 4 within 34 bits, not -0x4"),
        (lambda link: link.read(0, -1), "Count must not be negative, not -1"),
        (lambda link: link.write(0, [1 << 32]), "Word must fit 32 bits, not 0x100000000"),
    ],
)
def test_wrong_access(use, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        use(transport(FakePort()))


def test_missing_port_lists_ports(monkeypatch):
    from serial.tools import list_ports

    class Port:
        def __init__(self, device):
            self.device = device

    monkeypatch.setattr(list_ports, "comports", lambda: [Port("/dev/ttyB"), Port("/dev/ttyA")])
    text = r"^No port /dev/no-such-port; ports of this machine: /dev/ttyA, /dev/ttyB$"
    with pytest.raises(TransportError, match=text):
        SerialTransport("/dev/no-such-port")
    monkeypatch.setattr(list_ports, "comports", list)
    with pytest.raises(TransportError, match=r"ports of this machine: none$"):
        open_serial("/dev/no-such-port", baud=115200)


@pytest.mark.parametrize(
    "number, text",
    [
        (errno.EBUSY, "Port PORT is in use by another program"),
        (errno.EIO, "Port PORT cannot be opened: [Errno 5] Input/output error"),
    ],
)
def test_other_failures(number, text, monkeypatch, tmp_path):
    import serial

    port = tmp_path / "port"
    port.touch()

    def refuse(*_, **__):
        raise serial.SerialException(number, os.strerror(number))

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(TransportError) as caught:
        open_serial(str(port), baud=115200)
    assert str(caught.value) == text.replace("PORT", str(port))


@pytest.mark.parametrize("group", ["plugdev", "root"])
def test_no_permission_names_the_group(group, monkeypatch, tmp_path):
    import grp

    import serial

    def refuse(*_, **__):
        raise serial.SerialException(errno.EACCES, "Permission denied")

    class Group:
        gr_name = group

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    monkeypatch.setattr(grp, "getgrgid", lambda number: Group)
    hint = (
        "join its group (plugdev), as `sudo usermod -aG plugdev $USER` does, and log in anew"
        if group == "plugdev"
        else "add a udev rule that gives it to group dialout, and join it"
    )
    text = f"No permission for {tmp_path}: {hint}"
    with pytest.raises(TransportError, match=f"^{re.escape(text)}$"):
        open_serial(str(tmp_path), baud=115200)


def test_rate_that_the_port_does_not_have(monkeypatch):
    import serial

    def refuse(*_, **__):
        raise ValueError("Not a valid baudrate: 7")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    text = r"^Port /dev/ttyA cannot be opened at 7 baud: Not a valid baudrate: 7$"
    with pytest.raises(TransportError, match=text):
        open_serial("/dev/ttyA", baud=7)


def test_open_port_over_a_loop_answers_nothing_sensible():
    """pyserial's loop:// sends back what is sent: the transport must survive that."""
    link = UARTBoneTransport(open_serial("loop://", baud=1_000_000), silence=0)
    with link:
        # The six bytes of the command come back as the first word and a half.
        assert link.read(0x100, 1) == [0x02010000]


def test_silence_is_longer_than_the_bridge_remembers():
    from amaranth.utils import ceil_log2

    from hw.top import TIMEOUT_SECONDS

    for clock_hz in (12_000_000, 30_000_000, 36_000_000, 48_000_000):
        cycles = 1 << ceil_log2(round(clock_hz * TIMEOUT_SECONDS))
        assert cycles / clock_hz < serial_port.SILENCE_SECONDS
