"""Fuzzes the firmware on the host with libFuzzer: `python -m benchmarks.fuzz --seconds 600`.

The firmware's C code, compiled with address and undefined-behaviour sanitizers by zig's clang, runs
on a model of its hardware; `tests/system/fuzz/target.c` says what is checked. The corpus is made by
`tests/system/corpus.py`; what libFuzzer adds to it stays in `--corpus DIR`.

zig comes without libFuzzer's library; the one in the wheel of atheris is taken
(`pip install atheris`; Linux, x86-64).
"""

import re
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path

from model.common.errors import Parser, UserError, run_cli

__all__ = ["find_runtime", "fuzz", "main"]

_LIBRARY = "asan_with_fuzzer.so"
_MOST_BYTES = 2048  # of an input
_MOST_SECONDS = 20  # for one


def find_runtime() -> Path:
    """The shared library of libFuzzer. Raises `UserError` where it is not installed."""
    spec = util.find_spec("atheris")
    if spec is not None and spec.origin is not None:
        library = Path(spec.origin).parents[1] / _LIBRARY
        if library.is_file():
            return library
    raise UserError("libFuzzer's library is missing: run `pip install atheris`")


def fuzz(corpus: Path, *, seconds: int, seed: int, findings: Path) -> tuple[int, str]:
    """Fuzz for so long; exit status of libFuzzer, and what it said."""
    from tests.system.corpus import seeds
    from tests.system.fuzz.target import compile_libfuzzer

    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds().values()):
        (corpus / f"seed-{number}").write_bytes(data)
    with tempfile.TemporaryDirectory() as folder:
        program = compile_libfuzzer(Path(folder), find_runtime())
        command = [
            str(program), str(corpus), f"-max_total_time={seconds}", f"-max_len={_MOST_BYTES}",
            f"-timeout={_MOST_SECONDS}", f"-seed={seed}", f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
        ]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        lines = []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "pulse" in line:
                print(line, end="", file=sys.stderr, flush=True)
        return process.wait(), "".join(lines)


def _summary(text: str) -> str:
    def last(pattern):
        found = re.findall(pattern, text)
        return found[-1] if found else "?"

    return (
        f"{last(r'stat::number_of_executed_units: *([0-9]+)')} inputs, "
        f"{last(r'stat::average_exec_per_sec: *([0-9]+)')} a second; "
        f"{last(r'cov: ([0-9]+)')} of {last(r'Loaded [0-9]+ PC tables .([0-9]+) PCs')} places of "
        f"the firmware reached; corpus of {last(r'corp: ([0-9]+)')} inputs"
    )


def _finding(text: str) -> str:
    for line in text.splitlines():
        if re.match(r"FINDING|SUMMARY|.*runtime error", line):
            return line
    return "libFuzzer ended before its time"


@run_cli
def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 1 if something was found."""
    parser = Parser(prog="python -m benchmarks.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR", help="kept there (default: forgotten)"
    )
    parser.add_argument("--show", type=Path, metavar="FILE", help="say what an input is, and end")
    options = parser.parse_args(argv)
    if options.show is not None:
        from tests.system.corpus import describe

        try:
            print(describe(options.show.read_bytes()))
        except OSError as error:
            raise UserError(f"{options.show} cannot be read: {error.strerror}") from error
        return 0
    if options.seconds < 1:
        raise UserError(f"--seconds must be at least 1, not {options.seconds}")
    find_runtime()
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(folder) / "corpus"
        findings = corpus.parent
        status, text = fuzz(corpus, seconds=options.seconds, seed=options.seed, findings=findings)
        print(_summary(text))
        if status:
            from tests.system.corpus import describe

            print(f"Found: {_finding(text)}")
            if match := re.search(r"Test unit written to (.*)", text):
                print(describe(Path(match[1]).read_bytes()))
        return int(status != 0)


if __name__ == "__main__":
    main()
