# SPDX-License-Identifier: Apache-2.0
"""check_layout.py is silent on a sound tree and reports every fault planted in it.

    python3 -m unittest discover tools
"""
import pathlib
import tempfile
import unittest

import check_layout

MANIFEST = """// swift-tools-version: 6.2
let modules: [(name: String, imports: [String])] = [
  ("WeftLow", ["CLow"]),
  (
    "WeftHigh",
    ["WeftLow"]
  ),
]
let package = Package(targets: [.target(name: "CLow"), .systemLibrary(name: "CEditline")])
"""
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"


class CheckLayout(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("Package.swift", MANIFEST)
        self.write("Sources/WeftLow/Low.swift", SPDX + "internal import CLow\nimport Glibc\n")
        self.write("Sources/WeftHigh/High.swift", SPDX + "package import WeftLow\n// import Foundation\n")
        self.write("Sources/weft/Main.swift", SPDX + "import ArgumentParser\nimport Foundation\nimport WeftHigh\n")
        self.write("CSources/Low/low.c", SPDX)
        self.write("tools/run.py", "#!/usr/bin/env python3\n# SPDX-License-Identifier: Apache-2.0\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def expect(self, *pieces):
        found = check_layout.problems(self.root)
        self.assertEqual(len(found), 1, found)
        for piece in pieces:
            self.assertIn(piece, found[0])

    def test_a_sound_tree_is_silent(self):
        self.assertEqual(check_layout.problems(self.root), [])

    def test_an_upward_import(self):
        self.write("Sources/WeftLow/Up.swift", SPDX + "\npackage import WeftHigh\n")
        self.expect("Sources/WeftLow/Up.swift:3", "WeftLow may not import WeftHigh")

    def test_a_c_target_that_is_not_listed(self):
        self.write("Sources/WeftHigh/C.swift", SPDX + "@preconcurrency internal import CLow\n")
        self.expect("C.swift:2", "WeftHigh may not import CLow")

    def test_foundation_in_the_core(self):
        self.write("Sources/WeftHigh/F.swift", SPDX + "import struct Foundation.Data\n")
        self.expect("F.swift:2", "may not import Foundation")

    def test_a_c_target_in_the_command_line(self):
        self.write("Sources/weft/Low.swift", SPDX + "import CLow\n")
        self.expect("weft may not import CLow")

    def test_a_manifest_out_of_order(self):
        self.write("Package.swift", MANIFEST.replace('["CLow"]', '["CLow", "WeftHigh"]'))
        self.expect("Package.swift: WeftLow names WeftHigh")

    def test_a_folder_without_a_module(self):
        self.write("Sources/WeftStray/Stray.swift", SPDX)
        self.expect("Sources/WeftStray: not in the module list")

    def test_long_files(self):
        self.write("Sources/WeftHigh/Long.swift", SPDX + "\n" * 499)
        self.write("CSources/Low/long.c", SPDX + "\n" * 599)
        self.assertEqual(check_layout.problems(self.root), [])
        self.write("Sources/WeftHigh/Long.swift", SPDX + "\n" * 500)
        self.expect("Long.swift: 501 lines; at most 500")
        self.write("Sources/WeftHigh/Long.swift", SPDX)
        self.write("CSources/Low/long.c", SPDX + "\n" * 600)
        self.expect("long.c: 601 lines; at most 600")

    def test_a_missing_licence_line(self):
        for name, text in [("Sources/WeftHigh/N.swift", "\n" + SPDX), ("tools/n.py", ""), ("CSources/Low/n.h", "#pragma once\n")]:
            self.write(name, text)
            self.expect(name, "the first line is not")
            (self.root / name).unlink()


if __name__ == "__main__":
    unittest.main()
