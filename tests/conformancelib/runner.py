# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the checks of a plugin and counts."""
import concurrent.futures
import dataclasses
import os
import threading
import traceback

from support import shapes

from . import delegation, lifecycle, protocol, verify  # noqa: F401  they register their checks
from .core import CHECKS, NotApplicable, Skipped
from .table import KERNEL, PLUGINS, unknown
from .world import Directory, Target, World, install_fake, kernel_lacks

PASSED, FAILED, SKIPPED, NOT_APPLICABLE = "passed", "failed", "skipped", "not applicable"


@dataclasses.dataclass
class Verdict:
    check: str
    state: str
    reason: str = ""


@dataclasses.dataclass
class Report:
    plugin: str
    verdicts: list = dataclasses.field(default_factory=list)
    versions: list = dataclasses.field(default_factory=list)
    absent: bool = False
    note: str = ""

    def count(self, state):
        return sum(1 for verdict in self.verdicts if verdict.state == state)

    def failed(self):
        return [verdict.check for verdict in self.verdicts if verdict.state == FAILED]


def _judge(name, function, *args):
    try:
        function(*args)
    except NotApplicable as reason:
        return Verdict(name, NOT_APPLICABLE, str(reason))
    except Skipped as reason:
        return Verdict(name, SKIPPED, str(reason))
    except AssertionError as reason:
        return Verdict(name, FAILED, str(reason))
    except Exception:   # a check that trips over what the plugin printed is a failure of the plugin as well
        return Verdict(name, FAILED, traceback.format_exc(limit=-2))
    return Verdict(name, PASSED)


class Run:
    """All checks of one plugin."""

    def __init__(self, target, jobs):
        self.target, self.jobs = target, jobs
        self.report = Report(target.spec.name)
        self._shared = threading.local()
        self._worlds, self._lock = [], threading.Lock()

    def all(self):
        try:
            self._learn()
            with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
                waiting = [pool.submit(self._one, check, suffix, args) for check, suffix, args in self._planned()]
                self.report.verdicts += [future.result() for future in waiting]
        finally:
            for world in self._worlds:
                world.lab.close()
        return self.report

    def _learn(self):
        """Versions, the kernel, and whether an ADD works at all: the other checks need to know."""
        target = self.target
        with World(target, "1.0.0") as world:
            answer = world.bare("VERSION", {"cniVersion": "1.0.0"}, path=None)
            try:
                listed = answer.json["supportedVersions"]
                target.versions = [version for version in shapes.VERSIONS if version in listed]
            except (AssertionError, KeyError, TypeError):
                pass
        self.report.versions = target.versions
        target.lacks = kernel_lacks(target.spec, KERNEL)
        self.report.note = f"kernel has no {target.lacks}" if target.lacks else ""
        if target.lacks or target.broken:
            return
        if target.spec.daemon:
            target.broken = f"needs {target.spec.daemon}"
            return
        check = next(check for check in CHECKS if check.name == "add.works")
        verdict = self._one(check, "", ())
        self.report.verdicts.append(verdict)
        if verdict.state != PASSED:
            target.broken = "needs an ADD that works"

    def _planned(self):
        done = {verdict.check for verdict in self.report.verdicts}
        for check in CHECKS:
            why_not = check.applies(self.target)
            for suffix, args in check.cases(self.target) if not why_not else [("", ())]:
                if check.named(suffix) not in done:
                    yield check, suffix, args

    def _one(self, check, suffix, args):
        name, why_not = check.named(suffix), check.applies(self.target)
        if why_not:
            return Verdict(name, NOT_APPLICABLE, why_not)
        if check.works and self.target.lacks:
            return Verdict(name, SKIPPED, f"kernel has no {self.target.lacks}")
        if check.works and self.target.broken:
            return Verdict(name, NOT_APPLICABLE, self.target.broken)
        if not check.world:
            with self._lock:
                return _judge(name, check.run, self.target, *args)
        if check.shared:
            return _judge(name, check.run, self._world(), *args)
        return _judge(name, self._alone, check, args)

    def _alone(self, check, args):
        with World(self.target) as world:
            check.run(world, *args)

    def _world(self):
        if not hasattr(self._shared, "world"):
            self._shared.world = World(self.target)
            with self._lock:
                self._worlds.append(self._shared.world)
        return self._shared.world


def conform(path, only=(), jobs=None, progress=lambda report: None):
    """Reports for every plugin of the table, or the named ones; and the names of executables it does not have."""
    directory = Directory(path)
    try:
        install_fake(directory)
        reports = []
        for name in only or PLUGINS:
            if name not in directory.found:
                report = Report(name, absent=True)
            else:
                spec = PLUGINS.get(name) or unknown(name)
                target = Target(spec, directory)
                if name not in PLUGINS:
                    target.broken = "not in the table: the protocol alone is checked"
                report = Run(target, jobs or min(8, 2 * (os.cpu_count() or 1))).all()
            reports.append(report)
            progress(report)
        return reports, [name for name in directory.found if name not in PLUGINS]
    finally:
        directory.close()


def described():
    return [(check.name, check.about) for check in CHECKS]
