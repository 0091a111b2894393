# SPDX-License-Identifier: GPL-2.0-or-later
"""Docker's modes: the host's namespace, and another container's. (none: test_protocol.py; internal: each network.)"""
import os

import pytest

from support import configs, snapshot


def host(**more):
    return {"cniVersion": configs.VERSION, "name": "host", "type": "host", **more}


def share(of="c1", **more):
    return {"cniVersion": configs.VERSION, "name": "shared", "type": "container", "container": of, **more}


# ---- host ----

def test_host_reports_the_default_interface(lab, cni):
    own = lab.alias_netns("own")
    before = snapshot.take(lab)
    result = cni.add("host", host(), netns=own).expect().json
    assert [i["name"] for i in result["interfaces"]] == ["up0"]
    ips = {ip["address"]: ip.get("gateway") for ip in result["ips"]}
    assert ips == {"192.0.2.1/24": "192.0.2.2", "2001:db8::1/64": "2001:db8::2"}
    cni.check("host", configs.with_previous(host(), result), netns=own).expect()
    for _ in range(2):
        cni.delete("host", host(), netns=own).expect()
    assert not snapshot.diff(before, snapshot.take(lab))


def test_host_without_a_default_route(lab, cni):
    own = lab.alias_netns("own")
    lab.run(["ip", "route", "del", "default"])
    assert cni.add("host", host(), netns=own).expect().json["interfaces"][0]["name"] == "up0"     # IPv6's
    lab.run(["ip", "-6", "route", "del", "default"])
    assert cni.add("host", host(), netns=own).expect().json["interfaces"][0]["name"] == "lo"


def test_host_is_no_container(lab, cni):
    cni.add("host", host()).refused(8, "CNI_NETNS", "host")
    own = lab.alias_netns("own")
    cni.add("host", configs.publish(host(), (8080, 80)), netns=own).refused(7, "portMappings", "host's already")
    cni.add("host", configs.runtime(host(), mac="02:00:00:00:00:01"), netns=own).refused(7, "mac")
    cni.add("host", host(ipam={"type": "host-local", "subnet": "10.1.0.0/24"}), netns=own).refused(7, "ipam")


# ---- container ----

@pytest.fixture
def owner(lab, cni):
    cni.add("bridge", configs.bridge(), "c1", args="IgnoreUnknown=1;K8S_POD_NAME=web").expect()
    return lab


@pytest.mark.parametrize("of", ["c1", "web"])
def test_sharer_sees_the_owners_interfaces(owner, cni, of):
    before = snapshot.take(owner, ["c1"])
    result = cni.add("container", share(of), "sharer", netns="c1").expect().json
    eth0 = configs.link(owner, "eth0", "c1")
    assert [(i["name"], i["mac"]) for i in result["interfaces"]] == [("eth0", eth0["address"])]
    assert [ip["address"] for ip in result["ips"]] == ["10.1.0.2/24"]
    cni.check("container", configs.with_previous(share(of), result), "sharer", netns="c1").expect()
    for _ in range(2):
        cni.delete("container", share(of), "sharer", netns="c1").expect()
    assert not snapshot.diff(before, snapshot.take(owner, ["c1"]))


def test_owner_is_told_of_its_sharers(owner, cni):
    cni.add("container", share(), "sharer", netns="c1").expect()
    cni.add("container", share(), "other", netns="c1").expect()
    cni.delete("container", share(), "other", netns="c1").expect()
    told = cni.delete("bridge", configs.bridge(), "c1").expect().stderr
    assert "sharer" in told and "other" not in told
    cni.check("container", {**share(), "prevResult": {"cniVersion": configs.VERSION}}, "sharer", netns="c1").refused(104, "c1")
    cni.delete("container", share(), "sharer", netns="c1").expect()
    assert "endpoints" not in "".join(snapshot.store_hook(owner).get("store", []))


def test_gc_of_sharers(owner, cni):
    cni.add("container", share(), "sharer", netns="c1").expect()
    cni.gc("container", share()).expect()
    assert configs.link(owner, "eth0", "c1")
    assert "sharer" not in "".join(snapshot.store_hook(owner)["store"])


@pytest.mark.parametrize("more, code, word", [
    ({"container": "nobody"}, 3, "nobody"),
    ({"container": None}, 7, "container"),
    ({"runtimeConfig": {"portMappings": [configs.port(8080, 80)]}}, 7, "portMappings"),
    ({"runtimeConfig": {"mac": "02:00:00:00:00:01"}}, 7, "mac"),
    ({"runtimeConfig": {"ips": ["10.1.0.9/24"]}}, 7, "ips"),
    ({"ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}, 7, "ipam"),
])
def test_refused(owner, cni, more, code, word):
    before = snapshot.take(owner, ["c1"])
    cni.add("container", {**share(), **more}, "sharer", netns="c1").refused(code, word)
    assert not snapshot.diff(before, snapshot.take(owner, ["c1"]))


def test_other_sandbox_is_refused(owner, cni):
    cni.add("container", share(), "sharer", netns="c2").refused(8, "CNI_NETNS", "c1")


def test_remount_of_a_fresh_namespace(owner, cni):
    cni.add("container", share(remount=True), "sharer", netns="c2").expect()
    same = [owner.call(os.stat, f"/run/netns/{name}").st_ino for name in ("c1", "c2")]
    assert same[0] == same[1]
    cni.delete("container", share(remount=True), "sharer", netns="c2").expect()
    assert configs.link(owner, "eth0", "c1")


def test_remount_needs_a_namespace_without_processes(owner, cni):
    process = owner.start(["sleep", "60"], netns="c2")
    cni.add("container", share(remount=True), "sharer", netns="c2").refused(7, "remount", "processes")
    owner.stop(process)


def test_remount_needs_the_owners_sandbox(owner, cni):
    owner.remove_netns("c1")
    cni.add("container", share(remount=True), "sharer", netns="c2").refused(3, "c1")
