# SPDX-License-Identifier: GPL-2.0-or-later
"""What no real gateway answers, and what somebody in its place may."""
import itertools
import json
import time

import pytest

from support.etcd import Follower
from support.gateway import STREAM, Gateway, b64, chunk, header, json_answer, kv, line, plain

MB = 1 << 20


def counting(gateway, count=0, revision=5):
    """Answers the counts by which a watch finds and checks its endpoint."""
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(revision), "count": str(count)}))


def stream(gateway, *pieces, then_wait=True):
    """A watch: these bytes, each in a chunk of its own, and then silence."""
    def handler(_):
        yield STREAM
        for piece in pieces:
            yield chunk(piece)
        if then_wait:
            gateway.closing.wait(30)
    gateway.on("/v3/watch", handler)


def event(key, mod, value="v"):
    return {"kv": kv(key, value, mod)}


CREATED = line(header=header(5), created=True)


# ---- requests ----

def test_what_is_sent(gateway):
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(7), "kvs": [kv("a")], "count": "1"}))
    found = gateway.tool("range", "a")
    assert found["outcome"] == "ok" and found["kvs"][0]["key"] == "a" and found["revision"] == 7
    assert gateway.paths() == ["/version", "/v3/kv/range"]
    sent = gateway.requests[1]
    assert sent.body == {"key": b64("/test/v1/a")}
    assert sent.headers["grpc-metadata-hasleader"] == "true"
    assert sent.headers["content-type"] == "application/json" and "expect" not in sent.headers
    gateway.tool("--serializable", "range", "a")
    assert "grpc-metadata-hasleader" not in gateway.requests[-1].headers


@pytest.mark.parametrize("version, api", [("3.2.32", "/v3alpha"), ("3.3.27", "/v3beta"), ("3.5.9", "/v3")])
def test_older_and_newer_gateways(gateway, version, api):
    gateway.on("/version", lambda _: json_answer({"etcdserver": version}))
    gateway.on(f"{api}/kv/range", lambda _: json_answer({"header": header(7)}))
    assert gateway.tool("range", "a")["version"] == version
    assert gateway.paths() == ["/version", f"{api}/kv/range"]


BODIES = ["", "{}", "[]", "null", "{", "<html>", '{"header":null}', '{"header":{"cluster_id":"x"}}',
          json.dumps({"header": header(7), "kvs": {}}), json.dumps({"header": header(7), "kvs": [{"key": 1}]}),
          json.dumps({"header": header(7), "kvs": [{"key": "!"}]}), json.dumps({"header": header(7), "count": []}),
          json.dumps({"header": header("\x1b[31m")}), json.dumps({"header": header(7), "kvs": [{"key": "\x1b[31m"}]}), "\x1b[31m",
          "[" * 100000, "{\"a\":" * 100000, "\0", "\xff\xfe"]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_wrong_answers(gateway, body):
    """A read is told that nobody answered, a write that it may have been done."""
    gateway.on("/v3/kv/range", lambda _: plain(body))
    nested = body
    if "kvs" in body or "count" in body:
        nested = json.dumps({"header": header(7), "responses": [{"response_range": json.loads(body)}]})
    gateway.on("/v3/kv/txn", lambda _: plain(nested))
    read = gateway.tool("--total-ms=300", "range", "a")
    assert read["outcome"] == "not reached" and read["stats"]["bad"] >= 1
    assert gateway.url in read["error"] and read["error"].isprintable()
    write = gateway.tool("put", "a", "1")
    assert write["outcome"] == "unknown" and gateway.paths().count("/v3/kv/txn") == 1


def test_wrong_versions(gateway):
    for body in ("{}", "[]", '{"etcdserver":3}', '{"etcdserver":"2.3.8"}', "x" * 5000, ""):
        gateway.on("/version", lambda _, body=body: plain(body))
        refused = gateway.tool("put", "a", "1")
        assert refused["outcome"] == "not reached"
        assert "version" in refused["error"] and "etcd" in refused["error"]


# Of this one program, whatever else the worker has run.
PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:]); " \
       "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"


