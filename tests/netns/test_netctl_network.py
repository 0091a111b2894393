# SPDX-License-Identifier: GPL-2.0-or-later
"""network create, inspect, rm, prune: configurations that runtimes read."""
import ipaddress
import json

import pytest

from support import configs
from support.netctl import FAILED, NOT_FOUND, USAGE

DIR = "/etc/cni/net.d"


def read(netctl, name):
    return json.loads(netctl.lab.read(f"{DIR}/fairlead-{name}.conflist"))


def subnets(netctl, name):
    return [r[0]["subnet"] for r in read(netctl, name)["plugins"][0]["ipam"]["ranges"]]


def test_create_writes_what_a_runtime_reads(netctl):
    out = netctl("network", "create", "web").expect().stdout
    assert f"{DIR}/fairlead-web.conflist" in out and "10.89.0.0/24" in out
    conf = read(netctl, "web")
    assert conf["name"] == "web" and conf["cniVersion"] == "1.0.0"
    main = conf["plugins"][0]
    assert (main["type"], main["bridge"], main["ipMasq"], main["isDefaultGateway"]) == ("bridge", "fl-web", True, True)
    assert main["capabilities"]["portMappings"] and main["dns"] == {"enabled": True}
    assert netctl.lab.run(["stat", "-c", "%a", f"{DIR}/fairlead-web.conflist"]).stdout == "644\n"
    assert netctl.json("network", "create", "other")["name"] == "other"
    assert netctl("network", "create", "-q", "third").expect().stdout == "third\n"


def test_options(netctl):
    netctl("network", "create", "db", "--internal", "--isolate", "--subnet", "10.50.0.0/24", "--gateway", "10.50.0.254",
           "--ip-range", "10.50.0.128/26", "--subnet", "fd00:9::/64", "-o", "mtu=1400", "-o", "dns.cache=false",
           "-o", 'snatAddress=["192.0.2.9"]', "--foreign-opt", "comment=a=b").expect()
    main = read(netctl, "db")["plugins"][0]
    assert main["ipam"]["ranges"] == [
        [{"subnet": "10.50.0.0/24", "gateway": "10.50.0.254", "rangeStart": "10.50.0.128", "rangeEnd": "10.50.0.191"}],
        [{"subnet": "fd00:9::/64"}]]
    assert main["internal"] and main["isolate"] and main["isGateway"] and "ipMasq" not in main
    assert main["mtu"] == 1400 and main["dns"] == {"enabled": True, "cache": False}
    assert main["snatAddress"] == ["192.0.2.9"] and main["comment"] == "a=b"
    netctl("network", "create", "lan", "-d", "macvlan", "--parent", "up0", "--subnet", "192.0.2.0/24",
           "--ip-range", "192.0.2.192/26").expect()
    main = read(netctl, "lan")["plugins"][0]
    assert (main["type"], main["master"]) == ("macvlan", "up0") and "portMappings" not in main["capabilities"]
    assert main["ipam"]["ranges"][0][0]["rangeEnd"] == "192.0.2.254"


