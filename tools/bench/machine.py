# SPDX-License-Identifier: Apache-2.0
"""What is measured on and with: the machine, the commit, versions; and the roofline program, built here."""
import datetime
import json
import os
import pathlib
import platform
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def output(*command, **options):
    """What a command prints, without its last newline; None where it fails or is not there."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine():
    path = pathlib.Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    field = lambda name: next((line.split(":")[1].strip() for line in lines if line.startswith(name)), None)  # noqa: E731
    return {
        "cpu": field("model name") or platform.processor() or platform.machine(), "family": field("cpu family"),
        "model": field("model\t"), "processors": len(os.sched_getaffinity(0)), "kernel": platform.release(),
        "huge_pages": next(iter(pathlib.Path("/sys/kernel/mm/transparent_hugepage").glob("enabled")), pathlib.Path(os.devnull)
                           ).read_text().strip() or None,
    }


def commit():
    """The commit of these sources, and whether they differ from it."""
    name = output("git", "rev-parse", "--short=10", "HEAD", cwd=HERE)
    changes = output("git", "status", "--porcelain", "--untracked-files=no", cwd=HERE)
    return {"commit": name, "dirty": bool(changes) if name else None}


def versions(llama_python):
    """Of what was measured with; llama.cpp's where there is one."""
    found = {"python": platform.python_version(), "llama_cpp_python": None, "llama_cpp_system": None}
    if llama_python:
        code = "import json, llama_cpp as l; print(json.dumps([l.__version__, l.llama_print_system_info().decode().strip()]))"
        text = output(llama_python, "-c", code)
        if text is None:
            raise SystemExit(f"{llama_python}: expected a Python with llama-cpp-python")
        found["llama_cpp_python"], found["llama_cpp_system"] = json.loads(text.splitlines()[-1])
    return found


def build_roofline(folder):
    """Compiles the roofline program with the system's C compiler, unless it is there and not older than its sources."""
    program, sources = folder / "roofline", [HERE / "roofline.c", HERE / "peaks.h"]
    if program.exists() and all(program.stat().st_mtime > source.stat().st_mtime for source in sources):
        return program
    compiler = os.environ.get("CC") or next((name for name in ("cc", "clang", "gcc") if shutil.which(name)), None)
    if not compiler:
        raise SystemExit("bench: expected a C compiler: cc, clang or gcc, or CC in the environment")
    subprocess.run([compiler, "-O2", "-pthread", "-o", program, sources[0]], check=True)
    return program


def roofline(program, threads):
    """Reads with so many threads and peaks, as measured now."""
    return json.loads(output(program, *sorted({1, *threads})))


def best_roofline(first, second):
    """The best of every figure of two: what else the machine does can only lower them."""
    best = dict(first)
    for name, value in second.items():
        known = best.get(name)
        if isinstance(value, dict):
            best[name] = best_roofline(known or {}, value)
        elif value is not None:
            best[name] = max(value, known or 0)
        else:
            best.setdefault(name, None)
    return best


def description(llama_python):
    """All of the above but the roofline, and the time."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {"schema": 1, "date": now, "machine": machine(), **commit(), "versions": versions(llama_python)}