@pytest.mark.parametrize("endless", [False, True])
def test_answers_of_100_mb(gateway, endless):
    """Refused after 32 MiB, not kept."""
    def handler(_):
        yield STREAM if endless else b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
        for _ in range(100):
            piece = b" " * 1_000_000
            yield chunk(piece) if endless else piece
    gateway.on("/v3/kv/range", handler)
    done = gateway.lab.run(["/usr/bin/python3", "-c", PEAK, *gateway.argv("range", "a")], check=False)
    refused = json.loads(done.stdout)
    assert refused["outcome"] == "not reached" and "more than 32 MiB" in refused["error"]
    assert int(done.stderr.split()[-1]) < 160 * 1024      # KiB, sanitizers and all


def test_many_small_values(gateway):
    """16 million numbers of two bytes each would be half a gigabyte."""
    gateway.on("/v3/kv/range", lambda _: plain('{"header":[' + "1," * (12 * MB) + "1]}"))
    refused = gateway.tool("range", "a")
    assert refused["outcome"] == "not reached" and "values" in refused["error"]


def test_pages_that_do_not_go_on(gateway):
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(7), "kvs": [kv("a/1")], "more": True, "count": "9"}))
    refused = gateway.tool("--prefix", "--total-ms=300", "range", "a/")
    assert refused["outcome"] == "not reached" and "does not go on" in refused["error"]
    assert gateway.paths().count("/v3/kv/range") < 10


def test_pages_of_nothing(gateway):
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(7), "more": True, "count": "9"}))
    assert gateway.tool("--prefix", "range", "a/")["outcome"] == "ok"
    assert gateway.paths().count("/v3/kv/range") == 1


def pages(gateway, make):
    """Pages without end; make(n) is the list of the n-th, as JSON."""
    count = itertools.count()
    head = json.dumps(header(7))
    gateway.on("/v3/kv/range", lambda _: plain(f'{{"header":{head},"more":true,"kvs":[{make(next(count))}]}}'))


def test_more_keys_than_a_range_may_have(gateway):
    pages(gateway, lambda n: ",".join(f'{{"key":"{b64(f"/test/v1/a/{n:02}/{k:06}")}"}}' for k in range(200_000)))
    refused = gateway.tool("--prefix", "--try-ms=8000", "range", "a/", timeout=60)
    assert refused["outcome"] == "not reached" and "more than 500000 keys" in refused["error"]


def test_more_bytes_than_a_range_may_have(gateway):
    value = b64(b"x" * (22 * MB))
    pages(gateway, lambda n: f'{{"key":"{b64(f"/test/v1/a/{n:02}")}","value":"{value}"}}')
    refused = gateway.tool("--prefix", "--try-ms=8000", "range", "a/", timeout=60)
    assert refused["outcome"] == "not reached" and "or 128 MiB" in refused["error"]


def test_pages_that_take_too_long(gateway):
    """Each is in time, and all together are not: ten times the time of one request."""
    def slowly(n):
        time.sleep(0.05)
        return json.dumps(kv(f"a/{n:04}"))
    pages(gateway, slowly)
    start = time.monotonic()
    refused = gateway.tool("--prefix", "--total-ms=200", "range", "a/")
    assert refused["outcome"] == "not reached"
    assert 1.5 < time.monotonic() - start < 3


def test_compaction_between_pages(gateway):
    """The reading begins anew, at the present revision."""
    state = {"n": 0}

    def handler(request):
        state["n"] += 1
        if "revision" in request.body and state["n"] < 4:
            return json_answer({"error": "etcdserver: mvcc: required revision has been compacted", "code": 11}, "400 Bad Request")
        last = request.body["key"] != b64("/test/v1/a/")
        return json_answer({"header": header(7 + state["n"]), "kvs": [kv("a/2" if last else "a/1")], "more": not last, "count": "2"})
    gateway.on("/v3/kv/range", handler)
    found = gateway.tool("--prefix", "range", "a/")
    assert found["outcome"] == "ok" and [item["key"] for item in found["kvs"]] == ["a/1", "a/2"]
    assert found["revision"] == 10      # of the third beginning, which is what was read