@pytest.mark.parametrize("argv, words", [
    (["-bad"], "no such option"), (["a/b"], "expected a letter"), (["x", "-d", "token-ring"], "--driver"),
    (["x", "--subnet", "10.1.0.1/24"], "did you mean 10.1.0.0/24"), (["x", "--subnet", "nonsense"], "--subnet: expected"),
    (["x", "--subnet", "10.1.0.0/24", "--gateway", "10.2.0.1"], "lies in no --subnet"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.0.0.0/8"], "lies in no --subnet"),
    (["x", "--subnet", "10.1.0.0/24", "--subnet", "10.1.0.0/25"], "overlaps another"),
    (["x", "-o", "mtu"], "expected KEY=VALUE"), (["x", "-d", "macvlan", "--subnet", "10.1.0.0/24", "--internal"], "for bridge"),
    (["x", "--subnet", "10.1.0.0/31"], "at most 30"), (["x", "--subnet", "10.1.0.0/32"], "at most 30"),
    (["x", "--subnet", "fd00:9::/127"], "at most 126"),
    (["x", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.0"], "no host's"),
    (["x", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.255"], "no host's"),
    (["x", "--subnet", "fd00:9::/64", "--gateway", "fd00:9::"], "no host's"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.1.0.0/26", "--ip-range", "10.1.0.128/26"], "has one --ip-range already"),
    (["x", "--subnet", "10.1.0.0/24", "--gateway", "10.1.0.1", "--gateway", "10.1.0.2"], "has one --gateway already"),
    (["x", *[word for n in range(17) for word in ("--subnet", f"10.{n}.0.0/24")]], "at most 16"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.1.0.0/32"], "no address for a container"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.1.0.1/32"], "no address for a container"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.1.0.255/32"], "no address for a container"),
    (["x", "--subnet", "10.1.0.0/24", "--ip-range", "10.1.0.9/32", "--gateway", "10.1.0.9"], "no address for a container"),
    (["x", "-o", "bridge=a-name-of-sixteen"], "bridge a-name-of-sixteen: expected the name of an interface"),
    (["x", "-o", "bridge=5"], "expected the name"), (["x", "-o", "bridge=a/b"], "expected the name"),
    (["x", "-d", "macvlan", "--subnet", "10.1.0.0/24", "--parent", "a-name-of-sixteen"], "expected the name"),
    (["x", "-o", "ipam.ranges=[]"], "ranges"), (["x", "-d", "macvlan"], "expected --subnet"),
    (["x", "-d", "ipvlan", "--parent", "up0"], "expected --subnet"), (["x", "-d", "vlan", "-o", "vlanId=5"], "expected --subnet"),
    (["x", "-d", "vlan", "--subnet", "10.1.0.0/24"], "vlanId=NUMBER"),
    (["x", "-d", "vlan", "--subnet", "10.1.0.0/24", "-o", "vlanId=4095"], "vlanId=NUMBER"),
    (["x", "--parent", "up0"], "for macvlan"), (["x", "-d", "tap", "--isolate"], "for bridge"), ([], "expected 1 argument"),
])
def test_wrong_usage(netctl, argv, words):
    netctl("network", "create", *argv).expect(USAGE, words)
    assert netctl.lab.files(DIR) == []


BRIDGE = "bridge has no such key"
KEYS = [
    # what is no key, and which one was meant
    (["-o", "mtuu=1400"], f"--opt mtuu: {BRIDGE}, did you mean mtu;"),
    (["-o", "dns.enabld=false"], f"--opt dns.enabld: {BRIDGE}, did you mean dns.enabled;"),
    (["-o", "cache=false"], f"--opt cache: {BRIDGE}, did you mean dns.cache;"),
    (["-o", 'dns={"cash": false}'], f"--opt dns.cash: {BRIDGE}"), (["-o", "mtu.x=1"], f"--opt mtu.x: {BRIDGE}, did you mean mtu;"),
    (["-o", 'vlanTrunk=[{"id": 5}, {"idd": 5}]'], f"--opt vlanTrunk[].idd: {BRIDGE}"),
    (["-o", 'ipam.ranges=[[{"subnet": "10.1.0.0/24", "gatway": "10.1.0.9"}]]'], f"--opt ipam.ranges[][].gatway: {BRIDGE}"),
    (["-o", "zzzzzzzzz=1"], f"{BRIDGE}; one that"), (["-o", "type=macvlan"], BRIDGE), (["-o", "name=b"], BRIDGE),
    (["-o", "master=up0"], BRIDGE), (["-d", "ptp", "-o", "vlan=5"], "ptp has no such key"),
    (["-o", "ipam.type=dhcp", "-o", "ipam.ranges=[]"], BRIDGE), (["-o", "x" * 200 + "=1"], "expected a path"),
    # types and values
    (["-o", "mtu=big"], "mtu: expected an integer from 0 to 65535, not a string"), (["-o", "MTU=67"], "mtu: expected 0 or"),
    (["-o", "mtu=70000"], "mtu: expected an integer"), (["-o", "icc=no"], "icc: expected true or false"),
    (["-o", "dns.enabled=1"], "dns.enabled: expected true or false"), (["-o", "gatewayMode=nta"], 'one of "nat", "routed"'),
    (["-o", "snatAddress=x"], "snatAddress: expected an IP address"), (["-o", "promiscMode=true"], "hairpinMode, promiscMode"),
    (["-o", "ipam=5"], "ipam: expected an object"), (["-o", "ipam.routes=x"], "ipam.routes"), (["-o", "dns.hosts=x"], "dns.hosts"),
    (["-d", "macvlan", "--subnet", "10.1.0.0/24", "-o", "mode=brige"], "mode"), (["--foreign-opt", "mtu=big"], "mtu: expected"),
    (["-o", "ipam.type=static", "-o", "ipam.subnet=10.1.0.0/24"], BRIDGE), (["-o", "ingressRate=-1"], "ingressRate"),
]


@pytest.mark.parametrize("argv, words", KEYS, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "")
def test_keys_and_values_are_judged_before_anything_is_written(netctl, argv, words):
    netctl("network", "create", "x", *argv).expect(USAGE, words)
    assert netctl.lab.files(DIR) == []


def test_keys_of_every_kind(lab, netctl):
    """Also those that are no plugin's: the runtime's capabilities, of somebody else's IPAM, and any that is foreign."""
    given = {"mtu": 1400, "icc": False, "vlanTrunk": [{"id": 5}, {"minID": 7, "maxID": 9}], "dns.hosts": ["printer:192.0.2.7"],
             "ipam.routes": [{"dst": "192.0.2.0/24"}], "snatAddress": ["192.0.2.9"], "capabilities.bandwidth": True, "args.cni.mac": "02:00:00:00:00:09"}
    netctl("network", "create", "a", *[word for key, value in given.items() for word in ("-o", f"{key}={json.dumps(value)}")],
           "--foreign-opt", "labels.owner=me", "--foreign-opt", "args.labels=[1]").expect()
    main = read(netctl, "a")["plugins"][0]
    for path, value in given.items():
        found = main
        for key in path.split("."):
            found = found[key]
        assert found == value, path
    assert main["labels"] == {"owner": "me"} and main["args"]["labels"] == [1]
    netctl("network", "create", "b", "-o", 'ipam={"type": "whereabouts", "range": "10.9.0.0/24"}', "-o", "ipam.network_name=b").expect()
    assert read(netctl, "b")["plugins"][0]["ipam"] == {"type": "whereabouts", "range": "10.9.0.0/24", "network_name": "b"}
    netctl("network", "create", "c", "-o", 'ipam={"type": "dhcp"}', "-o", 'ipam.request=[{"option": "routers"}]').expect()
    assert lab.ip("link", "show", "type", "bridge") == []


SEVERAL = ["--subnet", "10.50.0.0/24", "--subnet", "fd00:50::/64", "--subnet", "10.60.0.0/24", "--ip-range", "10.60.0.128/25"]


@pytest.mark.parametrize("driver, more", [("bridge", []), ("ptp", []), ("macvlan", ["--parent", "up0"]), ("tap", [])])
def test_several_subnets_of_one_family(lab, netctl, driver, more):
    """A container has an address of each of them; where the host is their gateway, it has that of each."""
    netctl("network", "create", "two", "-d", driver, *SEVERAL, *more).expect()
    for name in ("a", "b"):
        lab.netns(name)
        netctl("attach", "two", name).expect()
    found = {e["container"]: e["addresses"] for e in netctl.json("endpoint", "ls", "two")}
    assert found == {"a": ["10.50.0.2/24", "fd00:50::2/64", "10.60.0.128/24"], "b": ["10.50.0.3/24", "fd00:50::3/64", "10.60.0.129/24"]}
    inside = {a["local"] for link in lab.ip("addr", netns="a") for a in link["addr_info"]}
    assert {"10.50.0.2", "10.60.0.128", "fd00:50::2"} <= inside
    if driver != "bridge":
        return
    [link] = lab.ip("addr", "show", "dev", "fl-two")
    assert {a["local"] for a in link["addr_info"] if a["scope"] == "global"} == {"10.50.0.1", "10.60.0.1", "fd00:50::1"}
    lab.tcp_server("b", port=80, name="second")
    lab.tcp_server("outside", port=80, name="far")
    for address, name in (("10.50.0.3", "second"), ("10.60.0.129", "second"), ("192.0.2.2", "far")):
        assert lab.probe("a", address, 80).server == name
    assert [row["subnets"] for row in netctl.json("network", "inspect", "two")] == [["10.50.0.0/24", "fd00:50::/64", "10.60.0.0/24"]]


def test_automatic_subnets_avoid_what_is_used(lab, netctl):
    lab.run(["ip", "route", "add", "10.89.0.0/24", "via", "192.0.2.2"])
    lab.run(["sh", "-c", "echo nameserver 10.89.1.53 > /run/resolv; mount --bind /run/resolv /etc/resolv.conf"])
    netctl.write(configs.conflist({"type": "bridge", "ipam": configs.host_local("10.89.2.0/24")}, name="theirs"), "10-theirs.conflist")
    for name in ("a", "b"):
        netctl("network", "create", name).expect()
    assert subnets(netctl, "a") == ["10.89.3.0/24"] and subnets(netctl, "b") == ["10.89.4.0/24"]
    netctl("network", "create", "c", "--subnet", "10.89.2.128/25").expect(FAILED, "overlaps 10.89.2.0/24")
    netctl("network", "create", "c", "--subnet", "192.0.2.0/25").expect(FAILED, "overlaps 192.0.2.0/24")


def test_ipv6_overlap(lab, netctl):
    """The gateway of 2001:db8::/64 would be the host's own address on up0."""
    lab.ip("-6", "route", "add", "2001:db8:5::/48", "via", "2001:db8::2")
    lab.run(["sh", "-c", "echo nameserver fd00:53::53 > /run/resolv; mount --bind /run/resolv /etc/resolv.conf"])
    netctl("network", "create", "six", "--subnet", "2001:db8::/64").expect(FAILED, "overlaps 2001:db8::/64")
    netctl("network", "create", "six", "--subnet", "2001:db8:5:7::/64").expect(FAILED, "overlaps 2001:db8:5::/48")
    netctl("network", "create", "six", "--subnet", "fd00:53::/64").expect(FAILED, "overlaps fd00:53::53/128")
    netctl("network", "create", "six", "--subnet", "2001:db8:6::/64").expect()
    netctl("network", "create", "more", "--subnet", "2001:db8:6::/80").expect(FAILED, "overlaps 2001:db8:6::/64")
    assert [a["local"] for a in lab.ip("-6", "addr", "show", "dev", "up0")[0]["addr_info"] if a["scope"] == "global"] == ["2001:db8::1"]


def test_the_smallest(netctl):
    """What is accepted can be attached to."""
    netctl("sandbox", "create", "box").expect()
    for name, more, address in (("a", ["--subnet", "10.1.0.0/30"], "10.1.0.2/30"), ("b", ["--subnet", "fd00:9::/126"], "fd00:9::2/126"),
                                ("c", ["--subnet", "10.2.0.0/24", "--ip-range", "10.2.0.9/32"], "10.2.0.9/24"),
                                ("d", ["--subnet", "10.3.0.0/24", "--ip-range", "10.3.0.0/30", "--gateway", "10.3.0.254"], "10.3.0.1/24"),
                                ("e", ["--subnet", "10.4.0.0/24", "-o", "bridge=fifteen-letters"], "10.4.0.2/24")):
        netctl("network", "create", name, *more).expect()
        netctl("attach", name, "box").expect()
        assert netctl.json("endpoint", "ls", name)[0]["addresses"] == [address]


def test_macvlan_is_on_the_network_of_its_interface(lab, netctl):
    """With and without --parent: the route is no obstacle, another network is."""
    netctl("network", "create", "lan", "-d", "macvlan", "--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.128/25").expect()
    netctl("network", "create", "lan2", "-d", "macvlan", "--subnet", "192.0.2.0/25").expect(FAILED, "overlaps 192.0.2.0/24")
    netctl("sandbox", "create", "box").expect()
    netctl("attach", "lan", "box").expect()
    lab.tcp_server("outside", port=80)
    netctl("sandbox", "exec", "box", "--", "bash", "-c", "</dev/tcp/192.0.2.2/80").expect()
    assert netctl.json("endpoint", "ls")[0]["addresses"] == ["192.0.2.128/24"]
    for name, options in (("d1", ["-o", 'ipam={"type": "dhcp"}']), ("d2", ["-o", "ipam.type=dhcp"])):
        netctl("network", "create", name, "-d", "macvlan", *options).expect()
        assert read(netctl, name)["plugins"][0]["ipam"] == {"type": "dhcp"}


def test_ipv6_is_unique_local(netctl):
    for name in ("a", "b"):
        netctl("network", "create", name, "--ipv6").expect()
    six = [ipaddress.ip_network(subnets(netctl, name)[1]) for name in ("a", "b")]
    assert all(net.subnet_of(ipaddress.ip_network("fd00::/8")) and net.prefixlen == 64 for net in six)
    assert six[0] != six[1]


def test_default_pools(lab, netctl):
    lab.run(["sh", "-c", "mount -t tmpfs tmpfs /etc/fairlead 2>/dev/null || { mkdir -p /run/etc && cp -a /etc/. /run/etc/ && "
             "mkdir -p /run/etc/fairlead && mount --bind /run/etc/ /etc; }"])
    path = "/etc/fairlead/netctl.json"
    lab.write(path, json.dumps({"defaultAddressPools": [{"base": "10.200.0.0/16", "size": 28}]}))
    netctl("network", "create", "a").expect()
    assert subnets(netctl, "a") == ["10.200.0.0/28"]
    for text, words in (("{", "netctl.json"), ('{"pools": []}', "pools: no such key"),
                        ('{"defaultAddressPools": [{"base": "10.0.0.0/24", "size": 16}]}', "defaultAddressPools[0]"),
                        ('{"defaultAddressPools": [{"base": "10.0.0.0/24"}]}', "defaultAddressPools[0]")):
        lab.write(path, text)
        netctl("network", "create", "b").expect(FAILED, words)


def test_never_the_first_file_of_somebody_else(lab, netctl):
    netctl.write(configs.conflist({"type": "bridge"}, name="pods"), "zz-pods.conflist")
    netctl("network", "create", "web").expect(FAILED, "zz-pods.conflist", "--default")
    netctl("network", "create", "web", "--default").expect()
    netctl("network", "create", "aaa").expect()         # in front of netctl's own
    lab.run(["rm", "-r", DIR])
    lab.run(["sh", "-c", "mkdir -p /run/lib/kubelet; mount --bind /run/lib /var/lib"])
    netctl("network", "create", "web").expect(FAILED, "kubelet")
    netctl("network", "create", "web", "--default").expect()
    netctl("network", "create", "zzz").expect()
    netctl("network", "create", "aaa").expect(FAILED, "--default")


def test_exists_already(netctl):
    netctl("network", "create", "web").expect()
    netctl("network", "create", "web").expect(FAILED, "exists already")
    netctl("network", "rm", "web").expect()
    netctl("network", "create", "web").expect()


def test_long_names_get_bridges_of_their_own(netctl):
    names = ["a-network-with-a-long-name-1", "a-network-with-a-long-name-2"]
    for name in names:
        netctl("network", "create", name).expect()
    bridges = [read(netctl, name)["plugins"][0]["bridge"] for name in names]
    assert len(set(bridges)) == 2 and all(len(b) < 16 for b in bridges)


@pytest.mark.parametrize("driver, more", [("ptp", []), ("tap", []), ("macvlan", ["--parent", "up0", "--subnet", "192.0.2.128/25"])])
def test_drivers(netctl, driver, more):
    netctl("network", "create", "net", "-d", driver, *more).expect()
    netctl("sandbox", "create", "a").expect()
    netctl("attach", "net", "a").expect()
    assert [e["driver"] for e in netctl.json("endpoint", "ls")] == [driver]
    netctl("detach", "net", "a").expect()
    netctl("network", "rm", "net").expect()


def test_inspect(netctl):
    netctl("network", "create", "web", "--subnet", "10.50.0.0/24").expect()
    before = netctl.json("network", "inspect", "web")[0]
    assert before["subnets"] == ["10.50.0.0/24"] and before["endpoints"] == [] and before["gateways"] == []
    assert before["dns"] is True and before["masquerade"] is True and before["configuration"]["name"] == "web"
    netctl("sandbox", "create", "a").expect()
    netctl("attach", "web", "a").expect()
    after = netctl.json("network", "inspect", "web")[0]
    assert after["gateways"] == ["10.50.0.1/24"] and after["up"] is True
    assert [e["container"] for e in after["endpoints"]] == ["a"]
    assert set(before) <= set(after)
    out = netctl("network", "inspect", "web").expect().stdout
    assert "Masquerade        yes" in out and "10.50.0.2/24" in out
    netctl("network", "inspect", "webb").expect(NOT_FOUND, "did you mean web")


def test_rm_takes_the_bridge_along(lab, netctl):
    netctl("network", "create", "web").expect()
    netctl("sandbox", "create", "a").expect()
    netctl("attach", "web", "a").expect()
    netctl("network", "rm", "web").expect(FAILED, "1 endpoint (a)")
    assert configs.link(lab, "fl-web")
    netctl("network", "rm", "-f", "web").expect()
    assert not configs.link(lab, "fl-web") and lab.files(DIR) == [] and netctl.json("endpoint", "ls") == []
    netctl("network", "rm", "web").expect(NOT_FOUND, "no such network")


def test_rm_leaves_what_others_use(lab, netctl):
    netctl("network", "create", "web", "--subnet", "10.50.0.0/24").expect()
    lab.ip("link", "add", "fl-web", "type", "bridge")
    lab.ip("link", "add", "other", "type", "veth", "peer", "name", "other2")
    lab.ip("link", "set", "other", "master", "fl-web")
    assert "other interfaces" in netctl("network", "rm", "web").expect().stderr
    assert configs.link(lab, "fl-web")
    lab.ip("link", "del", "other")
    netctl("network", "create", "web", "--subnet", "10.50.0.0/24").expect()
    lab.ip("addr", "add", "172.30.0.1/24", "dev", "fl-web")
    assert "an address" in netctl("network", "rm", "web").expect().stderr
    assert configs.link(lab, "fl-web")


def test_rm_of_foreign_files_only_by_force(lab, netctl):
    netctl.write(configs.conflist({"type": "bridge"}, name="theirs"))
    netctl("network", "rm", "theirs").expect(FAILED, "is not netctl's")
    netctl("network", "rm", "theirs", "--force").expect()
    assert lab.files(DIR) == []


def test_prune(lab, netctl):
    for name in ("a", "b"):
        netctl("network", "create", name).expect()
    netctl.write(configs.conflist({"type": "bridge"}, name="theirs"))
    netctl("sandbox", "create", "s").expect()
    netctl("attach", "a", "s").expect()
    assert netctl("network", "prune", "-n").expect().stdout == "b\n"
    assert netctl("network", "prune").expect().stdout == "b\n"
    assert lab.files(DIR) == ["50-theirs.conflist", "fairlead-a.conflist"]


def test_hostile_configurations(lab, netctl):
    lab.run(["mkdir", "-p", DIR])
    for number, text in enumerate(("", "[]", "{}", '{"name": 1}', '{"name":"x","plugins":[]}', '{"name":"x","plugins":[1]}',
                                   '{"name":"x","plugins":[{"type":"bridge","ipam":[]}]}', '{"name":"y","plugins":[{"type":"bridge",'
                                   '"ipam":{"ranges":[[{"subnet":5}],7]}}]}', '{"name":"z","type":"b","ipam":"x"}', "\0")):
        lab.write(f"{DIR}/{number}.conflist", text)
    lab.run(["mkfifo", f"{DIR}/fifo.conf"])
    lab.run(["mkdir", f"{DIR}/folder.json"])
    rows = netctl.json("network", "ls")
    assert [r["name"] for r in rows if r["name"]] == ["x", "y", "z"] and len(rows) == 12
    netctl("network", "inspect", "x", "y", "z").expect()
    netctl("network", "create", "web", "--default").expect()
