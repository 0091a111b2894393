"""What is measured. Each case is one function; subjects take turns within it, so that noise meets all alike."""

import json
import os
import statistics
import subprocess
import time

from . import sizes, state
from .subjects import Container, HostLocal, Ports
from .variants import LONG, PODMAN, chain_subjects, macvlan_subjects, make_master
from .world import SCRATCH, BenchError, find_daemon, say

SEEDED = 65000


class Bench:
    def __init__(self, world, report, options, subjects):
        self.world, self.report, self.options = world, report, options
        self.subjects = subjects
        self.serial = 0
        self.present = 0  # containers that fill the host

    def containers(self, count, ports=Ports()):
        made = []
        for netns in self.world.sandboxes(count):
            made.append(Container(self.serial, netns, ports))
            self.serial += 1
        return made

    def quick(self):
        return [s for s in self.subjects if not s.slow]

    def by_name(self):
        return {s.name: s for s in self.subjects}

    def interleave(self, case, ports=Ports(), rounds=None, slow_rounds=None, block=10, subjects=None):
        """
        Blocks of ADDs, then of the same containers' DELs; in every round each subject once, in rotating order.
        Ports other than single ones are the same for all: there, one container at a time.
        """
        rounds = rounds or self.options.rounds
        slow_rounds = min(rounds, slow_rounds or self.options.slow_rounds)
        block = block if ports.kind == "one" else 1
        subjects = [s for s in subjects or self.subjects if s.takes(ports)]
        say(f"{case}: {rounds} rounds ({slow_rounds} of the slow) of {', '.join(s.name for s in subjects)}")
        pool = self.containers(sum(slow_rounds if s.slow else rounds for s in subjects), ports)
        jobs, slow_every = [], max(1, rounds // slow_rounds)
        taken = {s.name: 0 for s in subjects}
        for first in range(0, rounds, block):
            pairs = []
            for r in range(first, min(rounds, first + block)):
                for s in rotated(subjects, r):
                    if s.slow and (r % slow_every or taken[s.name] == slow_rounds):
                        continue
                    taken[s.name] += 1
                    pairs.append((s, pool.pop()))
            if block == 1:
                jobs += [job for s, c in pairs for job in (s.add(c), s.delete(c))]
            else:
                jobs += [s.add(c) for s, c in pairs] + [s.delete(c) for s, c in pairs]
        timings = self.world.run(jobs, seconds=self.options.seconds)
        self.world.drop_sandboxes()
        self.tell(case, timings)
        return timings

    def tell(self, case, timings, totals=None):
        for verb in ("add", "del"):
            samples, maxrss = {}, {}
            for t in timings:
                who, what, _ = t.tag.split("/")
                if what == verb:
                    samples.setdefault(who, []).append(t.ms)
                    maxrss[who] = max(maxrss.get(who, 0), t.maxrss)
            order = [s.name for s in self.subjects if s.name in samples]
            order += [w for w in samples if w not in order]
            self.report.add(case, verb, {w: samples[w] for w in order}, maxrss, (totals or {}).get(verb))

    def same_state(self):
        """The premise of every ratio to the floor."""
        present = self.by_name()
        if "fairlead" in present and "floor" in present:
            ours, floor = present["fairlead"], present["floor"]
            self.compare("", ours, floor, lambda s, c: state.bridge_state(
                c.netns, floor.bridge, floor.table if s is floor else "fairlead", c.id))

    def compare(self, case, ours, floor, look):
        found = state.compare(self.world, ours, floor, self.containers(2), look)
        self.world.drop_sandboxes()
        self.report.check_premise(case, found)

    def warm(self, case, subjects):
        """Those of a case of its own that work."""
        found = []
        for s in subjects:
            try:
                if s.available():
                    s.warm_up(self.world)
                    found.append(s)
                else:
                    self.report.fact(case, s.name, "left out", "not there")
            except BenchError as e:
                self.report.fact(case, s.name, "left out", str(e)[-300:].strip())
                if not s.slow:
                    self.report.failures.append(f"{case}: {e}")
        return found

    # The cases. Their names are the command line's.

    def add(self):
        self.interleave("one container")

    def macvlan(self):
        make_master()
        subjects = self.warm("macvlan", macvlan_subjects(self.by_name(), self.world))
        present = {s.name: s for s in subjects}
        if "fairlead" in present and "floor" in present:
            self.compare("macvlan: ", present["fairlead"], present["floor"], lambda _, c: state.macvlan_state(c.netns))
        if subjects:
            self.interleave("macvlan", subjects=subjects)

    def chain(self):
        """A list of plugins for what bridge does alone, and with two more."""
        done = []
        for wanted in (PODMAN, LONG):
            subjects = chain_subjects(self.by_name(), wanted)
            case = f"chain of {len(wanted)}"
            for s in subjects:
                missing = ", ".join(sorted(set(wanted) - {p["type"] for p in s.plugins()}))
                if missing:
                    self.report.fact(case, f"{s.name}, left out", missing, "")
                    say(f"{case}: {s.name} without {missing}")
            plugins = [[p["type"] for p in s.plugins()] for s in subjects]
            if plugins and plugins not in done:
                done.append(plugins)
                self.one_chain(case, self.warm(case, subjects))

    def one_chain(self, case, subjects):
        timings = self.interleave(case, subjects=self.quick() + subjects)
        for s in subjects:
            for verb, plugins in (("add", s.plugins()), ("del", reversed(s.plugins()))):
                steps = [t.steps for t in timings if t.tag.startswith(f"{s.name}/{verb}/")]
                for plugin, ms in zip(plugins, zip(*steps)):
                    self.report.fact(case, f"{s.name}, {verb} of {plugin['type']}", statistics.median(ms), "ms")

    def ports(self):
        for count, kind in ((100, "range"), (100, "shifted"), (10000, "range"), (10000, "shifted"), (10000, "list")):
            ports = Ports(kind, count)
            self.interleave(str(ports), ports, rounds=min(self.options.rounds, 20), slow_rounds=2)

    def scale(self):
        """Filled by ourselves where we are there, so that our store and maps are full, too."""
        filler = self.subjects[0] if not self.subjects[0].slow else self.quick()[0]
        for count in (0, 100, 1000):
            self.fill_up_to(filler, count)
            self.interleave(f"{count} containers present", rounds=max(1, self.options.rounds // 2),
                            slow_rounds=min(5, self.options.slow_rounds), block=5)

    def fill_up_to(self, filler, count):
        self.fill(filler, count - self.present)
        self.present = max(self.present, count)

    def fill(self, filler, count):
        if count > 0:
            say(f"filling: {count} more by {filler.name}")
            self.world.run([filler.add(c) for c in self.containers(count)], at_once=2, seconds=300)
            self.report.fact("filling", f"quiet after {count} more", self.settle(), "s")

    @staticmethod
    def settle(limit=90):
        """New sandboxes announce themselves by IPv6 multicast, to every port of the bridge. Waits for the end."""
        begin, before, quiet = time.monotonic(), multicast_count(), 0
        while quiet < 3 and time.monotonic() - begin < limit:
            time.sleep(1)
            now = multicast_count()
            quiet = quiet + 1 if now - before < 20 else 0
            before = now
        return time.monotonic() - begin

    def concurrency(self):
        for at_once in (1, 8, 64):
            self.burst(at_once)

    def burst(self, at_once):
        case = f"{at_once} at once"
        repeats = {s.name: 1 if s.slow else 3 for s in self.subjects}
        timings, totals = [], {"add": {}, "del": {}}
        for r in range(3):
            for s in rotated(self.subjects, r):
                if r < repeats[s.name]:
                    try:
                        timings += self.one_burst(s, at_once, totals)
                    except BenchError as e:
                        if not s.slow:
                            raise
                        self.report.fact(case, s.name, "fails", str(e)[-120:].strip())
        say(f"{case}: done")
        totals = {verb: {who: statistics.median(v) for who, v in by.items()} for verb, by in totals.items()}
        self.tell(case, timings, totals)

    def one_burst(self, s, at_once, totals):
        count = 64 if not s.slow or at_once == 64 else 16
        containers = self.containers(count)
        adds = self.world.run([s.add(c) for c in containers], at_once, self.options.seconds)
        dels = self.world.run([s.delete(c) for c in containers], at_once, self.options.seconds)
        self.world.drop_sandboxes()
        for verb, ran in (("add", adds), ("del", dels)):
            span = (max(t.end for t in ran) - min(t.begin for t in ran)) / 1e6
            totals[verb].setdefault(s.name, []).append(span * 64 / count)
        return adds + dels

    def conntrack(self):
        rounds = min(self.options.rounds, 20)
        for entries in (0, 100000):
            if entries:
                say(f"putting {entries} conntrack entries")
                self.world.call("fl-bench", "ct-fill", entries)
            for ports in (Ports(protocol="udp"), Ports("range", 10000, "udp")):
                self.interleave(f"{entries} conntrack, {ports}", ports, rounds, slow_rounds=2)
        self.world.call("fl-bench", "ct-flush")

    def ipam(self):
        ours = next((s for s in self.subjects if s.name == "fairlead"), None)
        reference = next((s for s in self.subjects if s.name == "reference"), None)
        for leases in (0, SEEDED):
            found = [HostLocal(name=s.name, slow=s.slow, directory=s.directory, pool=f"pool{leases}",
                               data=f"{SCRATCH}/{s.name}-leases") for s in (ours, reference) if s is not None]
            found = [h for h in found if h.available()]
            if leases:
                say(f"seeding {leases} leases")
                seed([f"{h.data}/{h.pool}" for h in found], leases)
            self.interleave_ipam(f"host-local, {leases} leases", found, bool(leases))

    def interleave_ipam(self, case, found, seeded):
        netns = self.world.sandboxes(1)[0]
        timings = []
        for h in found:
            rounds = self.options.rounds
            if h.slow:
                rounds = 3 if seeded else self.options.slow_rounds
            first = self.world.run(self.lease_jobs(h, netns, 1), seconds=self.options.seconds)
            if seeded:
                self.report.fact(case, f"first call of {h.name}", first[0].ms, "ms")
            timings += self.world.run(self.lease_jobs(h, netns, rounds), seconds=self.options.seconds)
        self.tell(case, timings)

    def lease_jobs(self, h, netns, rounds):
        jobs = []
        for _ in range(rounds):
            c = Container(self.serial, netns)
            self.serial += 1
            jobs += [h.add(c), h.delete(c)]
        return jobs

    def size(self):
        ours = self.by_name().get("fairlead")
        for s in self.subjects + (sizes.others(ours.directory) if ours else []):
            self.report.fact("memory", s.name, sizes.attach_memory(self.world, s, self.containers(3)),
                             "KiB peak of one process, ADD or DEL")
            self.world.drop_sandboxes()
        if ours:
            for name, kib in sizes.version_memory(self.world, ours.directory).items():
                self.report.fact("memory, VERSION", name, kib, "KiB")
        self.report.fact("memory", "(not measurable below)", self.world.runner_maxrss, "KiB")
        for s in self.subjects:
            if getattr(s, "directory", None):
                daemon = None
                if s is ours:
                    daemon = self.options.daemon or find_daemon(self.options.plugins, "dhcp", sizes.DAEMON)
                if s is ours and not daemon:
                    say(f"size: no {sizes.DAEMON} (--daemon)")
                sizes.report_disk(self.report, s.name, s.directory, daemon)


def multicast_count():
    """Packets that bridges have received: all of them, here, come from sandboxes."""
    shown = subprocess.run(["ip", "-j", "-s", "link", "show", "type", "bridge"], capture_output=True, check=True)
    return sum(link["stats64"]["rx"]["packets"] for link in json.loads(shown.stdout))


def rotated(items, n):
    n %= len(items)
    return items[n:] + items[:n]


def seed(directories, count):
    """The reference plugin's lease directory: a file per address, hard links where it is wanted twice."""
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 1 << 30:
        raise BenchError("less than 1 GB of free memory for the lease files")
    for d in directories:
        os.makedirs(d)
    last = ""
    for i in range(count):
        n = i + 2
        last = f"10.97.{n >> 8}.{n & 255}"
        with open(f"{directories[0]}/{last}", "w", encoding="ascii") as f:
            f.write(f"seed-{i}\r\neth0")
        for other in directories[1:]:
            os.link(f"{directories[0]}/{last}", f"{other}/{last}")
    for d in directories:
        with open(f"{d}/last_reserved_ip.0", "w", encoding="ascii") as f:
            f.write(last)
