# SPDX-License-Identifier: GPL-2.0-or-later
"""verdict.py SUPPORT: what scripts/test makes of its reports (tests/support/verdict.py)."""
import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, sys.argv.pop())
import verdict  # noqa: E402


def report(path, **tests):
    """A JUnit report: tests of one module each, "module__test", that "passed", "failed", were "skipped", or had an "error" after."""
    inner = {"passed": "", "failed": "<failure/>", "skipped": "<skipped/>", "error": "<error/>"}
    cases = "".join(f'<testcase classname="{name.partition("__")[0].replace("_", ".")}" name="{name.partition("__")[2]}">{inner[how]}</testcase>'
                    for name, hows in tests.items() for how in hows.split())
    pathlib.Path(path).write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return str(path)


class Verdict(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        os.mkdir("tests")
        for name in "abcd":
            pathlib.Path(f"tests/{name}.py").touch()

    def count(self, *reports, steps=0):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = verdict.count(steps, reports)
        *unsteady, last = out.getvalue().splitlines()
        return status, [line.rpartition(" ")[2] for line in unsteady], last

    def test_files_that_run_again(self):
        self.assertEqual(verdict.again(report("r.xml", tests_a__x="passed", tests_b__x="skipped")), [])
        self.assertEqual(verdict.again(report("r.xml", tests_a__x="failed", tests_a__y="failed", tests_c__z="error")), ["tests/a.py", "tests/c.py"])
        self.assertEqual(verdict.again(report("r.xml", **{f"tests_{name}__x": "failed" for name in "abcd"})), [])
        # What failed before a file was read has none.
        self.assertEqual(verdict.again(report("r.xml", tests_a__x="failed", tests_nowhere__x="failed")), [])

    def test_programs_that_run_again(self):
        self.assertEqual(verdict.again(report("gcc-unit.xml", fairlead__store="failed", fairlead__nl="passed")), ["store"])
        self.assertEqual(verdict.again(report("gcc-unit.xml", **{"fairlead__fairlead:scripts / layers": "failed"})), ["layers"])
        self.assertEqual(verdict.again(report("gcc-unit.xml", **{f"fairlead__{n}": "failed" for n in "abcd"})), [])

    def test_numbers(self):
        first = report("a.xml", tests_a__x="passed", tests_a__y="skipped")
        second = report("b.xml", tests_a__x="passed", tests_b__x="passed error")
        self.assertEqual(self.count(first), (0, [], "1 passed, 0 failed, 1 skipped"))
        self.assertEqual(self.count(first, second), (1, [], "2 passed, 1 failed, 1 skipped"))
        self.assertEqual(self.count(first, steps=2), (1, [], "1 passed, 2 failed, 1 skipped"))
        self.assertEqual(self.count()[0], 1)

    def test_second_time(self):
        first = report("a.xml", tests_a__x="failed", tests_a__y="failed", tests_a__z="passed", tests_b__x="failed")
        report("a.xml.again", tests_a__x="passed", tests_a__y="failed", tests_a__z="passed")
        self.assertEqual(self.count(first), (1, ["tests.a::x"], "2 passed, 2 failed, 0 skipped"))
        # What is skipped the second time tells nothing.
        first = report("a.xml", tests_a__x="failed", tests_a__y="passed")
        report("a.xml.again", tests_a__x="skipped", tests_a__y="passed")
        self.assertEqual(self.count(first), (1, [], "1 passed, 1 failed, 0 skipped"))
        # What passed at first and fails now has failed.
        first = report("a.xml", tests_a__x="failed", tests_a__y="passed")
        report("a.xml.again", tests_a__x="passed", tests_a__y="failed")
        self.assertEqual(self.count(first), (1, ["tests.a::x"], "1 passed, 1 failed, 0 skipped"))


unittest.main()
