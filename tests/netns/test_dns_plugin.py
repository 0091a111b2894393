# SPDX-License-Identifier: GPL-2.0-or-later
"""dns.enabled: from ADD to DEL, and what may go wrong between. Chains are in test_dns_chained.py, files in test_dns_files.py."""
import contextlib

import pytest

from support import configs, dns, shapes, snapshot
from support.cni import LIBEXEC

NET, OTHER = dns.network(), dns.second()
CHECK, UNAVAILABLE = 104, 50


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def witness(lab, netns="c1"):
    """A pair of interfaces of which one end is in the namespace; the function tells whether that is there still."""
    lab.run(["ip", "link", "add", "witness", "type", "veth", "peer", "name", "inside", "netns", netns])
    return lambda: configs.link(lab, "witness") is not None


# ---- the result ----

def test_result(lab, cni):
    asked = {"nameservers": ["192.0.2.53"], "search": ["a.example", "b.example"], "options": ["ndots:2", "edns0"],
             "domain": "a.example"}
    result = cni.add("bridge", dns.network(dns=asked)).expect().json
    shapes.check_result(result, configs.VERSION)
    assert result["dns"] == {**asked, "nameservers": ["127.0.0.11"]}
    cni.check("bridge", configs.with_previous(dns.network(dns=asked), result)).expect()


def test_result_without_more(lab, cni):
    assert cni.add("bridge", NET).expect().json["dns"] == {"nameservers": ["127.0.0.11"]}


def test_result_of_ipam(lab, cni):
    """What IPAM says of search and domain goes to the container, its servers are asked for foreign names."""
    lab.write("/run/ipam.conf", "nameserver 10.1.0.53\nsearch ipam.example\noptions edns0\n")
    config = dns.network(ipam={**configs.host_local(configs.SUBNET), "resolvConf": "/run/ipam.conf"})
    assert cni.add("bridge", config).expect().json["dns"] == {
        "nameservers": ["127.0.0.11"], "search": ["ipam.example"], "options": ["edns0"]}


def test_enabled_false_is_as_without(lab, cni):
    """And nothing is started."""
    config = configs.bridge(dns={"enabled": False, "forward": True, "nameservers": ["192.0.2.53"]})
    assert cni.add("bridge", config).expect().json["dns"] == {"nameservers": ["192.0.2.53"]}
    assert dns.daemon(lab) is None and not dns.rewritten(lab, "c1")
    assert not lab.exists(f"{dns.state_dir(lab)}/files")


# ---- from ADD to DEL ----

@pytest.mark.parametrize("tcp", [False, True])
def test_add_and_del_take_effect_at_once(lab, cni, tcp):
    """Fresh containers and names: known the moment ADD returns, unknown the moment DEL does."""
    config = dns.network(dns={"forward": False})
    [asker] = dns.attach(cni, config, "c2", "asker")
    pid = None
    for i in range(120):
        container, name = f"r{i}", f"name{i}"
        lab.netns(container)
        [address] = dns.attach(cni, config, container, name)
        assert dns.lookup(lab, "c2", name, tcp=tcp) == [address], name
        assert dns.lookup(lab, container, "asker", tcp=tcp) == [asker]
        cni.delete("bridge", config, container).expect()
        assert dns.no_name(dns.ask(lab, "c2", name, tcp=tcp)), name
        lab.remove_netns(container)
        pid = pid or dns.worker(lab)
    assert dns.worker(lab) == pid


def test_everything_goes(lab, cni):
    """The sandbox lives on, as it was before: no table, no socket on port 53 or elsewhere, no file, no record."""
    dns.lo_up(lab, "c1")
    configs.warm(cni, NET)
    before = snapshot.take(lab, ["c1"])
    for _ in range(2):
        dns.attach(cni, NET, "c1", "web", aliases=["www"])
        assert dns.rewritten(lab, "c1") and listening(lab, "c1")
        for _ in range(2):
            cni.delete("bridge", NET).expect()
        assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
        assert not listening(lab, "c1") and not lab.files(f"{dns.state_dir(lab)}/files")


def listening(lab, netns):
    return lab.run(["ss", "-Hlnut"], netns=netns).stdout.splitlines()


