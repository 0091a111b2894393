# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl dns."""
import json
import selectors
import signal
import subprocess
import threading

import pytest

from support import configs as net
from support import dns, upstream as up
from support.netctl import FAILED, NO, NOT_FOUND, USAGE


@pytest.fixture
def named(lab, cni, netctl, upstream):
    """web (with an alias) and db on network net, each with a resolver; a name server outside. Yields netctl."""
    dns.attach(cni, dns.network(ipMasq=False), "c1", "web", aliases=["www"])
    dns.attach(cni, dns.network(ipMasq=False), "c2", "db")
    return netctl


# ---- ls ----

def test_nobody(netctl, cni, lab):
    assert netctl.json("dns", "ls") == []
    netctl("dns", "query", "x").expect(NOT_FOUND, "no container has a resolver")
    netctl("dns", "stats").expect(FAILED, "no fairlead-dnsd is at work")
    netctl("dns", "log").expect(FAILED, "no fairlead-dnsd is at work")
    cni.add("bridge", net.bridge(), "c1").expect()
    netctl("dns", "query", "x", "--from", "c1").expect(NOT_FOUND, "container c1 has no resolver")


def test_list(named, lab, cni):
    web, db = sorted(named.json("dns", "ls"), key=lambda row: row["container"])
    assert (web["container"], web["label"], web["networks"], web["served"]) == ("c1", "web", ["net"], True)
    assert {"web", "www"} <= set(web["names"]) and web["listens"] == f"127.0.0.11:{web['port']}" and web["port"]
    assert db["names"][0] == "db"
    rows = named("dns", "ls").expect().rows
    assert rows[0] == ["CONTAINER", "NETWORKS", "LISTENS", "SERVED", "NAMES"]
    assert named("dns", "ls", "-q").expect().stdout.split() == [row["label"] for row in named.json("dns", "ls")]


def test_list_of_a_sandbox_in_two_networks_and_of_a_listener(named, lab, cni):
    cni.add("bridge", dns.named(dns.second(dns={"listen": 5353}), "web"), "c1", ifname="eth1").expect()
    rows = named.json("dns", "ls")
    web = next(row for row in rows if row["container"] == "c1")
    assert sorted(web["networks"]) == ["net", "other"] and len([r for r in rows if r["kind"] == "sandbox"]) == 2
    listener = next(row for row in rows if row["kind"] == "listener")
    assert (listener["label"], listener["networks"], listener["listens"], listener["served"]) == \
        ("(host)", ["other"], "10.2.0.1:5353", True)


# ---- query ----

def test_query(named):
    outcome = named("dns", "query", "db", "--from", "web").expect()
    lines = outcome.stdout.splitlines()
    assert lines[0].startswith("db. A from web: NOERROR, 1 answer (udp, ")
    assert lines[1].split() == ["NAME", "TTL", "TYPE", "DATA"] and lines[2].split()[::3] == ["db.", "10.1.0.3"]
    assert named("dns", "query", "db", "--from", "c1", "-q").expect().stdout == "10.1.0.3\n"
    found = named.json("dns", "query", "www", "--from", "db")
    assert found["question"] == {"name": "www.", "type": "A"} and found["from"] == "c2"
    assert [a["data"] for a in found["answers"]] == ["10.1.0.2"] and found["transport"] == "udp"


@pytest.mark.parametrize("argv", [["10.1.0.3"], ["10.1.0.3", "--reverse"], ["3.0.1.10.in-addr.arpa", "PTR"]])
def test_reverse(named, argv):
    found = named.json("dns", "query", *argv, "--from", "web")
    assert found["question"] == {"name": "3.0.1.10.in-addr.arpa.", "type": "PTR"}
    assert [a["data"] for a in found["answers"]] == ["db.net."]


def test_no_such_name(named, upstream):
    upstream.on("nowhere.test", up.negative())
    outcome = named("dns", "query", "nowhere.test", "--from", "web", "--json")
    assert outcome.status == NO and outcome.json["rcode"] == "NXDOMAIN"
    assert "NXDOMAIN, 0 answers" in named("dns", "query", "nowhere.test", "--from", "web").stdout
    assert named("dns", "query", "db", "AAAA", "--from", "web").status == NO, "no address of this family"
    upstream.on("broken.test", up.fail())
    outcome = named("dns", "query", "broken.test", "--from", "web", "--json")
    assert outcome.status == FAILED and outcome.json["rcode"] == "SERVFAIL"


def test_wrong_questions(named):
    named("dns", "query", "db").expect(USAGE, "--from")
    named("dns", "query", "db", "NOTYPE", "--from", "web").expect(USAGE, "no such type")
    named("dns", "query", "a" * 64, "--from", "web").expect(USAGE, "cannot be a domain name")
    named("dns", "query", "db", "--reverse", "--from", "web").expect(USAGE, "expected an IP address")
    named("dns", "query", "db", "--from", "nobody").expect(NOT_FOUND)


def test_the_only_container_needs_no_name(lab, cni, netctl, upstream):
    dns.attach(cni, dns.network(), "c1", "web")
    assert netctl("dns", "query", "web", "-q").expect().stdout == "10.1.0.2\n"


