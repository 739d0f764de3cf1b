import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware import __main__ as tool
from firmware import commands
from firmware.client import Device, DeviceError
from firmware.link import Link
from hw.boards import BOARDS
from hw.register_map import REGISTER_MAP
from model.common.errors import UserError
from model.data.pictures import PictureOptions, read_picture
from tests.firmware import fake
from tests.firmware.fake import FakeDevice, MemoryPort, pseudo_terminal


@pytest.fixture
def device(monkeypatch):
    """The fake device behind every port."""
    end = FakeDevice()

    @contextlib.contextmanager
    def connect(port, *, board, baud, flash, timeout):
        end.meant = board.name
        yield Device(Link(MemoryPort(end), name=port, timeout=timeout))

    monkeypatch.setattr(tool, "connect", connect)
    return end


@pytest.fixture
def picture(tmp_path):
    """A picture whose fifth byte is the largest of the first 14."""
    pixels = np.full((4, 6, 3), 20, np.uint8)
    pixels[0, 1, 1] = 200
    path = tmp_path / "a [b] picture.png"
    Image.fromarray(pixels).save(path)
    return path


def run(capsys, *arguments, status=0):
    assert tool.main([*map(str, arguments)]) == status
    return capsys.readouterr().out


def run_json(capsys, *arguments, status=0):
    return json.loads(run(capsys, *arguments, "--json", status=status))


def fails(text, kind=UserError):
    import re

    return pytest.raises(kind, match=f"^{re.escape(text)}")


def test_info(device, capsys):
    told = run_json(capsys, "info")
    assert told["network"]["name"] == "tiny" and told["network"]["sha256"] == fake.HASH.hex()
    assert told["network"]["classes"] == fake.CLASSES and told["learned"] == []
    assert told["boot"] == {"copy": 0, "error": "NONE", "text": "none"} and told["ready"]
    assert (told["firmware"], told["register_map"], told["flash_id"]) == ("1.2", "2.0", "ef4018")
    out = run(capsys, "info")
    for text in ("auto, 6,000,000 baud", "36 MHz", "10 of 10", "123,456 cycles, 3.43 ms",
                 "class 13", "000102030405060"):  # fmt: skip
        assert text in out


def test_info_of_a_device_that_does_not_classify(device, capsys):
    device.boot_error = 5
    told = run_json(capsys, "info", status=1)
    assert told["boot"]["error"] == "WEIGHTS" and not told["ready"]
    assert told["network"]["classes"] == []
    out = " ".join(run(capsys, "info", status=1).split())
    assert "error: WEIGHTS" in out and "weights in flash are damaged" in out


def test_classify_table(device, picture, capsys):
    out = run(capsys, "classify", picture)
    assert "tiny at 36 MHz" in out and "4 class 4" in out and "123,456" in out
    assert "a [b] picture.png" in out
    row = next(line for line in out.splitlines() if "class 4" in line)
    assert "-80 -80 -80 -80 100 -80 -80 -80 -80 -80 -80 -80 -80 -80" in row


def test_classify_json(device, picture, capsys):
    told = run_json(capsys, "classify", picture, picture.parent)
    assert told["network"] == "tiny" and told["clock_hz"] == 36_000_000 and not told["few_shot"]
    assert [one["file"] for one in told["images"]] == [str(picture)] * 2
    image = told["images"][0]
    assert (image["class"], image["name"], image["cycles"]) == (4, "class 4", 123_456)
    assert image["logits"] == [-80] * 4 + [100] + [-80] * 9
    assert image["seconds"] == 123_456 / 36e6 and 0 < image["round_trip_seconds"] < 1


def test_options_may_stand_before_and_behind(device, picture, capsys):
    assert json.loads(run(capsys, "--json", "--port", "x", "info"))["port"] == "x"
    assert json.loads(run(capsys, "--port", "x", "info", "--json"))["port"] == "x"
    assert json.loads(run(capsys, "--port", "x", "info", "--json", "--port", "y"))["port"] == "y"


def test_the_board_of_a_serial_number(device, capsys, monkeypatch):
    """On every command: its port is what is opened."""
    monkeypatch.setattr(tool, "find_port", lambda port, serial, board: f"port of {serial}, {port}")
    for arguments in (["--serial", "ib1", "info"], ["info", "--serial=ib1"]):
        assert run_json(capsys, *arguments)["port"] == "port of ib1, auto"
    told = run_json(capsys, "--port", "/dev/ttyUSB1", "counters", "--serial", "ib1")
    assert told["counters"]
    assert "port of ib1, auto" in run(capsys, "info", "--serial", "ib1")
    assert run_json(capsys, "info")["port"] == "auto"


