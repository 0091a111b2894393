# SPDX-License-Identifier: GPL-2.0-or-later
"""The resolver at 127.0.0.11: what containers are called, and who sees whom. Wire and services are in test_dns_wire.py."""
import contextlib

import pytest

from support import configs, dns

ID = "0123456789abcdef0123456789abcdef"
NET, OTHER = dns.network(), dns.second()


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def addresses(lab, name, netns="c2"):
    return dns.lookup(lab, netns, name)


# ---- what a container is called ----

def test_name_from_the_runtime(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, NET, "c2")
    assert addresses(lab, "web") == addresses(lab, "web.net") == addresses(lab, "web.") == [one]
    assert addresses(lab, "web", "c1") == [one], "a container knows itself"
    assert not upstream.asked


def test_name_from_cni_args(lab, cni, upstream):
    """What podman and containerd pass; args.cni.name wins over it."""
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod"
    [one] = dns.attach(cni, NET, "c1", args=args)
    [two] = dns.attach(cni, NET, "c2", "other", args=args)
    assert addresses(lab, "pod") == [one] and addresses(lab, "other") == [two]


def test_short_id(lab, cni, upstream):
    path = lab.netns("long")
    [one] = dns.attach(cni, NET, "c2")
    [two] = cni.add("bridge", NET, ID, netns=path).expect().addresses()
    assert addresses(lab, ID[:12]) == addresses(lab, f"{ID[:12]}.net") == [two]
    assert addresses(lab, "c2") == [one]
    for no in (ID, ID[:11], ID[:13]):
        assert not dns.knows(lab, "c2", no)


def test_short_id_beside_a_name(lab, cni, upstream):
    path = lab.netns("long")
    dns.attach(cni, NET, "c2")
    [one] = cni.add("bridge", dns.named(NET, "web"), ID.upper(), netns=path).expect().addresses()
    assert addresses(lab, "web") == addresses(lab, ID[:12]) == [one]


def test_aliases_and_hostname(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "web", aliases=["www", "api.example", "web"], hostname="box.example.org")
    dns.attach(cni, NET, "c2")
    for name in ("web", "www", "api.example", "box.example.org", "c1"):
        assert addresses(lab, name) == addresses(lab, f"{name}.net") == [one], name
    assert not upstream.asked


def test_aliases_by_network(lab, cni, upstream):
    """podman's form of them, where only this network's count."""
    [one] = dns.attach(cni, NET, "c1", "web", aliases={"net": ["www"], "other": ["elsewhere"]})
    dns.attach(cni, NET, "c2", "two", aliases={"other": ["third"]})
    assert addresses(lab, "www") == [one]
    assert not dns.knows(lab, "c2", "elsewhere") and not dns.knows(lab, "c2", "third")


def test_domain(lab, cni, upstream):
    config = dns.network(dns={"domain": "Corp.example."})
    [one] = dns.attach(cni, config, "c1", "web", aliases=["www"])
    dns.attach(cni, config, "c2", "two")
    assert addresses(lab, "web.corp.example") == addresses(lab, "www.corp.example") == addresses(lab, "web") == [one]
    assert not upstream.asked
    assert not dns.knows(lab, "c2", "nobody.corp.example") and upstream.asked == ["nobody.corp.example"]


def test_domain_survives_what_the_runtime_says(lab, cni, upstream):
    """The capability has no key for it."""
    config = dns.network(dns={"domain": "corp.example"})
    [one] = dns.attach(cni, config, "c1", "web", dns={"searches": ["a.example"]})
    assert addresses(lab, "web.corp.example", "c1") == [one]


def test_name_of_a_container_before_name_and_network(lab, cni, upstream):
    """"web.net" as an alias is another container's whole name."""
    [one] = dns.attach(cni, NET, "c1", "web")
    [two] = dns.attach(cni, NET, "c2", "two", aliases=["web.net"])
    assert addresses(lab, "web.net") == [two] and addresses(lab, "web") == [one]


def test_case(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "WebServer", aliases=["WWW"])
    dns.attach(cni, NET, "c2")
    for name in ("webserver.", "WEBSERVER.", "wEbSeRvEr.NeT.", "www.", "Www.nEt."):
        answer = dns.ask(lab, "c2", name)
        assert dns.data(answer) == [one]
        asked = dns.query(name).to_wire()[12:]
        with contextlib.closing(dns.udp(lab, "c2")) as sock:
            sock.send(dns.query(name).to_wire())
            assert sock.recv(4096)[12:].startswith(asked), "the question is echoed as it was asked"


