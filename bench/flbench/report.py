"""Samples to numbers, numbers to a table, numbers to a verdict."""

import json
import statistics
from dataclasses import asdict, dataclass


def median(samples):
    return statistics.median(samples) if samples else float("nan")


def p99(samples):
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else float("nan")


@dataclass
class Row:
    case: str
    who: str
    verb: str
    samples: int
    median_ms: float
    p99_ms: float
    x_floor: float = None  # median / the floor's median, in the same case
    x_reference: float = None  # the reference's median / this median
    over_floor_ms: float = None  # median of the differences, round by round
    maxrss_kib: int = None
    total_ms: float = None  # of a burst: from the first spawn to the last exit


class Report:
    def __init__(self):
        self.rows = []
        self.facts = []  # (case, what, value, unit)
        self.failures = []
        self.checks = []
        self.sections = []  # tables of other shapes: name, rows(), lines(), judge(check)

    def add(self, case, verb, samples, maxrss=None, totals=None):
        """samples: {who: [ms]}, the same round at the same place."""
        floor, reference = samples.get("floor"), samples.get("reference")
        for who, values in samples.items():
            row = Row(case, who, verb, len(values), median(values), p99(values),
                      maxrss_kib=(maxrss or {}).get(who), total_ms=(totals or {}).get(who))
            if floor and who != "floor":
                row.x_floor = row.median_ms / median(floor)
                if len(floor) == len(values):
                    row.over_floor_ms = median([a - b for a, b in zip(values, floor)])
            if reference and who != "reference":
                row.x_reference = median(reference) / row.median_ms
            self.rows.append(row)

    def fact(self, case, what, value, unit):
        self.facts.append((case, what, value, unit))

    def find(self, case, who, verb):
        return next((r for r in self.rows if (r.case, r.who, r.verb) == (case, who, verb)), None)

    def text(self):
        lines = []
        if self.rows:
            head = ("case", "who", "verb", "n", "median", "p99", "x floor", "over floor", "ref/this", "maxrss", "burst")
            table = [head] + [(r.case, r.who, r.verb, str(r.samples), f"{r.median_ms:.2f}", f"{r.p99_ms:.2f}",
                               number(r.x_floor), number(r.over_floor_ms), number(r.x_reference, 1),
                               str(r.maxrss_kib or ""), number(r.total_ms, 1)) for r in self.rows]
            lines += align(table, right_from=3)
        for section in self.sections:
            lines += ([""] if lines else []) + section.lines()
        if self.facts:
            lines += [""] + align([(c, w, number(v, 1) if isinstance(v, float) else str(v), u)
                                   for c, w, v, u in self.facts], right_from=2)
        if self.checks:
            lines += [""] + [f"{'ok  ' if ok else 'FAIL'} {text}" for ok, text in self.checks]
        return "\n".join(lines + [f"FAILED {f}" for f in self.failures])

    def json(self, host):
        return json.dumps({"host": host, "rows": [asdict(r) for r in self.rows],
                           **{s.name: s.rows() for s in self.sections},
                           "facts": [dict(zip(("case", "what", "value", "unit"), f)) for f in self.facts],
                           "checks": [{"ok": ok, "text": text} for ok, text in self.checks],
                           "failures": self.failures}, indent=1)

    def check_premise(self, case, differences):
        if differences:
            self._check(False, f"{case}ours and the floor end in different states (ours / floor): "
                        + "; ".join(differences))
        else:
            self._check(True, f"{case}ours and the floor end in the same state")

    def judge(self):
        """The targets, for the cases that ran. Ratios only: milliseconds depend on the machine."""
        self._at_most("one container", "add", "x_floor", 1.5)
        self._at_most("one container", "del", "x_floor", 1.15)
        self._at_most("macvlan", "add", "x_floor", 1.5)
        self._judge_floor()
        row = self.find("one container", "fairlead", "add")
        if row and row.x_reference:
            self._check(row.x_reference >= 25, f"ADD is {row.x_reference:.1f} x faster than the reference (>= 25)")
        self._judge_scale()
        self._at_most("10000 tcp shifted", "add", "median_ms", 50)
        self._judge_sizes()
        for section in self.sections:
            section.judge(self._check)
        return not self.failures and bool(self.checks) and all(ok for ok, _ in self.checks)

    def _judge_sizes(self):
        memory = {what if case == "memory" else f"{what} VERSION": value for case, what, value, _ in self.facts
                  if case == "memory, VERSION" or (case == "memory" and what in ("fairlead", "macvlan", "ptp"))}
        if memory:
            who = max(memory, key=memory.get)
            self._check(memory[who] < 3072, f"peak memory of {who}, the largest of {len(memory)}: {memory[who]} KiB "
                        "(< 3072)")
        for case, what, value, _ in self.facts:
            if case == "size on disk" and what == "fairlead, in all, stripped":
                self._check(value < 4096, f"executables on disk {value} KiB, stripped (< 4096)")

    def _judge_floor(self):
        """Nobody who does the work can beat a true floor: then the floor, or what it is compared with, is wrong."""
        for r in self.rows:
            judged = r.who == "fairlead" and r.samples >= 50 and r.case in ("one container", "macvlan")
            if judged and (r.x_floor or 1) < 0.9:
                self._check(False, f"{r.verb.upper()} is below the floor ({r.x_floor:.2f}): the floor is not one")

    def _judge_scale(self):
        empty, full = (self.find(f"{n} containers present", "fairlead", "add") for n in (0, 1000))
        if not empty or not full or empty.over_floor_ms is None or full.over_floor_ms is None:
            return
        allowed = max(0.1, 0.1 * empty.over_floor_ms)
        self._check(full.over_floor_ms - empty.over_floor_ms <= allowed,
                    f"over the floor: {empty.over_floor_ms:.2f} ms when empty, {full.over_floor_ms:.2f} ms with "
                    f"1000 containers (at most {allowed:.2f} more)")

    def _at_most(self, case, verb, column, limit):
        row = self.find(case, "fairlead", verb)
        value = row and getattr(row, column)
        if value is not None:
            self._check(value <= limit, f"{case}: {verb.upper()} {column} {value:.2f} (<= {limit})")

    def _check(self, ok, text):
        self.checks.append((ok, text))


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def align(table, right_from):
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return ["  ".join(cell.rjust(w) if i >= right_from else cell.ljust(w)
                      for i, (cell, w) in enumerate(zip(line, widths))).rstrip() for line in table]
