# SPDX-License-Identifier: GPL-2.0-or-later
"""The address allocator as an executable: the reference's keys, requests, leases of a migrated node."""
import ipaddress

import pytest

from support import configs, shapes
from support.shapes import at_least

LEASES = "/var/lib/cni/networks"


def pool(*ranges, name="net", version=configs.VERSION, **ipam):
    """A configuration; each range a subnet, a dict, or a list of those (one range set)."""
    sets = [[{"subnet": r} if isinstance(r, str) else r for r in (s if isinstance(s, list) else [s])]
            for s in ranges]
    config = {"cniVersion": version, "name": name, "type": "host-local", "ipam": {"type": "host-local", **ipam}}
    if sets:
        config["ipam"]["ranges"] = sets
    return config


def take(cni, config, container="c1", **kwargs):
    """Addresses that an ADD gave, without prefix length."""
    outcome = cni.add("host-local", config, container, **kwargs).expect()
    shapes.check_result(outcome.json, config["cniVersion"], ipam=True)
    return outcome.addresses()


def small(first, last, subnet="10.1.0.0/24"):
    return {"subnet": subnet, "rangeStart": f"{subnet[:-4]}{first}", "rangeEnd": f"{subnet[:-4]}{last}"}


def fill(cni, config):
    """Take addresses until there is none left; {container: address}."""
    taken = {}
    for i in range(300):
        outcome = cni.add("host-local", config, f"fill{i}")
        if not outcome.ok:
            outcome.refused(None, "no IP addresses available")
            return taken
        taken[f"fill{i}"] = outcome.address
    raise AssertionError("the pool does not end")


# ---- keys ----

@pytest.mark.parametrize("subnet,first,gateway", [
    ("10.1.0.0/24", "10.1.0.2", "10.1.0.1"),
    ("10.1.0.0/30", "10.1.0.2", "10.1.0.1"),
    ("10.1.4.0/22", "10.1.4.2", "10.1.4.1"),
    ("fd00:1::/64", "fd00:1::2", "fd00:1::1"),
    ("fd00:1::/126", "fd00:1::2", "fd00:1::1"),
    ("fd00::/8", "fd00::2", "fd00::1"),
])
def test_defaults(cni, subnet, first, gateway):
    ip = cni.add("host-local", pool(subnet)).expect().json["ips"][0]
    assert ip["address"] == f"{first}/{subnet.split('/')[1]}"
    assert ip["gateway"] == gateway


@pytest.mark.parametrize("subnet,last", [("10.1.0.0/29", "10.1.0.6"), ("fd00::/125", "fd00::7")])
def test_default_end(cni, subnet, last):
    """.254 of an IPv4 subnet, all ones of an IPv6 one."""
    taken = list(fill(cni, pool(subnet)).values())
    assert taken[-1] == last
    assert len(set(taken)) == len(taken)
    assert str(ipaddress.ip_network(subnet)[1]) not in taken


