"""Results as JSON lines that survive a kill: a line is appended whole, and never written twice."""

import json
import os
import sys
from pathlib import Path

from model.errors import UserError

__all__ = ["Records", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Write to a temporary name, then rename: no half-written file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Records:
    """The records of one file, each with a `key` of its own.

    A last line that was cut off by a kill is dropped with a warning on stderr (its work is done
    again); any other damage raises ``UserError``, and the file stays as it is.
    """

    def __init__(self, path: Path):
        self.path = path
        self._records: dict[str, dict] = {}
        self._read()

    def _read(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole, cut = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
                key = record["key"]
                if not isinstance(key, str):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                raise UserError(
                    f"Records file {self.path} is damaged in line {number}: mend or remove that "
                    "line (its run is then done again), or give another --output"
                ) from None
            self._records[key] = record
        if cut:
            print(
                f"warning: the last line of {self.path} was cut off; it is dropped, and its run "
                "is done again",
                file=sys.stderr,
            )
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def all(self) -> list[dict]:
        """All records; of one key the last."""
        return list(self._records.values())

    def append(self, record: dict) -> None:
        """Add one, and have it on the disk before going on."""
        key = record["key"]
        if key in self._records:
            raise ValueError(f"Record {key} exists already")
        line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._records[key] = json.loads(line)
