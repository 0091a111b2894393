# SPDX-License-Identifier: GPL-2.0-or-later
"""Which name servers are asked: the host's, as its resolv.conf says at the moment, or a network's own."""
import glob
import os
import shutil
import subprocess

import dns.rcode
import pytest

from support import configs, stub
from support import upstream as up
from support.cni import libexec
from support.stub import addresses, conf, host_servers, known, now_servers
from support.tools import private
from support.upstream import Upstream

FIRST, SECOND = ["198.51.100.1"], ["198.51.100.2"]


@pytest.fixture
def other(lab):
    """A second server, 192.0.2.3, that answers otherwise."""
    lab.run(["ip", "addr", "add", "192.0.2.3/24", "dev", "eth0"], netns="outside")
    with Upstream(lab, "192.0.2.3", default=up.address(*SECOND)) as server:
        yield server


@pytest.fixture
def etc(lab, other):
    """The lab's own /etc, where resolv.conf may be replaced; it names 192.0.2.2."""
    private(lab, "/etc")
    lab.write("/etc/resolv.conf", conf("192.0.2.2"))
    with Upstream(lab) as server:
        yield server


def attach(cni, **settings):
    cni.add("bridge", stub.config(**settings)).expect()


# ---- the host's ----

def test_local_resolver_of_the_host(lab, cni):
    """127.0.0.53 is the host's, not the container's."""
    with Upstream(lab, "127.0.0.53", netns=None) as server:
        host_servers(lab, "127.0.0.53")
        attach(cni)
        assert addresses(lab, "a.test") == FIRST
        assert server.seen[0].source.startswith("127.")


def test_resolver_of_a_host_that_is_a_container_itself(lab, cni):
    """There 127.0.0.11 is another one's, and the right one to ask."""
    with Upstream(lab, "127.0.0.11", netns=None) as server:
        host_servers(lab, "127.0.0.11")
        attach(cni)
        assert addresses(lab, "a.test") == FIRST
        assert server.seen[0].source.startswith("127.")


def test_what_is_no_address_is_left_out(lab, cni, upstream):
    lab.write("/etc/resolv.conf", "# nameserver 192.0.2.9\n;nameserver 192.0.2.9\nnameserver\nnameserver example.com\n"
              "nameserver 192.0.2.999\n  nameserver 192.0.2.2 # ours\noptions edns0\nnameserver " + "1" * 500 + "\n\0\n")
    attach(cni)
    known(lab, "192.0.2.2")
    assert addresses(lab, "a.test") == FIRST


def test_no_more_than_eight(lab, cni, upstream):
    host_servers(lab, *[f"192.0.2.{n}" for n in range(101, 120)])
    attach(cni)
    known(lab, *[f"192.0.2.{n}" for n in range(101, 109)])


def test_ipv6(lab, cni):
    with Upstream(lab, "2001:db8::2") as server:
        host_servers(lab, "2001:db8::2")
        attach(cni)
        assert addresses(lab, "a.test") == FIRST
        assert addresses(lab, "b.test", tcp=True) == FIRST
        assert {q.source for q in server.seen} == {"2001:db8::1"}


def test_link_local_with_its_interface(lab, cni):
    lab.run(["ip", "addr", "add", "fe80::53/64", "dev", "eth0", "nodad"], netns="outside")
    with Upstream(lab, "fe80::53", interface="eth0") as server:
        server.on("long.test", up.text(5000))
        host_servers(lab, "fe80::53%up0")
        attach(cni)
        assert addresses(lab, "a.test") == FIRST
        assert len(stub.ask(lab, "long.test", "TXT", tcp=True).to_wire()) == 5000
        index = next(link["ifindex"] for link in lab.ip("link") if link["ifname"] == "up0")
        now_servers(lab, f"fe80::53%{index}")
        assert addresses(lab, "b.test") == FIRST
        assert {q.source[:6] for q in server.seen} == {"fe80::"}


def test_link_local_of_an_interface_that_is_not_there(lab, cni):
    host_servers(lab, "fe80::53%nix0", "fe80::53")
    attach(cni)
    assert stub.ask(lab, "a.test", timeout=1).rcode() == dns.rcode.SERVFAIL


# ---- followed ----

def change_in_place(lab):
    lab.write("/etc/resolv.conf", conf("192.0.2.3"))


def change_by_rename(lab):
    lab.write("/etc/resolv.conf.new", conf("192.0.2.3"))
    lab.call(os.rename, "/etc/resolv.conf.new", "/etc/resolv.conf")


def change_by_removal(lab):
    lab.call(os.unlink, "/etc/resolv.conf")
    known(lab)
    lab.write("/etc/resolv.conf", conf("192.0.2.3"))


