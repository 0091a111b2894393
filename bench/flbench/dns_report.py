"""The table of the case dns, and what is judged of it."""

import statistics
from dataclasses import asdict, dataclass

from .dns_subjects import BARE, OURS, REWRITTEN
from .report import align, number

JUDGED_CPU = (100, 100000)  # names; where CPU per answered query has a target
X_BARE = 1.15
X_PER_SECOND = 0.97  # the client is the ceiling: what is above is noise
X_P50 = 1.10


@dataclass
class Spread:
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, samples):
        return cls(statistics.median(samples), min(samples), max(samples)) if samples else None

    def cells(self, digits=0):
        return [f"{self.median:.{digits}f}", f"{self.min:.{digits}f}-{self.max:.{digits}f}"]


@dataclass
class DnsRow:
    case: str
    who: str
    names: int
    sandboxes: int
    rounds: int
    server_us: Spread  # CPU for each answered query
    per_second: Spread
    p50_us: Spread
    p99_us: Spread
    server_core: float  # part of a processor
    client_core: float
    lost: int
    rss_kib: int
    pss_kib: int
    x_bare: float = None  # server_us / the bare responder's, in the same case


class DnsTable:
    """A section of the Report."""

    name = "dns"

    def __init__(self):
        self.found = []

    def add(self, rows):
        """All of one case."""
        bare = next((r for r in rows if r.who == BARE), None)
        for r in rows:
            if bare and r is not bare:
                r.x_bare = r.server_us.median / bare.server_us.median
        self.found += rows

    def rows(self):
        return [asdict(r) for r in self.found]

    def lines(self):
        head = ("case", "who", "n", "us/query", "min-max", "x bare", "q/s", "min-max", "p50 us", "min-max", "p99 us",
                "server", "client", "lost", "RSS", "PSS")
        return align([head] + [(r.case, r.who, str(r.rounds), *r.server_us.cells(2), number(r.x_bare),
                                *r.per_second.cells(), *r.p50_us.cells(), r.p99_us.cells()[0] if r.p99_us else "",
                                f"{r.server_core:.0%}", f"{r.client_core:.0%}", str(r.lost), str(r.rss_kib),
                                str(r.pss_kib)) for r in self.found], right_from=2) if self.found else []

    def judge(self, check):
        for ours in (r for r in self.found if r.who == OURS):
            case = {r.who: r for r in self.found if r.case == ours.case}
            check(ours.lost == 0, f"{ours.case}: {ours.lost} lost (0)")
            if ours.x_bare and (ours.names in JUDGED_CPU or ours.sandboxes > 1):
                check(ours.x_bare <= X_BARE, f"{ours.case}: CPU for a query {ours.x_bare:.2f} x the bare responder's "
                      f"(<= {X_BARE})")
            if ours.sandboxes == 1:
                self.judge_cpu(check, ours, case)
                self.judge_rest(check, ours, case)

    @staticmethod
    def judge_cpu(check, ours, case):
        mine = ours.server_us.median
        if ours.names not in JUDGED_CPU:
            return
        if "knotd" in case:
            theirs = case["knotd"].server_us.median
            check(mine < theirs, f"{ours.case}: CPU for a query {mine:.2f} us (< knotd's {theirs:.2f})")

    @staticmethod
    def judge_rest(check, ours, case):
        if REWRITTEN in case:
            # by the best round of each: what else the machine does can only take away, up to the half
            x = ours.per_second.max / case[REWRITTEN].per_second.max
            check(x >= X_PER_SECOND, f"{ours.case}: q/s {x:.2f} x the bare responder's behind the same rules "
                  f"(>= {X_PER_SECOND}; best rounds)")
        peers = [r for r in case.values() if r.who not in (OURS, BARE, REWRITTEN)]
        if peers:
            best = min(r.p50_us.median for r in peers)
            x = ours.p50_us.median / best
            check(x <= X_P50, f"{ours.case}: p50 {x:.2f} x the best peer's (<= {X_P50})")
        if "dnsmasq" in case:
            theirs = case["dnsmasq"].pss_kib
            check(ours.pss_kib < theirs, f"{ours.case}: memory (PSS) {ours.pss_kib} KiB (< dnsmasq's {theirs})")
