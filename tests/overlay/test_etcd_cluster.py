# SPDX-License-Identifier: GPL-2.0-or-later
"""Three members, of which some die, hang, or are cut off; watches all the while."""
import itertools
import threading
import time

import pytest

from support.etcd import Cluster


def keys(events):
    return [event["key"] for event in events]


def test_watch_tells_in_order(etcd):
    with etcd.follow("watch", "ep/") as watch, etcd.script() as client:
        client.do("put", "ep/a", "1")
        client.do("put", "other", "1")
        client.do("put", "ep/a", "2")
        client.do("delete", "ep/a")
        first, second, third = watch.events(3)
    assert (first["event"], first["key"], first["value"], first["version"]) == ("put", "ep/a", "1", 1)
    assert "prev" not in first and second["prev"] == "1"
    assert (third["event"], third["prev"]) == ("delete", "2")
    assert first["mod"] + 2 == second["mod"] == third["mod"] - 1


def test_a_transaction_comes_together(etcd):
    with etcd.follow("watch", "large/") as watch:
        etcd.tool("large", 128)
        events = watch.events(128)
    assert {event["batch"] for event in events} == {128}
    assert len({event["mod"] for event in events}) == 1


def test_watch_from_a_revision(etcd):
    revision = etcd.tool("put", "ep/0", "x")["revision"]
    etcd.tool("puts", "ep/", 50)
    with etcd.follow(f"--revision={revision}", "watch", "ep/") as watch:
        events = watch.events(50)
    assert keys(events) == [f"ep/{n}" for n in range(50)]


def test_watch_after_a_compaction(etcd):
    etcd.tool("puts", "ep/", 10)
    revision = etcd.tool("range", "ep/9")["revision"]
    etcd.ctl("compact", str(revision - 1))
    with etcd.follow_command("--revision=3", "watch", "ep/") as watch:
        ended = watch.until(lambda item: item.get("state") == "compacted")
    assert ended["revision"] == revision - 1


def test_a_restarted_member(etcd):
    """The only one: the watch waits and goes on, nothing is lost."""
    with etcd.follow("watch", "ep/") as watch:
        etcd.tool("put", "ep/before", "x")
        assert keys(watch.events(1)) == ["ep/before"]
        etcd.kill("m1")
        watch.until(lambda item: item.get("state") == "closed")
        etcd.start("m1")
        etcd.tool("put", "ep/after", "x")
        assert keys(watch.events(1)) == ["ep/after"]


def test_leader_killed_under_load(etcd3):
    """1,000 puts, the leader killed among them: each event once and in order."""
    with etcd3.follow("watch", "ep/") as watch, etcd3.follow_command("puts", "ep/", 1000) as writer:
        events = watch.events(200)
        leader = etcd3.leader()
        etcd3.kill(leader)
        events += watch.events(800, seconds=30)
        done = writer.until(lambda item: "n" in item, 10)
    assert keys(events) == [f"ep/{n}" for n in range(1000)]
    assert done["unsure"] < 100


def test_member_with_the_watch_killed(etcd3):
    with etcd3.follow("watch", "ep/", names=["m1", "m2", "m3"]) as watch:
        first = watch.seen[-1]["endpoint"]
        etcd3.kill(next(n for n in etcd3.names if etcd3.url(n) == first))
        watch.until(lambda item: item.get("state") == "closed")
        start = time.monotonic()
        assert watch.opened() != first
        assert time.monotonic() - start < 5
        etcd3.tool("put", "ep/a", "x")
        assert keys(watch.events(1)) == ["ep/a"]


@pytest.mark.parametrize("how, options", [("partition", []), ("pause", ["--check-ms=1500"]), ("pause", ["--beat-ms=1000"])])
def test_member_with_the_watch_cut_off(etcd3, how, options):
    """A link that is down is noticed by keepalives within 5 s; a process that hangs by the check, or by another request."""
    with etcd3.follow(*options, "watch", "ep/") as watch:
        first = watch.seen[-1]["endpoint"]
        name = next(n for n in etcd3.names if etcd3.url(n) == first)
        others = [n for n in etcd3.names if n != name]
        start = time.monotonic()
        getattr(etcd3, how)(name)
        assert watch.opened(5.5) != first
        assert time.monotonic() - start < 5.5
        etcd3.wait_healthy(others)
        while etcd3.tool("put", "ep/a", "x", names=others)["outcome"] != "ok":
            pass
        assert keys(watch.events(1)) == ["ep/a"]
        {"partition": etcd3.heal, "pause": etcd3.resume}[how](name)


class Timed(threading.Thread):
    """A follower, and when it told of each key."""

    def __init__(self, etcd):
        super().__init__(daemon=True)
        self.watch, self.told = etcd.follow("watch", "ep/"), {}
        self.start()

    def run(self):
        while (item := self.watch.next(60)) is not None:
            if "event" in item:
                self.told[item["key"]] = time.monotonic()


def test_members_hang_and_die_in_turn(etcd3):
    """Whatever a watch has been through: with a majority alive it tells of a change within seconds."""
    watches = [Timed(etcd3) for _ in range(4)]
    written, over = {}, threading.Event()

    def write():
        with etcd3.script() as client:
            for n in itertools.count():
                if over.is_set():
                    return
                if client.do("put", f"ep/{n}", "x", seconds=30)["outcome"] == "ok":
                    written[f"ep/{n}"] = time.monotonic()
                over.wait(0.02)
    writer = threading.Thread(target=write)
    writer.start()
    for name in etcd3.names:
        etcd3.pause(name)
        over.wait(9)
        etcd3.resume(name)
        etcd3.wait_healthy()
        etcd3.kill(name)
        over.wait(0.5)
        etcd3.start(name)
        etcd3.wait_healthy()
    over.set()
    writer.join()
    end = time.monotonic() + 10
    while time.monotonic() < end and not all(written.keys() <= each.told.keys() for each in watches):
        time.sleep(0.05)
    for each in watches:
        each.watch.close()
    late = [max(each.told[key] - at for key, at in written.items()) for each in watches]
    print(f"{len(written)} changes, the latest after {max(late):.1f} s")
    assert max(late) < 6.5


