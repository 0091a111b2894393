# SPDX-License-Identifier: GPL-2.0-or-later
"""What the suites' reports (JUnit XML) say, for scripts/test.

    verdict.py again REPORT            what is to be run again by itself: files with a test that failed, or unit tests that did;
                                       none when there are more than MOST
    verdict.py count STEPS REPORT...   names what was unsteady, prints "N passed, N failed, N skipped"; exit status

A test that failed among five others that wait for the same two processors may have been too slow, or met a moment that no other
run sees. Its whole file (a unit test's program) is run again, alone, and REPORT becomes REPORT.again: what fails twice, or the
second time, has failed. What does not is told by name, as it wants to be looked at. More than MOST at once are no accident.
"""
import os
import pathlib
import sys
import xml.etree.ElementTree as ET

MOST = 3


def outcomes(report):
    """{(module, test): "passed", "failed" or "skipped"}"""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        key = case.get("classname"), case.get("name").partition("@shared-")[0]
        outcome = "failed" if failed else "skipped" if case.find("skipped") is not None else "passed"
        # What failed in its teardown has a second entry.
        if found.get(key) != "failed":
            found[key] = outcome
    return found


def again(report):
    failed = [test for test, outcome in outcomes(report).items() if outcome == "failed"]
    if report.endswith("-unit.xml"):    # Meson's: a program each
        which = sorted(name.rpartition(" / ")[2] for _, name in failed)     # of suites: "fairlead:scripts / verdict"
    else:
        which = sorted({module.replace(".", "/") + ".py" for module, _ in failed})
        if not all(map(os.path.exists, which)):
            return []
    return which if len(which) <= MOST else []


def count(steps, reports):
    counts, unsteady = {"passed": 0, "failed": 0, "skipped": 0}, []
    for report in reports:
        first = outcomes(report)
        second = pathlib.Path(f"{report}.again")
        if second.exists():
            for test, outcome in outcomes(second).items():
                if first.get(test) == "failed" and outcome == "passed":
                    unsteady.append("::".join(test))
                # One that could not be run the second time has failed.
                if first.get(test) != "failed" or outcome != "skipped":
                    first[test] = outcome
        for outcome in first.values():
            counts[outcome] += 1
    for test in unsteady:
        print(f"unsteady, failed once and passed alone: {test}")
    counts["failed"] = max(counts["failed"], steps)
    print(", ".join(f"{n} {outcome}" for outcome, n in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    if sys.argv[1] == "again":
        print(*again(sys.argv[2]))
    else:
        sys.exit(count(int(sys.argv[2]), sys.argv[3:]))