def test_compaction_for_ever(gateway):
    def handler(request):
        if "revision" in request.body:
            return json_answer({"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}, "400 Bad Request")
        return json_answer({"header": header(7), "kvs": [kv("a/1")], "more": True, "count": "2"})
    gateway.on("/v3/kv/range", handler)
    assert gateway.tool("--prefix", "range", "a/")["outcome"] == "compacted"
    assert gateway.paths().count("/v3/kv/range") == 8


REFUSALS = [
    # body, status, outcome of a write, words
    ({"error": "etcdserver: no leader", "code": 14}, "503 Service Unavailable", "not reached", "majority"),
    ({"error": "etcdserver: request timed out", "code": 14}, "503 Service Unavailable", "unknown", "majority"),
    ({"error": "context deadline exceeded", "code": 2}, "500 Internal Server Error", "unknown", "not known"),
    ({"error": "etcdserver: mvcc: database space exceeded", "code": 8}, "429 Too Many Requests", "no space", "alarm disarm"),
    ({"error": "etcdserver: too many requests", "code": 8}, "429 Too Many Requests", "not reached", "overloaded"),
    ({"code": 7, "message": "etcdserver: permission denied", "details": []}, "403 Forbidden", "denied", "role"),
    ({"error": "something new", "code": 9}, "400 Bad Request", "refused", "something new"),
    ({"error": "all SubConns are in TransientFailure, latest connection error: connection closed", "code": 14},
     "503 Service Unavailable", "not reached", "clientAuth"),
    ({"error": "x" * 100000, "code": 9}, "400 Bad Request", "refused", "xxx"),
    ({"error": {"grpc_code": 14, "http_code": 503, "message": "etcdserver: no leader"}}, "200 OK", "not reached", "majority"),
]


@pytest.mark.parametrize("body, status, outcome, words", REFUSALS, ids=range(len(REFUSALS)))
def test_refusals(gateway, body, status, outcome, words):
    gateway.on("/v3/kv/txn", lambda _: json_answer(body, status))
    refused = gateway.tool("--total-ms=300", "put", "a", "1")
    assert refused["outcome"] == outcome
    assert words in refused["error"] and gateway.url in refused["error"] and len(refused["error"]) < 1000


@pytest.mark.parametrize("status, body, outcome, words", [
    ("400 Bad Request", "CommonName of client sending a request against gateway will be ignored and not used as expected",
     "denied", "without a common name"),
    ("400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n", "not reached", "write https://"),
    ("404 Not Found", "404 page not found\n", "not reached", "--enable-grpc-gateway"),
    ("502 Bad Gateway", "<html>\x1b[31mproxy</html>", "unknown", "is an etcd server"),
])
def test_plain_text(gateway, status, body, outcome, words):
    gateway.on("/v3/kv/txn", lambda _: plain(body, status, "text/plain"))
    refused = gateway.tool("--total-ms=300", "put", "a", "1")
    assert refused["outcome"] == outcome and words in refused["error"] and "\x1b" not in refused["error"]


def test_a_write_is_never_sent_twice(gateway):
    """libcurl sends again by itself when a kept connection is closed under a request."""
    answers = itertools.count()
    gateway.on("/v3/kv/txn", lambda _: json_answer({"header": header(7), "succeeded": True}) if next(answers) == 0 else None)
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(7)}))
    with gateway.script() as client:
        assert client.do("put", "a", "1")["outcome"] == "ok"
        assert client.do("put", "a", "2")["outcome"] == "unknown"
        assert gateway.paths().count("/v3/kv/txn") == 2


def test_requests_at_once(gateway):
    """32 connections serve any number of requests; one that is not answered in time gives its place to another."""
    gateway.on("/v3/kv/txn", lambda _: json_answer({"header": header(7), "succeeded": True}))
    assert gateway.tool("burst", "a/", 500) == {"ok": 500}
    assert gateway.connections() <= 32
    gateway.on("/v3/kv/txn", lambda _: gateway.closing.wait(30) and None)
    stuck = gateway.tool("--try-ms=300", "--total-ms=500", "burst", "a/", 100)
    assert sum(stuck.values()) == 100 and set(stuck) == {"unknown", "not reached"} and stuck["unknown"] >= 32


def test_a_login_among_many_requests(gateway):
    """One for all; and one more when the token ends while all places are taken."""
    state = {"valid": None, "logins": 0, "served": 0}

    def login(_):
        state["logins"] += 1
        state["valid"] = f"t.{state['logins']}"
        return json_answer({"header": header(7), "token": state["valid"]})

    def txn(request):
        state["served"] += 1
        if state["served"] == 200:
            state["valid"] = None
        if request.headers["authorization"] != state["valid"]:
            return json_answer({"error": "etcdserver: invalid auth token", "code": 16}, "401 Unauthorized")
        return json_answer({"header": header(7), "succeeded": True})
    gateway.on("/v3/auth/authenticate", login)
    gateway.on("/v3/kv/txn", txn)
    assert gateway.tool("--user=u", "--password=p", "burst", "a/", 1000) == {"ok": 1000}
    assert state["logins"] == 2


