# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin `dns` in a chain: behind the reference bridge, behind our plugins, and beside a resolver that is there already."""
import os

import pytest

from support import configs, dns, snapshot
from support.cni import Chain

REFERENCE = "/usr/lib/cni"
DNS = {"type": "dns", "capabilities": {"aliases": True, "dns": True}}

needs_reference = pytest.mark.skipif(not os.path.exists(f"{REFERENCE}/bridge"), reason="no reference plugins")


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def part(config):
    """A plugin's object in a list of them."""
    return {key: value for key, value in config.items() if key not in ("cniVersion", "name")}


def chain(cni, *plugins, name="net"):
    return Chain(cni, configs.conflist(*plugins, name=name, version=configs.VERSION))


def with_name(plugin, name):
    return {**plugin, "args": {"cni": {"name": name}}}


class Reference:
    """The reference bridge with ours behind it."""

    def __init__(self, cni, dns_config=None, **more):
        base = {"cniVersion": "1.0.0", "name": "net"}
        self.cni = cni
        self.bridge = {**base, "type": "bridge", "bridge": "ref0", "isDefaultGateway": True,
                       "ipam": configs.host_local(configs.SUBNET), **more}
        self.ours = {**base, "type": "dns", **(dns_config or {})}

    def add(self, container, name=None, **runtime):
        first = self.cni.add("bridge", self.bridge, container, binary=f"{REFERENCE}/bridge", path=REFERENCE).expect().json
        config = configs.with_previous(dns.named(self.ours, name, **runtime), first)
        return self.cni.add("dns", config, container).expect()

    def delete(self, container, result):
        config = configs.with_previous(self.ours, result)
        self.cni.delete("dns", config, container).expect()
        self.cni.delete("bridge", configs.with_previous(self.bridge, result), container, binary=f"{REFERENCE}/bridge",
                        path=REFERENCE).expect()


@needs_reference
def test_behind_the_reference_bridge(lab, cni, upstream):
    dns.lo_up(lab, "c1")
    network = Reference(cni)
    before = snapshot.take(lab, ["c1"], stores=False)
    two = network.add("c2", "two", aliases=["second"])
    one = network.add("c1", "web", aliases=["www"])
    assert one.json["dns"] == {"nameservers": ["127.0.0.11"]} and [i["name"] for i in one.json["interfaces"]][-1] == "eth0"
    assert dns.lookup(lab, "c2", "www") == dns.lookup(lab, "c2", "web.net") == one.addresses()
    assert dns.lookup(lab, "c1", "second", tcp=True) == two.addresses()
    assert dns.lookup(lab, "c1", dns.reverse(two.address), "PTR") == ["two.net."]
    assert not upstream.asked
    cni.check("dns", configs.with_previous(network.ours, one.json), "c1").expect()
    network.delete("c1", one.json)
    assert not dns.knows(lab, "c2", "web")
    network.delete("c2", two.json)
    lab.run(["ip", "link", "del", "ref0"])
    after = snapshot.take(lab, ["c1"], stores=False)
    assert not snapshot.diff({k: v for k, v in before.items() if k != "host/sysctls"},
                             {k: v for k, v in after.items() if k != "host/sysctls"})
    assert not dns.rewritten(lab, "c1")


@needs_reference
def test_what_the_reference_said_of_dns(lab, cni):
    """Its search list stays, and its servers are asked: from inside, which is where the container would ask them."""
    said = {"nameservers": ["10.1.0.3"], "search": ["corp.example"], "options": ["ndots:1"], "domain": "corp.example"}
    network = Reference(cni, dns=said)
    one = network.add("c1", "web")
    assert one.json["dns"] == {**said, "nameservers": ["127.0.0.11"]}
    assert network.add("c2", "server").address == "10.1.0.3"
    with dns.upstream(lab, "c2", "10.1.0.3") as server:
        assert dns.lookup(lab, "c1", "www.example.org") == [dns.FOREIGN]
        assert dns.lookup(lab, "c1", "web.corp.example") == [one.address]
        assert server.asked == ["www.example.org"]
    third = Reference(cni, {"dns": {"search": ["own.example"]}}, dns=said)
    lab.netns("c3")
    assert third.add("c3").json["dns"] == {**said, "nameservers": ["127.0.0.11"], "search": ["own.example"]}


