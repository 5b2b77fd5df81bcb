# SPDX-License-Identifier: Apache-2.0
"""Whether the machine is free to be measured: the same short work before and after, and who else ran in between.

A sample is what `roofline --probe` prints: the time of a fixed integer loop on every processor at once, and of a memory read. Work
that takes longer than the best sample of the run by more than the tolerance was disturbed. Between two samples, Linux's
/proc/stat says what processors did that was not ours: other programs, and time that the host took away.
"""
import json
import os
import pathlib
import subprocess
import time

# A processor's clock moves by about 3 %; a neighbour takes tens of percents.
TOLERANCE = 0.07
# Of one processor: daemons take less.
FOREIGN_SHARE = 0.05


def times(sample):
    """The times of a sample in a fixed order."""
    return [*sample["integer_milliseconds"], sample["read_milliseconds"]]


def slowdown(sample, best):
    """The largest ratio of a time over the best one of its kind: 1 is as good as ever. Processors are of one kind."""
    integer = min(best["integer_milliseconds"])
    ratios = [value / integer for value in sample["integer_milliseconds"]]
    return max(*ratios, sample["read_milliseconds"] / best["read_milliseconds"])


def better(first, second):
    """The best of every time of two samples; the first may be None."""
    if first is None:
        return second
    return {
        "integer_milliseconds": [min(a, b) for a, b in zip(first["integer_milliseconds"], second["integer_milliseconds"])],
        "read_milliseconds": min(first["read_milliseconds"], second["read_milliseconds"]),
    }


def parse_stat(text, processors):
    """Seconds that these processors worked and were taken away, of /proc/stat's text: hundredths in nice order."""
    busy = stolen = 0.0
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in processors:
            user, nice, system, _, _, interrupts, soft, steal, *_ = [int(field) / 100 for field in fields]
            busy += user + nice + system + interrupts + soft
            stolen += steal
    return busy, stolen


def own_seconds():
    """Processor seconds of this process, and of its children that ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


class Usage:
    """What others did since it was made."""

    def __init__(self):
        self.begin, self.own, (self.busy, self.stolen) = time.perf_counter(), own_seconds(), self._read()

    @staticmethod
    def _read():
        path = pathlib.Path("/proc/stat")
        return parse_stat(path.read_text(), os.sched_getaffinity(0)) if path.exists() else (0.0, 0.0)

    def foreign_share(self):
        """Processors that others took, on average: programs that are not ours, and the host."""
        busy, stolen = self._read()
        foreign = max(0.0, busy - self.busy - (own_seconds() - self.own)) + stolen - self.stolen
        return foreign / max(1e-9, time.perf_counter() - self.begin)


class Watch:
    """Takes samples and knows the best one of the run."""

    def __init__(self, program, tolerance=TOLERANCE):
        self.program, self.tolerance, self.best = program, tolerance, None
        for _ in range(5):
            self.sample()

    def sample(self):
        sample = json.loads(subprocess.run([self.program, "--probe"], capture_output=True, text=True, check=True).stdout)
        self.best = better(self.best, sample)
        return sample

    def slowdown(self, tries=3):
        """The smallest slowdown of some samples; as few as it takes to find the machine free."""
        smallest = float("inf")
        for _ in range(tries):
            smallest = min(smallest, slowdown(self.sample(), self.best))
            if smallest <= 1 + self.tolerance:
                break
        return smallest

    def wait(self, seconds):
        """Waits until the machine is free, for so long at most; whether it is."""
        end = time.monotonic() + seconds
        while self.slowdown() > 1 + self.tolerance:
            if time.monotonic() > end:
                return False
            time.sleep(1)
        return True

    def reads(self, threads):
        """Bytes per second that so many threads read now."""
        command = [self.program, "--reads", str(threads)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return found["read_bytes_per_second"][str(threads)]

    def judge(self, usage):
        """What is to be said against what was measured since `usage` was made; None for nothing."""
        share, after = usage.foreign_share(), self.slowdown()
        if after > 1 + self.tolerance:
            return f"the probe took {after - 1:.0%} longer"
        if share > FOREIGN_SHARE:
            return f"others took {share:.0%} of a processor"
        return None