def test_range_and_gateway(cni):
    config = pool({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.12", "gateway": "10.1.0.254"})
    ip = cni.add("host-local", config).expect().json["ips"][0]
    assert (ip["address"], ip["gateway"]) == ("10.1.0.10/24", "10.1.0.254")
    assert set(fill(cni, config).values()) == {"10.1.0.11", "10.1.0.12"}


def test_gateway_inside_the_range_is_never_given(cni):
    config = pool({**small(10, 13), "gateway": "10.1.0.11"})
    assert list(fill(cni, config).values()) == ["10.1.0.10", "10.1.0.12", "10.1.0.13"]


def test_old_style_keys_come_first(cni):
    config = pool("10.2.0.0/24", subnet="10.1.0.0/24", rangeStart="10.1.0.50", rangeEnd="10.1.0.60", gateway="10.1.0.9")
    result = cni.add("host-local", config).expect().json
    assert [ip["address"] for ip in result["ips"]] == ["10.1.0.50/24", "10.2.0.2/24"]
    assert result["ips"][0]["gateway"] == "10.1.0.9"


def test_old_style_alone(cni):
    assert take(cni, pool(subnet="10.1.0.0/24")) == ["10.1.0.2"]


def test_one_address_per_set(cni):
    assert take(cni, pool("10.1.0.0/24", "fd00:1::/64", "10.2.0.0/24")) == ["10.1.0.2", "fd00:1::2", "10.2.0.2"]


def test_alternatives_within_a_set(cni):
    config = pool([small(10, 11), {"subnet": "10.2.0.0/24", "rangeStart": "10.2.0.5", "rangeEnd": "10.2.0.6"}])
    assert list(fill(cni, config).values()) == ["10.1.0.10", "10.1.0.11", "10.2.0.5", "10.2.0.6"]


@pytest.mark.parametrize("version", shapes.OLD)
def test_old_versions_have_one_address_per_family(cni, version):
    both = pool("10.1.0.0/24", "fd00:1::/64", version=version)
    result = cni.add("host-local", both).expect().json
    shapes.check_result(result, version)
    assert (result["ip4"]["ip"], result["ip6"]["ip"]) == ("10.1.0.2/24", "fd00:1::2/64")
    cni.add("host-local", pool("10.1.0.0/24", "10.2.0.0/24", version=version), "c2").refused()


def test_routes_and_dns(lab, cni):
    lab.write("/run/resolv", "# a comment\nnameserver 192.0.2.53\nnameserver 2001:db8::53\ndomain example.org\n"
              "search a.example b.example\noptions ndots:2 rotate\n")
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "192.168.0.0/16", "gw": "10.1.0.7"}]
    result = cni.add("host-local", pool("10.1.0.0/24", routes=routes, resolvConf="/run/resolv")).expect().json
    assert result["routes"] == routes
    assert result["dns"] == {"nameservers": ["192.0.2.53", "2001:db8::53"], "domain": "example.org",
                             "search": ["a.example", "b.example"], "options": ["ndots:2", "rotate"]}


def test_route_attributes(cni):
    if not at_least(configs.VERSION, "1.1.0"):
        return
    route = {"dst": "192.168.0.0/16", "gw": "10.1.0.7", "mtu": 1400, "advmss": 1360, "priority": 50, "table": 100,
             "scope": 0}
    assert cni.add("host-local", pool("10.1.0.0/24", routes=[route])).expect().json["routes"] == [route]


@pytest.mark.parametrize("ipam,key", [
    ({"subnet": "10.1.0.0/31"}, "too small"), ({"subnet": "10.1.0.0/32"}, "too small"),
    ({"subnet": "fd00::/127"}, "too small"), ({"subnet": "fd00::/128"}, "too small"),
    ({"subnet": "10.1.0.1/24"}, "10.1.0.1/24"), ({"subnet": "10.1.0.0"}, "ranges[0][0].subnet"),
    ({"rangeStart": "10.2.0.1", "subnet": "10.1.0.0/24"}, "10.2.0.1"),
    ({"rangeEnd": "10.2.0.1", "subnet": "10.1.0.0/24"}, "10.2.0.1"),
    ({"rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.8", "subnet": "10.1.0.0/24"}, "10.1.0.9"),
    ({"gateway": "fd00::1", "subnet": "10.1.0.0/24"}, "gateway"),
    ({"gateway": "x", "subnet": "10.1.0.0/24"}, "ranges[0][0].gateway"),
    ({}, "subnet"),
])
def test_bad_ranges(cni, ipam, key):
    cni.add("host-local", pool(ipam)).refused(7, key)


@pytest.mark.parametrize("sets", [
    [[small(10, 20), small(15, 30)]],               # overlap within a set
    [["10.1.0.0/24"], ["10.1.0.128/25"]],           # and between sets
    [["10.1.0.0/24", "fd00::/64"]],                 # two families in one set
    [[]],
    [],
])
def test_bad_sets(cni, sets):
    config = pool(*sets)
    config["ipam"]["ranges"] = [[{"subnet": r} if isinstance(r, str) else r for r in s] for s in sets]
    cni.add("host-local", config).refused(7, "ranges")


