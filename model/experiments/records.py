"""Results as JSON lines that survive a kill: a line is appended whole, and never written twice.

Several processes may write one file: FILE.lock is held while it is read or written.
"""

import json
import os
import sys
from pathlib import Path

from model.common.errors import UserError
from model.common.files import locked

__all__ = ["Records"]

ALWAYS = ("scale", "hardware", "commit", "seconds")  # what every record says beside its key
#: What one that was measured on a training says besides.
TRAINED = ("setting", "seed", "epochs", "validation", "recipe", "command", "checkpoint")


def lacking(record: dict) -> str | None:
    """The first field that a record should have and has not."""
    wanted = ALWAYS + TRAINED * ("training" in record)
    return next((name for name in wanted if name not in record), None)


class Records:
    """The records of one file, each with a `key` of its own, as they were when it was last read.

    A last line that was cut off by a kill is dropped with a warning on stderr (its work is done
    again); any other damage raises ``UserError``, and the file stays as it is.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = path.with_name(path.name + ".lock")
        self._records: dict[str, dict] = {}
        self.read()

    def read(self) -> bytes:
        """Read the file again, with what other processes wrote; returns its whole lines."""
        if not self.path.exists():  # no lock where there is nothing: no file is made
            self._records = {}
            return b""
        with locked(self._lock):
            return self._read()

    def _read(self) -> bytes:
        """As `read`, by the holder of the lock: a line that is cut off has no writer any more."""
        data = self.path.read_bytes() if self.path.exists() else b""
        whole, cut = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
        records = {}
        for number, line in enumerate(whole.splitlines(), 1):
            what = ""
            try:
                record = json.loads(line)
                key = record["key"]
                if not isinstance(key, str):
                    raise TypeError
                if missing := lacking(record):
                    what = f" (no {missing})"
                    raise KeyError
            except (ValueError, KeyError, TypeError):
                raise UserError(
                    f"Records file {self.path} is damaged in line {number}{what}: mend or remove "
                    "that line (its run is then done again), or give another --output"
                ) from None
            records[key] = record
        if cut:
            print(
                f"warning: the last line of {self.path} was cut off; it is dropped, and its run "
                "is done again",
                file=sys.stderr,
            )
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        self._records = records
        return whole

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def all(self) -> list[dict]:
        """All records; of one key the last."""
        return list(self._records.values())

    def append(self, record: dict) -> bool:
        """Add one, and have it on the disk before going on.

        Returns False, and leaves the file as it is, where another process has added one of this
        key meanwhile. Raises ``ValueError`` for a record that could not be read again.
        """
        if missing := lacking(record):
            raise ValueError(f"Record {record['key']} lacks its {missing}")
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._lock):
            self._read()
            if record["key"] in self._records:
                return False
            with self.path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            self._records[record["key"]] = json.loads(line)
        return True