def test_behind_our_bridge(lab, cni, upstream):
    """Names, and what a runtime passes by capabilities."""
    both = chain(cni, part(configs.bridge()), with_name(DNS, "web"))
    one = both.add("c1", capabilities={"aliases": ["www"], "dns": {"searches": ["a.example"], "options": ["ndots:3"]}}).expect()
    assert one.json["dns"] == {"nameservers": ["127.0.0.11"], "search": ["a.example"], "options": ["ndots:3"]}
    two = chain(cni, part(configs.bridge()), DNS).add("c2").expect()
    assert dns.lookup(lab, "c2", "web") == dns.lookup(lab, "c2", "www") == one.addresses()
    assert dns.lookup(lab, "c1", "c2") == two.addresses()
    both.check("c1").expect()
    both.delete("c1").expect()
    assert not dns.knows(lab, "c2", "web")


def test_both_at_once(lab, cni, upstream):
    """One address each, and the sandbox is served until the second of them goes."""
    dns.lo_up(lab, "c1")
    configs.warm(cni, dns.network())
    before = snapshot.take(lab, ["c1"])
    main = part(dns.network(dns={"search": ["a.example"]}))
    both = chain(cni, with_name(main, "web"), {"type": "portmap", "capabilities": {"portMappings": True}},
                 with_name(DNS, "web"))
    one = both.add("c1", capabilities={"portMappings": [configs.port(8080, 80)], "aliases": ["www"]}).expect()
    assert one.json["dns"] == {"nameservers": ["127.0.0.11"], "search": ["a.example"]}
    for name in ("web", "www", "web.net"):
        assert dns.lookup(lab, "c1", name) == one.addresses()
    assert dns.lookup(lab, "c1", dns.reverse(one.address), "PTR") == ["web.net."]
    assert dns.lookup(lab, "c1", "_8080._tcp.web", "SRV") == ["0 0 80 web.net."]
    hosts = lab.read(f"{dns.state_dir(lab)}/files/c1/hosts")
    assert hosts.count(one.address) == 1
    config = configs.with_previous(both.configs()[2], one.json)
    cni.delete("dns", config, "c1").expect()
    assert dns.lookup(lab, "c1", "web") == one.addresses() and not dns.knows(lab, "c1", "www")
    both.delete("c1").expect()
    assert not snapshot.diff(before, snapshot.take(lab, ["c1"]))


def test_internal_network_of_ours(lab, cni, upstream):
    """The plugin is not shown that the network is internal, and asks nobody all the same."""
    bridge = configs.bridge(internal=True, isDefaultGateway=None, ipMasq=None)
    chain(cni, part(bridge), with_name(DNS, "web")).add("c1").expect()
    assert dns.knows(lab, "c1", "web") and dns.no_name(dns.ask(lab, "c1", "www.example.org"))
    # The same name as an internal network's, and another network.
    chain(cni, part(configs.second()), DNS, name="other").add("c2").expect()
    assert dns.lookup(lab, "c2", "last.example.org") == [dns.FOREIGN] and upstream.asked == ["last.example.org"]


def test_settings(lab, cni, upstream):
    config = {**DNS, "dns": {"forward": False, "domain": "corp.example"}}
    one = chain(cni, part(configs.bridge()), with_name(config, "web")).add("c1").expect()
    assert dns.lookup(lab, "c1", "web.corp.example") == one.addresses()
    assert dns.no_name(dns.ask(lab, "c1", "www.example.org")) and not upstream.asked


def test_enabled_false(lab, cni):
    """Everything of it is in the configuration, and nothing is done."""
    before = chain(cni, part(configs.bridge(dns={"nameservers": ["192.0.2.7"]})), {**DNS, "dns": {"enabled": False}})
    assert before.add("c1").expect().json["dns"] == {"nameservers": ["192.0.2.7"]}
    assert dns.daemon(lab) is None
    before.check("c1").expect()
    before.delete("c1").expect()


def test_without_an_address(lab, cni):
    previous = {"cniVersion": configs.VERSION, "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}]}
    config = {"cniVersion": configs.VERSION, "name": "net", **DNS, "prevResult": previous}
    cni.add("dns", config).refused(7, "prevResult.ips", "eth0")
    cni.add("dns", {key: value for key, value in config.items() if key != "prevResult"}).refused(7, "prevResult")
    previous["ips"] = [{"address": "10.1.0.9/24"}]
    assert cni.add("dns", config).expect().json["ips"] == previous["ips"]


def test_gc(lab, cni, upstream):
    both = chain(cni, part(configs.bridge()), DNS)
    for name in ("c1", "c2"):
        both.add(name).expect()
    assert dns.knows(lab, "c2", "c1")
    both.gc([("c2", "eth0")]).expect()
    assert not dns.knows(lab, "c2", "c1") and dns.knows(lab, "c2", "c2") and not dns.rewritten(lab, "c1")
