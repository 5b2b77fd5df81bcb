# SPDX-License-Identifier: Apache-2.0
"""What the scripts of tools/demo share: paths, archives, the chat format."""
import io
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DATA = REPO.parent / "shared" / "data"
WORK = REPO / ".build" / "demo"
MODELS = REPO / "Models" / "demo"

BOS, EOS = "<|begin|>", "<|end|>"
ROLES = ["<|system|>", "<|user|>", "<|assistant|>"]
SPECIALS = [BOS, EOS, *ROLES]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)


def paths(parser):
    """Adds the path options every script has."""
    parser.add_argument("--data", type=Path, default=DATA, help="shared data folder")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for intermediate files")
    return parser


def chat_text(turns):
    """A conversation of (user, assistant) pairs."""
    body = "".join(f"<|user|>\n{u}{EOS}\n<|assistant|>\n{a}{EOS}\n" for u, a in turns)
    return BOS + body


def prompt_text(user, earlier=()):
    """A conversation up to where the assistant answers the user, after earlier turns."""
    return f"{chat_text(earlier)}<|user|>\n{user}{EOS}\n<|assistant|>\n"


def archive(path):
    """The files of a .tar.zst archive, as {name: text}."""
    raw = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return {
            m.name: tar.extractfile(m).read().decode("utf-8", "replace")
            for m in tar.getmembers() if m.isfile()
        }


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def tidy(text):
    """Plain quotes, no byte-order mark, one line per paragraph, no words cut at line ends."""
    for fancy, plain in {"\ufeff": "", "’": "'", "‘": "'", "“": '"', "”": '"', "\r": ""}.items():
        text = text.replace(fancy, plain)
    text = re.sub(r"(?<=[a-z])- (?=[a-z])", "", text)
    return re.sub(r"\n\s*\n", "\n", text)


def keep_heap():
    """Tells glibc to keep freed blocks: torch on the CPU otherwise spends a third of its time in
    page faults for the large short-lived buffers of every step."""
    import ctypes
    if os.uname().sysname == "Linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 2**31 - 1)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        libc.mallopt(-2, 256 << 20)  # M_TOP_PAD
