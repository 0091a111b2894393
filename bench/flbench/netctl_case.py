"""The case netctl: what a person waits for, on a host with 1,000 endpoints, beside an empty program."""

import os
import socket
import subprocess
import time

from .report import align, median
from .world import BenchError, say

EMPTY = "/bin/true"
ENDPOINTS = 1000
ROUNDS = 15
# milliseconds over the empty program
LIMITS = {"port ls": 50, "endpoint ls": 50, "topology": 50, "doctor": 1000, "port who (a container's)": 2,
          "port who (a process's)": 10}


class NetctlTable:
    name = "netctl"

    def __init__(self):
        self.medians = []  # (verb, ms, ms over the empty program)

    def rows(self):
        return [{"verb": v, "median_ms": ms, "over_empty_ms": over} for v, ms, over in self.medians]

    def lines(self):
        return align([("netctl", "median", "over empty")] + [(v, f"{ms:.2f}", f"{over:.2f}") for v, ms, over in self.medians],
                     right_from=1)

    def judge(self, check):
        for verb, _, over in self.medians:
            if verb in LIMITS:
                check(over <= LIMITS[verb], f"netctl {verb}: {over:.2f} ms over an empty program (<= {LIMITS[verb]})")


class NetctlCase:
    def __init__(self, bench, program):
        self.bench, self.program = bench, program
        self.table = NetctlTable()
        bench.report.sections.append(self.table)

    def run(self):
        ours = self.bench.by_name().get("fairlead")
        if not self.program or not ours:
            raise BenchError("no netctl, or no plugins of ours")
        self.bench.fill_up_to(ours, ENDPOINTS)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.measure(ours.host_port(ours.resident), listener.getsockname()[1])

    def measure(self, published, process_port):
        verbs = {"version": ["version"], "port ls": ["port", "ls"], "endpoint ls": ["endpoint", "ls"],
                 "endpoint ls --json": ["endpoint", "ls", "--json"], "topology": ["topology"],
                 "topology --svg": ["topology", "--svg"], "stats": ["stats"], "doctor": ["doctor"],
                 "port who (a container's)": ["port", "who", str(published)],
                 "port who (a process's)": ["port", "who", str(process_port)]}
        empty, took = [], {verb: [] for verb in verbs}
        for _ in range(ROUNDS):
            empty.append(timed([EMPTY]))
            for verb, words in verbs.items():
                took[verb].append(timed([self.program, *words]))
        floor = median(empty)
        self.table.medians = [(v, median(t), median(t) - floor) for v, t in took.items()]
        self.bench.report.fact("netctl", "processes on the host", sum(n.isdigit() for n in os.listdir("/proc")), "")


def timed(argv):
    begin = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, close_fds=False,
                          check=False)
    took = (time.perf_counter() - begin) * 1e3
    # doctor may have something to say about this host
    if done.returncode not in (0, 4):
        raise BenchError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.decode()[-400:]}")
    if done.returncode:
        say(f"{' '.join(argv)}: exit {done.returncode}")
    return took
