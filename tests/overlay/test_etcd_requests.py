# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests to one real member: transactions, ranges in pages, leases, questions about the cluster."""
import concurrent.futures
import time

from support.etcd import Cluster, FOLDER


def together(functions):
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(function) for function in functions]]


def test_put_range_delete(etcd):
    assert etcd.tool("put", "a/b", "one")["outcome"] == "ok"
    assert etcd.ctl("get", "/test/v1/a/b", "--print-value-only").stdout == "one\n"
    found = etcd.tool("range", "a/b")
    assert [(item["key"], item["value"]) for item in found["kvs"]] == [("a/b", "one")]
    assert found["version"] == "3.4.23" or found["version"].startswith("3.")
    assert etcd.tool("delete", "a/b")["deleted"] == 1
    assert etcd.tool("range", "a/b")["kvs"] == []
    assert etcd.tool("delete", "a/b")["deleted"] == 0


def test_only_below_the_prefix(etcd):
    etcd.ctl("put", "/test/v1/a", "ours")
    etcd.ctl("put", "/test/v10/a", "theirs")
    etcd.ctl("put", "/other/v1/a", "theirs")
    assert [item["value"] for item in etcd.tool("--prefix", "range", "")["kvs"]] == ["ours"]


def test_strange_keys_are_left_out(etcd):
    """Whoever may write below the prefix must not be able to break all reads there."""
    etcd.ctl("put", "/test/v1/a/1", "x")
    etcd.ctl("put", "/test/v1/a/" + "k" * 600, "x")
    etcd.ctl("put", "/test/v1/a/2", "x")
    found = etcd.tool("--prefix", "--page=1", "range", "a/")
    assert [item["key"] for item in found["kvs"]] == ["a/1", "a/2"]
    assert found["stats"]["ignored"] == 1


def test_create_if_absent(etcd):
    assert etcd.tool("create", "a", "first")["outcome"] == "ok"
    second = etcd.tool("create", "a", "second")
    assert second["outcome"] == "compare failed"
    assert second["kvs"][0]["value"] == "first"


def test_races_for_the_same_keys(etcd):
    """Four clients claim the same 100 keys: each has one owner, who knows of it."""
    won = together([lambda i=i: etcd.tool("claim", "ip/", 100, f"owner{i}")["won"] for i in range(4)])
    owners = [item["value"] for item in etcd.tool("--prefix", "range", "ip/")["kvs"]]
    assert sum(won) == 100
    assert [owners.count(f"owner{i}") for i in range(4)] == won


def test_many_at_once(etcd):
    assert etcd.tool("burst", "a/", 4000) == {"ok": 4000}
    assert etcd.tool("--prefix", "--count-only", "range", "a/")["count"] == 4000


def test_compare_and_swap(etcd):
    """Four clients count to 50 each: nobody's step is lost."""
    results = together([lambda: etcd.tool("increment", "counter", 50) for _ in range(4)])
    assert etcd.tool("range", "counter")["kvs"][0]["value"] == "200"
    assert sum(result["tries"] for result in results) > 200     # they did meet


def test_pages_of_one_revision(etcd):
    """5,000 keys, while others write: as many pages, one state."""
    lines = [f'put /test/v1/ep/{n:05} first' for n in range(5000)]
    for start in range(0, 5000, 128):
        etcd.ctl_txn(lines[start:start + 128])
    writer = etcd.follow_command("puts", "ep/zz", 100000)
    writer2 = etcd.follow_command("claim", "ep/00", 100000, "x")
    found = etcd.tool("--prefix", "--page=100", "range", "ep/")
    for process in (writer, writer2):
        process.close()
    assert found["outcome"] == "ok"
    old = [item["key"] for item in found["kvs"] if item["value"] == "first"]
    assert old == [f"ep/{n:05}" for n in range(5000)]
    assert all(item["mod"] <= found["revision"] for item in found["kvs"])
    assert found["count"] == len(found["kvs"])
    again = etcd.tool("--prefix", f"--revision={found['revision']}", "range", "ep/")
    assert again["kvs"] == found["kvs"]
    assert etcd.tool("--prefix", "--count-only", "range", "ep/")["count"] > len(found["kvs"])


def test_limits_and_kinds_of_ranges(etcd):
    for n in range(25):
        etcd.tool("put", f"a/{n:02}", "x")
    cut = etcd.tool("--prefix", "--limit=7", "--page=3", "range", "a/")
    assert [item["key"] for item in cut["kvs"]] == [f"a/{n:02}" for n in range(7)]
    assert cut["count"] == 25
    keys = etcd.tool("--prefix", "--keys-only", "range", "a/")
    assert len(keys["kvs"]) == 25 and not any(item["value"] for item in keys["kvs"])
    count = etcd.tool("--prefix", "--count-only", "range", "a/")
    assert count["count"] == 25 and not count["kvs"]
    assert len(etcd.tool("--prefix", "--serializable", "range", "a/")["kvs"]) == 25


