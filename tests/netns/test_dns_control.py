# SPDX-License-Identifier: GPL-2.0-or-later
"""What netctl reads from the daemon, counters and the log of queries; and what its control socket bears."""
import contextlib
import itertools
import json
import os
import socket
import struct

import pytest

from support import configs, stub
from support import upstream as up
from support.stub import LOG, PING, STATS, Control, ask, values

MALFORMED = struct.pack("!6H", 9, 0x0100, 2, 0, 0, 0) + b"\1a\0\0\1\0\1" * 2
TIMES = 20          # so that what leaks is seen


def served(lab, netns="c1"):
    return stub.stats(lab).sandboxes[str(lab.cookie(netns))]


def send(lab, data, netns="c1"):
    """One datagram; what comes back."""
    with stub.client(lab, netns) as sock:
        sock.send(data)
        return sock.recv(4096)


@pytest.fixture
def mixed(lab, cni, upstream):
    """c1 with a resolver that forwards, c2 with one that does not; a server of every temper."""
    upstream.on("bad.test", up.fail())
    cni.add("bridge", stub.config()).expect()
    cni.add("bridge", configs.second(dns={"enabled": True, "forward": False}), "c2").expect()
    return upstream


def one_of_each(lab):
    """A query that ends in each way that there is: (netns, how, name, rcode) in this order."""
    ask(lab, "c1")
    ask(lab, "a.test")
    ask(lab, "a.test", tcp=True)
    ask(lab, "bad.test", "TXT")
    ask(lab, "a.test", netns="c2")
    send(lab, MALFORMED)
    return [("c1", "local", "c1", 0), ("c1", "forwarded", "a.test", 0), ("c1", "cached", "a.test", 0),
            ("c1", "failed", "bad.test", 2), ("c2", "refused", "a.test", 3), ("c1", "malformed", ".", 1)]


# ---- counters ----

def test_counters_tell_what_became_of_each_query(lab, mixed):
    one_of_each(lab)
    latency = [stub.counters(lab, netns).pop("latency") for netns in ("c1", "c2")]
    counted = [{k: v for k, v in stub.counters(lab, netns).items() if v and k != "latency"} for netns in ("c1", "c2")]
    assert counted == [{"queries": 5, "tcp": 1, "local": 1, "cached": 1, "forwarded": 2, "failed": 1, "malformed": 1},
                       {"queries": 1, "refused": 1}]
    assert [sum(buckets) for buckets in latency] == [5, 1]
    assert [len(buckets) for buckets in latency] == [20, 20]


def test_stats_of_all_and_of_one(lab, mixed):
    one_of_each(lab)
    found = stub.stats(lab)
    cookies = {netns: str(lab.cookie(netns)) for netns in ("c1", "c2")}
    assert set(found.sandboxes) == set(cookies.values())
    assert [found.sandboxes[cookies[n]]["networks"] for n in ("c1", "c2")] == [["net"], ["other"]]
    assert found.networks == {"net": 1, "other": 0}
    assert found.total["servers"] == ["192.0.2.2"] and found.total["sandboxes"] == 2 and found.total["waiting"] == 0
    assert found.total["cache"]["entries"] == 1 and found.total["cache"]["bytes"] > 0
    one = stub.stats(lab, lab.cookie("c2"))
    assert set(one.sandboxes) == {cookies["c2"]} and not one.networks and not one.total
    assert stub.stats(lab, 1) == stub.Stats({}, {}, {}), "nobody's"


def test_what_waits_and_what_is_connected(lab, mixed):
    mixed.on("*.slow.test", up.late(0.3, up.address()))
    with stub.client(lab, kind=socket.SOCK_STREAM) as sock, stub.Crowd(lab, {"c1": [f"{n}.slow.test" for n in range(7)]}) as crowd:
        sock.sendall(stub.framed(stub.simple("x.slow.test", 1)))
        crowd.send()
        mixed.wait(lambda server: len(server.seen) == 8)
        assert (served(lab)["waiting"], served(lab)["connections"]) == (8, 1)
        crowd.wait()
        stub.read_stream(sock)
    configs.eventually(lambda: (served(lab)["waiting"], served(lab)["connections"]) == (0, 0))