def change_to_link(lab):
    lab.write("/run/resolv.other", conf("192.0.2.3"))
    lab.call(os.symlink, "/run/resolv.other", "/etc/resolv.conf.new")
    lab.call(os.rename, "/etc/resolv.conf.new", "/etc/resolv.conf")


def change_bit_by_bit(lab):
    """Each write is one event; what counts is the last."""
    def write():
        with open("/etc/resolv.conf", "w", encoding="ascii") as f:
            for char in conf("192.0.2.3"):
                f.write(char)
                f.flush()
    lab.call(write)


@pytest.mark.parametrize("change", [change_in_place, change_by_rename, change_by_removal, change_to_link, change_bit_by_bit])
def test_change_is_followed(lab, cni, etc, change):
    attach(cni)
    assert addresses(lab, "a.test") == FIRST
    change(lab)
    known(lab, "192.0.2.3")
    assert addresses(lab, "a.test") == SECOND, "nor does the cache know better"
    lab.write("/etc/resolv.conf", conf("192.0.2.2"))
    known(lab, "192.0.2.2")
    assert addresses(lab, "a.test") == FIRST, "a second time too"


def put(lab, path, server):
    """As systemd-resolved and NetworkManager do."""
    lab.run(["mkdir", "-p", os.path.dirname(path)])
    lab.write(path + ".tmp", conf(server))
    lab.call(os.rename, path + ".tmp", path)


@pytest.fixture
def linked(lab, etc):
    """/etc/resolv.conf leads to /run/resolve/stub.conf by a relative link."""
    lab.call(os.unlink, "/etc/resolv.conf")
    lab.call(os.symlink, "../run/resolve/stub.conf", "/etc/resolv.conf")
    return etc


def test_target_of_a_link_is_replaced(lab, cni, linked):
    put(lab, "/run/resolve/stub.conf", "192.0.2.2")
    attach(cni)
    assert addresses(lab, "a.test") == FIRST
    for server, answer in (("192.0.2.3", SECOND), ("192.0.2.2", FIRST), ("192.0.2.3", SECOND)):
        put(lab, "/run/resolve/stub.conf", server)
        known(lab, server)
        assert addresses(lab, "a.test") == answer


def test_link_to_what_is_not_there_yet(lab, cni, linked):
    """The daemon may be there before the host's resolver is."""
    attach(cni)
    assert stub.ask(lab, "a.test").rcode() == dns.rcode.SERVFAIL
    put(lab, "/run/resolve/stub.conf", "192.0.2.3")
    known(lab, "192.0.2.3")
    assert addresses(lab, "a.test") == SECOND


def test_folder_of_the_target_comes_again(lab, cni, linked):
    put(lab, "/run/resolve/stub.conf", "192.0.2.2")
    attach(cni)
    lab.run(["rm", "-r", "/run/resolve"])
    known(lab)
    put(lab, "/run/resolve/stub.conf", "192.0.2.3")
    known(lab, "192.0.2.3")


def test_folder_of_the_target_goes_last(lab, cni, linked):
    """Some time after the file in it, and by another name."""
    put(lab, "/run/resolve/stub.conf", "192.0.2.2")
    attach(cni)
    lab.run(["rm", "/run/resolve/stub.conf"])
    known(lab)
    lab.run(["rmdir", "/run/resolve"])
    put(lab, "/run/resolve/stub.conf", "192.0.2.3")
    known(lab, "192.0.2.3")
    lab.call(os.rename, "/run/resolve", "/run/former")
    known(lab)
    put(lab, "/run/resolve/stub.conf", "192.0.2.2")
    known(lab, "192.0.2.2")


def test_link_behind_a_link(lab, cni, linked):
    for folder in ("one", "two", "resolve"):
        lab.run(["mkdir", f"/run/{folder}"])
    put(lab, "/run/one/name", "192.0.2.2")
    put(lab, "/run/two/other", "192.0.2.3")
    lab.call(os.symlink, "/run/one/name", "/run/resolve/stub.conf")
    attach(cni)
    known(lab, "192.0.2.2")
    lab.call(os.symlink, "/run/two/other", "/run/resolve/new")
    lab.call(os.rename, "/run/resolve/new", "/run/resolve/stub.conf")
    known(lab, "192.0.2.3")
    put(lab, "/run/two/other", "192.0.2.2")
    known(lab, "192.0.2.2")


