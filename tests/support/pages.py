# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages of docs/ whose commands are run, line by line: each succeeds, and shows what the page says."""
import re

# Chosen by chance, by the machine or by the moment.
CHANGING = [(r"veth[0-9a-f]{8}", "VETH"), (r"([0-9a-f]{2}:){5}[0-9a-f]{2}", "MAC"), (r"\s+", " "), (r"─+|-{3,}", "-")]


def plain(line, changing):
    for pattern, name in changing:
        line = re.sub(pattern, name, line)
    return line.strip()


def commands(page):
    """(command, the lines that it shows, the exit status that the page tells in "[N]")"""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.M | re.S):
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


def replay(page, shell, changing=()):
    """Runs them in the shell (a Popen with pipes); how many there were."""
    changing = [*changing, *CHANGING]
    seen = 0
    for command, told in commands(page):
        shell.stdin.write(f"{command}\nprintf '\\nEND %s\\n' $?\n")
        shell.stdin.flush()
        shown = []
        while not (line := shell.stdout.readline()).startswith("END "):
            assert line, f"the shell ended in {command}"
            shown.append(line)
        status = int(line.split()[1])
        wanted = int(told.pop()[1:-1]) if told and re.fullmatch(r"\[\d+\]", told[-1]) else 0
        shown = [plain(s, changing) for s in "".join(shown)[:-1].splitlines()]
        assert status == wanted and matches(shown, [plain(t, changing) for t in told]), \
            f"$ {command}\nexit {status}\n" + "\n".join(shown) + "\n-- the page has --\n" + "\n".join(told)
        seen += 1
    return seen
