# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl on the private host."""
import dataclasses
import json
import os
import pathlib
import re

from .cni import LIBEXEC, libexec_dir, plugin_dir, _sanitizer_options

OK, FAILED, USAGE, NOT_FOUND, NO = range(5)
_TREE = pathlib.Path(__file__).resolve().parents[2]


def program():
    """Beside the installed plugins, or in the build tree."""
    plugins = pathlib.Path(plugin_dir())
    for path in (plugins / "../../../usr/local/bin/netctl", plugins / "../../../usr/bin/netctl",
                 plugins.parent / "netctl/netctl", _TREE / "build/netctl/netctl"):
        if path.exists():
            return str(path.resolve())
    raise FileNotFoundError("netctl")


@dataclasses.dataclass
class Outcome:
    argv: list
    status: int
    stdout: str
    stderr: str

    @property
    def ok(self):
        return self.status == 0

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def error(self):
        """The error object of --json."""
        return json.loads(self.stderr.splitlines()[-1])

    @property
    def rows(self):
        """A table's lines, split at blanks; the first is the header."""
        return [line.split() for line in self.stdout.splitlines()]

    def expect(self, status=OK, *words):
        """This exit status, and these words in stderr (in stdout when it is OK); returns self."""
        assert self.status == status, str(self)
        text = self.stdout if status == OK else self.stderr + self.stdout
        for word in words:
            assert word in text, f"wanted {word!r}: {self}"
        return self

    def __str__(self):
        return f"netctl {' '.join(self.argv)}: exit {self.status}\n{self.stdout}{self.stderr}"


class Netctl:
    def __init__(self, lab, netns=None):
        self.lab, self.netns = lab, netns

    def environment(self, **more):
        env = {"PATH": os.environ["PATH"], "CNI_PATH": plugin_dir(), LIBEXEC: libexec_dir(), "LC_ALL": "C.UTF-8",
               **_sanitizer_options(), **more}
        return {key: value for key, value in env.items() if value is not None}

    def __call__(self, *argv, input=None, timeout=60, env=None):
        """Runs it to its end; an Outcome. stdout is no terminal."""
        argv = [str(word) for word in argv]
        done = self.lab.run([program(), *argv], input=input, env=self.environment(**(env or {})), timeout=timeout,
                            check=False, netns=self.netns)
        return Outcome(argv, done.returncode, done.stdout, done.stderr)

    def start(self, *argv, env=None, **kwargs):
        """A Popen, for what goes on until it is ended."""
        return self.lab.start([program(), *map(str, argv)], env=self.environment(**(env or {})), netns=self.netns, **kwargs)

    def json(self, *argv, **kwargs):
        """What --json shows. Every key of it is in the verb's help."""
        shown = self(*argv, "--json", **kwargs).expect().json
        self.check_documented(argv, shown)
        return shown

    def check_documented(self, argv, shown):
        """The keys of the objects are among the words of `netctl help VERB`, which the man page has too."""
        verb = self.verb_of(argv)
        text = self("help", *verb).expect().stdout
        if "the CNI result" in text or "the configuration" in text:
            return
        words = set(re.findall(r"\w+", text[text.index("With --json"):].split("\nOptions:")[0]))
        for one in shown if isinstance(shown, list) else [shown]:
            assert not set(one) - words, f"netctl help {' '.join(verb)} does not name {sorted(set(one) - words)}"

    def verb_of(self, argv):
        return [argv[0]] if self("help", argv[0]).stdout.startswith(f"usage: netctl {argv[0]} [OPTIONS]") else argv[:2]

    def write(self, conflist, file=None):
        """A configuration in /etc/cni/net.d, as somebody else would have put it there."""
        self.lab.run(["mkdir", "-p", "/etc/cni/net.d"])
        self.lab.write(f"/etc/cni/net.d/{file or '50-' + conflist['name'] + '.conflist'}", json.dumps(conflist))
