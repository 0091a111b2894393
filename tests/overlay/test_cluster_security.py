# SPDX-License-Identifier: GPL-2.0-or-later
"""Agents and a store that is guarded: certificates, users, and what happens when something of it is wrong."""
import os
import stat
import time

import pytest

from support import overlays, snapshot
from support.cluster import Cluster
from support.etcd import FOLDER
from support.overlays import add, delete

WEB = overlays.config("web")
TRY_AGAIN, CONFLICT = 11, 102
SECRETS = ("word", "wrong-one", "other-word")
CA = {"caFile": f"{FOLDER}/ca.pem"}
CERTIFICATE = {**CA, "certFile": f"{FOLDER}/client.pem", "keyFile": f"{FOLDER}/client.key"}
USER = {"user": "agent", "password": "word", "cluster": "test"}


def copy_files(cluster):
    """The certificates, from where etcd has them to where the agents look."""
    for node in cluster:
        node.lab.run(["mkdir", "-p", FOLDER])
        for name in ("ca.pem", "other.pem", "client.pem", "client.key", "named.pem", "named.key"):
            path = f"{FOLDER}/{name}"
            if cluster.bed.switch.exists(path):
                node.lab.write(path, cluster.bed.switch.read(path))


def tell(cluster, **config):
    for node in cluster:
        node.configure(**config)


def start_all(cluster):
    for node in cluster:
        node.start()


def reach(cluster):
    """A container on each node, and a question between them."""
    there = [add(node, WEB, "c1").expect().address for node in cluster]
    server = cluster[1].lab.tcp_server("c1")
    cluster.wait(lambda: cluster[0].leads_to(overlays.VNI, there[1]), 3)
    assert cluster[0].lab.probe("c1", there[1], server.port, timeout=1).peer == there[0]
    server.close()


def leave(cluster):
    for node in cluster:
        delete(node, WEB, "c1").expect()


@pytest.fixture(scope="module")
def tls():
    with Cluster(2, 1, start=False, config=CA, tls=True) as cluster:
        copy_files(cluster)
        yield cluster


@pytest.fixture(scope="module")
def guarded():
    """Client certificates, and a user; tokens live for two seconds."""
    with Cluster(2, 1, start=False, config={**CERTIFICATE, **USER}, client_certs=True, cluster="test",
                 args=["--auth-token-ttl", "2"]) as cluster:
        copy_files(cluster)
        cluster.etcd.enable_auth()
        yield cluster


@pytest.fixture(scope="module")
def users():
    """Without TLS."""
    with Cluster(2, 1, start=False, config=USER, cluster="test") as cluster:
        cluster.etcd.enable_auth()
        yield cluster


@pytest.fixture(params=["tls", "guarded", "users"])
def each(request):
    cluster = request.getfixturevalue(request.param)
    yield cluster
    stop(cluster)


def stop(cluster):
    for node in cluster:
        if node.process:
            node.stop()


# ---- what works ----

def test_add_works(each):
    start_all(each)
    reach(each)
    leave(each)


def test_a_password_in_a_file(users):
    for node in users:
        node.lab.write("/run/password", "word\n")
        node.lab.run(["chmod", "0600", "/run/password"])
    tell(users, password=None, passwordFile="/run/password")
    try:
        start_all(users)
        reach(users)
        leave(users)
    finally:
        stop(users)
        tell(users, password="word", passwordFile=None)


@pytest.mark.parametrize("mode, allowed", [(0o600, True), (0o400, True), (0o644, False), (0o660, False), (0o604, False)])
def test_a_password_that_others_can_read(users, mode, allowed):
    """As ssh does it: a secret that is none is refused, with a sentence that says what to do."""
    node = users[0]
    node.lab.write("/run/password", "word\n")
    node.lab.run(["chmod", f"{mode:o}", "/run/password"])
    node.configure(password=None, passwordFile="/run/password")
    try:
        if allowed:
            node.start()
            return
        node.start(wait=False)
        assert node.process.wait(timeout=10) == 1
        assert "/run/password" in node.log() and "chmod" in node.log() and "word\n" not in node.log().replace("password\n", "")
        node.process = None
    finally:
        stop(users)
        node.configure(password="word", passwordFile=None)


