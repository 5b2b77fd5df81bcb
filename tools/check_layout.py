#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold the sources to the layout: who imports whom, how long a file may be, and its first line.

    python3 tools/check_layout.py [ROOT]        silent and 0 when all is well; otherwise one problem per line and 1

- The `modules` list of Package.swift is bottom-up: an entry names only C targets, system libraries and earlier entries.
- A file in Sources/<module> imports only what its entry names, and what comes with the language. Foundation is no part of it.
- The command line, Sources/weft, imports the modules, ArgumentParser, CEditline, Foundation and Yams.
- Swift files have at most 500 lines, C files and headers at most 600.
- The first line of every source file (after `#!`) is the SPDX line.
"""
import pathlib
import re
import sys

LICENCE = "SPDX-License-Identifier: Apache-2.0"
LANGUAGE = {"Swift", "Glibc", "Synchronization", "Builtin", "_Concurrency"}
COMMAND_LINE = {"ArgumentParser", "CEditline", "Foundation", "Yams"} | LANGUAGE
LIMITS = {".swift": 500, ".c": 600, ".h": 600}
COMMENTS = {".swift": "// ", ".c": "// ", ".h": "// ", ".py": "# ", ".sh": "# "}
IMPORT = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|fileprivate|private)[ \t]+)?import[ \t]+"
    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)[ \t]+)?(\w+)", re.M)


def without_comments(text):
    """Swift text without comments, so that an import in prose does not count. Newlines stay."""
    return re.sub(r'"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*[\s\S]*?\*/',
                  lambda m: m[0] if m[0][0] == '"' else "\n" * m[0].count("\n"), text)


def read_manifest(root):
    """The module list of Package.swift in its order, and the names of the C targets and system libraries."""
    text = without_comments((root / "Package.swift").read_text())
    start = text.index("let modules")
    listing = text[text.index("=", start):text.index("\n]", start)]
    modules = [(name, re.findall(r'"(\w+)"', imports))
               for name, imports in re.findall(r'\(\s*"(\w+)",\s*\[([^\]]*)\]\s*\)', listing)]
    return modules, set(re.findall(r'name: "(C\w+)"', text))


def check_imports(root, modules, c_targets):
    known = set(c_targets)
    for module, allowed in modules:
        for name in allowed:
            if name not in known:
                yield f"Package.swift: {module} names {name}, which is not declared before it"
        known.add(module)
    rules = [(module, set(allowed) | LANGUAGE) for module, allowed in modules] + [("weft", COMMAND_LINE | {module for module, _ in modules})]
    for module, allowed in rules:
        if not (root / "Sources" / module).is_dir():
            yield f"Sources/{module}: a module of Package.swift without a folder"
        for file in sorted((root / "Sources" / module).rglob("*.swift")):
            text = without_comments(file.read_text())
            for match in IMPORT.finditer(text):
                if match[1] not in allowed:
                    line = text.count("\n", 0, match.start(1)) + 1
                    yield f"{file.relative_to(root)}:{line}: {module} may not import {match[1]}"
    for folder in sorted((root / "Sources").iterdir()):
        if folder.is_dir() and folder.name not in dict(rules):
            yield f"Sources/{folder.name}: not in the module list of Package.swift"


def check_files(root):
    files = [root / "Package.swift"]
    for folder in ["Sources", "CSources", "Tests", "tools", "Models", ".ci"]:
        files += sorted(path for path in (root / folder).rglob("*") if path.is_file())
    for file in files:
        name = file.relative_to(root)
        if file.suffix not in COMMENTS or ".build" in name.parts:
            continue
        lines = file.read_text().splitlines()
        limit = LIMITS.get(file.suffix)
        if limit and len(lines) > limit:
            yield f"{name}: {len(lines)} lines; at most {limit}"
        if file.name == "Package.swift":
            continue  # its first line is the tools version, by SwiftPM's rule
        head = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
        if head not in ([COMMENTS[file.suffix] + LICENCE], [f"/* {LICENCE} */"]):
            yield f"{name}:1: the first line is not '{COMMENTS[file.suffix]}{LICENCE}'"


def problems(root):
    modules, c_targets = read_manifest(root)
    if not modules:
        return ["Package.swift: no module list found"]
    return list(check_imports(root, modules, c_targets)) + list(check_files(root))


if __name__ == "__main__":
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    found = problems(root)
    if found:
        print("\n".join(found))
    sys.exit(bool(found))