def test_links_in_a_circle_and_what_is_no_file(lab, cni, etc):
    for make in (lambda: os.symlink("resolv.conf", "/etc/resolv.conf"), lambda: os.mkfifo("/etc/resolv.conf"),
                 lambda: os.mkdir("/etc/resolv.conf")):
        lab.run(["rm", "-rf", "/etc/resolv.conf"])
        lab.call(make)
        if make.__code__.co_names[1] == "symlink":
            attach(cni)
        known(lab)
    lab.run(["rm", "-rf", "/etc/resolv.conf"])
    lab.write("/etc/resolv.conf", conf("192.0.2.3"))
    known(lab, "192.0.2.3")


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_without_inotify_it_is_looked_at(lab, cni, etc):
    """Instances of inotify(7) are few, and all of one user."""
    daemon = lab.start(["strace", "-qq", "-o", "/dev/null", "-e", "inject=inotify_init1:error=EMFILE", libexec("fairlead-dnsd")],
                       stderr=subprocess.DEVNULL)
    configs.eventually(lambda: lab.call(glob.glob, "/run/fairlead/*/dns.sock"))
    attach(cni)
    known(lab, "192.0.2.2")
    change_by_rename(lab)
    known(lab, "192.0.2.3")
    assert daemon.poll() is None, "it is the one without"


def test_answer_under_way_does_not_outlive_its_servers(lab, cni, upstream, other):
    """It is delivered, and not kept for those who ask later."""
    upstream.on("a.test", up.late(0.3, up.address()))
    attach(cni)
    with stub.Crowd(lab, {"c1": ["a.test"]}) as crowd:
        crowd.send()
        upstream.wait(lambda server: server.of("a.test"))
        now_servers(lab, "192.0.2.3")
        assert [o.rcode for o in crowd.wait()] == [0]
    assert addresses(lab, "a.test") == SECOND


# ---- a network's own ----

def test_own_servers_are_asked_from_inside(lab, cni, upstream, other):
    attach(cni, nameservers=["192.0.2.3"])
    assert addresses(lab, "a.test") == SECOND
    assert addresses(lab, "b.test", tcp=True) == SECOND
    assert {q.source for q in other.seen} == {"10.1.0.2"}
    assert not upstream.seen


def test_own_servers_by_ipv6(lab, cni):
    with Upstream(lab, "2001:db8::2") as server:
        server.on("long.test", up.text(5000))
        cni.add("bridge", configs.dual(ipMasq=False, dns={"enabled": True, "nameservers": ["2001:db8::2"]})).expect()
        assert addresses(lab, "a.test") == FIRST
        assert len(stub.ask(lab, "long.test", "TXT", tcp=True).to_wire()) == 5000
        assert {(q.source, q.transport) for q in server.seen} == {("fd00:1::2", "udp"), ("fd00:1::2", "tcp")}


def test_own_server_on_the_containers_loopback(lab, cni, upstream):
    """Its own, not the host's."""
    attach(cni, nameservers=["127.0.0.1"])
    with Upstream(lab, "127.0.0.1", netns="c1", default=up.address(*SECOND)) as server:
        assert addresses(lab, "a.test") == SECOND
        assert len(server.seen) == 1 and not upstream.seen


def test_own_servers_without_our_address(lab, cni, upstream, other):
    attach(cni, nameservers=["127.0.0.11", "192.0.2.3"])
    assert addresses(lab, "a.test") == SECOND
    assert len(other.seen) == 1


def test_only_our_address_means_the_hosts(lab, cni, upstream):
    attach(cni, nameservers=["127.0.0.11"])
    assert addresses(lab, "a.test") == FIRST
    assert [q.source for q in upstream.seen] == ["192.0.2.1"]


def test_dead_own_server(lab, cni, upstream, other):
    upstream.on("*.test", up.silent)
    attach(cni, nameservers=["192.0.2.2", "192.0.2.3"])
    assert [addresses(lab, f"{n}.test") for n in range(4)] == [SECOND] * 4
    assert len(upstream.seen) == 3


def test_host_that_asks_its_own_listener(lab, cni, upstream):
    """Names of containers for the host, too: the listener is in its resolv.conf, and does not ask itself."""
    now = conf("10.1.0.1", "192.0.2.2")
    cni.add("bridge", stub.config(listen=True)).expect()
    lab.write("/etc/resolv.conf", now)
    configs.eventually(lambda: len(stub.stats(lab).total["servers"]) == 2)
    assert addresses(lab, "a.test", netns=None, server="10.1.0.1") == FIRST
    assert addresses(lab, "b.test") == FIRST
    assert len(upstream.seen) == 2
    counted = stub.stats(lab).sandboxes["net"]["counters"]
    assert counted["queries"] == counted["forwarded"] == 1
