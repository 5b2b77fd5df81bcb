# SPDX-License-Identifier: Apache-2.0
"""Results on disk: written after every pair, so that nothing is lost when a long measurement ends early."""
import json
import os

import derive


class Store:
    """One file of results. `resume` goes on with what is there when it is of the same machine and commit."""

    def __init__(self, path, description, resume):
        self.path, self.value = path, description | {"cells": []}
        if not path.exists():
            return
        old = json.loads(path.read_text())
        if not resume:
            # Measured figures are never overwritten.
            path.rename(path.with_name(f"{path.stem}-{old.get('date', 'old').replace(':', '')}.json"))
            return
        for key in ("schema", "machine", "commit", "dirty", "versions", "settings"):
            if old.get(key) != self.value.get(key):
                raise SystemExit(f"{path}: expected results of the same {key} to go on with, found {old.get(key)}, not {self.value.get(key)}")
        self.value |= {key: old[key] for key in ("date", "roofline", "models", "cells")}

    def result(self, cell):
        """The entry of a cell, made if it is not there."""
        for result in self.value["cells"]:
            if result["key"] == cell.key:
                return result
        self.value["cells"].append({"key": cell.key, "cell": cell.described(), "status": "begun", "rounds": [], "rejected": []})
        return self.value["cells"][-1]

    def write(self):
        derive.derive(self.value["cells"], self.value["models"], self.value["roofline"])
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.value, indent=1) + "\n")
        os.replace(temporary, self.path)