def test_missing_ipam(cni):
    cni.add("host-local", {"cniVersion": configs.VERSION, "name": "net", "type": "host-local"}).refused(7, "ipam")


def test_exclude(cni):
    """Ours: addresses and prefixes of a range that are never handed out."""
    config = pool({**small(10, 20), "exclude": ["10.1.0.10/32", "10.1.0.12/30", "10.1.0.17/32"]})
    assert list(fill(cni, config).values()) == ["10.1.0.11", "10.1.0.16", "10.1.0.18", "10.1.0.19", "10.1.0.20"]


# ---- order ----

def test_next_fit(cni):
    """A freed address is the last to be used again."""
    config = pool(small(10, 13))
    assert [take(cni, config, c)[0] for c in ("a", "b")] == ["10.1.0.10", "10.1.0.11"]
    cni.delete("host-local", config, "a").expect()
    assert [take(cni, config, c)[0] for c in ("c", "d", "e")] == ["10.1.0.12", "10.1.0.13", "10.1.0.10"]


def test_next_fit_over_a_whole_set(cni):
    config = pool([small(10, 10), small(20, 20)])
    for wanted in ("10.1.0.10", "10.1.0.20", "10.1.0.10"):
        assert take(cni, config) == [wanted]
        cni.delete("host-local", config).expect()


def test_many_at_once_are_all_different(lab, cni):
    config = pool("10.1.0.0/24", "fd00:1::/64")
    calls = [lab.submit(take, cni, config, f"many{i}") for i in range(64)]
    addresses = [address for call in calls for address in call.result()]
    assert len(set(addresses)) == 128


# ---- requests ----

def args_cni(config, *addresses):
    return {**config, "args": {"cni": {"ips": list(addresses)}}}


def test_requested_addresses(cni):
    config = pool("10.1.0.0/24")
    assert take(cni, config, "a", args="IP=10.1.0.40") == ["10.1.0.40"]
    assert take(cni, args_cni(config, "10.1.0.41"), "b") == ["10.1.0.41"]
    assert take(cni, configs.runtime(config, ips=["10.1.0.42"]), "c") == ["10.1.0.42"]
    assert take(cni, configs.runtime(config, ips=["10.1.0.43/24"]), "d") == ["10.1.0.43"]


def test_requests_are_merged(cni):
    config = pool("10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64")
    config = configs.runtime(args_cni(config, "10.2.0.9"), ips=["fd00:1::9"])
    assert take(cni, config, args="IP=10.1.0.9") == ["10.1.0.9", "10.2.0.9", "fd00:1::9"]


def test_request_for_one_set_of_two(cni):
    assert take(cni, pool("10.1.0.0/24", "10.2.0.0/24"), args="IP=10.2.0.9") == ["10.1.0.2", "10.2.0.9"]


@pytest.mark.parametrize("address", ["10.3.0.9", "10.1.0.1", "10.1.0.255", "fd00::9"])
def test_request_that_nothing_holds(cni, address):
    """Outside, the gateway, the broadcast address: refused, and nothing stays reserved."""
    config = pool(small(2, 3))
    cni.add("host-local", config, args=f"IP={address}").refused(None, address)
    assert len(fill(cni, config)) == 2


def test_requested_address_in_use(cni):
    config = pool("10.1.0.0/24")
    take(cni, config, "first", args="IP=10.1.0.9")
    outcome = cni.add("host-local", config, "second", args="IP=10.1.0.9").refused(None, "10.1.0.9")
    assert "first" in outcome.message, f"the owner is to be named: {outcome}"


def test_a_request_does_not_lose_the_other_sets(cni):
    """All or none: the first set's address is given back when the second cannot be had."""
    config = pool(small(2, 2), {"subnet": "10.2.0.0/24"})
    cni.add("host-local", config, args="IP=10.2.0.1").refused(None, "10.2.0.1")
    assert take(cni, config) == ["10.1.0.2", "10.2.0.2"]