@pytest.mark.parametrize("options, bound", [([], 10), (["--beat-ms=500"], 5)])
def test_watch_at_a_member_without_majority(etcd3, options, bound):
    """It is reachable and silent. etcd ends the streams of those who asked for a leader three election timeouts after
    it has lost it; it refuses other requests at once, and the watch moves with them."""
    with etcd3.follow(*options, "watch", "ep/") as watch:
        first = watch.seen[-1]["endpoint"]
        name = next(n for n in etcd3.names if etcd3.url(n) == first)
        start = time.monotonic()
        etcd3.isolate(name)
        assert watch.opened(bound) != first
        assert time.monotonic() - start < bound
        etcd3.tool("put", "ep/a", "x", names=[n for n in etcd3.names if n != name])
        assert keys(watch.events(1)) == ["ep/a"]


def test_no_majority(etcd3):
    """Bounded in time; a write is known not to have happened once the member knows of no leader."""
    etcd3.tool("put", "a", "x")
    with etcd3.script(names=["m1"]) as client:
        client.do("put", "a", "y")
        for name in ("m2", "m3"):
            etcd3.kill(name)
        start = time.monotonic()
        first = client.do("put", "a", "z")
        assert first["outcome"] in ("unknown", "not reached")
        assert time.monotonic() - start < 8.5
        time.sleep(1.5)     # two election timeouts of the member
        start = time.monotonic()
        late = client.do("put", "a", "z")
        assert late["outcome"] == "not reached"
        assert "no leader" in late["error"] and "majority" in late["error"]
        assert 6 < time.monotonic() - start < 8.5      # it may come back
    read = etcd3.tool("--total-ms=1000", "range", "a", names=["m1"])
    assert read["outcome"] == "not reached" and read["seconds"] < 1.5
    old = etcd3.tool("--serializable", "range", "a", names=["m1"])
    assert old["outcome"] == "ok" and old["kvs"][0]["value"] in ("y", "z")


def test_write_at_a_hanging_member_is_unknown(etcd3):
    """It was sent: nobody can say whether it will be done."""
    with etcd3.script(names=["m1", "m2", "m3"]) as client:
        used = client.do("put", "a", "1")["endpoint"]
        name = next(n for n in etcd3.names if etcd3.url(n) == used)
        etcd3.pause(name)
        start = time.monotonic()
        write = client.do("put", "a", "2")
        assert write["outcome"] == "unknown" and "not known" in write["error"] and used in write["error"]
        assert 1.5 < time.monotonic() - start < 3
        read = client.do("range", "a")
        assert read["outcome"] == "ok" and read["endpoint"] != used
        etcd3.resume(name)


def test_dead_endpoints_are_passed_over(etcd3):
    """A write whose first endpoint is dead is done once, at another."""
    with etcd3.script() as client:
        used = client.do("put", "a", "1")["endpoint"]
        name = next(n for n in etcd3.names if etcd3.url(n) == used)
        etcd3.kill(name)
        etcd3.wait_healthy([n for n in etcd3.names if n != name])
        second = client.do("create", "b", "2")
        assert second["outcome"] in ("ok", "unknown")   # the kept connection may die under the request
        third = client.do("put", "a", "3")
        assert third["outcome"] == "ok" and third["endpoint"] != used
        assert third["stats"]["failovers"] >= 1


def test_restored_from_an_old_backup(etcd):
    """The same cluster id and a lower revision: told once, and the watch ends."""
    etcd.tool("put", "a", "1")
    backup = etcd.snapshot()
    etcd.tool("puts", "ep/", 20)
    with etcd.script() as client, etcd.follow("--check-ms=500", "watch", "ep/") as watch:
        seen = client.do("range", "a")["revision"]
        etcd.restore(backup)
        client.process.stdin.write(b"range a\n")
        client.process.stdin.flush()
        told = client.next()
        answer = client.next()
        assert told == {"state": "restored"}
        assert answer["outcome"] == "ok" and answer["revision"] < seen
        assert client.do("range", "a")["stats"]["restores"] == 1
        watch.until(lambda item: item.get("state") == "ended restored")
    late = etcd.tool(f"--seen={seen}", "range", "a")
    assert late["stats"]["restores"] == 1


def test_restored_as_another_cluster(etcd):
    etcd.tool("put", "a", "1")
    backup = etcd.snapshot()
    with etcd.script() as client:
        client.do("range", "a")
        etcd.restore(backup, token="another")
        for n in range(3):
            etcd.tool("put", "b", n)
        answer = client.do("range", "a")
        assert answer["outcome"] == "ok" and answer["stats"]["restores"] == 1


def test_latency_is_sane(lab):
    """Not a measurement: a request that waited for a timer or a new connection would show."""
    with Cluster(lab) as etcd:
        assert etcd.tool("txn-latency", "lat/", 200)["median_ms"] < 20
        assert etcd.tool("watch-latency", "lat/", 200)["median_ms"] < 20