def test_a_dead_endpoint_costs_one_failure(gateway):
    """Wherever the lot falls, the other one is found, and kept."""
    gateway.on("/v3/kv/txn", lambda _: json_answer({"header": header(7), "succeeded": True}))
    dead = "http://127.0.0.1:9"
    starts = set()
    for _ in range(12):
        with gateway.script(others=[dead]) as client:
            done = [client.do("put", "a", n) for n in range(3)]
        assert {item["outcome"] for item in done} == {"ok"}
        starts.add(done[-1]["stats"]["failovers"])
        assert done[-1]["stats"]["retries"] == done[-1]["stats"]["failovers"] <= 1
        if starts == {0, 1}:
            return
    raise AssertionError(f"the first endpoint is not drawn by lot: {starts}")


def test_login_is_shared_and_done_once_again(gateway):
    """401: one login, one retry, then an answer."""
    gateway.on("/v3/auth/authenticate", lambda _: json_answer({"header": header(7), "token": "t.1"}))
    gateway.on("/v3/kv/range", lambda _: json_answer({"error": "etcdserver: invalid auth token", "code": 16}, "401 Unauthorized"))
    refused = gateway.tool("--user=u", "--password=p", "range", "a")
    assert refused["outcome"] == "denied" and refused["stats"]["logins"] == 2
    assert gateway.paths() == ["/version", *["/v3/auth/authenticate", "/v3/kv/range"] * 2]
    assert gateway.requests[2].headers["authorization"] == "t.1"
    assert gateway.requests[1].body == {"name": "u", "password": "p"}


@pytest.mark.parametrize("token", ["", "a b", "a\r\nHost: x", "é", "t" * 4096, 7])
def test_wrong_tokens(gateway, token):
    gateway.on("/v3/auth/authenticate", lambda _: json_answer({"header": header(7), "token": token}))
    refused = gateway.tool("--user=u", "--password=p", "--total-ms=300", "range", "a")
    assert refused["outcome"] == "not reached" and "token" in refused["error"]
    assert "/v3/kv/range" not in gateway.paths()


def test_another_lease_than_asked_for(gateway):
    gateway.on("/v3/lease/keepalive", lambda _: plain(line(header=header(7), ID="6", TTL="15")))
    assert gateway.tool("--total-ms=300", "lease", "keepalive", 5)["outcome"] == "not reached"


# ---- watches ----

LINES = CREATED + line(header=header(6), events=[event("ep/a", 6)]) + "\n" + \
    line(header=header(8), events=[event("ep/b", 7), {"type": "DELETE", "kv": {"key": b64("/test/v1/ep/a"), "mod_revision": "8"}}])


@pytest.mark.parametrize("size", [1, 2, 7, 100, 100000])
def test_lines_cut_anywhere(gateway, size):
    counting(gateway)
    stream(gateway, *[LINES[i:i + size] for i in range(0, len(LINES), size)])
    with gateway.follow("watch", "ep/") as watch:
        events = watch.events(3)
    assert [(item["event"], item["key"], item["mod"], item["batch"]) for item in events] == [
        ("put", "ep/a", 6, 1), ("put", "ep/b", 7, 2), ("delete", "ep/a", 8, 2)]
    sent = next(r for r in gateway.requests if r.path == "/v3/watch")
    assert sent.headers["grpc-metadata-hasleader"] == "true"
    assert sent.body["create_request"]["start_revision"] == "6"


def test_fragments_come_together(gateway):
    counting(gateway)
    stream(gateway, CREATED, line(header=header(6), fragment=True, events=[event("ep/a", 6)]),
           line(header=header(6), fragment=True, events=[event("ep/b", 6)]), line(header=header(6), events=[event("ep/c", 6)]))
    with gateway.follow("watch", "ep/") as watch:
        assert [(item["key"], item["batch"]) for item in watch.events(3)] == [("ep/a", 3), ("ep/b", 3), ("ep/c", 3)]