@pytest.mark.parametrize("label", ["a" * 63, "x_y", "xn--bcher-kva", "-a", "0", "a--b"])
def test_labels(lab, cni, upstream, label):
    [one] = dns.attach(cni, NET, "c1", aliases=[label])
    assert addresses(lab, label, "c1") == addresses(lab, f"{label}.net", "c1") == [one]


def test_odd_aliases(lab, cni, upstream):
    """Any bytes may stand in a label; what can be no domain name is left out, and the rest is there."""
    odd = ["bücher", "a b", "tab\tbed", "back\\slash", "q\"uote", "\N{SNOWMAN}"]
    bad = ["a" * 64, "a..b", ".a", ".".join(["a" * 60] * 5)[:253], "."]
    [one] = dns.attach(cni, NET, "c1", aliases=[*odd, *bad[:3], "last"])
    [two] = dns.attach(cni, NET, "c2", "two", aliases=[bad[3], bad[4]])
    for alias in odd:
        wire = b"".join(bytes([len(part)]) + part for part in [alias.encode()]) + b"\0"
        data = dns.query("x").to_wire()[:12] + wire + b"\0\1\0\1"
        with contextlib.closing(dns.udp(lab, "c2")) as sock:
            sock.send(data)
            answer = sock.recv(4096)
        assert answer[3] & 15 == 0 and answer[7] == 1 and answer.endswith(bytes(map(int, one.split(".")))), alias
    assert addresses(lab, "last") == [one] and addresses(lab, "two") == [two]
    assert not dns.knows(lab, "c2", "a.b")
    assert not upstream.asked or upstream.asked == ["a.b"]


def test_root_is_nobody(lab, cni, upstream):
    """An alias "." would take all questions for the root."""
    dns.attach(cni, NET, "c1", "web", aliases=["."])
    dns.ask(lab, "c1", ".", "NS")
    assert upstream.asked == ["."]


def test_longest_names(lab, cni, upstream):
    """253 characters are a name; with the network's behind it there would be too many."""
    alias = ".".join(["b" * 63] * 3 + ["c" * 61])
    [one] = dns.attach(cni, NET, "c1", aliases=[alias])
    assert len(alias) == 253 and addresses(lab, alias, "c1") == [one]
    assert addresses(lab, "c1", "c1") == [one]


# ---- which addresses ----

def test_dual_stack(lab, cni, upstream):
    four, six = dns.attach(cni, dns.dual(), "c1", "web")
    dns.attach(cni, dns.dual(), "c2")
    assert dns.lookup(lab, "c2", "web", "A") == [four] and dns.lookup(lab, "c2", "web", "AAAA") == [six]
    assert sorted(dns.lookup(lab, "c2", "web", "ANY")) == sorted([four, six])


def test_ipv4_only(lab, cni, upstream):
    """AAAA of it is an answer without records, which is no error and asked of nobody else."""
    dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, NET, "c2")
    for name in ("web", "web.net", "c1"):
        answer = dns.ask(lab, "c2", name, "AAAA")
        assert dns.no_data(answer) and dns.soa(answer) == f"{name}."
    assert not upstream.asked


def test_ipv6_only(lab, cni, upstream):
    config = dns.network(subnets=(configs.SUBNET6,))
    [six] = dns.attach(cni, config, "c1", "web")
    dns.attach(cni, config, "c2")
    assert dns.lookup(lab, "c2", "web", "AAAA") == [six] and dns.no_data(dns.ask(lab, "c2", "web"))


def test_without_address(lab, cni, upstream):
    """Its name is known all the same."""
    config = dns.network()
    del config["ipam"], config["isDefaultGateway"], config["ipMasq"]
    cni.add("bridge", dns.named(config, "web"), "c1").expect()
    cni.add("bridge", dns.named(config, "two"), "c2").expect()
    assert dns.no_data(dns.ask(lab, "c2", "web")) and dns.no_data(dns.ask(lab, "c2", "web", "AAAA"))
    assert not upstream.asked


@pytest.mark.parametrize("kind", ["MX", "TXT", "NS", "SOA", "CNAME", "SRV", "HTTPS", "CAA", "TYPE65280"])
def test_other_types_of_a_known_name(lab, cni, upstream, kind):
    dns.attach(cni, NET, "c1", "web")
    for name in ("web", "web.net"):
        assert dns.no_data(dns.ask(lab, "c1", name, kind))
    assert not upstream.asked