def test_128_operations_and_no_more(etcd):
    assert etcd.tool("large", 128)["outcome"] == "ok"
    assert etcd.tool("--prefix", "--count-only", "range", "large/")["count"] == 128
    refused = etcd.tool("large", 129)
    assert refused["outcome"] == "not started"
    assert "more than 128 operations" in refused["error"]


def test_a_revision_that_was_compacted(etcd):
    for n in range(5):
        etcd.tool("put", "a", n)
    etcd.ctl("compact", "4")
    gone = etcd.tool("--revision=2", "range", "a")
    assert (gone["outcome"], gone["code"]) == ("compacted", 11)


def test_leases(etcd):
    granted = etcd.tool("grant", 60)
    assert (granted["outcome"], granted["ttl"]) == ("ok", 60)
    lease = granted["lease"]
    etcd.tool(f"--lease={lease}", "put", "alive/a", "1")
    assert etcd.tool("range", "alive/a")["kvs"][0]["lease"] == lease
    assert etcd.tool("lease", "keepalive", lease)["ttl"] == 60
    left = etcd.tool("lease", "ttl", lease)
    assert left["outcome"] == "ok" and 55 <= left["ttl"] <= 60 and left["granted"] == 60
    assert etcd.tool("lease", "revoke", lease)["outcome"] == "ok"
    assert etcd.tool("range", "alive/a")["kvs"] == []


def test_a_lost_lease_is_recognised(etcd):
    """A keepalive of it is answered with HTTP 200."""
    lease = etcd.tool("grant", 60)["lease"]
    etcd.ctl("lease", "revoke", f"{lease:x}")
    for operation in ("keepalive", "ttl", "revoke"):
        lost = etcd.tool("lease", operation, lease)
        assert lost["outcome"] == "lost", operation
        assert "grant another" in lost["error"]
    put = etcd.tool(f"--lease={lease}", "put", "alive/a", "1")
    assert (put["outcome"], put["code"]) == ("lost", 5)


def test_a_lease_ends_by_itself(etcd):
    lease = etcd.tool("grant", 1)["lease"]
    etcd.tool(f"--lease={lease}", "put", "alive/a", "1")
    with etcd.follow("watch", "alive/") as watch:
        assert watch.events(1)[0]["event"] == "delete"


def test_questions_about_the_cluster(etcd):
    status = etcd.tool("query", "status")
    assert status["server"].startswith("3.") and status["leader"] and status["db"] > 0
    members = etcd.tool("query", "members")["members"]
    assert members == [{"name": "m1", "url": etcd.url("m1")}]
    alarms = etcd.tool("query", "alarms")
    assert (alarms["outcome"], alarms["alarms"]) == ("ok", 0)


def test_no_space(lab):
    with Cluster(lab, args=["--quota-backend-bytes", str(1 << 20)]) as etcd:
        lab.write(f"{FOLDER}/large", "x" * 500_000)
        for _ in range(8):
            lab.run(["sh", "-c", f"etcdctl --endpoints {etcd.url('m1')} put /fill <{FOLDER}/large"], check=False,
                    env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})
        full = etcd.tool("put", "a", "x")
        assert full["outcome"] == "no space"
        assert "defragment" in full["error"]
        assert etcd.tool("query", "alarms")["alarms"] & 1
        assert etcd.tool("range", "a")["outcome"] == "ok"


def test_nobody_listens(etcd):
    etcd.kill("m1")
    start = time.monotonic()
    refused = etcd.tool("put", "a", "x")
    assert refused["outcome"] == "not reached"
    assert etcd.url("m1") in refused["error"] and "check that etcd runs" in refused["error"]
    assert time.monotonic() - start < 2


def test_settings(etcd):
    for args, words in ((["--cluster=a/b"], "cluster's name"), (["--endpoint=http://a"], "http://HOST:PORT"),
                        (["--user=u"], "password"), (["--cert=/dev/null"], "key"), (["--ca=/nonexistent"], "CA file"),
                        (["--user=u", "--password-file=/nonexistent"], "/nonexistent"),
                        (["--user=u", "--password-file=/dev/null"], "a line")):
        refused = etcd.tool(*args, "range", "a")
        assert refused["outcome"] == "not started" and words in refused["error"], refused
