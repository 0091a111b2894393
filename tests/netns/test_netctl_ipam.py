# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl ipam."""
import pytest

from support import configs as net
from support.netctl import FAILED, NO, NOT_FOUND, OK, USAGE

RANGE = {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.19", "gateway": "10.1.0.1"}


@pytest.fixture
def used(lab, cni, netctl):
    """Network net, ten addresses and IPv6, with c1 and c2; yields netctl."""
    config = net.bridge(ipam=net.host_local(RANGE, net.SUBNET6))
    netctl.write(net.conflist({k: v for k, v in config.items() if k not in ("cniVersion", "name")}, name="net"))
    for name in ("c1", "c2"):
        cni.add("bridge", config, name).expect()
    return netctl


def test_nothing(netctl):
    assert netctl.json("ipam", "ls") == []
    netctl("ipam", "show", "net").expect(NOT_FOUND, "no such network")
    netctl("ipam", "free", "net", "10.1.0.2").expect(NOT_FOUND, "has no pool")
    netctl("ipam", "free", "net", "somewhere").expect(USAGE, "expected an IP address")
    assert not any(netctl.lab.files(f"/run/fairlead/{folder}") for folder in netctl.lab.files("/run/fairlead"))


def test_pools(used, cni):
    v4, v6 = used.json("ipam", "ls")
    assert v4 == {"network": "net", "pool": "net", "family": "IPv4", "ranges": ["10.1.0.10-10.1.0.19"], "used": 2, "free": 8,
                  "size": 10, "percent": 20.0}
    assert (v6["family"], v6["used"], v6["ranges"]) == ("IPv6", 2, ["fd00:1::1-fd00:1::ffff:ffff:ffff:ffff"]) and v6["size"] > 2**62
    rows = used("ipam", "ls").expect().rows
    assert rows[2][3:7] == ["2", "1.8e+19", "1.8e+19", "0.0"]
    assert rows[0] == ["NETWORK", "FAMILY", "RANGES", "USED", "FREE", "SIZE", "%", "POOL"]
    assert rows[1] == ["net", "IPv4", "10.1.0.10-10.1.0.19", "2", "8", "10", "20.0", "net"]


def test_pools_by_record_and_by_configuration_alone(used):
    used.lab.run(["rm", "/etc/cni/net.d/50-net.conflist"])
    exclude = {**RANGE, "subnet": "10.7.0.0/24", "rangeStart": "10.7.0.1", "rangeEnd": "10.7.0.9", "gateway": "10.7.0.1",
               "exclude": ["10.7.0.8/30"]}
    used.write(net.conflist({"type": "bridge", "ipam": net.host_local(exclude)}, name="new"))
    found = {(p["network"], p["family"]): p for p in used.json("ipam", "ls")}
    assert (found["net", "IPv4"]["size"], found["net", "IPv4"]["used"]) == (253, 2)
    assert (found["new", "IPv4"]["size"], found["new", "IPv4"]["used"]) == (6, 0)


def test_show(used, lab):
    shown = used.json("ipam", "show", "net")
    assert shown["gateways"] == ["10.1.0.1", "fd00:1::1"] and shown["used"] == 4
    assert [(e["address"], e["container"], e["interface"], e["driver"], e["state"]) for e in shown["leases"][:2]] == \
        [("10.1.0.10", "c1", "eth0", "bridge", "live"), ("10.1.0.11", "c2", "eth0", "bridge", "live")]
    lab.remove_netns("c2")
    net.eventually(lambda: len(net.bridge_ports(lab, "net0")) == 1)
    assert [e["state"] for e in used.json("ipam", "show", "net")["leases"][:2]] == ["live", "stale"]
    text = used("ipam", "show", "net").expect().stdout
    assert "Gateways 10.1.0.1, fd00:1::1" in text and "Network  net\n" in text and "10.1.0.11" in text


def who(netctl, address, status=OK):
    """(kind, network, what tells more) of each row."""
    outcome = netctl("ipam", "who", address, "--json").expect(status)
    netctl.check_documented(["ipam", "who"], outcome.json)
    return [(row["kind"], row["network"], row["label"] or row["hostInterface"] or row["detail"]) for row in outcome.json]


def test_who(used, lab, cni):
    for address, state in (("10.1.0.10", "live"), ("fd00:1::2", "live")):
        assert who(used, address) == [("container", "net", "c1")]
        [row] = used("ipam", "who", address, "--json").json
        assert (row["container"], row["interface"], row["driver"], row["state"], row["address"]) == ("c1", "eth0", "bridge", state, address)
        assert row["hostInterface"] in net.bridge_ports(lab, "net0")
    assert who(used, "10.1.0.1") == [("gateway", "net", "net0")] and who(used, "192.0.2.1") == [("host", "", "up0")]
    assert who(used, "10.1.0.15", NO) == [("free", "net", "")]
    assert who(used, "10.1.0.0", NO) == [("reserved", "net", "the network's own address")]
    assert who(used, "10.1.0.255", NO) == [("reserved", "net", "the network's broadcast address")]
    assert who(used, "10.1.0.20", NO) == [("reserved", "net", "outside of the ranges that containers get")]
    assert who(used, "10.9.9.9", NO) == []
    assert "10.9.9.9 lies outside of every network" in used("ipam", "who", "10.9.9.9").stdout
    used("ipam", "who", "web").expect(USAGE, "expected an IP address")
    table = used("ipam", "who", "10.1.0.10").expect().rows
    assert table[0][:2] == ["ADDRESS", "KIND"] and table[1][:5] == ["10.1.0.10", "container", "net", "c1", "eth0"]
    offered = used("complete", "--", "ipam", "who", "10.1").expect().stdout
    assert offered.splitlines() == ["10.1.0.10\tc1", "10.1.0.11\tc2"]
    lab.remove_netns("c2")
    net.eventually(lambda: len(net.bridge_ports(lab, "net0")) == 1)
    assert used("ipam", "who", "10.1.0.11", "--json").json[0]["state"] == "stale"


def test_who_of_several_networks_and_of_none_that_is_used(used):
    """What the configuration alone tells; and one that two networks have."""
    exclude = {"subnet": "10.7.0.0/24", "gateway": "10.7.0.9", "exclude": ["10.7.0.8/30"]}
    used.write(net.conflist({"type": "bridge", "ipam": net.host_local(exclude)}, name="new"))
    used.write(net.conflist({"type": "macvlan", "ipam": net.host_local({**RANGE, "gateway": "10.1.0.254"})}, name="same"), "99-same.conflist")
    assert who(used, "10.7.0.9") == [("gateway", "new", "")]
    assert who(used, "10.7.0.10", NO) == [("reserved", "new", "excluded by the configuration")]
    assert who(used, "10.1.0.10") == [("container", "net", "c1"), ("free", "same", "")]
    assert sorted(who(used, "10.1.0.254")) == [("gateway", "same", ""), ("reserved", "net", "outside of the ranges that containers get")]
    used.lab.run(["mkdir", "-p", "/run/old/net"])
    used.lab.write("/run/old/net/10.1.0.12", "pod\x1b[31m\r\neth0")
    used("ipam", "import", "/run/old/net").expect()
    [row, _] = used("ipam", "who", "10.1.0.12", "--json").json
    assert (row["kind"], row["state"], row["driver"], row["detail"]) == ("container", "imported", "", "by its lease alone")
    assert "\x1b" not in used("ipam", "who", "10.1.0.12").expect().stdout


def test_free(used, lab, cni):
    outcome = used("ipam", "free", "net", "10.1.0.10").expect(FAILED, "container c1, interface eth0", "--force")
    assert not outcome.stdout
    used("ipam", "free", "net", "10.1.0.15").expect(NOT_FOUND, "10.1.0.15 is free already")
    used("ipam", "free", "other", "10.1.0.10").expect(NOT_FOUND)
    lab.remove_netns("c2")
    net.eventually(lambda: len(net.bridge_ports(lab, "net0")) == 1)
    assert "container c2 had it" in used("ipam", "free", "net", "10.1.0.11").expect().stdout
    assert [e["address"] for e in used.json("ipam", "show", "net")["leases"] if ":" not in e["address"]] == ["10.1.0.10"]
    used("ipam", "free", "net", "10.1.0.10", "--force").expect()
    found = {f["code"] for f in used("doctor", "--json").json["findings"]}
    assert "lease-missing" in found
    used("doctor", "--repair")
    assert [e["address"] for e in used.json("ipam", "show", "net")["leases"] if ":" not in e["address"]] == ["10.1.0.10"]


def test_lost_lease_that_another_has(used, lab, cni):
    used("ipam", "free", "net", "10.1.0.10", "--force").expect()
    lab.netns("c3")
    asking = net.runtime(net.bridge(ipam=net.host_local(RANGE, net.SUBNET6)), ips=["10.1.0.10/24"])
    asking["capabilities"] = {"ips": True}
    cni.add("bridge", asking, "c3").expect()
    conflict = [f for f in used("doctor", "--json").json["findings"] if f["code"] == "lease-conflict"]
    assert len(conflict) == 1 and "10.1.0.10" in conflict[0]["text"] and "c3" in conflict[0]["text"]
    assert not conflict[0]["repairable"]


def test_import(used, lab):
    folder = "/var/lib/cni/networks/other"
    lab.run(["mkdir", "-p", folder])
    for address, content in (("10.1.0.10", "stranger\x1b[31m\r\neth0"), ("10.1.0.11", "c2\r\neth0"), ("10.1.0.12", "pod\r\neth0"),
                             ("lock", ""), ("last_reserved_ip.0", "10.1.0.12")):
        lab.write(f"{folder}/{address}", content)
    outcome = used("ipam", "import", folder, "--network", "net", "--json")
    assert outcome.status == NO
    assert outcome.json == {"network": "net", "imported": 1, "present": 1, "conflicts": [
        {"address": "10.1.0.10", "container": "stranger\x1b[31m", "owner": "c1"}]}
    again = used("ipam", "import", folder + "/", "--network", "net")
    assert again.status == NO and "\x1b" not in again.stdout
    assert "there already: 2" in again.stdout and "imported:      0" in again.stdout
    states = {e["address"]: e["state"] for e in used.json("ipam", "show", "net")["leases"]}
    assert states["10.1.0.12"] == "imported"
    used("ipam", "free", "net", "10.1.0.12").expect(FAILED, "container pod", "for all that is known")
    used("ipam", "import", "/var/lib/cni/nowhere").expect(FAILED, "/var/lib/cni/nowhere")
    used("ipam", "import", "/").expect(USAGE, "--network")


def test_import_into_a_new_network(lab, netctl):
    lab.run(["mkdir", "-p", "/run/old/fresh"])
    lab.write("/run/old/fresh/10.9.0.2", "pod\r\neth0")
    assert netctl.json("ipam", "import", "/run/old/fresh") == \
        {"network": "fresh", "imported": 1, "present": 0, "conflicts": []}
    [lease] = netctl.json("ipam", "show", "fresh")["leases"]
    assert (lease["address"], lease["container"], lease["state"], lease["driver"]) == ("10.9.0.2", "pod", "imported", "")
