#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generate documents under schemas and grammars with `weft run`, and validate every one of them with other programs.

    python tools/check_grammar.py [--weft .build/release/weft] [--model Models/demo/base.gguf] [--count 1000] [--jobs 2]

Needs the packages jsonschema and rfc3339-validator. Documents come from a hot model (temperature 1.3, no cuts), one seed each,
until there are `--count` complete ones. An answer that is cut at the token limit is no document: it is counted apart, and at
most one answer in 50 may be. Exit status 1 when any document is invalid, when weft fails, or when too many were cut.
"""
import argparse
import ast
import collections
import concurrent.futures
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time

import jsonschema

SCHEMAS = {
    "person": {
        "type": "object", "additionalProperties": False, "required": ["name", "age", "tags"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 16},
            "age": {"type": "integer", "minimum": 18, "maximum": 120},
            "height": {"type": "number", "exclusiveMinimum": 0, "maximum": 3},
            "tags": {"type": "array", "items": {"enum": ["new", "old", 3, None]}, "minItems": 1, "maxItems": 4},
            "born": {"type": ["string", "null"], "format": "date"},
        }},
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object", "properties": {
                "value": {"type": "integer", "minimum": -50, "maximum": 1050},
                "children": {"type": "array", "items": {"$ref": "#/$defs/leaf"}, "maxItems": 2}},
            "required": ["value", "children"], "additionalProperties": False},
            "leaf": {"anyOf": [{"type": "null"}, {"type": "boolean"}, {"$ref": "#/$defs/pair"}]},
            "pair": {"type": "array", "prefixItems": [{"const": "pair"}, {"type": "integer", "exclusiveMinimum": 9, "maximum": 100}],
                     "items": False, "minItems": 2}}},
    "event": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uuid"}, "at": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"}, "clock": {"type": "string", "format": "time"},
            "code": {"type": "string", "pattern": "^[A-Z]{2,4}-\\d{1,3}(x|\\.y)?$"},
            "note": {"pattern": "^[^\\\\\"a-f\\d]{0,8}\\s?$"}},
        "required": ["id", "at", "day", "code", "note"]},
    "message": {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": "text"}, "body": {"type": "string", "maxLength": 30}},
             "required": ["kind", "body"]},
            {"type": "object", "properties": {"kind": {"const": "number"}, "value": {"type": "number", "minimum": -3, "maximum": 7}},
             "required": ["kind", "value"]},
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 6}]},
    "merged": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": ["integer", "string"]}}, "required": ["a"]},
            {"properties": {"a": {"type": "number", "minimum": 3}, "b": {"enum": [True, {"deep": [1, "é\n"]}, "\\"]}}}],
        "properties": {"c": False, "d": {"type": "array", "prefixItems": [{"type": "null"}], "items": {"const": 0.5}, "maxItems": 3}}},
    "names": {
        "type": "object", "properties": {"keep": {"type": "integer", "minimum": 0, "maximum": 9}, "kept": {"type": "null"}},
        "required": ["keep"], "additionalProperties": {"type": "boolean"}, "description": "other names than these"},
    "word": {"enum": ["yes", "no", "nothing", 1, 10, 100, 1.5, -2, None, [], {}, ["yes"]]},
    "numbers": {
        "type": "array", "minItems": 3, "maxItems": 5,
        "items": {"anyOf": [{"type": "number"}, {"type": "integer", "minimum": -7, "maximum": -1}, {"type": "integer", "minimum": 995}]}},
}

GRAMMARS = {
    "arithmetic": '''# sums of products
root    ::= product (" "? [-+] " "? product){1,3}
product ::= value ("*" value){0,2}
value   ::= [1-9] [0-9]{0,3} | "(" product [-+] value ")"
''',
    "greek": 'root ::= word{1,3} ("\\u2014" | [\\U0001F600-\\U0001F64F] | "!")\nword ::= [α-ω]{2,6} " "\n',
}


def check_schema(text, schema):
    document = json.loads(text)
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER).validate(document)


def check_arithmetic(text):
    tree = ast.parse(text, mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Constant)
    if not all(isinstance(node, allowed) for node in ast.walk(tree)):
        raise ValueError("not a sum of products")


def check_greek(text):
    if not re.fullmatch("([α-ω]{2,6} ){1,3}(—|!|[\U0001F600-\U0001F64F])", text):
        raise ValueError("not Greek words")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weft", default=".build/release/weft")
    parser.add_argument("--model", default="Models/demo/base.gguf")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    kinds = {}
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        path = f"{folder.name}/{name}.json"
        with open(path, "w") as file:
            json.dump(schema, file)
        kinds[name] = (["--json-schema-file", path], lambda text, schema=schema: check_schema(text, schema))
    for (name, grammar), check in zip(GRAMMARS.items(), [check_arithmetic, check_greek]):
        kinds[name] = (["--grammar", grammar], check)

    def generate(job):
        seed, name = job
        options, check = kinds[name]
        command = [arguments.weft, "run", "--model", arguments.model, "--no-template", "--json", "--threads", "1", "--temp", "1.3",
                   "--top-k", "0", "--top-p", "1", "--min-p", "0", "--seed", str(seed), "--max-tokens", "700", *options,
                   f"An example ({name}):"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            return name, seed, "failed", result.stderr.strip()
        report = json.loads(result.stdout)
        if report["finish_reason"] == "length":
            return name, seed, "cut", report["text"]
        try:
            check(report["text"])
        except Exception as error:
            return name, seed, "invalid", f"{report['text']!r}: {str(error).splitlines()[0]}"
        return name, seed, "valid", report["text"]

    counts = collections.Counter()
    texts = collections.defaultdict(set)
    start = time.time()
    jobs = zip(itertools.count(1), itertools.cycle(kinds))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        while counts["valid"] < arguments.count and not counts["failed"]:
            batch = list(itertools.islice(jobs, min(50, arguments.count - counts["valid"])))
            for name, seed, outcome, text in pool.map(generate, batch):
                counts[outcome] += 1
                texts[name].add(text)
                if outcome in ("failed", "invalid"):
                    print(f"{outcome}: {name}, seed {seed}: {text}", file=sys.stderr)
            if sys.stderr.isatty():
                print(f"\r{counts['valid']} valid, {counts['invalid']} invalid, {counts['cut']} cut", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for name in kinds:
        print(f"{name:12} {len(texts[name]):4} different texts, such as {min(texts[name], key=len, default='')[:90]!r}")
    total = sum(counts.values())
    print(f"{counts['valid']} documents valid, {counts['invalid']} invalid, {counts['cut']} answers cut, "
          f"{counts['failed']} failed; {time.time() - start:.0f} s")
    sys.exit(counts["invalid"] > 0 or counts["failed"] > 0 or counts["cut"] * 50 > total)


if __name__ == "__main__":
    main()
