#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Read a Weft pack (docs/pack-format.md) with nothing but Python's library and libzstd, and check all of it.

    python tools/read_pack.py library.weft                 lists members and tensors
    python tools/read_pack.py --json library.weft          everything in it, with the SHA-256 of each tensor's bytes
    python tools/read_pack.py --check Tests/Goldens/packs  compares each pack there with the .json beside it
"""
import ctypes, ctypes.util, hashlib, json, pathlib, struct, sys

NAMES = "F32 F16 Q4_0 Q4_1 . . Q5_0 Q5_1 Q8_0 . Q2_K Q3_K Q4_K Q5_K Q6_K".split()
TYPES = dict(enumerate(NAMES)) | {20: "IQ4_NL", 23: "IQ4_XS", 25: "I16", 26: "I32", 27: "I64", 30: "BF16", 34: "TQ1_0",
                                  35: "TQ2_0", 39: "MXFP4", 0x10000: "U8", 0x10001: "TERNARY"}
BLOCKS = {"F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "I16": (1, 2), "I32": (1, 4), "I64": (1, 8), "U8": (1, 1),
          "TERNARY": (4, 1), "Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
          "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
          "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17)}
CODINGS = ["raw", "zstd", "byte planes, zstd", "ternary planes", "Golomb-Rice", "signs"]
zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
zstd.ZSTD_decompress.restype = ctypes.c_size_t
zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]


def require(condition, what):
    if not condition:
        raise ValueError(what)


def decompress(stored, size):
    target = ctypes.create_string_buffer(size + 1)
    require(zstd.ZSTD_decompress(target, size, stored, len(stored)) == size, f"zstd frames of {size} bytes")
    return target.raw[:size]


class Cursor:
    """Reads little-endian values front to back."""

    def __init__(self, data):
        self.data, self.offset = data, 0

    def take(self, count):
        require(count <= len(self.data) - self.offset, "an index that is long enough")
        self.offset += count
        return self.data[self.offset - count:self.offset]

    def number(self, kind):
        return struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0]

    def text(self):
        return self.take(self.number("Q")).decode()

    def texts(self):
        return [self.text() for _ in range(self.number("Q"))]

    def value(self, kind=None):
        """A metadata value of GGUF."""
        kind = self.number("I") if kind is None else kind
        if kind == 8:
            return self.text()
        if kind == 9:
            element = self.number("I")
            return [self.value(element) for _ in range(self.number("Q"))]
        return self.number({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])


def bits(data, start, count):
    """`count` bits from bit `start` on, the lowest bit of a byte first."""
    return [data[i >> 3] >> (i & 7) & 1 for i in range(start, start + count)]


def ternary(coding, stored, count):
    """The elements -1, 0, 1 of a ternary coding."""
    if coding == 5:
        return [1 - 2 * bit for bit in bits(stored, 0, count)]
    if coding == 3:
        mask, place, elements = bits(stored, 0, count), (count + 7) // 8 * 8, []
        for bit in mask:
            elements.append(1 - 2 * bits(stored, place, 1)[0] if bit else 0)
            place += bit
        return elements
    k, nonzero, shift, place = stored[0], 0, 0, 1
    while True:
        nonzero |= (stored[place] & 127) << shift
        shift, place = shift + 7, place + 1
        if stored[place - 1] < 128:
            break
    signs = bits(stored, 8 * place, nonzero)
    place += (nonzero + 7) // 8
    remainders = bits(stored, 8 * place, nonzero * k)
    bit = 8 * (place + (nonzero * k + 7) // 8)
    elements, position = [0] * count, -1
    for index in range(nonzero):
        quotient = 0
        while not bits(stored, bit, 1)[0]:
            quotient, bit = quotient + 1, bit + 1
        bit += 1
        remainder = sum(value << i for i, value in enumerate(remainders[index * k:(index + 1) * k]))
        position += (quotient << k) + remainder + 1
        elements[position] = 1 - 2 * signs[index]
    return elements


def decode(tensor, stored):
    """The bytes of a tensor as they are in memory."""
    elements, width = BLOCKS[tensor["dtype"]]
    count = 1
    for axis in tensor["shape"]:
        count *= axis
    size, coding = count // elements * width, tensor["coding"]
    require(size <= len(stored) * 1024, "a ratio of at most 1024")
    if coding == 0:
        require(len(stored) == size, f"{size} raw bytes")
        return stored
    if coding == 1:
        return decompress(stored, size)
    if coding == 2:
        planes = decompress(stored, size)
        return bytes(planes[place * (size // width) + i] for i in range(size // width) for place in range(width))
    codes = [element & 3 for element in ternary(coding, stored, count)]
    return bytes(sum(code << 2 * i for i, code in enumerate(codes[at:at + 4])) for at in range(0, count, 4))


def read(data):
    """Everything in a pack; ValueError for what is not as the format says."""
    require(data[:8] == b"\x89WEFT\r\n\x1a" and struct.unpack("<I", data[8:12])[0] == 1, "a pack of version 1")
    require(hashlib.sha256(data[:96]).digest() == data[96:128], "the content hash of the header")
    offset, stored_bytes, decoded_bytes = struct.unpack("<QQQ", data[16:40])
    stored = data[offset:offset + stored_bytes]
    require(hashlib.sha256(stored).digest() == data[40:72], "the hash of the index")
    require(len(data) - offset - stored_bytes in (0, 112), "the end of the file or a signature")
    require(decoded_bytes <= stored_bytes * 1024, "a ratio of at most 1024")
    cursor = Cursor(decompress(stored, decoded_bytes))
    pack = {"content_hash": data[96:128].hex(), "signature": data[offset + stored_bytes + 48:].hex()}
    pack["base"], pack["base_name"], pack["sources"], pack["method"] = cursor.text(), cursor.text(), cursor.texts(), cursor.text()
    pack["parameters"] = [[cursor.text(), cursor.text()] for _ in range(cursor.number("Q"))]
    pack["licence"], pack["text"], names = cursor.text(), cursor.text(), cursor.texts()
    chunks = [(cursor.number("I"), cursor.take(32)) for _ in range(cursor.number("Q"))]
    tensors, place, number = [], 128, 0
    for _ in range(cursor.number("Q")):
        dtype, coding, axes, scale = cursor.number("I"), cursor.number("B"), cursor.number("B"), cursor.number("f")
        shape = [cursor.number("Q") for _ in range(axes)]
        tensors.append({"dtype": TYPES[dtype], "coding": coding, "scale": scale, "shape": shape, "stored": cursor.number("Q")})
    for count, digest in chunks:
        start = place
        for tensor in tensors[number:number + count]:
            tensor["bytes"] = decode(tensor, data[place:place + tensor["stored"]])
            place += tensor["stored"]
        number, end, place = number + count, place, (place + 63) // 64 * 64
        require(hashlib.sha256(data[start:place]).digest() == digest, f"the hash of the chunk at {start}")
        require(not any(data[end:place]), "zeros behind a chunk")
    require(place == offset and number == len(tensors), "chunks up to the index")
    pack["members"] = {}
    for _ in range(cursor.number("Q")):
        name, form, config = cursor.text(), cursor.text(), cursor.text()
        metadata = {cursor.text(): cursor.value() for _ in range(cursor.number("Q"))}
        references = [(cursor.number("I"), cursor.number("I")) for _ in range(cursor.number("Q"))]
        pack["members"][name] = {"form": form, "config": config, "metadata": metadata,
                                 "tensors": {names[n]: tensors[t] for n, t in references}}
    require(cursor.offset == len(cursor.data), "the end of the index")
    return pack


def summary(pack):
    """The pack as JSON, with the hash of every tensor's bytes in their place."""
    text = json.dumps(pack, default=lambda data: hashlib.sha256(data).hexdigest())
    return json.loads(text)


def main(arguments):
    if arguments[:1] == ["--check"]:
        paths = sorted(pathlib.Path(arguments[1]).glob("*.weft"))
        require(paths, "packs to check")
        for path in paths:
            require(summary(read(path.read_bytes())) == json.loads(path.with_suffix(".json").read_text()), f"{path} as expected")
            print(f"{path.name}: as expected")
    elif arguments[:1] == ["--json"]:
        print(json.dumps(summary(read(pathlib.Path(arguments[1]).read_bytes())), indent=1))
    else:
        pack = read(pathlib.Path(arguments[0]).read_bytes())
        for name, member in pack["members"].items():
            print(f"{name} ({member['form']})")
            for tensor_name, tensor in member["tensors"].items():
                print(f"  {tensor_name} {tensor['shape']} {tensor['dtype']} {CODINGS[tensor['coding']]} {tensor['stored']} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