def test_second_network_of_a_sandbox(lab, cni, upstream):
    dns.lo_up(lab, "c1")
    dns.attach(cni, OTHER, "c2", "db")
    dns.attach(cni, NET, "c1", "web")
    before, sockets = snapshot.take(lab, ["c1"]), listening(lab, "c1")
    assert not dns.knows(lab, "c1", "db")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert dns.knows(lab, "c1", "db") and dns.knows(lab, "c2", "web") and listening(lab, "c1") == sockets
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert not dns.knows(lab, "c1", "db") and not dns.knows(lab, "c2", "web") and dns.knows(lab, "c1", "web")
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"])) and listening(lab, "c1") == sockets


def test_first_network_goes_first(lab, cni, upstream):
    dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    cni.delete("bridge", NET, "c1").expect()
    assert dns.lookup(lab, "c1", "web.other") and not dns.knows(lab, "c1", "web.net")
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert not dns.rewritten(lab, "c1") and not listening(lab, "c1")


@pytest.mark.parametrize("how", ["DEL", "GC"])
def test_namespace_is_not_kept(lab, cni, how):
    """Our open sockets would keep it, and with it whatever is in it."""
    dns.attach(cni, NET, "c2")
    dns.attach(cni, NET, "c1", "web")
    there = witness(lab)
    lab.remove_netns("c1")
    if how == "DEL":
        for _ in range(2):
            cni.delete("bridge", NET, netns="").expect()
    else:
        cni.gc("bridge", NET, [("c2", "eth0")]).expect()
    configs.eventually(lambda: not there())
    assert configs.bridge_ports(lab, "net0") == [configs.bridge_ports(lab, "net0")[0]]
    assert dns.knows(lab, "c2", "c2")


def test_path_that_leads_nowhere(lab, cni):
    dns.attach(cni, NET, "c1", "web")
    there = witness(lab)
    lab.remove_netns("c1")
    cni.delete("bridge", NET).expect()
    configs.eventually(lambda: not there())


def test_gc_in_a_sandbox_that_lives(lab, cni):
    dns.lo_up(lab, "c1")
    configs.warm(cni, NET)
    before = snapshot.take(lab, ["c1"])
    dns.attach(cni, NET, "c1", "web")
    cni.gc("bridge", NET).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"])) and not listening(lab, "c1")


@pytest.mark.parametrize("where", [None, "c1"])
def test_somebody_flushed_the_rules(lab, cni, where):
    dns.lo_up(lab, "c1")
    dns.attach(cni, NET, "c1", "web")
    lab.run(["nft", "flush", "ruleset"], netns=where)
    cni.delete("bridge", NET).expect()
    assert not dns.rewritten(lab, "c1") and not listening(lab, "c1")
    assert dns.attach(cni, NET, "c1", "web") == dns.lookup(lab, "c1", "web")


def test_del_without_a_daemon(lab, cni):
    """Whoever killed it: its rules in the sandbox go by the record."""
    dns.lo_up(lab, "c1")
    configs.warm(cni, NET)
    before = snapshot.take(lab, ["c1"])
    dns.attach(cni, NET, "c1", "web")
    dns.kill(lab)
    assert dns.rewritten(lab, "c1")
    cni.delete("bridge", NET).expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"])) and not lab.files(f"{dns.state_dir(lab)}/files")


def test_add_after_the_daemon_died(lab, cni):
    """It is started again, and serves those who were there before as well."""
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.kill(lab)
    [two] = dns.attach(cni, NET, "c2", "two")
    assert dns.lookup(lab, "c1", "two") == [two] and dns.lookup(lab, "c2", "web") == [one]


# ---- what fails ----

@pytest.mark.parametrize("setting", ["/run/empty", "/run/empty/deeper"])
def test_without_the_program(lab, cni, setting):
    lab.run(["mkdir", "/run/empty"])
    dns.lo_up(lab, "c1")
    configs.warm(cni, configs.bridge())
    before = snapshot.take(lab, ["c1"])
    outcome = cni.add("bridge", dns.named(NET, "web"), env={LIBEXEC: setting})
    shapes.check_error(outcome.refused(UNAVAILABLE, f"{setting}/fairlead-dnsd", "dns.enabled").json)
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))
    assert not lab.files(f"{dns.state_dir(lab)}/files")
    cni.status("bridge", NET, env={LIBEXEC: setting}).refused(UNAVAILABLE, f"{setting}/fairlead-dnsd")
    cni.delete("bridge", NET).expect()