def test_tokens_expire(guarded):
    """Two seconds each: no ADD fails, and the watches go on."""
    start_all(guarded)
    try:
        end, n = time.monotonic() + 4.5, 0
        while time.monotonic() < end:
            reach(guarded)
            leave(guarded)
            n += 1
        assert n > 1
        for node in guarded:
            assert "trouble" not in node.log() and "etcd" not in node.log(), node.log()
    finally:
        stop(guarded)


# ---- what is wrong ----

WRONG = [
    ("tls", {"caFile": f"{FOLDER}/other.pem"}, "CA file"),
    ("tls", {"caFile": None}, "CA file"),
    ("users", {"password": "wrong-one"}, "check the user and the password"),
    ("users", {"user": "nobody"}, "check the user and the password"),
    ("users", {"user": None, "password": None}, "configure a user"),
    ("users", {"cluster": "another"}, "permission"),
    ("guarded", {"certFile": None, "keyFile": None}, "certificate"),
    ("guarded", {"certFile": f"{FOLDER}/named.pem", "keyFile": f"{FOLDER}/named.key"}, "common name"),
]


@pytest.mark.parametrize("which, change, words", WRONG, ids=[f"{which}-{words}-{n}" for n, (which, _, words) in enumerate(WRONG)])
def test_refused(request, which, change, words):
    """The ADD's error and the agent's log say it; nothing is left of the attempt, here or in the store; nothing secret is told."""
    cluster = request.getfixturevalue(which)
    node, was = cluster[0], cluster[0].config
    # The first container of a host leaves rules behind.
    node.start()
    add(node, WEB, "c9").expect()
    delete(node, WEB, "c9").expect()
    stop(cluster)
    node.configure(**change)
    try:
        before, keys = snapshot.take(node.lab, ["c9"]), cluster.etcd.ctl("get", "--prefix", "/").stdout
        node.start()
        outcome = add(node, WEB, "c9").refused((TRY_AGAIN, CONFLICT, 5))
        assert words in outcome.message and words in node.log(), outcome.message
        assert not snapshot.diff(before, snapshot.take(node.lab, ["c9"]))
        # A lease that ran out may have taken alive/ away.
        now = cluster.etcd.ctl("get", "--prefix", "/").stdout
        assert set(now.split()) <= set(keys.split())
        assert len([line for line in node.log().splitlines() if words in line]) == 1, node.log()
        shown = str(node.netctl("node", "ls", "--json")) + str(node.netctl("doctor", "--json"))
        for text in (outcome.message, node.log(), shown):
            assert not any(secret in text.replace("password", "") for secret in SECRETS), text
    finally:
        stop(cluster)
        node.config = was
        node.configure()


def test_recovery_without_a_restart(users):
    """The password is changed in etcd, and changed back: the agent that was refused goes on."""
    node = users[0]
    start_all(users)
    try:
        reach(users)
        change_password(users, "other-word")
        add(node, WEB, "c2").refused((TRY_AGAIN, CONFLICT, 5), "check the user and the password")
        change_password(users, "word")
        users.wait(lambda: add(node, WEB, "c2").ok, 15, "an ADD")
        delete(node, WEB, "c2").expect()
        leave(users)
    finally:
        stop(users)


def change_password(cluster, word):
    cluster.bed.switch.run(["etcdctl", "--endpoints", cluster.etcd.url("m1"), "--user", "root:secret", "user", "passwd", "agent",
                            "--interactive=false"], input=word, env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"})


# ---- what others see ----

def test_modes_and_command_line(users):
    node = users[0]
    start_all(users)
    try:
        reach(users)
        state = f"/run/fairlead/{node.lab.cookie()}"
        wanted = {state: 0o700, **{f"{state}/{name}": 0o700 if name == "files" else 0o600 for name in node.lab.files(state)}}
        assert f"{state}/overlay.sock" in wanted and f"{state}/overlay.lock" in wanted
        for path, mode in wanted.items():
            found = node.lab.call(os.lstat, path)
            assert stat.S_IMODE(found.st_mode) & ~mode == 0, (path, oct(found.st_mode))
            assert found.st_uid == 0
        with open(f"/proc/{node.process.pid}/cmdline", "rb") as file:
            assert b"word" not in file.read()
        with open(f"/proc/{node.process.pid}/environ", "rb") as file:
            assert b"word" not in file.read()
        assert "word" not in node.log().replace("password", "")
        leave(users)
    finally:
        stop(users)
