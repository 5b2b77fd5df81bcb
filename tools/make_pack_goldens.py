#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write Tests/Goldens/packs/foreign.weft, a pack of all codings that Weft had no part in, and what is in it as foreign.json.

    python tools/make_pack_goldens.py

Needs libzstd and openssl. The key is the one in Tests/WeftFormatsTests/Pack/PackSignatureTests.swift.
"""
import ctypes, hashlib, json, math, pathlib, random, struct, subprocess, tempfile
from read_pack import zstd

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/packs"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKFeMHpwf7SqOGe1kpK7PnhTZdjUjnOif2vZg3n9drQj\n-----END PRIVATE KEY-----\n"
PUBLIC = bytes.fromhex("fbe9db95008e0874d71467d31936a164ec76d7adf3ab875f5bd73ebd33223c1a")
TYPES = {"F32": 0, "F16": 1, "Q8_0": 8, "I64": 27, "U8": 65536, "TERNARY": 65537}
zstd.ZSTD_compress.restype = ctypes.c_size_t
zstd.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]


def compress(data):
    target = ctypes.create_string_buffer(len(data) + 1024)
    size = zstd.ZSTD_compress(target, len(target), data, len(data), 5)
    return target.raw[:size]


def pack_bits(bits):
    return bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8])) for at in range(0, len(bits), 8))


def codes(elements):
    return bytes(sum((e & 3) << 2 * i for i, e in enumerate(elements[at:at + 4])) for at in range(0, len(elements), 4))


def signs(elements):
    return pack_bits([int(e < 0) for e in elements if e])


def planes(elements):
    return pack_bits([int(e != 0) for e in elements]) + signs(elements)


def golomb_rice(elements):
    places = [i for i, e in enumerate(elements) if e]
    gaps = [b - a - 1 for a, b in zip([-1] + places, places)]
    density = len(places) / len(elements)
    k = max(0, 1 + math.floor(math.log2(math.log((5 ** 0.5 - 1) / 2) / math.log(1 - density))))
    count, head = len(places), b""
    while count >= 128:
        head, count = head + bytes([count & 127 | 128]), count >> 7
    remainders = [gap >> i & 1 for gap in gaps for i in range(k)]
    quotients = [bit for gap in gaps for bit in [0] * (gap >> k) + [1]]
    return bytes([k]) + head + bytes([count]) + signs(elements) + pack_bits(remainders) + pack_bits(quotients)


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def count(values):
    return struct.pack("<Q", len(values)) + b"".join(values)


def main():
    rng = random.Random(7)
    sparse = [rng.choice([0, 0, 0, 0, 1, -1]) if rng.random() < 0.6 else 0 for _ in range(800)]
    half = [rng.choice([0, 0, 1, -1]) for _ in range(96)]
    full = [rng.choice([1, -1]) for _ in range(36)]
    floats = struct.pack("<15f", *[rng.gauss(0, 1) for _ in range(15)])
    halves = struct.pack("<128e", *[rng.gauss(0, 0.02) for _ in range(128)])
    by_plane = bytes(halves[i] for place in range(2) for i in range(place, len(halves), 2))
    blocks = b"".join(struct.pack("<e", 0.5) + bytes(rng.randrange(256) for _ in range(32)) for _ in range(4))
    # name, dtype, coding, scale, shape, bytes in memory, stored bytes; None ends a chunk
    rows = [
        ("sparse", "TERNARY", 4, 0.25, [8, 100], codes(sparse), golomb_rice(sparse)),
        ("half", "TERNARY", 3, -2.0, [96], codes(half), planes(half)),
        ("full", "TERNARY", 5, 1.5, [3, 12], codes(full), signs(full)),
        ("plain ternary", "TERNARY", 0, 1.0, [3, 12], codes(full), codes(full)),
        None,
        ("floats", "F32", 0, 1.0, [3, 5], floats, floats),
        ("halves", "F16", 2, 1.0, [8, 16], halves, compress(by_plane)),
        ("numbers", "I64", 1, 1.0, [200], bytes(1600), compress(bytes(1600))),
        ("blocks", "Q8_0", 0, 1.0, [2, 64], blocks, blocks),
        ("nothing", "F32", 0, 1.0, [0, 4], b"", b""),
        ("scalar", "U8", 0, 1.0, [], b"\x07", b"\x07"),
        None,
    ]
    chunks, tensors, content, chunk, expected = [], [], b"", [], {}
    for row in rows:
        if row is None:
            data = b"".join(chunk)
            data += bytes(-len(data) % 64)
            chunks.append(struct.pack("<I", len(chunk)) + hashlib.sha256(data).digest())
            content, chunk = content + data, []
            continue
        name, dtype, coding, scale, shape, memory, stored = row
        tensors.append(struct.pack(f"<IBBf{len(shape) + 1}Q", TYPES[dtype], coding, len(shape), scale, *shape, len(stored)))
        chunk.append(stored)
        expected[name] = {"dtype": dtype, "coding": coding, "scale": scale, "shape": shape, "stored": len(stored),
                          "bytes": hashlib.sha256(memory).hexdigest()}
    names = list(expected)
    members = {
        "one": ("folder/adapter_model.safetensors", '{"r": 8, "ü": null}', {}, {"a": "sparse", "b": "half", "c": "full"}),
        "two": ("gguf", "", {"general.type": "adapter", "tokens": [1, 2, 70000], "alpha": 16.0, "on": True},
                {n: n for n in names}),
        "two/expert": ("safetensors", "", {"format": "pt"}, {"a": "sparse"}),
    }
    tensor_names = sorted({n for m in members.values() for n in m[3]})

    def value(v):
        if isinstance(v, bool):
            return struct.pack("<I?", 7, v)
        if isinstance(v, str):
            return struct.pack("<I", 8) + text(v)
        if isinstance(v, float):
            return struct.pack("<If", 6, v)
        return struct.pack(f"<IIQ{len(v)}I", 9, 4, len(v), *v)

    about = {"base": "llama-2x32-12-1f", "base_name": "someone/base", "sources": ["a", "b"], "method": "foreign",
             "parameters": [["density", "0.2"]], "licence": "Apache-2.0", "text": "two\nlines"}
    index = text(about["base"]) + text(about["base_name"]) + count([text(s) for s in about["sources"]])
    index += text(about["method"]) + count([text(k) + text(v) for k, v in about["parameters"]])
    index += text(about["licence"]) + text(about["text"]) + count([text(n) for n in tensor_names])
    index += count(chunks) + count(tensors)
    index += count([
        text(name) + text(form) + text(config) + count([text(k) + value(v) for k, v in metadata.items()])
        + count([struct.pack("<II", tensor_names.index(n), names.index(t)) for n, t in references.items()])
        for name, (form, config, metadata, references) in members.items()])
    stored = compress(index)
    header = b"\x89WEFT\r\n\x1a" + struct.pack("<IIQQQ", 1, 0, 128 + len(content), len(stored), len(index))
    header += hashlib.sha256(stored).digest() + bytes(24)
    content_hash = hashlib.sha256(header).digest()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "key").write_text(KEY)
        (folder / "hash").write_bytes(content_hash)
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-inkey", folder / "key", "-rawin", "-in", folder / "hash"], check=True,
            capture_output=True).stdout
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "foreign.weft").write_bytes(
        header + content_hash + content + stored + b"WEFTSIGN" + struct.pack("<II", 1, 0) + PUBLIC + signature)
    about |= {"content_hash": content_hash.hex(), "signature": signature.hex(), "members": {
        name: {"form": form, "config": config, "metadata": metadata, "tensors": {n: expected[t] for n, t in references.items()}}
        for name, (form, config, metadata, references) in members.items()}}
    (OUTPUT / "foreign.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
