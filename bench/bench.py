#!/usr/bin/python3
"""Measures the plugins against their peers and against the floor. See README.md beside this file."""

import argparse
import os
import platform
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from flbench.cases import Bench
from flbench.dns_case import DnsCase
from flbench.netctl_case import NetctlCase
from flbench.overlay_case import OverlayCase
from flbench.report import Report
from flbench.subjects import Fairlead, Floor, Netavark, Reference
from flbench.world import BenchError, World, enter_private_namespace, find_daemon, gather_plugins, say

# scale and netctl are the last: they leave a full host behind
CASES = ("size", "add", "macvlan", "chain", "ports", "concurrency", "conntrack", "ipam", "dns", "overlay", "scale", "netctl")


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    build = os.environ.get("FAIRLEAD_BUILD_DIR", os.path.join(os.path.dirname(here), "build"))
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cases", nargs="+", choices=CASES + ("all",), metavar="CASE", help=", ".join(CASES) + ", all")
    p.add_argument("--rounds", type=int, default=200, help="of the quick subjects (%(default)s)")
    p.add_argument("--slow-rounds", type=int, default=20, help="of the reference and netavark (%(default)s)")
    p.add_argument("--only", metavar="NAMES", help="comma list of fairlead, reference, netavark, floor, floor-static; "
                   "of dns: fairlead, aardvark, dnsmasq, unbound, knotd, bare")
    p.add_argument("--floor-table", choices=("auto", "fairlead", "floor"), default="auto")
    p.add_argument("--plugins", default=os.environ.get("FAIRLEAD_PLUGIN_DIR", os.path.join(build, "plugins")),
                   help="directory of our executables ($FAIRLEAD_PLUGIN_DIR, %(default)s)")
    p.add_argument("--reference", default="/usr/lib/cni", help="directory of the reference plugins (%(default)s)")
    p.add_argument("--tools", default=os.path.join(build, "bench"), help="where fl-bench and floor are (%(default)s)")
    p.add_argument("--daemon", help="the DHCP daemon's executable, for size (default: where it is built or installed)")
    p.add_argument("--seconds", type=int, default=300, help="limit of one series of jobs (%(default)s)")
    p.add_argument("--resolver", help="the resolver's executable, for dns (default: where it is built or installed)")
    p.add_argument("--netctl", help="its executable (default: where it is built or installed)")
    p.add_argument("--dns-names", type=counts, default=[100, 10000, 100000], metavar="COUNTS",
                   help="how many names the servers know (100,10000,100000)")
    p.add_argument("--dns-rounds", type=int, default=3, help="of dns (%(default)s)")
    p.add_argument("--dns-seconds", type=int, default=5, help="of one load of dns (%(default)s)")
    p.add_argument("--dns-sandboxes", type=int, default=1000, help="0: not in many sandboxes (%(default)s)")
    p.add_argument("--no-pin", dest="pin", action="store_false",
                   help="dns: leave servers and clients on any processor, instead of on one each")
    p.add_argument("--json", action="store_true", help="JSON instead of the table")
    p.add_argument("--check", action="store_true", help="exit 1 when a target is missed or nothing could be judged")
    o = p.parse_args()
    o.plugins, o.reference, o.tools = map(os.path.abspath, (o.plugins, o.reference, o.tools))
    return o


def counts(text):
    return sorted({int(n) for n in text.split(",")})


def make_subjects(world, options):
    """Those that are there, warmed up. The order is the table's."""
    wanted = options.only.split(",") if options.only else ["fairlead", "reference", "netavark", "floor"]
    subjects, ours = [], None
    for s in (Fairlead(directory=gather_plugins(options.plugins)), Reference(directory=options.reference), Netavark()):
        if s.name not in wanted:
            continue
        if not s.available():
            say(f"{s.name}: not there, left out")
            continue
        try:
            s.warm_up(world)
        except BenchError as e:
            say(f"{s.name}: left out: {e}")
            continue
        subjects.append(s)
        ours = s if s.name == "fairlead" else ours
    for serial, name in ((-1, "floor"), (-2, "floor-static")):
        if name in wanted:
            floor = Floor(name=name, binary=name, resident_serial=serial)
            floor.choose_table(world, options.floor_table, ours)
            say(f"{name}: table {floor.table}, bridge {floor.bridge}{', hairpin' if floor.hairpin else ''}")
            subjects.append(floor)
    return subjects


def host_facts():
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    iptables = subprocess.run(["iptables", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {"kernel": platform.release(), "os": release, "cpus": os.cpu_count(), "iptables": iptables}


def main():
    options = parse_arguments()
    enter_private_namespace()
    world, report = World(options.tools), Report()
    wanted = [c for c in CASES if c in options.cases or "all" in options.cases]
    bench = Bench(world, report, options, make_subjects(world, options) if set(wanted) - {"dns", "overlay"} else [])
    bench.same_state()
    cases = {"dns": lambda: DnsCase(world, report, options).run(),
             "overlay": lambda: OverlayCase(bench, options.plugins).run(),
             "netctl": lambda: NetctlCase(bench, options.netctl or find_daemon(options.plugins, "netctl", "netctl")).run()}
    for case in wanted:
        try:
            cases.get(case, lambda name=case: getattr(bench, name)())()
        except (BenchError, subprocess.TimeoutExpired) as e:
            report.failures.append(f"{case}: {e}")
    good = report.judge()
    print(report.json(host_facts()) if options.json else report.text())
    return 1 if report.failures or (options.check and not good) else 0


if __name__ == "__main__":
    sys.exit(main())
