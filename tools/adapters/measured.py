# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/families-measured.json from what the Swift suite recorded (WEFT_RECORD).

python tools/adapters/measured.py FILE
"""

import json
import pathlib
import sys

TARGET = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "families-measured.json"


def rows_of(text):
    """Case -> comparison -> the largest error."""
    rows = {}
    for line in text.splitlines():
        name, comparison, error = line.rsplit(" ", 2)
        row = rows.setdefault(name, {})
        row[comparison] = max(row.get(comparison, 0.0), float(error))
    return rows


if __name__ == "__main__":
    found = rows_of(pathlib.Path(sys.argv[1]).read_text())
    lines = [
        f"{json.dumps(name)}: " + json.dumps({key: float(f"{error:.1e}") for key, error in sorted(row.items())})
        for name, row in sorted(found.items())
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