def test_program_that_fails(lab, cni):
    """What it says is the reason."""
    lab.run(["mkdir", "/run/bad"])
    lab.write("/run/bad/fairlead-dnsd", "#!/bin/sh\necho no luck today\nexit 1\n")
    lab.run(["chmod", "+x", "/run/bad/fairlead-dnsd"])
    cni.add("bridge", NET, env={LIBEXEC: "/run/bad"}).refused(UNAVAILABLE, "no luck today")
    assert configs.link(lab, "eth0", "c1") is None


def test_status(lab, cni):
    cni.status("bridge", NET).expect()
    assert dns.daemon(lab) is None, "looking changes nothing"
    dns.attach(cni, NET, "c1")
    cni.status("bridge", NET, env={LIBEXEC: "/run/nowhere"}).expect()


def test_check_finds_a_dead_daemon(lab, cni):
    result = cni.add("bridge", NET).expect().json
    checked = configs.with_previous(NET, result)
    cni.check("bridge", checked).expect()
    dns.kill(lab)
    cni.check("bridge", checked).refused(CHECK, "127.0.0.11", "fairlead-dnsd")
    dns.attach(cni, NET, "c2")
    cni.check("bridge", checked).expect()


def test_another_add_of_the_same(lab, cni):
    """Refused, and what is there works on."""
    [one] = dns.attach(cni, NET, "c1", "web")
    cni.add("bridge", dns.named(NET, "other")).refused(102)
    assert dns.lookup(lab, "c1", "web") == [one]


# ---- beside what else is in the sandbox ----

def test_application_has_port_53(lab, cni):
    """It binds 0.0.0.0:53 plainly, UDP and TCP, and is reached where it listens; we are at 127.0.0.11."""
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, NET, "c2", "two")
    for server in (lab.udp_server, lab.tcp_server):
        server("c1", "0.0.0.0", 53)
    for proto in ("udp", "tcp"):
        for where in ("c1", "c2"):
            assert lab.probe(where, one, 53, proto).server == "c1"
        assert lab.probe("c1", "127.0.0.1", 53, proto).server == "c1"
        assert dns.lookup(lab, "c1", "web", tcp=proto == "tcp") == [one]


def test_application_was_there_first(lab, cni):
    dns.lo_up(lab, "c1")
    servers = [lab.udp_server("c1", "0.0.0.0", 53), lab.tcp_server("c1", "0.0.0.0", 53)]
    [one] = dns.attach(cni, NET, "c1", "web")
    assert dns.lookup(lab, "c1", "web") == dns.lookup(lab, "c1", "web", tcp=True) == [one]
    assert lab.probe("c1", "127.0.0.1", 53, "udp").server == "c1" and servers[0].seen


@pytest.mark.parametrize("rules", [
    "chain in { type filter hook input priority 0; ct state invalid drop; }",
    "chain out { type filter hook output priority 0; ct state invalid drop; }",
    "chain in { type filter hook input priority 0; policy drop; iif lo accept; ct state established accept; }",
    "chain nat { type nat hook output priority -100; udp dport 5353 redirect to :53; }"])
def test_rules_of_the_user(lab, cni, rules):
    """The sandbox tracks connections then."""
    [one] = dns.attach(cni, NET, "c1", "web")
    lab.nft(f"table ip mine {{\n{rules}\n}}\n", netns="c1")
    for tcp in (False, True):
        assert dns.lookup(lab, "c1", "web", tcp=tcp) == [one]
    cni.delete("bridge", NET).expect()
    assert "mine" in lab.run(["nft", "list", "tables"], netns="c1").stdout and not dns.rewritten(lab, "c1")


def test_many_sandboxes_ask(lab, cni):
    """Each sees itself, at the same time, at one and the same address."""
    names = [f"s{i}" for i in range(40)]
    for name in names:
        lab.netns(name)
    found = {name: dns.attach(cni, NET, name, f"me-{name}")[0] for name in names}
    sockets = {name: dns.udp(lab, name) for name in names}
    with contextlib.ExitStack() as stack:
        for sock in sockets.values():
            stack.callback(sock.close)
        for name, sock in sockets.items():
            sock.send(dns.query(f"me-{name}").to_wire())
        for name, sock in sockets.items():
            assert dns.data(dns.parse(sock.recv(4096))) == [found[name]]