def test_latency_of_what_is_slow(lab, mixed):
    """Bucket n: below 2^n microseconds."""
    mixed.on("slow.test", up.late(0.2, up.address()))
    ask(lab, "slow.test")
    buckets = stub.counters(lab)["latency"]
    assert buckets[18] == 1 and sum(buckets) == 1
    ask(lab, "slow.test")
    assert sum(stub.counters(lab)["latency"][:14]) == 1, "from the cache"


def test_duplicates_and_what_is_no_query(lab, mixed):
    answer = send(lab, stub.simple("c1", 5))
    with stub.client(lab) as sock:
        for data in (b"", b"x" * 11, answer, b"x" * 4000, answer[:12]):
            sock.send(data)
        sock.send(stub.simple("c1", 6))
        assert sock.recv(4096)[:2] == b"\0\6", "none of them is answered"
    counted = stub.counters(lab)
    assert counted["malformed"] >= 4 and counted["local"] == 2
    assert sum(counted["latency"]) == 2


def test_stats_by_a_narrow_socket(lab, cni, upstream):
    """More than fits into it at once: each line comes."""
    config = stub.config()
    config["ipam"] = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]}
    cni.add("bridge", config).expect()
    for n in range(2, 40):
        lab.netns(f"s{n}")
        cni.add("bridge", config, f"s{n}").expect()
    with Control(lab) as control:
        control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lines = list(control.lines(STATS))
    assert sum("sandbox" in line for line in lines) == 39
    assert sum("cache" in line for line in lines) == 1


# ---- log ----

def test_log_says_how_each_query_was_answered(lab, mixed):
    cookies = {netns: str(lab.cookie(netns)) for netns in ("c1", "c2")}
    with Control(lab) as all_, Control(lab) as one:
        lines, of_c2 = all_.lines(LOG), one.lines(LOG, lab.cookie("c2"))
        stub.stats(lab)     # comes after both in the worker's queue
        wanted = one_of_each(lab)
        got = list(itertools.islice(lines, len(wanted)))
        assert [(line["sandbox"], line["answer"], line["name"].rstrip(".") or ".", line["rcode"]) for line in got] == [
            (cookies[netns], how, name, rcode) for netns, how, name, rcode in wanted]
        assert [line["type"] for line in got[:5]] == ["A", "A", "A", "TXT", "A"]
        assert all(0 <= line["us"] < 10 ** 6 for line in got)
        assert next(of_c2)["sandbox"] == cookies["c2"]
        ask(lab, "x.test", "TYPE999", netns="c2")
        assert next(of_c2)["type"] == "TYPE999", "and nothing of c1's before"


def test_log_of_a_listener(lab, cni, upstream):
    cni.add("bridge", stub.config(listen=True)).expect()
    with Control(lab) as control:
        lines = control.lines(LOG)
        stub.stats(lab)
        ask(lab, "c1", netns=None, server="10.1.0.1")
        line = next(lines)
        assert (line["listener"], line["answer"], "sandbox" in line) == ("net", "local", False)


def test_names_of_strangers_in_the_log(lab, mixed):
    """JSON it stays, whatever bytes a label has."""
    with Control(lab) as control:
        lines = control.lines(LOG)
        stub.stats(lab)
        for label in (b'"', b"\\", b"\n", b"\xff\xfe", b"\0", b".", bytes(range(1, 64))):
            name = bytes([len(label)]) + label + b"\4test\0"
            send(lab, struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1")
            assert "test" in next(lines)["name"]


def test_reader_that_does_not_read(lab, mixed):
    """Service goes on, and what it missed is counted: with the next query that finds all read."""
    with Control(lab) as control:
        control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert control.exchange(control.request(LOG)) == (0, "")
        stub.stats(lab)
        with stub.Crowd(lab, {"c1": ["c1"] * 20000}, window=64) as crowd:
            crowd.send()
            assert not [o for o in crowd.wait() if o.rcode != 0]
            assert max(o.took for o in crowd.outcomes) < 1
        control.sock.settimeout(0.1)
        data, more = b"", 0
        while b'"lost"' not in data or not data.endswith(b"\n"):
            try:
                data += control.sock.recv(1 << 20)
            except TimeoutError:
                ask(lab, "c1")
                more += 1
                assert more < 10
        lines = [json.loads(line) for line in data.splitlines()]
        lost = sum(line.get("lost", 0) for line in lines)
        assert lost > 1000 and lost + sum("answer" in line for line in lines) == 20000 + more


def test_reader_that_goes_away(lab, mixed):
    for op in (STATS, LOG, LOG):
        control = Control(lab)
        assert control.exchange(control.request(op)) == (0, "")
        control.close()
    for n in range(50):
        assert values(ask(lab, "c1"))


# ---- the control socket ----

def broker(lab):
    return int(lab.read(stub.state_dir(lab) + "/dns.lock"))


def descriptors(lab):
    """What the daemon has open; what it closes meanwhile is left out."""
    folder, found = f"/proc/{broker(lab)}/fd", []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"{folder}/{name}"))
    return sorted(found)


