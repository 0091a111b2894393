"""The case dns: servers that know the same names, measured in turns."""

import shutil
import subprocess
from dataclasses import dataclass, field

from .cases import rotated
from .dns_measure import Cores, ask_many, dnsperf, measured, memory_kib
from .dns_names import Names
from .dns_report import DnsRow, DnsTable, Spread
from .dns_subjects import OURS, RESOLVER, dns_subjects
from .world import BenchError, find_daemon, say

PACE = 2000  # queries a second, for the latency: far from what any can do
PACE_SECONDS = 4
MANY_NAMES = 10000
MANY_WINDOW = 200  # queries on the way
BUSY = 0.85  # of a processor, the server or the client when nothing else disturbs them
ATTEMPTS = 3
SOCKET_WINDOW = 100  # more of them than this may not fit into one socket's receive buffer


@dataclass
class Samples:
    """Of one server. paced: the loads whose latency counts."""

    full: list = field(default_factory=list)
    paced: list = field(default_factory=list)

    def row(self, case, server, names, sandboxes):
        every = self.full + [x for x in self.paced if x not in self.full]
        return DnsRow(case, server.name, names.count, len(sandboxes), len(self.full),
                      spread(self.full, "server_us"), spread(self.full, "per_second"),
                      spread(self.paced, "p50_us"), spread(self.paced, "p99_us"),
                      spread(self.full, "server_core").median, spread(self.full, "client_core").median,
                      sum(x.lost for x in every), *memory_kib(server.pids))


def spread(loads, what):
    return Spread.of([getattr(x, what) for x in loads if getattr(x, what) is not None])


class DnsCase:
    def __init__(self, world, report, options):
        self.world, self.report, self.options = world, report, options
        self.cores = Cores(options.pin)
        self.disturbed = 0  # loads, in spite of all attempts
        self.table = DnsTable()
        report.sections.append(self.table)
        wanted = options.only.split(",") if options.only else None
        resolver = options.resolver or find_daemon(options.plugins, "dns", RESOLVER)
        self.subjects = [s for s in dns_subjects(world, resolver) if wanted is None or s.name in wanted]

    def run(self):
        for tool in ("dnsperf", "dig", "setpriv"):
            if not shutil.which(tool):
                raise BenchError(f"no {tool}")
        if not self.cores.pinned:
            say("dns: servers and clients are not pinned to a processor each")
        for count in self.options.dns_names:
            self.one_sandbox(count)
        if self.options.dns_sandboxes:
            self.many_sandboxes(self.options.dns_sandboxes)
        if self.disturbed:
            self.report.fact("dns", "disturbed", self.disturbed, "loads with neither side near 100%: q/s are too low")

    def one_sandbox(self, count):
        def sample(server, names, into):
            into.full.append(self.undisturbed(
                server, lambda: dnsperf(server, names, self.cores, self.options.dns_seconds)))
            into.paced.append(measured(server, lambda: dnsperf(server, names, self.cores, PACE_SECONDS, PACE)))

        def warm_up(server, names):
            dnsperf(server, names, self.cores, 1)

        self.compare(f"{count} names", self.subjects, count, 1, warm_up, sample)

    def many_sandboxes(self, sandboxes):
        window = min(MANY_WINDOW, SOCKET_WINDOW * sandboxes)

        def ask(server, names, seconds):
            return ask_many(self.world, server, names, self.cores, seconds, window)

        def sample(server, names, into):
            load = self.undisturbed(server, lambda: ask(server, names, self.options.dns_seconds))
            into.full.append(load)
            into.paced.append(load)

        self.compare(f"{sandboxes} sandboxes", [s for s in self.subjects if s.many], MANY_NAMES, sandboxes,
                     lambda server, names: ask(server, names, 1), sample)

    def undisturbed(self, server, ask):
        """As fast as it goes, again when the machine did something else: one of the two must be the limit."""
        for _ in range(ATTEMPTS):
            load = measured(server, ask)
            if not self.cores.pinned or max(load.server_core, load.client_core) >= BUSY:
                return load
        self.disturbed += 1
        return load

    def compare(self, case, subjects, count, sandboxes, warm_up, sample):
        names = Names(count)
        paths = self.world.sandboxes(sandboxes, lo=True)
        servers = []
        try:
            self.start_all(case, subjects, names, paths, servers)
            if not servers:
                return
            samples = {s.name: Samples() for s in servers}
            say(f"{case}: {self.options.dns_rounds} rounds of {', '.join(samples)}")
            self.attempt_all(case, servers, lambda s: warm_up(s, names))
            for r in range(self.options.dns_rounds):
                self.attempt_all(case, servers, lambda s: sample(s, names, samples[s.name]), r)
            rows = []
            self.attempt_all(case, servers, lambda s: rows.append(samples[s.name].row(case, s, names, paths)))
            self.table.add(rows)
        finally:
            for s in servers:
                s.stop()
            self.world.drop_sandboxes()

    def start_all(self, case, subjects, names, paths, servers):
        for subject in subjects:
            if not subject.available():
                self.report.fact(case, subject.name, "left out", "not there")
                continue
            try:
                servers.append(subject.start(self.world, names, paths, self.cores))
            except (BenchError, OSError) as e:
                self.leave_out(case, subject.name, e)

    def attempt_all(self, case, servers, f, turn=0):
        """Those who fail drop out of servers."""
        for s in rotated(list(servers), turn) if servers else []:
            try:
                f(s)
            except (BenchError, OSError, subprocess.TimeoutExpired) as e:
                servers.remove(s)
                self.leave_out(case, s.name, e if s.alive() else f"has ended: {s.log()}")
                s.stop()

    def leave_out(self, case, name, error):
        """A peer's failure is a note; ours is the run's."""
        say(f"{case}: {name} left out: {error}")
        self.report.fact(case, name, "left out", " ".join(str(error)[-200:].split()))
        if name == OURS:
            self.report.failures.append(f"{case}: {name}: {error}")