def resuming(gateway, *streams):
    """One stream after the other; the last stays open."""
    rest = list(streams)

    def handler(_):
        pieces = rest.pop(0)
        yield STREAM
        for piece in pieces:
            yield chunk(piece)
        if not rest:
            gateway.closing.wait(30)
    gateway.on("/v3/watch", handler)


def starts(gateway):
    return [r.body["create_request"]["start_revision"] for r in gateway.requests if r.path == "/v3/watch"]


def test_goes_on_from_where_it_was(gateway):
    """A revision whose last fragment did not come is told once, when it is complete; old events not again."""
    counting(gateway, revision=9)
    resuming(gateway, [CREATED, line(header=header(6), events=[event("ep/a", 6)]),
                       line(header=header(7), fragment=True, events=[event("ep/b", 7)])],
             [CREATED, line(header=header(7), events=[event("ep/a", 6), event("ep/b", 7), event("ep/c", 7)])])
    with gateway.follow("--revision=6", "watch", "ep/") as watch:
        assert [item["key"] for item in watch.events(3)] == ["ep/a", "ep/b", "ep/c"]
        assert watch.next(0.5) is None
    assert starts(gateway) == ["6", "7"]


BROKEN = ["x\n", "[]\n", "{}\n", line(header=header(6), events=[{}]), line(header=header(6), events={}),
          line(header=header(6), canceled=True, cancel_reason="etcdserver: no such thing"),
          '{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}\n', "\0\n", "\x1b[31m\n",
          line(header=header(6), events=[{"type": "\x1b[31m", "kv": {}}]), line(header=header(6), events=[event("ep/wrong", 2**63 - 1)])]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_broken_lines(gateway, broken):
    """Nothing of such a stream is believed any more; another begins where the good part ended."""
    counting(gateway, revision=9)
    resuming(gateway, [CREATED, line(header=header(6), events=[event("ep/a", 6)]), broken,
                       line(header=header(9), events=[event("ep/wrong", 9)])],
             [CREATED, line(header=header(9), events=[event("ep/b", 7)])])
    with gateway.follow("--revision=6", "watch", "ep/") as watch:
        assert [item["key"] for item in watch.events(2)] == ["ep/a", "ep/b"]
        closed = next(item for item in watch.seen if item.get("state") == "closed")
        assert gateway.url in closed["error"] and closed["error"].isprintable()
    assert starts(gateway) == ["6", "7"]


def test_endless_line(gateway):
    """Given up after 64 MiB."""
    counting(gateway)
    piece = chunk("x" * MB)

    def handler(_):
        yield STREAM + chunk(CREATED)
        for _ in range(200):
            yield piece
    gateway.on("/v3/watch", handler)
    with gateway.follow("watch", "ep/") as watch:
        closed = watch.until(lambda item: item.get("state") == "closed", 20)
        assert "64 MiB" in closed["error"] and closed["bad"] == 1


def test_endless_fragments(gateway):
    counting(gateway)
    piece = chunk(line(header=header(6), fragment=True, events=[event("ep/a", 6, "x" * (6 * MB))]))

    def handler(_):
        yield STREAM + chunk(CREATED)
        for _ in range(200):
            yield piece
    gateway.on("/v3/watch", handler)
    with gateway.follow("watch", "ep/") as watch:
        assert "fit into memory" in watch.until(lambda item: item.get("state") == "closed", 20)["error"]


def test_a_stream_that_does_not_open(gateway):
    counting(gateway)
    stream(gateway)
    with gateway.follow("--try-ms=200", "watch", "ep/", wait=False) as watch:
        assert "not opened in time" in watch.next(3)["error"]


def test_from_now_on_is_when_it_first_succeeds(gateway):
    """Not the beginning of history, when the first try fails."""
    answers = itertools.count()
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(5), "count": "0"}) if next(answers) else plain("no"))
    stream(gateway, CREATED)
    with gateway.follow("watch", "ep/"):
        assert starts(gateway) == ["6"]


def test_waits_longer_and_longer(gateway):
    """No storm against a server that refuses: at most a dozen tries in the first three seconds."""
    counting(gateway)
    gateway.on("/v3/watch", lambda _: plain("no", "400 Bad Request", "text/plain"))
    with gateway.follow("watch", "ep/", wait=False) as watch:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            watch.next(0.2)
    assert 3 <= gateway.paths().count("/v3/watch") <= 12


