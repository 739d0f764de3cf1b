import json
import subprocess
import sys

import pytest
from PIL import Image

from firmware import __main__ as tool
from firmware.program import Program
from model.errors import UserError
from tests.firmware.fake import FakeTransport, network

SHAPE = (4, 6, 3)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The tool with a fake device behind its port and a fake network; gives (device, picture)."""
    device = FakeTransport()
    made = network(SHAPE)
    program = Program(
        name=made.name, input_shape=SHAPE, classes=made.classes, regions={"WEIGHTS": [1, 2, 3]}
    )
    monkeypatch.setattr(tool, "SerialTransport", lambda port, baud: device)
    monkeypatch.setattr(tool, "load", lambda path: made)
    monkeypatch.setattr(tool.zoo, "find", lambda name: name)
    monkeypatch.setattr(tool, "make_program", lambda one, capability: program)
    picture = tmp_path / "picture.png"
    image = Image.new("RGB", (6, 4), (10, 20, 30))
    image.putpixel((1, 0), (0, 255, 0))
    image.save(picture)
    return device, picture


def test_table(bench, capsys):
    device, picture = bench
    assert tool.main(["--port", "x", "classify", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "tiny at 36 MHz" in out and "4 class4" in out and "123,456" in out and "155" in out
    assert device.closed


def test_json(bench, capsys):
    _, picture = bench
    tool.main(["--port", "x", "--json", "classify", str(picture), str(picture.parent)])
    told = json.loads(capsys.readouterr().out)
    assert told["network"] == "tiny"
    assert told["device"]["clock_hz"] == 36_000_000 and told["device"]["version"] == "1.0"
    assert told["device"]["capability"]["lanes"] == 16
    assert [one["file"] for one in told["images"]] == [str(picture)] * 2
    image = told["images"][0]
    assert image["class"] == 4 and image["name"] == "class4" and image["cycles"] == 123_456
    assert image["logits"][:5] == [-90, -80, -70, -100, 155]


def test_network_is_loaded_once_unless_asked(bench, capsys):
    device, picture = bench
    arguments = ["--port", "x", "classify", str(picture)]

    def loads():
        return sum(name == "WEIGHTS" for name, _, _ in device.writes) // 3

    tool.main(arguments)
    assert loads() == 1
    tool.main(arguments)
    assert loads() == 1
    tool.main(["--reload", *arguments])
    assert loads() == 2


def test_pictures_are_read_before_the_port_is_opened(bench, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the port was opened")

    monkeypatch.setattr(tool, "SerialTransport", never)
    with pytest.raises(UserError, match="^No picture"):
        tool.main(["--port", "x", "classify", str(tmp_path / "none.png")])


@pytest.mark.parametrize(
    "option, text",
    [
        ("--baud=0", "--baud must be positive, not 0"),
        ("--timeout=-1", "--timeout must be positive"),
    ],
)
def test_wrong_options(bench, option, text):
    with pytest.raises(UserError, match=f"^{text}"):
        tool.main(["--port", "x", option, "classify", str(bench[1])])


def test_error_is_one_line_with_status_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--port", "x", "--network", "no-such.dham",
         "classify", str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: No network file no-such.dham")
    assert done.stderr.count("\n") == 1


def test_no_torch():
    script = "import sys, firmware.__main__, hw.top; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