def test_standard_input(device, picture, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(picture.read_bytes())))
    told = run_json(capsys, "classify", "-")
    assert told["images"][0]["file"] == "-" and told["images"][0]["class"] == 4


def test_folder_with_companion_files(device, picture, tmp_path, capsys):
    """Case: a hidden file beside each picture, as some systems write them, ended the command."""
    (tmp_path / "._a [b] picture.png").write_bytes(b"\0\5\x16\7" + bytes(20))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / picture.name).write_bytes(picture.read_bytes())
    assert tool.main(["classify", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert [one["file"] for one in json.loads(out)["images"]] == [str(picture)]
    assert err == (
        f"note: folder {tmp_path}: 1 picture taken; passed over: 2 other entries "
        "(._a [b] picture.png, notes.txt) and 1 subfolder (--recursive enters them)\n"
    )
    told = run_json(capsys, "classify", tmp_path, "--recursive")
    files = [str(picture), str(tmp_path / "more" / picture.name)]
    assert [one["file"] for one in told["images"]] == files


@pytest.mark.parametrize("command", ["classify", "features", "learn"])
@pytest.mark.parametrize("words, how", [
    ([], PictureOptions()), (["--fit", "crop"], PictureOptions("crop")),
    (["--fit=pad", "--background=teal"], PictureOptions("pad", (0, 128, 128))),
])  # fmt: skip
def test_options_of_pictures(device, tmp_path, capsys, monkeypatch, command, words, how):
    path = tmp_path / "a.png"
    Image.new("RGBA", (20, 9), (200, 9, 50, 128)).save(path)
    sent = []
    take = getattr(Device, command)

    def spy(self, *arguments, **options):
        sent.extend(arguments[-1])
        return take(self, *arguments, **options)

    monkeypatch.setattr(Device, command, spy)
    run(capsys, command, *(["cat"] if command == "learn" else []), path, *words)
    assert sent == [read_picture(path, input_shape=fake.SHAPE, options=how).tobytes()]


def test_learn_classify_forget(device, picture, capsys):
    told = run_json(capsys, "learn", "cat", picture, picture.parent)
    assert (told["label"], told["index"], told["images"], told["images_in_all"]) == ("cat", 0, 2, 2)
    assert told["learned"] == ["cat"] and device.counts[7] == 1
    out = run(capsys, "learn", "do[g]", picture)
    assert out == "Learned do[g] from 1 images (1 in all) and saved; labels: cat, do[g]\n"
    told = run_json(capsys, "classify", "--few-shot", picture)
    assert told["few_shot"] and told["images"][0]["name"] == "cat"
    assert "among the learned labels" in run(capsys, "classify", "--few-shot", picture)
    assert run(capsys, "forget", "cat") == "Forgot cat; labels left: do[g]\n"
    assert run(capsys, "forget", "--all") == "Forgot all labels; labels left: none\n"
    with fails("The device refused CLASSIFY: it has learned nothing yet", DeviceError):
        run(capsys, "classify", "--few-shot", picture)


def test_network_that_cannot_learn(device, picture, capsys):
    device.features = 0
    for arguments in (("learn", "cat", picture), ("features", picture)):
        with fails("The network tiny cannot learn on the device", DeviceError):
            run(capsys, *arguments)
    assert not any(command in (4, 7) for command, _ in device.executed)


def test_features(device, picture, capsys):
    told = run_json(capsys, "features", picture)
    assert told["images"][0]["features"] == [20, 20, 20, 20, 200, 20, 20, 20]
    assert "20 20 20 20 200 20 20 20" in run(capsys, "features", picture)


def test_bench(device, capsys):
    told = run_json(capsys, "bench", "--frames", 120, "--round-trips", 3)
    assert [one for one in device.executed if one[0] == 5] == [(5, 50), (5, 50), (5, 20)]
    assert told["frames"] == 120 and told["cycles"] == 120 * 123_556
    assert told["frames_per_second"] == 120 * 36e6 / (120 * 123_556)
    assert told["round_trips"] == 3 and told["round_trip_seconds"]["least"] > 0
    assert told["line_seconds"] == 10 * 72 / 6_000_000
    out = " ".join(run(capsys, "bench").split())
    assert "291.4 frames a second (100 frames, 12,355,600 cycles)" in out and "5 images" in out
    assert run_json(capsys, "bench", "--round-trips=0")["round_trip_seconds"] is None
    assert "From here" not in run(capsys, "bench", "--round-trips=0")


def test_self_test(device, capsys):
    assert run(capsys, "self-test") == (
        "Self-test passed: tiny, 10 of 10 golden vectors equal, at most 123,456 cycles a frame\n"
    )
    device.passed = False
    assert "FAILED" in run(capsys, "self-test", status=1)
    assert run_json(capsys, "self-test", status=1)["passed"] is False


def test_self_test_of_a_device_with_a_boot_error_is_run(device, capsys):
    device.boot_error, device.passed = 9, False
    run(capsys, "self-test", status=1)
    assert device.executed[-1] == (2, 0)


def test_counters(device, capsys):
    told = run_json(capsys, "counters")["counters"]
    assert list(told) == ["requests", "repeated", "damaged", "cut", "overruns", "frames", "cycles",
                          "saves"]  # fmt: skip
    assert told["requests"] == 2
    assert "overruns" in run(capsys, "counters")


def test_reset(device, capsys):
    assert run_json(capsys, "reset")["network"]["name"] == "tiny"
    assert (9, 0) in device.executed
    assert "golden vectors" in run(capsys, "reset")


def test_peek_and_poke(device, capsys):
    offset = REGISTER_MAP.register("VERSION").offset
    device.memory[offset] = 0x2_0007
    line = run_json(capsys, "peek", "version")["words"][0]
    assert line == {
        "address": offset, "word": 0x2_0007, "register": "VERSION",
        "fields": {"minor": 7, "major": 2},
    }  # fmt: skip
    assert "major 2" in run(capsys, "peek", "VERSION", 3)
    out = run(capsys, "poke", "WEIGHTS+0x10", "0x1234", 7)
    assert out == "2 words written from 0x00200010 on\n"
    assert device.memory[0x20_0010] == 0x1234 and device.memory[0x20_0014] == 7
    told = run_json(capsys, "peek", "0x200010", 2)["words"]
    assert [one["word"] for one in told] == [0x1234, 7] and told[0]["register"] is None


@pytest.mark.parametrize("arguments, text", [
    (["--baud=0", "info"], "--baud must be positive, not 0"),
    (["--timeout=-1", "info"], "--timeout must be positive, not -1.0"),
    (["--timeout=nan", "info"], "--timeout must be positive, not nan"),
    (["bench", "--frames=0"], "--frames must be positive, not 0"),
    (["bench", "--round-trips=-1"], "--round-trips must not be negative, not -1"),
    (["peek", "0", "0"], "COUNT must be positive, not 0"),
    (["peek", "3"], "Address must be a multiple of 4 within 32 bits, not 0x3"),
    (["monitor", "--seconds=0"], "--seconds must be positive, not 0.0"),
    (["peek", "-4"], "Address must be a multiple of 4 within 32 bits, not -0x4"),
    (["peek", "WEIGHT"], "No address 'WEIGHT': a number, or a name with an offset such as "
     "WEIGHTS+0x10; did you mean WEIGHTS? (known: ID, "),
    (["poke", "0", "x"], "A word must be a number, not 'x'"),
    (["poke", "0", "0x100000000"], "A word must fit 32 bits, not 0x100000000"),
    (["forget"], "forget needs labels, or --all for all of them"),
    (["forget", "--all", "cat"], "forget needs labels, or --all for all of them"),
    (["forget", ""], "A label must have letters that can be printed"),
    (["learn", "0123456789abcdef", "x.png"], "No picture x.png"),
    (["classify", "none.png"], "No picture none.png"),
    (["classify", "-", "-"], "Standard input (-) can be read once, but is named twice"),
    (["classify"], "the following arguments are required: IMAGE"),
    (["--network", "none.dham", "info"], "No network file none.dham"),
    (["dance"], "argument COMMAND: invalid choice: 'dance'"),
])  # fmt: skip
def test_bad_input_is_found_before_the_port_is_opened(arguments, text, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the port was opened")

    monkeypatch.setattr(tool, "connect", never)
    monkeypatch.setattr(tool, "listen", never)
    with fails(text):
        tool.main(arguments)


def test_label_too_long_is_found_before_the_port_is_opened(picture, monkeypatch):
    monkeypatch.setattr(tool, "connect", None)
    with fails("A label has at most 15 bytes of UTF-8, but '0123456789abcdef' has 16"):
        tool.main(["learn", "0123456789abcdef", str(picture)])


def test_unreadable_picture_is_found_before_any_is_sent(device, picture, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no picture")
    with fails(f"Cannot read picture {bad}: cannot identify image file"):
        tool.main(["learn", "cat", str(picture), str(bad)])
    assert device.executed == [(1, 0)]


@pytest.mark.parametrize("command", ["classify", "features"])
def test_commands_that_a_boot_error_forbids(device, picture, command):
    device.boot_error = 2
    with fails("The device does not classify: the flash holds no directory", DeviceError):
        tool.main([command, str(picture)])
    assert device.executed == [(1, 0)]


def test_harmless_boot_error_is_a_warning(device, picture, capsys):
    device.boot_error = 1
    assert tool.main(["classify", str(picture)]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: the first copy of the firmware in flash is damaged, or it hung")
    assert err.count("\n") == 1


def test_other_number_of_names(device, picture):
    device._command12 = lambda first, data: (0, bytes(16 * 14))
    device._logits = lambda image: [1] * 10
    with fails("The device decides between 10 classes, but names 14", DeviceError):
        tool.main(["classify", str(picture)])


def test_network_of_a_file(device, capsys):
    with fails("The device holds another network (tiny, 000102030405) than the file given "
               "(dham8-up5k, ", DeviceError):  # fmt: skip
        tool.main(["info", "--network", "dham8-up5k"])


@pytest.fixture
def talking(monkeypatch):
    """A port that `monitor` listens to; nothing may be sent to it."""
    port = MemoryPort(FakeDevice())

    @contextlib.contextmanager
    def listen(name, *, board, baud, flash, on_text):
        yield Link(port, name=name, on_text=on_text)
        assert port.sent == []  # a request would end the stand-alone mode

    monkeypatch.setattr(tool, "listen", listen)
    return port


def test_monitor(talking, capsys):
    talking.say(b"\0start\r\nline 2\n\0\xff\xfe\0unfinished")
    assert tool.main(["monitor", "--seconds", "0.01"]) == 0
    assert capsys.readouterr().out == "start\nline 2\n"
    talking.say(b"\0more\n\0")
    tool.main(["monitor", "--seconds=0.01", "--json"])
    line = json.loads(capsys.readouterr().out)
    assert line["text"] == "more" and 0 <= line["seconds"] < 1


def test_monitor_warns_once_of_firmware_that_does_not_start(talking, capsys, monkeypatch):
    monkeypatch.setattr(tool, "_MONITOR_SECONDS", 0.01)
    for _ in range(3):
        talking.say(b"!!!")
    tool.main(["monitor", "--seconds", "0.03"])
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("warning: The firmware on auto does not start")
    assert err.count("\n") == 1


def test_monitor_ends_with_ctrl_c(talking, monkeypatch):
    def interrupted(self, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(Link, "listen", interrupted)
    assert tool.main(["monitor"]) == 0


def test_every_command_has_a_table():
    from firmware.tables import _TABLES

    assert set(_TABLES) == set(commands.COMMANDS) >= commands.NEED_NETWORK


def program(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "firmware", *map(str, arguments)],
        capture_output=True, text=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_name_that_is_not_utf8(picture, words):
    """In tables, JSON, notes and errors, whatever the output's encoding is."""
    odd = picture.rename(picture.parent / os.fsdecode(b"caf\xe9\x1b[31m.png"))
    Path(f"{odd.parent / odd.stem}.txt").touch()
    shown = str(picture.parent) + "/caf\\xe9\\x1b[31m"
    for encoding in ("utf-8:strict", "ascii"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        with pseudo_terminal(FakeDevice()) as name:
            done = program("--port", name, "classify", odd.parent, odd, *words, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stderr.endswith("1 other entry (caf\\xe9\\x1b[31m.txt)\n")
        files = done.stdout.replace("\\\\", "\\") if words else done.stdout
        assert files.count(f"{shown}.png") == 2
    odd.write_bytes(b"no picture")
    with pseudo_terminal(FakeDevice()) as name:
        done = program("--port", name, "classify", odd)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: Cannot read picture {shown}.png: cannot identify")


def test_the_program_at_a_pseudo_terminal(picture):
    """The whole tool, with pyserial, at a device that loses and damages what it says."""
    end = FakeDevice(noise=b"hello\n\0\xff", double=[True] * 3)
    with pseudo_terminal(end) as name:
        done = program("--port", name, "classify", picture, "--json")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert json.loads(done.stdout)["images"][0]["class"] == 4


def test_error_is_one_line_with_status_2():
    done = program("--port", "/dev/none", "info")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: No port /dev/none; ports of this machine: ")
    assert done.stderr.count("\n") == 1


def test_no_torch():
    script = "import sys, firmware.__main__, firmware.flashing; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


@pytest.mark.parametrize("words, meant", [
    ([], "icebreaker"),
    (["--board", "ulx3s_25f"], "ulx3s_25f"),
    (["info", "--board", "ecpix5_85f"], "ecpix5_85f"),
])  # fmt: skip
def test_the_board_that_is_meant(words, meant, device):
    assert tool.main([*words, *([] if "info" in words else ["info"])]) == 0
    assert device.meant == meant


def test_the_board_of_the_last_flash_is_meant(device, monkeypatch):
    monkeypatch.setattr(tool.recent, "last_board", lambda: BOARDS["icesugar"])
    assert tool.main(["info"]) == 0 and device.meant == "icesugar"
    with pytest.raises(UserError, match="^Unknown board 'x': "):
        tool.main(["info", "--board", "x"])
