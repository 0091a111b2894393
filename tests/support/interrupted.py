# SPDX-License-Identifier: GPL-2.0-or-later
"""ADD and DEL killed, or made to fail, at their system calls in turn, by strace's injection.

    bench = Interrupted(lab, cni, config)       # a network that was used once and has nobody left
    bench.killed_add(turn=0)                    # each asserts, in the end, that nothing was left anywhere
    bench.killed_del(turn=1)
    bench.failed_add("ENOMEM")
"""
import os
import re

from . import snapshot
from .cni import sanitized

CALL = re.compile(r"^(\w+)\(")
# The dynamic loader's calls before main() touch nothing; from here on every call counts.
FIRST = "read(0,"
# Nothing that outlives the process changes in them, and a sanitizer makes some fifty of its own in each run.
MEMORY = {"mmap", "munmap", "madvise", "mprotect"}
# The process ends in them, they cannot fail, or (brk) they tell failure by another value than an error.
NEVER_FAILS = {"exit_group", "getpid", "geteuid", "getuid", "rt_sigreturn", "brk"}


def trace(cni, lab, command, config, container):
    """[(system call, its how-manieth invocation)] of one run."""
    out = "/run/trace"
    cni.call(command, config["type"], config, container, prefix=["strace", "-o", out]).expect()
    lines = lab.read(out).splitlines()
    counts, calls, started = {}, [], False
    for line in lines:
        found = CALL.match(line)
        if not found:
            continue
        name = found.group(1)
        counts[name] = counts.get(name, 0) + 1
        started = started or line.startswith(FIRST)
        if started and not (sanitized() and name in MEMORY):
            calls.append((name, counts[name]))
    assert len(calls) > 20, lines
    return calls


def inject(what, name, number):
    return ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:{what}:when={number}"]


def some(calls):
    """Every third, with the first and the last; all with FAIRLEAD_EVERY_CALL=1, which takes minutes."""
    if os.environ.get("FAIRLEAD_EVERY_CALL"):
        return calls
    return calls[:1] + calls[1:-1:3] + calls[-1:]


class Interrupted:
    def __init__(self, lab, cni, config, choose=lambda calls: calls):
        self.lab, self.cni, self.config, self.plugin = lab, cni, config, config["type"]
        self._choose = choose
        self._before = snapshot.take(lab, ("c1",))
        self._problems = []

    # ---- for those who have more than a host ----

    def left(self):
        """What was not there before; "" when there is nothing."""
        return snapshot.diff(self._before, snapshot.take(self.lab, ("c1",)))

    def forget(self):
        """After something was left, so that it is told once."""
        self.delete()

    # ---- one step ----

    def add(self):
        return self.cni.add(self.plugin, self.config).expect()

    def delete(self):
        return self.cni.delete(self.plugin, self.config).expect()

    def clean_up(self, index):
        """By turns with DEL and with a GC for which nothing is valid."""
        (self.cni.delete if index % 2 else self.cni.gc)(self.plugin, self.config).expect()

    def call(self, command, what, point):
        return self.cni.call(command, self.plugin, self.config, prefix=inject(what, *point))

    def points(self, command):
        calls = trace(self.cni, self.lab, command, self.config, "c1")
        if command == "ADD":
            self.delete()
        return calls

    def report(self, point, text=""):
        left = self.left()
        if left:
            self.problem(point, f"{text}: {left}")
            self.forget()

    def problem(self, point, text):
        self._problems.append(f"{point[0]} #{point[1]}{text}")

    def verdict(self, calls):
        assert not self._problems, f"{len(self._problems)} of {len(calls)} calls:\n" + "\n".join(self._problems)

    # ---- all of them ----

    def killed_add(self, turn, seen=lambda: None):
        calls = self._choose(self.points("ADD"))
        for index, point in enumerate(calls):
            self.call("ADD", "signal=KILL", point)
            seen()
            self.clean_up(index + turn)
            self.report(point)
        self.verdict(calls)

    def killed_del(self, turn):
        self.add()
        calls = self._choose(self.points("DEL"))
        for index, point in enumerate(calls):
            self.add()
            self.call("DEL", "signal=KILL", point)
            self.clean_up(index + turn)
            self.report(point)
        self.verdict(calls)

    def killed_add_and_another(self, works):
        """Whoever comes next finishes what is half made. works(outcome of that ADD) says what does not work, or nothing."""
        calls = self._choose(self.points("ADD"))
        for point in calls:
            self.call("ADD", "signal=KILL", point)
            outcome = self.cni.add(self.plugin, self.config)
            if outcome.code == 102:     # killed when all was done
                self.delete()
                outcome = self.cni.add(self.plugin, self.config)
            wrong = works(outcome.expect())
            if wrong:
                self.problem(point, f": {wrong}")
            self.delete()
            self.report(point)
        self.verdict(calls)

    def failed_add(self, error, choose=lambda calls: calls):
        """An error object, and nothing left; the next ADD works."""
        calls = choose([point for point in self.points("ADD") if point[0] not in NEVER_FAILS])
        failed = 0
        for point in calls:
            outcome = self.call("ADD", f"error={error}", point)
            if not outcome.ok:
                failed += 1
                # Where stdout itself fails there is nothing to read.
                if point[0] != "write" and not outcome.message:
                    self.problem(point, f": no error object: {outcome}")
                self.report(point, f": {outcome.message}")
                self.add()
            self.delete()
            self.report(point, ", after DEL")
        assert failed > 20
        self.verdict(calls)