def test_silence_while_keys_change(gateway):
    """The count tells of an event that did not come: the stream is opened again."""
    state = {"count": 1}
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(4 + state["count"]), "count": str(state["count"])}))
    resuming(gateway, [CREATED], [CREATED, line(header=header(6), events=[event("ep/a", 6)])])

    # The first stream stays open and silent.
    first = iter([[CREATED]])

    def handler(_):
        pieces = next(first, [CREATED, line(header=header(6), events=[event("ep/a", 6)])])
        yield STREAM
        for piece in pieces:
            yield chunk(piece)
        gateway.closing.wait(30)
    gateway.on("/v3/watch", handler)
    with gateway.follow("--check-ms=200", "watch", "ep/") as watch:
        state["count"] = 2
        assert watch.events(1, seconds=5)[0]["key"] == "ep/a"
        assert any("silent" in item.get("error", "") for item in watch.seen)
    assert starts(gateway) == ["6", "6"]


def test_silence_while_nothing_changes(gateway):
    """A quiet watch stays open, and would go on from a revision that is not compacted."""
    revision = itertools.count(5)
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(5), "count": "1"}))
    stream(gateway, CREATED)
    with gateway.follow("--check-ms=50", "watch", "ep/") as watch:
        assert watch.next(1.5) is None
    assert len(starts(gateway)) == 1
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(next(revision)), "count": "1"}))
    with gateway.follow("--check-ms=50", "watch", "ep/") as watch:
        assert "silent for long" in watch.until(lambda item: item.get("state") == "closed", 5)["error"]
        watch.opened()
    again = [int(start) for start in starts(gateway)[1:]]
    assert again[0] == 6 and again[1] > 10


def test_a_lower_revision_ends_a_watch(gateway):
    state = {"revision": 50}
    gateway.on("/v3/kv/range", lambda _: json_answer({"header": header(state["revision"]), "count": "1"}))
    stream(gateway, line(header=header(50), created=True))
    with gateway.follow("--check-ms=100", "watch", "ep/") as watch:
        state["revision"] = 20
        assert watch.until(lambda item: "restored" in item.get("state", ""))["state"] == "ended restored"
        assert watch.next()["state"] == "restored"


def test_another_cluster_in_a_stream(gateway):
    counting(gateway)
    stream(gateway, CREATED, line(header=header(6, cluster="9"), events=[event("ep/a", 6)]))
    with gateway.follow("watch", "ep/") as watch:
        assert watch.until(lambda item: "restored" in item.get("state", ""))["state"] == "ended restored"
    assert not any("event" in item for item in watch.seen)


def test_a_watch_from_the_future(gateway):
    """The cluster has never had that revision: etcd would wait for it in silence."""
    counting(gateway, revision=5)
    with gateway.follow("--revision=100", "watch", "ep/", wait=False) as watch:
        assert watch.next()["state"] == "ended restored"


def test_a_member_that_hangs_behind_a_stream(lab, gateway):
    """Its kernel answers for the connection, and nobody else asks it anything: the watch moves all the same."""
    with Gateway(lab) as other:
        hung = []

        def unless_hung(whose, handler):
            return lambda request: whose.closing.wait(30) and None if whose in hung else handler(request)
        for each in (gateway, other):
            counting(each)
            each.on("/version", unless_hung(each, lambda _: json_answer({"etcdserver": "3.4.23"})))
            each.on("/v3/kv/range", unless_hung(each, lambda _: json_answer({"header": header(5), "count": "0"})))
            stream(each, CREATED)
        with Follower(lab, gateway.argv("watch", "ep/", others=[other.url])) as watch:
            first = watch.seen[-1]["endpoint"]
            hung.append(gateway if first == gateway.url else other)
            began = time.monotonic()
            assert watch.opened(15) != first
            assert time.monotonic() - began < 6.5
            # Here somebody answers: it stays.
            assert watch.next(5) is None


def test_members_that_end_streams_are_not_waited_for(gateway):
    """A stream that was open for a while is no failure, however often it ends."""
    counting(gateway)
    done = []

    def handler(_):
        yield STREAM + chunk(CREATED)
        gateway.closing.wait(1.1)
        done.append(time.monotonic())
    gateway.on("/v3/watch", handler)
    with gateway.follow("watch", "ep/") as watch:
        for n in range(8):       # the pause would be a second by now
            watch.opened()
            if n:
                assert time.monotonic() - done[n] < 0.9
