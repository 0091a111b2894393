# SPDX-License-Identifier: GPL-2.0-or-later
"""TLS, client certificates, users, tokens; and what is said when one of them is wrong."""
import time

import pytest

from support.etcd import FOLDER, Cluster, answer


@pytest.fixture
def secure(lab):
    """TLS with client certificates."""
    with Cluster(lab, client_certs=True) as cluster:
        yield cluster


@pytest.fixture
def guarded(lab):
    """Users and roles, tokens that end after 2 s without use."""
    with Cluster(lab, args=["--auth-token", "simple", "--auth-token-ttl", "2"]) as cluster:
        cluster.enable_auth()
        yield cluster


AGENT = ("--user=agent", "--password=word")


def test_client_certificates(secure):
    assert secure.tool("put", "a", "1")["outcome"] == "ok"
    with secure.follow("watch", "a") as watch:
        secure.tool("put", "a", "2")
        assert watch.events(1)[0]["value"] == "2"


def test_wrong_certificates(secure):
    lab, url = secure.lab, f"--endpoint={secure.url('m1')}"
    tool = secure.argv()[0]
    client = (f"--cert={FOLDER}/client.pem", f"--key={FOLDER}/client.key")
    for args, words in (((f"--ca={FOLDER}/other.pem", *client), "check that the CA file"),
                        (client, "check that the CA file"),     # the system's authorities
                        ((f"--ca={FOLDER}/ca.pem",), "accepts"),
                        ((f"--ca={FOLDER}/ca.pem", f"--cert={FOLDER}/client.pem", f"--key={FOLDER}/named.key"),
                         "check the certificate and its key")):
        refused = answer(lab, [tool, url, *args, "put", "a", "1"])
        assert refused["outcome"] == "not reached", args
        assert words in refused["error"] and secure.url("m1") in refused["error"], refused["error"]


def test_wrong_host_name(lab):
    """A certificate of our authority, and of another host."""
    with Cluster(lab, tls=True) as etcd:
        lab.run(["ip", "addr", "add", "10.77.0.99/24", "dev", "eth0"], netns="m1")
        relay = lab.start(["python3", "-c", RELAY, "10.77.0.99", etcd.address("m1")], netns="m1")
        url = "https://10.77.0.99:2379"
        wait_listening(lab, "10.77.0.99")
        refused = answer(lab, [etcd.argv()[0], f"--endpoint={url}", f"--ca={FOLDER}/ca.pem", "range", "a"])
        lab.stop(relay)
    assert refused["outcome"] == "not reached" and "names this host" in refused["error"]


RELAY = """
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server((sys.argv[1], 2379))
while True:
    client, _ = server.accept()
    up = socket.create_connection((sys.argv[2], 2379))
    threading.Thread(target=pump, args=(client, up), daemon=True).start()
    threading.Thread(target=pump, args=(up, client), daemon=True).start()
"""


def wait_listening(lab, address):
    end = time.monotonic() + 10
    while not lab.run(["ss", "-Hltn", f"src {address}"], netns="m1").stdout.strip():
        assert time.monotonic() < end


def test_http_to_an_https_endpoint(secure):
    refused = answer(secure.lab, [secure.argv()[0], f"--endpoint=http://{secure.address('m1')}:2379", "--total-ms=500",
                                  "put", "a", "1"])
    assert refused["outcome"] == "not reached" and "write https://" in refused["error"]


def test_https_to_an_http_endpoint(etcd):
    refused = answer(etcd.lab, [etcd.argv()[0], f"--endpoint=https://{etcd.address('m1')}:2379", "put", "a", "1"])
    assert refused["outcome"] == "not reached" and "speaks https" in refused["error"]


def test_a_certificate_with_a_common_name(lab):
    """With users enabled the gateway refuses it in plain text."""
    with Cluster(lab, client_certs=True) as etcd:
        etcd.enable_auth()
        named = [etcd.argv()[0], f"--endpoint={etcd.url('m1')}", f"--ca={FOLDER}/ca.pem", f"--cert={FOLDER}/named.pem",
                 f"--key={FOLDER}/named.key", *AGENT, "put", "a", "1"]
        refused = answer(lab, named)
        assert refused["outcome"] == "denied"
        assert "certificate without a common name" in refused["error"]
        assert etcd.tool(*AGENT, "put", "a", "1")["outcome"] == "ok"


def test_login(guarded):
    done = guarded.tool(*AGENT, "put", "a", "1")
    assert (done["outcome"], done["stats"]["logins"]) == ("ok", 1)
    guarded.lab.write(f"{FOLDER}/password", "word\nsomething else\n")
    guarded.lab.run(["chmod", "600", f"{FOLDER}/password"])
    assert guarded.tool("--user=agent", f"--password-file={FOLDER}/password", "put", "a", "1")["outcome"] == "ok"


def test_one_login_for_many_requests(guarded):
    with guarded.script(*AGENT) as client:
        for n in range(20):
            done = client.do("put", "a", n)
        assert done["stats"]["logins"] == 1


@pytest.mark.parametrize("args, words", [
    (("--user=agent", "--password=wrong"), "check the user and the password"),
    (("--user=nobody", "--password=word"), "check the user and the password"),
    ((), "configure a user and a password"),
])
def test_who_may_not(guarded, args, words):
    for command in (("put", "a", "1"), ("range", "a"), ("grant", 60)):
        if command[0] == "grant" and not args:
            continue    # leases are anybody's
        refused = guarded.tool(*args, *command)
        assert refused["outcome"] == "denied", command
        assert words in refused["error"] and guarded.url("m1") in refused["error"]


def test_a_role_too_small(guarded):
    for command in (("put", "a", "1"), ("range", "a"), ("--prefix", "range", "")):
        refused = guarded.tool(*AGENT, "--cluster=another", *command)
        assert refused["outcome"] == "denied", command
        assert "permission" in refused["error"] and 'user "agent"' in refused["error"]


def test_an_expired_token(guarded):
    """One login, one retry; an open watch goes on."""
    with guarded.script(*AGENT) as client, guarded.follow(*AGENT, "watch", "ep/") as watch:
        assert client.do("put", "ep/a", "1")["stats"]["logins"] == 1
        time.sleep(3.2)     # it is the server's clock that matters
        later = client.do("put", "ep/a", "2")
        assert (later["outcome"], later["stats"]["logins"]) == ("ok", 2)
        assert [event["value"] for event in watch.events(2)] == ["1", "2"]


def test_tokens_of_a_member_that_restarted(guarded):
    with guarded.script(*AGENT) as client, guarded.follow(*AGENT, "watch", "ep/") as watch:
        client.do("put", "ep/a", "1")
        guarded.kill("m1")
        guarded.start("m1")
        later = client.do("put", "ep/a", "2")
        assert later["outcome"] in ("ok", "unknown")
        assert client.do("put", "ep/a", "3")["outcome"] == "ok"
        watch.until(lambda item: item.get("value") == "3")


def test_users_of_a_cluster_that_has_none(etcd):
    """Configured for the day when they are enabled; and that day."""
    with etcd.script(*AGENT) as client:
        assert client.do("put", "a", "1")["outcome"] == "ok"
        etcd.enable_auth()
        done = client.do("put", "a", "2")
        assert (done["outcome"], done["stats"]["logins"]) == ("ok", 2)


def test_messages_without_password(guarded):
    assert "hunter2" not in str(guarded.tool("--user=agent", "--password=hunter2", "put", "a", "1"))
