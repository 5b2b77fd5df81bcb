# SPDX-License-Identifier: Apache-2.0
"""read_pack.py reads the golden packs and finds every changed byte.

    python3 -m unittest discover tools
"""
import json
import pathlib
import unittest

import read_pack

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/packs"


class ReadPackTests(unittest.TestCase):
    def test_goldens_are_as_expected(self):
        for path in FOLDER.glob("*.weft"):
            expected = json.loads(path.with_suffix(".json").read_text())
            self.assertEqual(read_pack.summary(read_pack.read(path.read_bytes())), expected)
        self.assertEqual(len(list(FOLDER.glob("*.weft"))), 1)

    def test_changed_bytes_are_found(self):
        data = (FOLDER / "foreign.weft").read_bytes()
        # The signature's own bytes need Ed25519, which Python's library does not have.
        for place in range(len(data) - 112):
            changed = bytearray(data)
            changed[place] ^= 0x10
            with self.assertRaises(Exception, msg=f"byte {place}"):
                read_pack.read(bytes(changed))


if __name__ == "__main__":
    unittest.main()
