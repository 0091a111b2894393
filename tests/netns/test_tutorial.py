# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/tutorial.md, line by line: every command succeeds, and shows what the page says."""
import os
import pathlib
import re
import subprocess

from support.netctl import program

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/tutorial.md"
# Chosen by chance, by the machine or by the moment.
CHANGING = [(r"veth[0-9a-f]{8}", "VETH"), (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"), (r"\s+", " "), (r"─+|-{3,}", "-")]


def plain(line):
    for pattern, name in CHANGING:
        line = re.sub(pattern, name, line)
    return line.strip()


def commands():
    """(command, the lines that it shows, the exit status that the page tells in "[N]")"""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        lines = block.splitlines()
        assert lines[0].startswith("# ")
        current = None
        for line in lines:
            # A line of output may begin so too: resolv.conf's comment.
            if line.startswith("# ") and not line.startswith("# container "):
                if current:
                    yield current
                current = [line[2:], []]
            else:
                current[1].append(line)
        yield current


def matches(shown, told):
    """`...` stands for any number of lines."""
    if not told:
        return not shown
    if told[0] == "...":
        return any(matches(shown[i:], told[1:]) for i in range(len(shown) + 1))
    return bool(shown) and shown[0] == told[0] and matches(shown[1:], told[1:])


def test_tutorial(lab, netctl, upstream):
    env = {**netctl.environment(), "PATH": f"{os.path.dirname(program())}:{os.environ['PATH']}", "HOME": "/run"}
    shell = lab.start(["sh"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/run")
    seen = 0
    for command, told in commands():
        shell.stdin.write(f"{command}\nprintf '\\nEND %s\\n' $?\n")
        shell.stdin.flush()
        shown = []
        while not (line := shell.stdout.readline()).startswith("END "):
            assert line, f"the shell ended in {command}"
            shown.append(line)
        status = int(line.split()[1])
        wanted = int(told.pop()[1:-1]) if told and re.fullmatch(r"\[\d+\]", told[-1]) else 0
        shown = [plain(s) for s in "".join(shown)[:-1].splitlines()]
        assert status == wanted and matches(shown, [plain(t) for t in told]), \
            f"$ {command}\nexit {status}\n" + "\n".join(shown) + "\n-- the page has --\n" + "\n".join(told)
        seen += 1
    assert seen > 12
    shell.stdin.close()