def test_ip_ranges_come_first(cni):
    config = configs.runtime(pool("10.1.0.0/24"), ipRanges=[[{"subnet": "10.5.0.0/24"}], [{"Subnet": "fd05::/64"}]])
    assert take(cni, config) == ["10.5.0.2", "fd05::2", "10.1.0.2"]


def test_ip_ranges_alone(cni):
    assert take(cni, configs.runtime(pool(), ipRanges=[[{"subnet": "10.5.0.0/24"}]])) == ["10.5.0.2"]


@pytest.mark.parametrize("args", ["IP=x", "IP=10.1.0", "IP", "IP=1=2", "=1=2"])
def test_bad_arguments(cni, args):
    outcome = cni.add("host-local", pool("10.1.0.0/24"), args=args)
    outcome.refused((4, 7), "IP" if "IP" in args else "CNI_ARGS")


# ---- the end of the pool ----

def test_exhaustion(cni):
    config = pool(small(10, 12))
    taken = fill(cni, config)
    outcome = cni.add("host-local", config).refused((103, 999), "no IP addresses available", "10.1.0.10", "10.1.0.12")
    cni.delete("host-local", config, next(iter(taken))).expect()
    assert take(cni, config) == ["10.1.0.10"], outcome


def test_exhausted_second_set_gives_the_first_back(cni):
    config = pool("10.1.0.0/24", small(5, 5, "10.2.0.0/24"))
    take(cni, config, "a")
    cni.add("host-local", config, "b").refused()
    cni.delete("host-local", config, "a").expect()
    assert take(cni, config, "b")[1] == "10.2.0.5"


def test_status(cni):
    config = pool(small(10, 11), version="1.1.0")
    cni.status("host-local", config).expect()
    fill(cni, config)
    cni.status("host-local", config).refused(50, "10.1.0.10")


# ---- lifecycle ----

def test_del_twice_and_of_the_unknown(cni):
    config = pool("10.1.0.0/24")
    take(cni, config)
    for _ in range(3):
        assert cni.delete("host-local", config).expect().stdout == ""
    cni.delete("host-local", config, "never").expect()


def test_del_by_owner_only(cni):
    """By container and interface; prevResult may name an address that is somebody else's by now."""
    config = pool("10.1.0.0/24")
    [mine] = take(cni, config, "a", ifname="eth0")
    [other] = take(cni, config, "a", ifname="eth1")
    theirs = configs.with_previous(config, {"cniVersion": config["cniVersion"], "ips": [{"address": f"{mine}/24"}]})
    cni.delete("host-local", theirs, "b").expect()
    cni.delete("host-local", config, "a", ifname="eth1").expect()
    cni.add("host-local", config, "c", args=f"IP={mine}").refused()
    assert take(cni, config, "c", args=f"IP={other}") == [other]


def test_check(cni):
    config = pool("10.1.0.0/24")
    result = cni.add("host-local", config).expect().json
    config = configs.with_previous(config, result)
    cni.check("host-local", config).expect()
    cni.check("host-local", config, ifname="eth9").refused(None, "eth9")
    cni.delete("host-local", config).expect()
    cni.check("host-local", config).refused(None, "c1")


def test_gc(cni):
    config = pool(small(10, 13), version="1.1.0")
    owners = [("a", "eth0"), ("a", "eth1"), ("b", "eth0"), ("c", "eth0")]
    for container, ifname in owners:
        take(cni, config, container, ifname=ifname)
    cni.gc("host-local", config, owners).expect()
    cni.add("host-local", config, "d").refused()
    cni.gc("host-local", config, owners[1:3]).expect()
    assert [take(cni, config, c)[0] for c in ("d", "e")] == ["10.1.0.10", "10.1.0.13"]
    cni.gc("host-local", config, []).expect()
    assert len(fill(cni, config)) == 4


