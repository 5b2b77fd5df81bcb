# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/formats/must-fail: broken files and folders, each named for what is wrong with it.

    python tools/make_must_fail.py        needs: nothing but Python

`valid.gguf` and `valid.safetensors` are the sound files that the broken ones differ from in one respect. `expected.json` says
for each broken one which pieces the text of the error has to contain: where, what was expected, what was found.
"""
import json
import pathlib
import shutil
import struct

folder = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "formats" / "must-fail"
expected = {}


def u32(value):
    return struct.pack("<I", value)


def u64(value):
    return struct.pack("<Q", value)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return u64(len(data)) + data


def fail(name, data, *pieces):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    expected[name] = list(pieces)


# ---- GGUF -------------------------------------------------------------------------------------------------------------

UINT8, UINT32, BOOL, STRING, ARRAY, UINT64 = 0, 4, 7, 8, 9, 10
F32, F16, Q8_0, IQ2_XS, IQ1_M, NVFP4, F64 = 0, 1, 8, 17, 29, 40, 28


def pair(key, kind, value):
    return text(key) + u32(kind) + value


def tensor(name, axes, kind, offset):
    return text(name) + u32(len(axes)) + b"".join(u64(axis) for axis in axes) + u32(kind) + u64(offset)


PAIRS = [pair("general.architecture", STRING, text("llama")), pair("flag", BOOL, b"\1"),
         pair("list", ARRAY, u32(UINT32) + u64(2) + u32(1) + u32(2))]
TENSORS = [tensor("left", [4, 2], F32, 0), tensor("right", [32, 1], Q8_0, 32)]


def gguf(pairs=PAIRS, tensors=TENSORS, magic=b"GGUF", version=u32(3), tensor_count=None, pair_count=None, data=None):
    header = magic + version + u64(len(tensors) if tensor_count is None else tensor_count)
    header += u64(len(pairs) if pair_count is None else pair_count) + b"".join(pairs) + b"".join(tensors)
    padding = b"\0" * (-len(header) % 32)
    return header + padding + (bytes(range(66)) if data is None else data)


def first(entry):
    """The sound file with another first tensor, alone."""
    return gguf(tensors=[entry])


def make_gguf():
    (folder / "valid.gguf").write_bytes(gguf())
    huge = 2**63
    fail("empty.gguf", b"", "cannot open", "the file is empty")
    fail("magic-zero.gguf", b"\0" * 64 + gguf()[64:], "byte 0", "expected the magic GGUF", "found 0x0")
    fail("magic-ggjt.gguf", gguf(magic=b"tjgg"), "byte 0", "expected the magic GGUF", "found 0x746a6767")
    fail("magic-cut.gguf", b"GG", "byte 0", "the magic GGUF (4 bytes)", "the end of the file after 2 bytes")
    fail("version-1.gguf", gguf(version=u32(1)), "byte 4", "GGUF version 1 is not supported", "expected version 2 or 3")
    fail("version-4.gguf", gguf(version=u32(4)), "byte 4", "GGUF version 4 is not supported", "expected version 2 or 3")
    fail("version-big-endian.gguf", gguf(version=u32(3)[::-1]), "byte 4", "big-endian GGUF of version 3 is not supported")
    fail("header-cut.gguf", gguf()[:12], "byte 8", "the number of tensors (8 bytes)", "after 4 bytes")
    fail("tensor-count-huge.gguf", gguf(tensor_count=huge), "byte 8", "at most", "tensors in the", f"found {huge}")
    fail("pair-count-huge.gguf", gguf(pair_count=2**40), "byte 16", "at most", "metadata pairs in the", f"found {2**40}")
    fail("pair-count-one-more.gguf", gguf(pair_count=4), "the name of tensor 0", "expected at most", "found")
    fail("key-length-huge.gguf", gguf(pairs=[u64(2**64 - 1) + b"key"]), "byte 24", "bytes of metadata key 0",
         f"found {2**64 - 1}")
    fail("key-not-utf8.gguf", gguf(pairs=[pair(b"k\xff", BOOL, b"\1")]), "metadata key 0 in UTF-8",
         "found 2 bytes that are not UTF-8")
    fail("key-twice.gguf", gguf(pairs=[PAIRS[1], PAIRS[1]]), "every metadata key once", "found 'flag' again")
    fail("kind-13.gguf", gguf(pairs=[pair("flag", 13, b"\1")]), "a kind from 0 to 12 for metadata value 'flag'", "found 13")
    fail("bool-2.gguf", gguf(pairs=[pair("flag", BOOL, b"\2")]), "0 or 1 for the bool 'flag'", "found 2")
    fail("string-not-utf8.gguf", gguf(pairs=[pair("text", STRING, text(b"\xc3("))]), "metadata value 'text' in UTF-8")
    fail("string-cut-character.gguf", gguf(pairs=[pair("text", STRING, text(b"a\xe2\x82"))]),
         "metadata value 'text' in UTF-8", "found 3 bytes")
    fail("string-length-huge.gguf", gguf(pairs=[pair("text", STRING, u64(huge) + b"abc")]),
         "bytes of metadata value 'text'", f"found {huge}")
    fail("array-of-arrays.gguf", gguf(pairs=[pair("list", ARRAY, u32(ARRAY) + u64(1) + u32(UINT8) + u64(1) + b"\1")]),
         "array of arrays in 'list' is not supported")
    fail("array-kind-99.gguf", gguf(pairs=[pair("list", ARRAY, u32(99) + u64(0))]), "metadata value 'list'", "found 99")
    fail("array-count-huge.gguf", gguf(pairs=[pair("list", ARRAY, u32(STRING) + u64(2**61))]),
         "elements of 'list' in the", f"found {2**61}")
    fail("array-string-not-utf8.gguf", gguf(pairs=[pair("list", ARRAY, u32(STRING) + u64(1) + text(b"\x80"))]),
         "an element of 'list' in UTF-8")
    fail("array-uint64-above-int64.gguf", gguf(pairs=[pair("list", ARRAY, u32(UINT64) + u64(1) + u64(huge))]),
         "elements of 'list' below 2^63", f"{huge} is not supported")
    for name, kind, value, found in [("0", UINT32, u32(0), "found 0"), ("24", UINT32, u32(24), "found 24"),
                                     ("huge", UINT64, u64(huge), f"found {huge}"),
                                     ("text", STRING, text("32"), 'found "32"')]:
        fail(f"alignment-{name}.gguf", gguf(pairs=[pair("general.alignment", kind, value)]), "general.alignment",
             "an unsigned power of two from 8 to 2^30", found)
    fail("tensor-name-not-utf8.gguf", first(tensor(b"\xfe", [4], F32, 0)), "the name of tensor 0 in UTF-8")
    fail("tensor-twice.gguf", gguf(tensors=[TENSORS[0], tensor("left", [4], F32, 32)]), "every tensor name once",
         "found 'left' again")
    fail("tensor-list-cut.gguf", gguf()[:-90], "tensor", "expected", "the end of the file")
    fail("axes-5.gguf", first(tensor("left", [1] * 5, F32, 0)), "tensor 'left'", "at most 4 axes", "found 5")
    fail("axes-huge.gguf", first(text("left") + u32(2**32 - 1)), "tensor 'left'", "at most 4 axes", f"found {2**32 - 1}")
    fail("axis-2-to-63.gguf", first(tensor("left", [huge], F32, 0)), "tensor 'left'", "an axis below 2^63", f"found {huge}")
    fail("shape-overflow.gguf", first(tensor("left", [2**32, 2**32], F32, 0)), "tensor 'left'", "fewer than 2^63 elements",
         "found shape [4294967296, 4294967296]")
    fail("shape-larger-than-file.gguf", first(tensor("left", [64, 64], F32, 0)), "tensor 'left'",
         "bytes inside the 66 bytes of tensor data", "found 16384 bytes at offset 0")
    supported = ("expected F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, I16, I32, I64, BF16, "
                 "TQ1_0, TQ2_0 or MXFP4")
    for name, kind in [("IQ2_XS", IQ2_XS), ("IQ1_M", IQ1_M), ("NVFP4", NVFP4), ("F64", F64)]:
        fail(f"type-{name.lower()}.gguf", first(tensor("left", [256], kind, 0)), "tensor 'left'", f"type {name} is not supported",
             supported)
    for name, kind in [("Q4_1", 3), ("Q5_0", 6), ("Q5_1", 7), ("IQ4_NL", 20), ("MXFP4", 39)]:
        fail(f"{name.lower()}-row-48.gguf", first(tensor("left", [48], kind, 0)), "tensor 'left'", f"rows of whole {name} blocks",
             "found shape [48]")
    for name, kind in [("Q2_K", 10), ("Q3_K", 11), ("Q4_K", 12), ("Q5_K", 13), ("Q6_K", 14), ("IQ4_XS", 23), ("TQ1_0", 34), ("TQ2_0", 35)]:
        fail(f"{name.lower()}-row-288.gguf", first(tensor("left", [2, 288], kind, 0)), "tensor 'left'",
             f"rows of whole {name} blocks", "found shape [288, 2]")
    fail("type-999.gguf", first(tensor("left", [4], 999, 0)), "tensor 'left'", "expected a type below", "found type 999")
    fail("q8_0-row-33.gguf", first(tensor("left", [33], Q8_0, 0)), "tensor 'left'", "rows of whole Q8_0 blocks",
         "found shape [33]")
    fail("q8_0-row-16.gguf", first(tensor("left", [16, 2], Q8_0, 0)), "tensor 'left'", "rows of whole Q8_0 blocks",
         "found shape [2, 16]")
    fail("offset-unaligned.gguf", first(tensor("left", [4], F32, 4)), "tensor 'left'", "a multiple of 32", "found 4")
    fail("offset-outside.gguf", first(tensor("left", [4], F32, 96)), "tensor 'left'", "inside the 66 bytes",
         "found 16 bytes at offset 96")
    fail("offset-huge.gguf", first(tensor("left", [4], F32, 2**64 - 32)), "tensor 'left'", "inside the 66 bytes",
         f"found 16 bytes at offset {2**64 - 32}")
    fail("data-cut.gguf", gguf()[:-1], "tensor 'right'", "inside the 65 bytes of tensor data",
         "found 34 bytes at offset 32")
    fail("data-absent.gguf", gguf(data=b""), "tensor 'left'", "inside the 0 bytes of tensor data")
    fail("tensors-overlap.gguf", gguf(tensors=[tensor("left", [16], F32, 0), TENSORS[1]]), "tensor 'right'",
         "an offset of at least 64, where 'left' ends", "found 32")


# ---- safetensors ------------------------------------------------------------------------------------------------------

LEFT = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
RIGHT = {"dtype": "F16", "shape": [3], "data_offsets": [16, 22]}
SOUND = {"__metadata__": {"format": "pt"}, "left": LEFT, "right": RIGHT}


def safetensors(header=None, data=bytes(range(22)), length=None):
    header = SOUND if header is None else header
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return u64(len(header) if length is None else length) + header + data


def left(**members):
    """The sound header with other members of `left`; None removes one."""
    return safetensors(SOUND | {"left": {key: value for key, value in (LEFT | members).items() if value is not None}})


def right(**members):
    return safetensors(SOUND | {"right": RIGHT | members})


def make_safetensors():
    (folder / "valid.safetensors").write_bytes(safetensors())
    sound = json.dumps(SOUND).encode()
    fail("empty.safetensors", b"", "cannot open", "the file is empty")
    fail("length-cut.safetensors", b"\2\0\0\0", "byte 0", "the length of the header (8 bytes)", "after 4 bytes")
    fail("length-zero.safetensors", safetensors(length=0), "byte 0", "a header length from 2 to", "found 0")
    fail("length-past-end.safetensors", safetensors(length=5000), "byte 0", "a header length from 2 to", "found 5000")
    fail("length-huge.safetensors", safetensors(length=2**64 - 1), "a header length from 2 to", f"found {2**64 - 1}")
    fail("header-cut.safetensors", safetensors(length=60), "header", "expected JSON", "invalid text")
    fail("header-not-json.safetensors", safetensors(b"{left: 1}"), "header", "expected JSON", "invalid text at byte 2")
    fail("header-array.safetensors", safetensors(b"[1, 2]"), "byte 8", "a header that begins with {", "found byte 91")
    fail("header-space-first.safetensors", safetensors(b" " + sound), "byte 8", "a header that begins with {", "found byte 32")
    fail("header-two-values.safetensors", safetensors(sound + b"{}"), "header", "one JSON value", "more text at byte")
    fail("header-not-utf8.safetensors", safetensors(sound.replace(b"left", b"le\xfft")), "header", "expected UTF-8")
    fail("name-with-null.safetensors", safetensors(sound.replace(b"left", b"le\\u0000ft")), "header",
         "text without U+0000")
    fail("name-twice.safetensors", safetensors(sound.replace(b'"right"', b'"left"')), "every tensor name once",
         "found 'left' again")
    fail("entry-array.safetensors", safetensors(SOUND | {"left": [1]}), "tensor 'left'", "an object with dtype",
         "found an array")
    fail("member-twice.safetensors", safetensors(sound.replace(b'"dtype": "F32"', b'"dtype": "F32", "dtype": "F16"')),
         "tensor 'left'", "every member once", "found 'dtype' again")
    fail("metadata-array.safetensors", safetensors(SOUND | {"__metadata__": []}), "__metadata__", "an object",
         "found an array")
    fail("metadata-number.safetensors", safetensors(SOUND | {"__metadata__": {"rank": 8}}), "__metadata__ 'rank'",
         "a string", "found 8")
    fail("metadata-twice.safetensors", safetensors(b'{"__metadata__": {}, ' + sound[1:]), "every header key once",
         "'__metadata__' again")
    fail("metadata-key-twice.safetensors", safetensors(sound.replace(b'"pt"', b'"pt", "format": "np"')), "__metadata__",
         "every key once", "'format' again")
    fail("dtype-absent.safetensors", left(dtype=None), "tensor 'left'", "dtype is missing")
    fail("dtype-number.safetensors", left(dtype=32), "tensor 'left'", "the name of a dtype", "found 32")
    fail("dtype-unknown.safetensors", left(dtype="FP32"), "tensor 'left'", "dtype F32, F16, BF16", "found 'FP32'")
    for name in ["F64", "BOOL", "F8_E4M3", "U16"]:
        fail(f"dtype-{name.lower()}.safetensors", left(dtype=name), "tensor 'left'", f"dtype {name} is not supported",
             "expected F32, F16, BF16, I64, I32, I16 or U8")
    fail("dtype-q8_0.safetensors", left(dtype="Q8_0"), "tensor 'left'", "found 'Q8_0'")
    fail("shape-absent.safetensors", left(shape=None), "tensor 'left'", "shape is missing")
    fail("shape-number.safetensors", left(shape=4), "tensor 'left'", "shape as an array", "found 4")
    fail("shape-negative.safetensors", left(shape=[-2, -2]), "tensor 'left'", "integers from 0 to 2^53", "found -2")
    fail("shape-fraction.safetensors", left(shape=[1.5, 2]), "tensor 'left'", "integers from 0 to 2^53", "found 1.5")
    fail("shape-text.safetensors", left(shape=["2", 2]), "tensor 'left'", "integers from 0 to 2^53", 'found "2"')
    fail("shape-overflow.safetensors", left(shape=[2**40, 2**40]), "tensor 'left'", "fewer than 2^63 bytes",
         "found shape [1099511627776, 1099511627776]")
    fail("shape-1e300.safetensors", safetensors(sound.replace(b"[2, 2]", b"[1e300, 2]")), "tensor 'left'",
         "integers from 0 to 2^53", "found 1e+300")
    fail("shape-other-size.safetensors", left(shape=[2, 3]), "tensor 'left'", "24 bytes for F32 of shape [2, 3]",
         "found 16 bytes")
    fail("offsets-absent.safetensors", left(data_offsets=None), "tensor 'left'", "data_offsets is missing")
    fail("offsets-one.safetensors", left(data_offsets=[0]), "tensor 'left'", "data_offsets [begin, end]", "found [0]")
    fail("offsets-backwards.safetensors", left(data_offsets=[16, 0]), "tensor 'left'", "data_offsets [begin, end]",
         "found [16, 0]")
    fail("offsets-outside.safetensors", right(data_offsets=[18, 24]), "tensor 'right'",
         "inside the 22 bytes of tensor data", "found [18, 24]")
    fail("offsets-huge.safetensors", right(data_offsets=[2**53 - 6, 2**53]), "tensor 'right'", "inside the 22 bytes")
    fail("hole-first.safetensors", safetensors({"right": RIGHT}), "tensor 'right'", "bytes from 0", "found bytes from 16")
    fail("hole-between.safetensors", safetensors(SOUND | {"right": RIGHT | {"data_offsets": [18, 24]}}, bytes(24)),
         "tensor 'right'", "bytes from 16", "found bytes from 18")
    fail("overlap.safetensors", right(data_offsets=[14, 20]), "tensor 'right'", "bytes from 16", "found bytes from 14")
    fail("data-cut.safetensors", safetensors()[:-1], "tensor 'right'", "inside the 21 bytes")
    fail("data-left-over.safetensors", safetensors() + b"\0", "22 bytes of tensor data, as the header says", "found 23")


# ---- Hugging Face folders and other paths -----------------------------------------------------------------------------

CONFIG = b'{"model_type": "llama", "hidden_size": 2}'


def fail_folder(name, files, *pieces):
    for file, data in files.items():
        fail(f"{name}/{file}", data)
        del expected[f"{name}/{file}"]
    expected[name] = list(pieces)


def shard(*names):
    header = {name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, name in enumerate(names)}
    return safetensors(header, bytes(len(names)))


def index(weight_map):
    return json.dumps({"metadata": {"total_size": 2}, "weight_map": weight_map}).encode()


def make_folders():
    model, listing = "model.safetensors", "model.safetensors.index.json"
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    shards = {one: shard("a"), two: shard("b")}
    fail_folder("folder-without-config", {model: safetensors()}, "folder-without-config: config.json is missing")
    fail_folder("folder-config-cut", {"config.json": CONFIG[:-1], model: safetensors()}, "config.json", "expected JSON")
    fail_folder("folder-config-array", {"config.json": b"[]", model: safetensors()}, "config.json", "an object",
                "found an array")
    fail_folder("folder-config-empty", {"config.json": b"", model: safetensors()}, "config.json", "the file is empty")
    fail_folder("folder-without-weights", {"config.json": CONFIG},
                "model.safetensors or model.safetensors.index.json is missing")
    fail_folder("folder-with-pickle", {"config.json": CONFIG, "pytorch_model.bin": b"PK\3\4"}, "pytorch_model.bin",
                "pickle", "is not supported", "expected model.safetensors")
    fail_folder("folder-model-cut", {"config.json": CONFIG, model: safetensors()[:-1]}, model, "inside the 21 bytes")
    for name, data, pieces in [
        ("index-cut", index({"a": one})[:-2], ["expected JSON"]),
        ("index-without-map", b'{"metadata": {}}', ["weight_map is missing"]),
        ("index-map-array", b'{"weight_map": ["a"]}', ["weight_map", "an object", "found an array"]),
        ("index-shard-number", index({"a": 1}), ["weight_map 'a'", "the name of a shard", "found 1"]),
        ("index-shard-outside", index({"a": "../../valid.safetensors"}),
         ["weight_map 'a'", "a .safetensors file in the folder of the index", 'found "../../valid.safetensors"']),
        ("index-shard-absolute", index({"a": "/etc/x.safetensors"}),
         ["weight_map 'a'", "a .safetensors file in the folder of the index", "/etc/x.safetensors"]),
        ("index-shard-pickle", index({"a": "pytorch_model.bin"}), ["weight_map 'a'", 'found "pytorch_model.bin"']),
        ("index-shard-absent", index({"a": one, "c": "model-00003-of-00003.safetensors"}),
         ["shard model-00003-of-00003.safetensors is missing"]),
        ("index-tensor-absent", index({"a": one, "b": two, "c": two}), [two, "tensor 'c' of the index is missing"]),
        ("index-tensor-not-named", index({"a": one}) , []),
        ("index-tensor-in-other-shard", index({"a": two, "b": one}),
         ["tensor 'b'", "a tensor that the index maps to this shard", f"found one that it maps to {one}"]),
        ("index-tensor-twice", b'{"weight_map": {"a": "' + one.encode() + b'", "a": "' + two.encode() + b'"}}',
         ["weight_map", "every tensor once", "found 'a' again"]),
    ]:
        files = {"config.json": CONFIG, listing: data} | shards
        if name == "index-tensor-not-named":
            files = {"config.json": CONFIG, listing: data, one: shard("a", "b")}
            pieces = [one, "tensor 'b'", "found one that it does not name"]
        fail_folder(name, files, *pieces)
    fail("neither.bin", b"PK\3\4 a zip archive", "a file that does not begin with GGUF", "is not supported",
         "expected a GGUF file, or a folder")
    fail("text.txt", b"hello", "a file that does not begin with GGUF")


# ---- JSON -------------------------------------------------------------------------------------------------------------


def make_json():
    tokenizer = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}'
    fail("tokenizer-cut.json", tokenizer[:50], "tokenizer-cut.json", "expected JSON", "of 50")
    fail("tokenizer-two-values.json", tokenizer + b" 1", "one JSON value", f"found more text at byte {len(tokenizer) + 1}")
    fail("tokenizer-trailing-comma.json", tokenizer.replace(b"]", b",]"), "expected JSON", "invalid text at byte")
    fail("tokenizer-nested-deep.json", b"[" * 1200 + b"]" * 1200, "expected JSON", "invalid text at byte")
    fail("tokenizer-lone-surrogate.json", tokenizer.replace(b'"ab"', b'"\\ud800"'), "expected JSON", "invalid text")
    fail("tokenizer-null-character.json", tokenizer.replace(b'"ab"', b'"a\\u0000b"'), "text without U+0000",
         "\\u0000 at byte")
    fail("tokenizer-not-utf8.json", tokenizer.replace(b'"ab"', b'"a\xe2\x28"'), "expected UTF-8", "at byte")
    fail("tokenizer-overlong-utf8.json", tokenizer.replace(b'"ab"', b'"\xc0\xaf"'), "expected UTF-8", "at byte")
    fail("tokenizer-null-bytes-after.json", tokenizer + b"\0\0", "one JSON value", "more text")
    fail("tokenizer-empty.json", b"", "cannot open", "the file is empty")
    adapter = b'{"peft_type": "LORA", "r": 8, "lora_alpha": 16}'
    fail("adapter_config-cut.json", adapter[:20], "adapter_config-cut.json", "expected JSON", "of 20")
    fail("adapter_config-nan.json", adapter.replace(b"16", b"NaN"), "expected JSON", "invalid text at byte")
    fail("adapter_config-single-quotes.json", adapter.replace(b'"', b"'"), "expected JSON", "invalid text at byte 2")
    fail("adapter_config-comment.json", b"// by hand\n" + adapter, "expected JSON", "invalid text at byte 0")
    fail("adapter_config-html.json", b"<!doctype html><title>404</title>", "expected JSON", "invalid text at byte 0")
    fail("adapter_config-lfs-pointer.json", b"version https://git-lfs.github.com/spec/v1\nsize 12\n", "expected JSON",
         "invalid text at byte 0")


if __name__ == "__main__":
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_gguf()
    make_safetensors()
    make_folders()
    make_json()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    print(f"{len(expected)} broken files and folders")