def answer_records(*records):
    """A behaviour: these (type, data) records of the question's name."""
    return up.made(lambda q: up.message(q, [up.record(data, kind) for kind, data in records]))


def test_hostile_records(named, upstream):
    """What a stranger's server says never reaches the terminal as it is."""
    upstream.on("evil.test", answer_records((16, b"\x0b\x1b[2J\"\\\xff\0ab\x9b" + b"\3end")))
    found = named.json("dns", "query", "evil.test", "TXT", "--from", "web")
    assert [a["data"] for a in found["answers"]] == [r'"\027[2J\"\\\255\000ab\155" "end"']
    assert "\x1b" not in named("dns", "query", "evil.test", "TXT", "--from", "web", "--color=never").stdout
    upstream.on("odd.test", answer_records((33, b"\0\1\0\2\0\x35\4a\x1bcd\0"), (33, b"\0\1"), (999, b"\1\2")))
    found = named.json("dns", "query", "odd.test", "SRV", "--from", "web")
    assert [(a["type"], a["data"]) for a in found["answers"]] == \
        [("SRV", r"1 2 53 a\027cd."), ("SRV", r"\# 2 0001"), ("TYPE999", r"\# 2 0102")]


def test_long_answers_come_by_tcp(named, upstream):
    upstream.on("big.test", up.text(3000))
    found = named.json("dns", "query", "big.test", "TXT", "--from", "web")
    assert found["transport"] == "tcp" and found["answers"][0]["data"].count("x") > 2900
    assert found["answers"][0]["data"].count('"') == 24


def test_gone(named, lab):
    lab.remove_netns("c2")
    net.eventually(lambda: named("dns", "query", "web", "--from", "db").status == NOT_FOUND)
    named("dns", "query", "web", "--from", "db").expect(NOT_FOUND, "gone")


# ---- stats ----

def test_stats(named, lab):
    for _ in range(3):
        dns.ask(lab, "c1", "db")
    dns.ask(lab, "c1", "far.test")
    dns.ask(lab, "c1", "far.test")
    found = named.json("dns", "stats")
    rows = {row["label"]: row for row in found["containers"]}
    web = rows["web"]
    assert (web["queries"], web["local"], web["forwarded"], web["cached"], web["failed"]) == (5, 3, 1, 1, 0)
    assert rows["db"]["queries"] == 0 and rows["db"]["medianMicroseconds"] == 0
    assert web["medianMicroseconds"] in [1 << i for i in range(20)]
    assert found["cache"]["entries"] >= 1 and found["servers"] == ["192.0.2.2"]
    assert [row["label"] for row in named.json("dns", "stats", "web")["containers"]] == ["web"]
    outcome = named("dns", "stats").expect()
    assert outcome.rows[0][:3] == ["CONTAINER", "QUERIES", "LOCAL"] and "cache: " in outcome.stdout
    assert [row["label"] for row in found["containers"]] == ["db", "web"]
    assert [row[:2] for row in outcome.rows if row[0] == "web"] == [["web", "5"]]
    named("dns", "stats", "nobody").expect(NOT_FOUND)


# ---- log ----

def follow(netctl, *argv):
    return netctl.start("dns", "log", *argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(lab, process, ask):
    """The first line that comes: the log may begin a moment after its program does."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        for _ in range(200):
            ask()
            if selector.select(0.05):
                return process.stdout.readline()
    raise AssertionError("nothing came")


def test_log(named, lab):
    process = follow(named)
    line = until(lab, process, lambda: dns.ask(lab, "c1", "db"))
    words = line.split()
    assert words[1:5] == ["web", "A", "local", "NOERROR"] and words[-1] == "db." and words[6] == "us"
    lab.stop(process, signal.SIGINT)


def test_log_for_scripts(named, lab):
    process = follow(named, "--json", "db")
    line = until(lab, process, lambda: [dns.ask(lab, name, "web") for name in ("c1", "c2")])
    found = json.loads(line)
    assert (found["label"], found["container"], found["name"], found["type"], found["answer"]) == ("db", "c2", "web.", "A", "local")
    lab.stop(process, signal.SIGINT)


def test_log_of_one_that_came_later(named, lab, cni):
    process = follow(named)
    until(lab, process, lambda: dns.ask(lab, "c1", "db"))
    lab.netns("late")
    dns.attach(cni, dns.network(ipMasq=False), "late", "newcomer")
    dns.ask(lab, "late", "db")
    watchdog = threading.Timer(10, process.kill)
    watchdog.start()
    assert any("newcomer" in line for line in process.stdout)
    watchdog.cancel()
    lab.stop(process, signal.SIGINT)


def test_log_ends_with_the_resolver(named, lab):
    process = follow(named)
    until(lab, process, lambda: dns.ask(lab, "c1", "db"))
    pid = int(lab.read(f"/run/fairlead/{lab.files('/run/fairlead')[0]}/dns.lock"))
    lab.run(["kill", "-9", *lab.read(f"/proc/{pid}/task/{pid}/children").split()])
    assert process.wait(timeout=10) == FAILED
    assert "was started anew" in process.stderr.read()