def test_one_alias_of_many(lab, cni, upstream):
    """All addresses, and each begins an answer in its turn: also when A and AAAA are asked in pairs, as stubs do."""
    found = []
    for i in range(4):
        lab.netns(f"m{i}")
        found.append(dns.attach(cni, dns.dual(), f"m{i}", aliases=["db"]))
    first = {"A": set(), "AAAA": set()}
    for _ in range(4):
        for kind, place in (("A", 0), ("AAAA", 1)):
            answer = dns.lookup(lab, "m0", "db", kind)
            assert sorted(answer) == sorted(pair[place] for pair in found)
            first[kind].add(answer[0])
    assert {kind: len(seen) for kind, seen in first.items()} == {"A": 4, "AAAA": 4}
    cni.delete("bridge", dns.dual(), "m3").expect()
    assert sorted(dns.lookup(lab, "m0", "db")) == sorted(pair[0] for pair in found[:3])


def test_two_with_one_name(lab, cni, upstream):
    one, two = dns.attach(cni, NET, "c1", "web") + dns.attach(cni, NET, "c2", "web")
    assert sorted(addresses(lab, "web")) == sorted([one, two])
    cni.delete("bridge", NET, "c1").expect()
    assert addresses(lab, "web") == [two]


# ---- back from an address ----

def test_reverse(lab, cni, upstream):
    four, six = dns.attach(cni, dns.dual(), "c1", "Web", aliases=["www"])
    two = dns.attach(cni, dns.dual(), "c2")[0]
    assert dns.lookup(lab, "c2", dns.reverse(four), "PTR") == ["web.net."]
    assert dns.lookup(lab, "c2", dns.reverse(six), "PTR") == ["web.net."]
    assert dns.lookup(lab, "c2", dns.reverse(six).upper(), "PTR") == ["web.net."]
    assert dns.lookup(lab, "c2", dns.reverse(two), "PTR") == ["c2.net."]
    assert dns.no_data(dns.ask(lab, "c2", dns.reverse(four), "TXT"))
    assert not upstream.asked
    dns.ask(lab, "c2", dns.reverse("10.1.0.200"), "PTR")
    assert upstream.asked == ["200.0.1.10.in-addr.arpa"]


# ---- who sees whom ----

def test_networks_are_apart(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, OTHER, "c2", "db")
    assert addresses(lab, "web", "c1") == [one]
    for name in ("web", "web.net", "c1", dns.reverse(one)):
        assert not dns.knows(lab, "c2", name)
    assert len(upstream.asked) == 4


def test_two_networks_see_both(lab, cni, upstream):
    [one] = dns.attach(cni, NET, "c1", "web")
    [two] = dns.attach(cni, OTHER, "c2", "web")
    lab.netns("both")
    dns.attach(cni, NET, "both", "gate")
    dns.attach(cni, OTHER, "both", "gate", ifname="eth1")
    assert sorted(addresses(lab, "web", "both")) == sorted([one, two])
    assert addresses(lab, "web.net", "both") == [one] and addresses(lab, "web.other", "both") == [two]
    assert len(addresses(lab, "gate", "both")) == 2
    assert dns.lookup(lab, "both", dns.reverse(two), "PTR") == ["web.other."]
    assert len(addresses(lab, "gate", "c1")) == 1 and not upstream.asked


def test_network_with_dots(lab, cni, upstream):
    config = dns.network("lan.v1", bridge="lan0")
    [one] = dns.attach(cni, config, "c1", "web")
    assert addresses(lab, "web.lan.v1", "c1") == [one] and addresses(lab, "web", "c1") == [one]
    assert not dns.knows(lab, "c1", "web.v1")


def test_internal_network_asks_nobody(lab, cni, upstream):
    config = dns.network(internal=True, isDefaultGateway=None, ipMasq=None)
    [one] = dns.attach(cni, config, "c1", "web")
    assert addresses(lab, "web", "c1") == [one]
    for name in ("nobody", "www.example.org", dns.reverse("203.0.113.1")):
        answer = dns.ask(lab, "c1", name)
        assert dns.no_name(answer) and dns.soa(answer) == "."
    # What is asked afterwards, by another container, would come behind it.
    dns.attach(cni, OTHER, "c2")
    assert addresses(lab, "last.example.org") == [dns.FOREIGN] and upstream.asked == ["last.example.org"]


def test_internal_beside_a_network_that_leads_out(lab, cni, upstream):
    dns.attach(cni, dns.network(internal=True, isDefaultGateway=None, ipMasq=None), "c1", "web")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert addresses(lab, "www.example.org", "c1") == [dns.FOREIGN]
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert dns.no_name(dns.ask(lab, "c1", "www2.example.org"))


def test_forwarding_can_be_turned_off(lab, cni, upstream):
    config = dns.network(dns={"forward": False})
    [one] = dns.attach(cni, config, "c1", "web")
    assert addresses(lab, "web", "c1") == [one]
    assert dns.no_name(dns.ask(lab, "c1", "www.example.org")) and not upstream.asked