def test_gc_keeps_other_networks(cni):
    one, two = pool("10.1.0.0/24", version="1.1.0"), pool(small(10, 10, "10.2.0.0/24"), name="two", version="1.1.0")
    take(cni, two)
    cni.gc("host-local", one, []).expect()
    cni.add("host-local", two, "c2").refused()


def test_add_twice_is_refused(cni):
    """The address that was given may be in use: only DEL frees it."""
    config = pool(small(10, 11))
    take(cni, config)
    cni.add("host-local", config).refused(102, "c1", "eth0", "DEL")
    cni.check("host-local", config).expect()
    cni.delete("host-local", config).expect()
    assert len(fill(cni, config)) == 2


# ---- pools ----

def test_networks_have_pools_of_their_own(cni):
    assert take(cni, pool("10.1.0.0/24")) == take(cni, pool("10.1.0.0/24", name="other"))


def test_data_dir_keeps_pools_apart(cni):
    here, there = (pool("10.1.0.0/24", dataDir=f"/run/{d}") for d in ("here", "there"))
    assert take(cni, here, "a") == take(cni, there, "b") == take(cni, pool("10.1.0.0/24"), "c") == ["10.1.0.2"]
    cni.delete("host-local", there, "a").expect()
    assert take(cni, here, "d") == ["10.1.0.3"]


# ---- a node that comes from the reference plugin ----

def migrate(lab, leases, folder=f"{LEASES}/net", last="10.1.0.5"):
    lab.run(["mkdir", "-p", folder])
    for address, text in leases.items():
        lab.write(f"{folder}/{address}", text)
    lab.write(f"{folder}/last_reserved_ip.0", last)
    lab.write(f"{folder}/lock", "")


def test_import_of_leases(lab, cni):
    migrate(lab, {"10.1.0.2": "old1\r\neth0", "10.1.0.3": "old2\r\neth0", "10.1.0.5": "old1\r\nnet1"})
    config = pool(small(2, 6))
    free = sorted(fill(cni, config).values())
    assert free == ["10.1.0.4", "10.1.0.6"]
    cni.delete("host-local", config, "old1", ifname="net1").expect()
    assert take(cni, config, "c2") == ["10.1.0.5"]


def test_import_before_the_first_del(lab, cni):
    """The node's first call may be a DEL of a container that the reference plugin started."""
    migrate(lab, {"10.1.0.2": "old1\r\neth0"})
    config = pool(small(2, 2))
    cni.delete("host-local", config, "old1").expect()
    assert take(cni, config) == ["10.1.0.2"]


def test_import_of_the_oldest_format(lab, cni):
    """Without an interface name, and with line ends of its time."""
    migrate(lab, {"10.1.0.2": "old1", "10.1.0.3": "old2\n"})
    config = pool(small(2, 3))
    cni.add("host-local", config).refused()
    cni.delete("host-local", config, "old1").expect()
    assert take(cni, config) == ["10.1.0.2"]


def test_import_from_data_dir_and_of_ipv6(lab, cni):
    migrate(lab, {"fd00:1::2": "old1\r\neth0"}, "/run/leases/net", "fd00:1::2")
    assert take(cni, pool("fd00:1::/64", dataDir="/run/leases")) == ["fd00:1::3"]


def test_import_survives_rubbish(lab, cni):
    """An empty file is what the reference leaves after a full disk: nobody's, so it is free."""
    migrate(lab, {"10.1.0.2": "", "not-an-address": "x\r\ny", "10.9.0.1": "outside\r\neth0", "10.1.0.3": "old\r\neth0"})
    assert sorted(fill(cni, pool(small(2, 4))).values()) in (["10.1.0.2", "10.1.0.4"], ["10.1.0.4"])


def test_imported_lease_is_checked_and_collected(lab, cni):
    migrate(lab, {"10.1.0.2": "old1\r\neth0"})
    config = pool(small(2, 2), version="1.1.0")
    previous = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]}
    cni.check("host-local", configs.with_previous(config, previous), "old1").expect()
    cni.gc("host-local", config, []).expect()
    assert take(cni, config) == ["10.1.0.2"]
