# SPDX-License-Identifier: Apache-2.0
"""What a token costs at least, from the header of a GGUF file: bytes of weights to read, multiply-accumulates, bytes of KV."""
import math
import pathlib
import struct

NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9


class Header:
    """Metadata and tensors of a GGUF file; tensors as (dimensions, bytes) by name."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.file = file
            if file.read(4) != b"GGUF":
                raise ValueError(f"{path}: not a GGUF file")
            self._number("I")
            tensors, entries = self._number("Q"), self._number("Q")
            self.metadata = {}
            for _ in range(entries):
                key = self._text()
                self.metadata[key] = self._value(self._number("I"))
            places = {}
            for _ in range(tensors):
                name = self._text()
                dimensions = [self._number("Q") for _ in range(self._number("I"))]
                self._number("I")
                places[name] = (dimensions, self._number("Q"))
            alignment = self.metadata.get("general.alignment", 32)
            end = pathlib.Path(path).stat().st_size - -(-file.tell() // alignment) * alignment
        # A tensor ends where the next one begins.
        order = sorted(places, key=lambda name: places[name][1])
        ends = [places[name][1] for name in order[1:]] + [end]
        self.tensors = {name: (places[name][0], last - places[name][1]) for name, last in zip(order, ends)}

    def _number(self, code):
        return struct.unpack("<" + code, self.file.read(struct.calcsize(code)))[0]

    def _text(self):
        return self.file.read(self._number("Q")).decode()

    def _value(self, kind):
        if kind == TEXT:
            return self._text()
        if kind == ARRAY:
            inner, count = self._number("I"), self._number("Q")
            return [self._value(inner) for _ in range(count)]
        return self._number(NUMBERS[kind])


def costs(path):
    """Of one token: `bytes` of weights that decoding reads (all but the rows of the embedding that are not looked up; an
    embedding that is the head too is read), `macs` of the layers' matrices, `kv_bytes` that attention reads for every token
    before it, in f16."""
    header = Header(path)
    embedding = header.tensors["token_embd.weight"]
    total = sum(size for _, size in header.tensors.values())
    if "output.weight" in header.tensors:
        total -= embedding[1] - embedding[1] // embedding[0][1]
    macs = sum(math.prod(dimensions) for name, (dimensions, _) in header.tensors.items()
               if name.startswith("blk.") and len(dimensions) == 2)
    architecture = header.metadata["general.architecture"]
    value = lambda name: header.metadata[f"{architecture}.{name}"]  # noqa: E731
    head = header.metadata.get(f"{architecture}.attention.key_length", value("embedding_length") // value("attention.head_count"))
    kv = 2 * 2 * value("block_count") * value("attention.head_count_kv") * head
    return {"bytes": total, "macs": macs, "kv_bytes": kv}