def no_more_than(lab, before):
    try:
        configs.eventually(lambda: len(descriptors(lab)) <= len(before))
    except AssertionError:
        assert descriptors(lab) == before
        raise


def still_there(lab):
    with Control(lab) as control:
        assert control.exchange(control.request(PING)) == (0, "")
    assert values(ask(lab, "c1"))


@pytest.mark.parametrize("change, result", [
    (lambda q: b"\0\0\0\0" + q[4:], -71), (lambda q: q[:-1], -71), (lambda q: q + b"x", -71), (lambda q: q[:1], -71), (lambda q: q * 20, -71),
    (lambda q: q[:16] + bytes(8) + q[24:], -18), (lambda q: q[:24] + bytes(8) + q[32:], -18),
    (lambda q: q[:4] + struct.pack("=I", 99) + q[8:], -95), (lambda q: q[:4] + struct.pack("=I", 0) + q[8:], -95)],
    ids=["magic", "short", "long", "one byte", "very long", "other device", "other folder", "operation 99", "operation 0"])
def test_refused(lab, resolving, change, result):
    before = descriptors(lab)
    for _ in range(TIMES):
        with Control(lab) as control:
            assert control.exchange(change(control.request(PING)))[0] == result
    still_there(lab)
    no_more_than(lab, before)


def test_connection_is_of_use_after_a_refusal(lab, resolving):
    with Control(lab) as control:
        assert control.exchange(control.request(99))[0] == -95
        assert control.exchange(control.request(PING, magic=1))[0] == -71
        assert control.exchange(control.request(PING)) == (0, "")


@pytest.mark.parametrize("count", [1, 2, 64, 65, 253])
def test_descriptors_that_nobody_asked_for(lab, resolving, count):
    """They are closed, however many there are."""
    before = descriptors(lab)
    ours = [os.dup(0) for _ in range(count)]
    try:
        for op, result in {PING: 0, stub.CLOSE: 0, stub.SERVED: -2}.items():
            for _ in range(TIMES):
                with Control(lab) as control:
                    answer = control.exchange(control.request(op, 12345), ours)
                    assert answer[0] == (result if count <= 64 else -71)
    finally:
        for fd in ours:
            os.close(fd)
    still_there(lab)
    no_more_than(lab, before)


def test_open_of_what_is_no_namespace(lab, resolving):
    before = descriptors(lab)
    with Control(lab) as control, open("/dev/null", "rb") as null, open(f"/proc/{os.getpid()}/ns/net", "rb") as ns:
        for _ in range(TIMES):
            assert control.exchange(control.request(stub.OPEN, 7))[0] == -9
            assert control.exchange(control.request(stub.OPEN, 7), [null.fileno()])[0] < 0
            result, text = control.exchange(control.request(stub.OPEN, lab.cookie("c2")), [ns.fileno()])
            assert result == -2 and "record" in text
    still_there(lab)
    no_more_than(lab, before)


def test_many_connections_that_say_nothing(lab, resolving):
    idle = [Control(lab) for _ in range(200)]
    still_there(lab)
    for control in idle:
        control.close()
    still_there(lab)


def test_who_may_connect(lab, resolving):
    state = stub.state_dir(lab)
    assert lab.run(["stat", "-c", "%a", state, state + "/dns.sock"]).stdout.split() == ["700", "600"]
