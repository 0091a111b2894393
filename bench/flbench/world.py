"""A private network and mount namespace, and in it: the runner, fresh sandboxes, scratch files."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

NETNS_DIR = "/run/netns"
SCRATCH = "/run/bench"
INSIDE = "FL_BENCH_INSIDE"


class BenchError(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def enter_private_namespace():
    """Starts this program again, away from the machine's own network and files. Returns inside only."""
    if os.environ.get(INSIDE) != "1":
        if os.geteuid() != 0:
            sys.exit("bench: must be root (it makes namespaces)")
        os.environ[INSIDE] = "1"
        argv = ["unshare", "-n", "-m", "--propagation", "private", sys.executable] + sys.argv
        os.execvp(argv[0], argv)
    for path in ("/run", "/var/lib/cni"):
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", path], check=True)
    os.makedirs(NETNS_DIR)
    os.makedirs(SCRATCH)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def gather_plugins(directory):
    """
    A flat directory, as CNI_PATH wants it. A build directory has each plugin in a folder of its own name: then
    links to them, in our scratch space. To the true files: a plugin is a link itself, and each costs a look-up.
    """
    if os.path.isfile(f"{directory}/bridge") or not os.path.isdir(directory):
        return directory
    flat = f"{SCRATCH}/plugins"
    os.makedirs(flat)
    for name in os.listdir(directory):
        if os.access(f"{directory}/{name}/{name}", os.X_OK):
            os.symlink(os.path.realpath(f"{directory}/{name}/{name}"), f"{flat}/{name}")
    return flat


def find_daemon(plugins, folder, name):
    """In its folder beside the plugins, as in a build directory; else where it is installed. None: nowhere."""
    places = (os.path.join(os.path.dirname(plugins), folder), "/usr/local/libexec/fairlead", "/usr/libexec/fairlead", "/usr/local/bin", "/usr/bin")
    return next((f"{p}/{name}" for p in places if os.access(f"{p}/{name}", os.X_OK)), None)


@dataclass
class Step:
    """One process. prev: a file whose contents replace "@PREV@" in stdin."""

    argv: list
    env: dict
    stdin: str = ""
    out: str = ""
    prev: str = ""


@dataclass
class Job:
    tag: str
    steps: list


@dataclass
class Timing:
    tag: str
    ms: float  # sum over the steps, each from spawn to wait4
    begin: int  # ns, CLOCK_MONOTONIC
    end: int
    maxrss: int  # KiB, the largest step
    steps: list = field(default_factory=list)  # ms of each


@dataclass
class World:
    tools: str
    runner_maxrss: int = 0
    _netns: int = 0
    _batches: list = field(default_factory=list)

    def tool(self, name):
        return os.path.join(self.tools, name)

    def call(self, *argv, timeout=120):
        """Runs one of our tools, untimed; returns its output."""
        done = subprocess.run([self.tool(argv[0]), *map(str, argv[1:])], capture_output=True, text=True,
                              timeout=timeout, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
        return done.stdout

    def sandboxes(self, count, lo=False):
        """That many fresh network namespaces, as paths. lo: whether it is up."""
        prefix = f"b{len(self._batches)}-"
        self._batches.append((prefix, count))
        self.call("fl-bench", "netns-add", NETNS_DIR, prefix, count)
        if lo:
            self.call("fl-bench", "netns-lo", NETNS_DIR, prefix, count)
        return [f"{NETNS_DIR}/{prefix}{i}" for i in range(count)]

    def drop_sandboxes(self):
        """Removes the last batch, and waits for the kernel to have done so."""
        prefix, count = self._batches[-1]
        self._batches[-1] = (prefix, 0)
        self.call("fl-bench", "netns-del", NETNS_DIR, prefix, count)

    def run(self, jobs, at_once=1, seconds=180):
        """Runs the jobs in order; a failed one is an error. Returns Timings in the order of completion."""
        path = f"{SCRATCH}/jobs"
        with open(path, "w", encoding="utf-8") as f:
            for job in jobs:
                write_job(f, job)
        done = subprocess.run([self.tool("fl-bench"), "run", "-c", str(at_once), "-t", str(seconds), path],
                              capture_output=True, text=True, timeout=seconds + 30, check=False)
        steps_of = {job.tag: job.steps for job in jobs}
        timings = []
        for line in done.stdout.splitlines():
            entry = json.loads(line)
            if "runner_maxrss" in entry:
                self.runner_maxrss = max(self.runner_maxrss, entry["runner_maxrss"])
                continue
            check_status(entry, steps_of[entry["tag"]], done.stderr)
            timings.append(Timing(entry["tag"], sum(s["ns"] for s in entry["steps"]) / 1e6, entry["begin"],
                                  entry["end"], max(s["maxrss"] for s in entry["steps"]),
                                  [s["ns"] / 1e6 for s in entry["steps"]]))
        if len(timings) != len(jobs):
            raise BenchError(f"{len(timings)} of {len(jobs)} jobs ran: {done.stderr[-500:]}")
        return timings


def write_job(f, job):
    def put(*strings):
        for s in strings:
            f.write(f"{s}\0")

    put(job.tag, len(job.steps))
    for step in job.steps:
        put(step.out, step.prev, step.stdin, len(step.argv), *step.argv)
        put(len(step.env), *(f"{k}={v}" for k, v in step.env.items()))


def check_status(entry, steps, stderr):
    status = entry["steps"][-1]["status"]
    if status == 0:
        return
    step = steps[len(entry["steps"]) - 1]
    said = ""
    if step.out and os.path.exists(step.out):
        with open(step.out, encoding="utf-8", errors="replace") as f:
            said = f.read(600)
    raise BenchError(f"{entry['tag']}: {' '.join(step.argv)}: wait status {status:#x}: {said} {stderr[-400:]}")
