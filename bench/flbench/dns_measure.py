"""The clients of the case dns, and what is read of the servers' processes meanwhile."""

import json
import os
import re
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass

from .world import BenchError


@dataclass
class Load:
    """What a client saw, and the CPU that both sides spent meanwhile."""

    completed: int
    lost: int
    seconds: float
    p50_us: float = None
    p99_us: float = None
    server_ns: int = 0
    client_ns: int = 0

    @property
    def per_second(self):
        return self.completed / self.seconds

    @property
    def server_us(self):
        return self.server_ns / 1000 / self.completed

    @property
    def server_core(self):
        return self.server_ns / 1e9 / self.seconds

    @property
    def client_core(self):
        return self.client_ns / 1e9 / self.seconds


class Cores:
    """
    The server on one processor, the client on another: left alone, the scheduler puts both on one now and then,
    and the queries per second halve.
    """

    def __init__(self, wanted):
        there = sorted(os.sched_getaffinity(0))
        self.server, self.client = there[:2] if wanted and len(there) > 1 else (None, None)
        self.pinned = self.server is not None

    @staticmethod
    def on(core):
        """The words before a command."""
        return [] if core is None else ["taskset", "-c", str(core)]


def processes(root):
    """That process and all that descend from it."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_ns(pids):
    """What all their threads have spent, as the scheduler counts it."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
    return total


def memory_kib(pids):
    """(RSS, PSS) of all together. PSS counts a page that several share once."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for key, value in re.findall(r"^(Rss|Pss): +(\d+) kB", f.read(), re.MULTILINE):
                sums[key] += int(value)
    return sums["Rss"], sums["Pss"]


def run_client(argv, seconds):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 20, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {done.stderr[-300:].strip()}")
    return done.stdout


def measured(server, client):
    """client() gives a Load; returns it with the CPU of both sides."""
    before, mine = cpu_ns(server.pids), children_ns()
    load = client()
    load.client_ns = children_ns() - mine
    load.server_ns = cpu_ns(server.pids) - before
    if not load.completed:
        raise BenchError(f"{server.name}: not one answer")
    return load


def children_ns():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def dnsperf(server, names, cores, seconds, rate=None):
    """Asks one server as fast as it can, or rate queries a second. Every answer has to be NOERROR."""
    argv = [*cores.on(cores.client), "nsenter", f"--net={server.netns}", "dnsperf", "-s", server.address,
            "-p", str(server.port), "-d", names.queries, "-l", str(seconds), "-c", "4", "-T", "1"]
    out = run_client(argv + (["-Q", str(rate), "-v"] if rate else []), seconds)
    completed, lost = (int(find(rf"Queries {what}: +(\d+)", out)) for what in ("completed", "lost"))
    good = int(find(r"NOERROR (\d+) \(", out) or 0) if completed else 0
    if good != completed:
        raise BenchError(f"{server.name}: {completed - good} of {completed} answers are not NOERROR")
    load = Load(completed, lost, float(find(r"Run time \(s\): +([\d.]+)", out)))
    if rate and completed:
        load.p50_us = 1e6 * statistics.median(map(float, re.findall(r"^> NOERROR \S+ \S+ ([\d.]+)", out, re.M)))
    return load


def find(pattern, text):
    found = re.search(pattern, text)
    return found.group(1) if found else None


def ask_many(world, server, names, cores, seconds, window):
    """Asks through a socket in each sandbox of server.netns_list."""
    argv = [*cores.on(cores.client), world.tool("dns-load"), "--names", names.file, "--netns-list", server.netns_list,
            "--address", server.address, "--port", str(server.port), "--window", str(window),
            "--seconds", str(seconds)]
    seen = json.loads(run_client(argv, seconds))
    if seen["bad"]:
        raise BenchError(f"{server.name}: {seen['bad']} of {seen['completed']} answers without a record")
    return Load(seen["completed"], seen["lost"], seen["seconds"], seen["p50_us"], seen["p99_us"])


def wait_for_answer(server, names, limit=30):
    """Until the server knows the first and the last name, and the right address of each."""
    for name, address in (names.pairs[0], names.pairs[-1]):
        argv = ["nsenter", f"--net={server.netns}", "dig", "+short", "+time=1", "+tries=1", f"@{server.address}",
                "-p", str(server.port), name, "A"]
        end, said = time.monotonic() + limit, ""
        while said != address:
            if time.monotonic() > end:
                raise BenchError(f"no right answer for {name} in {limit} s: {said or server.log()}")
            if not server.alive():
                raise BenchError(f"has ended: {server.log()}")
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
            if said != address:
                time.sleep(0.05)
