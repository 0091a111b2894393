#!/usr/bin/python3
"""The man pages as they are built: no warnings of man and mandoc, nothing wider than 80 columns, and the index finds them.

    man_pages.py PAGE...
"""
import os
import re
import shutil
import subprocess
import sys

WIDTH = 80
ENVIRONMENT = {**os.environ, "MANWIDTH": str(WIDTH), "LC_ALL": "C.UTF-8"}
# What scdoc writes between blocks: every page of it has these, and they change nothing.
BY_SCDOC = re.compile(r"skipping paragraph macro: PP (empty|after S[HS])")


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def by_man(page):
    done = run("man", "--warnings=w", "-l", page)
    yield from done.stderr.splitlines()
    if done.returncode:
        yield f"{page}: man ends with {done.returncode}"
    text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    for line in text.split("\n"):
        if len(line) > WIDTH:
            yield f"{page}: wider than {WIDTH} columns: {line}"
    if text.count("\n") < 20:
        yield f"{page}: is empty"


def by_mandoc(page):
    done = run("mandoc", "-Tlint", "-W", "warning", page)
    yield from [line for line in (done.stdout + done.stderr).splitlines() if not BY_SCDOC.search(line)]


def by_whatis(page):
    """As makewhatis reads it."""
    name = os.path.basename(page).rsplit(".", 1)[0]
    done = run("lexgrog", page)
    if done.returncode or f'"{name} - ' not in done.stdout:
        yield f"{page}: apropos does not find it: {done.stdout}{done.stderr}"


def main():
    checks = [check for program, check in (("man", by_man), ("mandoc", by_mandoc), ("lexgrog", by_whatis)) if shutil.which(program)]
    faults = [fault for page in sys.argv[1:] for check in checks for fault in check(page)]
    print("\n".join(faults) or f"man pages: {len(sys.argv) - 1} pages, by {', '.join(c.__name__[3:] for c in checks) or 'nobody'}")
    return 1 if faults else 0 if checks else 77


if __name__ == "__main__":
    sys.exit(main())
