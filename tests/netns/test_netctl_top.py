# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl top: rates, in a pipe and on a terminal."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from support import configs as net
from support.netctl import NOT_FOUND, USAGE


def test_top_in_a_pipe(lab, cni, netctl):
    [one, two] = net.attach(cni, net.bridge(), "c1", "c2")
    server = lab.udp_server("c2", port=9)
    sock = lab.client(None, two, server.port, "udp")

    def send():
        for _ in range(200):
            sock.send(b"x" * 1000)

    send()
    top = netctl.start("top", "--json", "--count", "3", stdout=subprocess.PIPE)
    first = json.loads(top.stdout.readline())
    assert {e["container"] for e in first} == {"c1", "c2"} and all(e["in"] < 50000 for e in first)
    send()
    rates = json.loads(top.stdout.readline())
    assert rates[0]["container"] == "c2" and 150000 < rates[0]["in"] < 400000
    lab.netns("c3")
    cni.add("bridge", net.bridge(), "c3").expect()
    cni.delete("bridge", net.bridge(), "c1").expect()
    last = {e["container"]: e for e in json.loads(top.stdout.readline())}
    assert set(last) == {"c2", "c3"} and last["c3"]["in"] is None
    assert top.wait(timeout=20) == 0


def test_top_tables(cni, netctl):
    net.attach(cni, net.bridge(), "c1", "c2")
    lines = netctl("top", "--count", "1", "--sort", "name").expect().stdout.splitlines()
    assert lines[0].split() == ["CONTAINER", "NETWORK", "INTERFACE", "IN/s", "OUT/s", "PKTS-IN/s", "PKTS-OUT/s"]
    assert [line.split()[0] for line in lines[1:3]] == ["c1", "c2"]
    netctl("top", "--sort", "size").expect(USAGE, "expected rx, tx or name")
    netctl("top", "--interval", "0").expect(USAGE, "--interval")
    netctl("top", "nix").expect(NOT_FOUND, "nix")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, netctl, *argv, rows=24, columns=100):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.process = netctl.start(*argv, stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE)
        self.text = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, done, seconds=20):
        end = time.monotonic() + seconds
        while not done(self.text):
            assert time.monotonic() < end and select.select([self.master], [], [], seconds)[0], self.text
            self.text += os.read(self.master, 65536)

    def end(self):
        assert self.process.wait(timeout=20) == 0, self.process.stderr.read()
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536)
        after = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        assert after == self.before
        assert self.text.startswith(b"\x1b[?1049h") and self.text.endswith(b"\x1b[?25h\x1b[?1049l")
        return self.text


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, b"q"])
def test_top_leaves_the_terminal_as_it_was(cni, netctl, how):
    net.attach(cni, net.bridge(), "c1", "c2")
    terminal = Terminal(netctl, "top")
    terminal.until(lambda text: b"2 endpoints" in text and b"c2" in text)
    assert termios.tcgetattr(terminal.slave)[3] & termios.ECHO == 0
    if isinstance(how, bytes):
        os.write(terminal.master, how)
    else:
        terminal.process.send_signal(how)
    terminal.end()


def test_top_follows_the_size(lab, cni, netctl):
    for i in range(30):
        lab.netns(f"k{i}")
    net.attach(cni, net.bridge(), *[f"k{i}" for i in range(30)])
    terminal = Terminal(netctl, "top", "--interval", "1", rows=12)
    terminal.until(lambda text: b"30 endpoints" in text)

    def rows(text):
        return [screen.count(b" eth0 ") for screen in text.split(b"\x1b[H\x1b[J")[1:]]

    terminal.until(lambda text: len(rows(text)) > 1)
    assert rows(terminal.text)[0] == 8
    terminal.resize(40, 100)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.until(lambda text: 30 in rows(text))
    terminal.process.send_signal(signal.SIGTERM)
    terminal.end()
