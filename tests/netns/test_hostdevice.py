# SPDX-License-Identifier: GPL-2.0-or-later
"""host-device: a device goes into the sandbox and comes back as it was, however the sandbox ends."""
import shutil

import pytest

from support import configs, snapshot
from support.interrupted import inject, trace

NAME, MAC = "dev0", "02:00:00:00:00:d0"
ASKED = "02:00:00:00:00:aa"


@pytest.fixture
def host(lab, cni):
    """Device dev0 of the host: a cable whose other end is at `peer`; MTU, MAC, alias and state are its own."""
    lab.netns("peer")
    lab.run(["ip", "-batch", "-"], input=f"link add {NAME} address {MAC} type veth peer name far0 netns peer\n"
            f"link set {NAME} mtu 1400 alias uplink up\n")
    lab.run(["ip", "-batch", "-"], netns="peer", input="addr add 10.9.0.1/24 dev far0\nlink set far0 up\n")
    return lab


def config(name="hd", ipam=configs.host_local({"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.2", "gateway": "10.9.0.1"}), **more):
    base = {"cniVersion": configs.VERSION, "name": name, "type": "host-device", "device": NAME, "ipam": ipam}
    base.update(more)
    return {k: v for k, v in base.items() if v is not None}


def add(cni, conf=None, container="c1", **kwargs):
    return cni.add("host-device", conf or config(), container, **kwargs)


def delete(cni, conf=None, container="c1", **kwargs):
    return cni.delete("host-device", conf or config(), container, **kwargs).expect()


def take(lab, *more):
    return snapshot.take(lab, ("c1", *more))


def indexes(lab):
    return {link["ifname"]: link["ifindex"] for link in lab.ip("link")}


def leases(lab):
    return [line for line in snapshot.store_hook(lab).get("store", []) if line.startswith(("leases", "endpoints", "memos"))]


# ---- there and back ----

@pytest.mark.parametrize("how", [{"device": NAME}, {"device": None, "hwaddr": MAC.upper()},
                                 {"device": None, "kernelpath": f"/sys/devices/virtual/net/{NAME}"}])
@pytest.mark.parametrize("state", ["up", "down"])
def test_there_and_back(host, cni, how, state):
    host.run(["ip", "link", "set", NAME, state])
    before, index = take(host), indexes(host)[NAME]
    conf = config(**how)
    result = add(cni, conf).expect().json
    assert [(i["name"], i["mac"], i["sandbox"], i["mtu"]) for i in result["interfaces"]] == \
        [("eth0", MAC, "/run/netns/c1", 1400)]
    assert NAME not in indexes(host)
    inside = configs.link(host, "eth0", "c1")
    assert inside["ifalias"] == NAME and "UP" in inside["flags"]
    assert configs.addresses(host, "eth0", "c1") == ["10.9.0.2/24"]
    assert host.reaches("peer", "10.9.0.2", host.tcp_server("c1").port)
    cni.check("host-device", configs.with_previous(conf, result)).expect()
    for _ in range(2):
        delete(cni, conf)
    assert not snapshot.diff(before, take(host))
    assert indexes(host)[NAME] == index


def test_layer_2_only(host, cni):
    before = take(host)
    result = add(cni, config(ipam=None)).expect().json
    assert "ips" not in result and "UP" in configs.link(host, "eth0", "c1")["flags"]
    delete(cni, config(ipam=None))
    assert not snapshot.diff(before, take(host))


def test_mac_and_mtu_of_the_sandbox_only(host, cni):
    before = take(host)
    conf = configs.runtime(config(mtu=1300), mac=ASKED)
    result = add(cni, conf).expect().json
    inside = configs.link(host, "eth0", "c1")
    assert (inside["mtu"], inside["address"]) == (1300, ASKED) == (result["interfaces"][0]["mtu"], result["interfaces"][0]["mac"])
    cni.check("host-device", configs.with_previous(conf, result)).expect()
    host.run(["ip", "link", "set", "eth0", "mtu", "1350"], netns="c1")
    cni.check("host-device", configs.with_previous(conf, result)).refused(104, "MTU", "1350")
    delete(cni, conf)
    assert not snapshot.diff(before, take(host))


def test_what_the_container_changed_is_undone(host, cni):
    before = take(host)
    add(cni).expect()
    host.run(["ip", "-batch", "-"], netns="c1", input="link set eth0 down\nlink set eth0 name mine mtu 1280 address 02:00:00:00:00:99\n"
             "link set mine alias something\nlink set mine up\n")
    delete(cni)
    assert not snapshot.diff(before, take(host))


def test_long_alias_with_odd_bytes(host, cni):
    alias = "ü\"\\" + "x" * 240
    host.run(["ip", "link", "set", NAME, "alias", alias])
    add(cni).expect()
    delete(cni)
    assert configs.link(host, NAME)["ifalias"] == alias


@pytest.mark.parametrize("kind", ["macvtap", "ifb"])
def test_other_kinds(host, cni, kind):
    lower = ["link", NAME] if kind == "macvtap" else []
    host.run(["ip", "link", "add", *lower, "name", "soft0", "type", kind])
    before = take(host)
    conf = config(device="soft0", ipam=None)
    add(cni, conf).expect()
    assert configs.link(host, "eth0", "c1")["linkinfo"]["info_kind"] == kind
    delete(cni, conf)
    assert not snapshot.diff(before, take(host))


def test_host_device_of_the_containers_name(host, cni):
    """A device eth0 that becomes eth0, with another eth0 on the host by the time it returns."""
    host.run(["ip", "link", "set", NAME, "name", "eth0"])
    conf = config(device="eth0")
    before = take(host)
    add(cni, conf).expect()
    delete(cni, conf)
    assert not snapshot.diff(before, take(host))


def test_attached_already_and_retry_after_a_failure(host, cni):
    add(cni).expect()
    add(cni).refused(102, "attached")
    assert configs.link(host, "eth0", "c1")
    delete(cni)


def test_check_misses_it(host, cni):
    result = add(cni).expect().json
    host.run(["ip", "link", "set", "eth0", "name", "other"], netns="c1")
    cni.check("host-device", configs.with_previous(config(), result)).refused(104, "eth0", NAME)


# ---- its name, its index ----

def test_name_taken_on_the_host(host, cni):
    add(cni).expect()
    host.run(["ip", "link", "add", NAME, "type", "ifb"])
    told = delete(cni).stderr
    back = [entry for entry in host.ip("-d", "link") if entry.get("address") == MAC]
    assert len(back) == 1 and back[0]["ifname"] in told and NAME in told
    assert not leases(host)
    # and its alias tells whose it was
    assert back[0]["ifalias"] == NAME and back[0]["mtu"] == 1400 and "UP" in back[0]["flags"]


def test_both_names_taken_on_the_host(host, cni):
    add(cni).expect()
    for name in (NAME, "eth0"):
        host.run(["ip", "link", "add", name, "type", "ifb"])
    told = delete(cni).stderr
    back = [entry["ifname"] for entry in host.ip("link") if entry.get("address") == MAC]
    assert len(back) == 1 and back[0].startswith("hostdev") and back[0] in told


def test_index_taken_on_the_host(host, cni):
    index = indexes(host)[NAME]
    add(cni).expect()
    host.run(["ip", "link", "add", "other", "index", str(index), "type", "ifb"])
    delete(cni)
    back = configs.link(host, NAME)
    assert back["address"] == MAC and back["ifalias"] == "uplink" and back["mtu"] == 1400


def test_name_taken_in_the_sandbox(host, cni):
    host.run(["ip", "link", "add", "eth0", "type", "ifb"], netns="c1")
    host.run(["ip", "addr", "add", "10.8.0.1/24", "dev", NAME])
    before = take(host)
    add(cni).refused(102, "CNI_IFNAME", "eth0")
    assert not snapshot.diff(before, take(host))


# ---- failures of ADD ----

def test_no_address_is_free(host, cni):
    ipam = configs.host_local({"subnet": "10.9.0.0/24", "rangeStart": "10.9.0.2", "rangeEnd": "10.9.0.2"})
    cni.add("none", {"cniVersion": configs.VERSION, "name": "x", "type": "none"}, "c2")
    host.run(["ip", "link", "add", "soft0", "type", "ifb"])
    host.run(["ip", "addr", "add", "10.8.0.1/24", "dev", NAME])
    add(cni, config(ipam=ipam, device="soft0"), "c2").expect()
    before = take(host)
    add(cni, config(ipam=ipam)).refused(103)
    assert not snapshot.diff(before, take(host))


def test_foreign_ipam_fails_after_the_move(host, cni):
    host.run(["sh", "-c", "mkdir /run/ipam && printf '#!/bin/sh\\nexit 1\\n' >/run/ipam/broken && chmod 755 /run/ipam/broken"])
    before = take(host)
    conf = config(ipam={"type": "broken"})
    assert not add(cni, conf, path="/run/ipam").ok
    assert not snapshot.diff(before, take(host))


def test_address_that_the_kernel_refuses(host, cni):
    conf = config(ipam={"type": "static", "addresses": [{"address": "10.9.0.9/24"}],
                        "routes": [{"dst": "10.20.0.0/16", "gw": "10.77.0.1"}]})
    before = take(host)
    assert not add(cni, conf).ok
    assert not snapshot.diff(before, take(host))


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("turn", [0, 1])
def test_killed_add_is_undone_by_del_or_gc(host, cni, turn):
    conf = configs.runtime(config(), mac=ASKED)
    delete(cni, conf)
    add(cni, conf).expect()
    delete(cni, conf)
    before, problems = take(host), []
    calls = trace(cni, host, "ADD", conf, "c1")
    delete(cni, conf)
    for index, (name, number) in enumerate(calls):
        add(cni, conf, prefix=inject("signal=KILL", name, number))
        if (index + turn) % 2:
            delete(cni, conf)
        else:
            cni.gc("host-device", conf).expect()
        if snapshot.diff(before, take(host)):
            problems.append(f"{name} #{number}: {snapshot.diff(before, take(host))}")
            delete(cni, conf)
    assert not problems, f"{len(problems)} of {len(calls)} calls:\n" + "\n".join(problems)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_killed_del_is_finished_by_the_next(host, cni):
    conf = configs.runtime(config(), mac=ASKED)
    add(cni, conf).expect()
    delete(cni, conf)
    before, problems = take(host), []
    add(cni, conf).expect()
    for name, number in trace(cni, host, "DEL", conf, "c1"):
        add(cni, conf).expect()
        cni.delete("host-device", conf, prefix=inject("signal=KILL", name, number))
        delete(cni, conf)
        if snapshot.diff(before, take(host)):
            problems.append(f"{name} #{number}: {snapshot.diff(before, take(host))}")
    assert not problems, "\n".join(problems)


# ---- the sandbox is gone ----

@pytest.mark.parametrize("netns", ["", "/run/netns/c1"])
def test_software_device_ends_with_its_sandbox(host, cni, netns):
    add(cni).expect()
    host.remove_netns("c1")
    configs.eventually(lambda: "far0" not in [e["ifname"] for e in host.ip("link", netns="peer")])
    for _ in range(2):
        delete(cni, netns=netns)
    assert not leases(host)


def come_home(lab, name, alias=NAME):
    """As the kernel brings a physical device home: down, under another name, alias and MAC as they were."""
    lab.run(["ip", "-batch", "-"], input=f"link add {name} address {MAC} type veth peer name far1\nlink set {name} mtu 1300 alias {alias}\n")


@pytest.mark.parametrize("name", ["dev268435456", "eth0"])
@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_device_that_came_home_by_itself(host, cni, name, verb):
    add(cni).expect()
    host.remove_netns("c1")
    configs.eventually(lambda: "far0" not in [e["ifname"] for e in host.ip("link", netns="peer")])
    come_home(host, name)
    if verb == "DEL":
        delete(cni, netns="")
    else:
        cni.gc("host-device", config()).expect()
    back = configs.link(host, NAME)
    assert (back["address"], back["mtu"], back["ifalias"]) == (MAC, 1400, "uplink") and "UP" in back["flags"]
    assert name not in indexes(host) and not leases(host)


def test_stranger_with_the_alias_is_left(host, cni):
    add(cni).expect()
    host.remove_netns("c1")
    configs.eventually(lambda: "far0" not in [e["ifname"] for e in host.ip("link", netns="peer")])
    host.run(["ip", "link", "add", "other", "type", "veth", "peer", "name", "far1"])
    host.run(["ip", "link", "set", "other", "alias", NAME])
    delete(cni, netns="")
    assert configs.link(host, "other")["ifalias"] == NAME and not leases(host)


def test_next_add_takes_one_that_came_home(host, cni):
    """Nobody sent DEL; the device is found by its alias, and has its own name again afterwards."""
    host.run(["ip", "link", "del", NAME])
    come_home(host, "dev77")
    add(cni).expect()
    assert configs.link(host, "eth0", "c1")["ifalias"] == NAME
    delete(cni)
    assert "ifalias" not in configs.link(host, NAME) and "dev77" not in indexes(host)


def test_sandbox_without_a_path_lives_on(host, cni):
    add(cni).expect()
    process = host.start(["sleep", "60"], netns="c1")
    host.remove_netns("c1")
    told = delete(cni, netns="").stderr
    assert NAME in told and "sandbox" in told and not leases(host)
    host.stop(process)


# ---- no record ----

def lose_records(lab):
    lab.run(["sh", "-c", "rm -rf /run/fairlead"])


@pytest.mark.parametrize("how", [{}, {"device": None, "hwaddr": MAC}, {"device": None, "kernelpath": f"/sys/devices/virtual/net/{NAME}"}])
def test_del_without_a_record(host, cni, how):
    add(cni, config(**how)).expect()
    lose_records(host)
    for _ in range(2):
        delete(cni, config(**how))
    back = configs.link(host, NAME)
    assert back["address"] == MAC and "ifalias" not in back and not configs.link(host, "eth0", "c1")


@pytest.mark.parametrize("alias, how", [("", {}), ("other", {}), (NAME, {"device": "other"}), (NAME, {"device": None}),
                                        (NAME, {"device": None, "hwaddr": "02:00:00:00:00:01"})])
def test_del_without_a_record_leaves_what_is_not_surely_ours(host, cni, alias, how):
    host.run(["ip", "link", "add", "eth0", "type", "ifb"], netns="c1")
    host.run(["ip", "link", "set", "eth0", "alias", alias], netns="c1")
    before = take(host)
    delete(cni, config(**how))
    assert not snapshot.diff({**before, "store": []}, {**take(host), "store": []})


def test_del_without_a_record_leaves_another_plugins(host, cni):
    bridge = configs.bridge()
    cni.add("bridge", bridge).expect()
    host.run(["ip", "link", "set", "eth0", "alias", NAME], netns="c1")
    delete(cni)
    assert configs.link(host, "eth0", "c1")
    cni.delete("bridge", bridge).expect()


def test_del_without_record_and_sandbox(host, cni):
    host.run(["ip", "link", "del", NAME])
    come_home(host, "dev77")
    delete(cni, netns="")
    assert configs.link(host, NAME)["address"] == MAC


# ---- two containers ----

@pytest.mark.parametrize("how", [{}, {"device": None, "hwaddr": MAC}])
def test_two_containers_one_device(host, cni, how):
    add(cni, config(**how)).expect()
    before = take(host, "c2")
    add(cni, config(**how), "c2").refused(102, "c1", "hd", "eth0", "in use")
    assert not snapshot.diff(before, take(host, "c2"))
    delete(cni, config(**how))
    add(cni, config(**how), "c2").expect()


def test_many_at_once_one_wins(host, cni):
    before = take(host)
    names = [f"m{i}" for i in range(8)]
    for name in names:
        host.netns(name)
    outcomes = [host.submit(add, cni, None, name) for name in names]
    done = [f.result() for f in outcomes]
    assert sum(o.ok for o in done) == 1, [str(o) for o in done]
    for name in names:
        delete(cni, None, name)
    assert not snapshot.diff(before, take(host))


def test_gc_keeps_the_valid(host, cni):
    host.run(["ip", "link", "add", "soft0", "type", "ifb"])
    add(cni, config(device="soft0"), "c2").expect()
    before = take(host, "c2")
    add(cni).expect()
    cni.gc("host-device", config(), [("c2", "eth0")]).expect()
    assert not snapshot.diff(before, take(host, "c2"))


# ---- PCI, auxiliary bus, DPDK: folders in the place of /sys/bus ----

PCI = "0000:3d:00.1"


def on_bus(lab, bus, address, driver, *interfaces):
    folder = f"/sys/bus/{bus}/devices/{address}"
    lab.run(["sh", "-c", f"mountpoint -q /sys/bus || mount -t tmpfs tmpfs /sys/bus; mkdir -p {folder}; ln -s ../../drivers/{driver} {folder}/driver"])
    for name in interfaces:
        lab.run(["mkdir", "-p", f"{folder}/net/{name}"])


@pytest.mark.parametrize("how", [{"pciBusID": PCI}, {"pciBusID": "3D:00.1"}, {"runtimeConfig": {"deviceID": PCI}},
                                 {"pciBusID": "0000:00:00.0", "runtimeConfig": {"deviceID": PCI}}])
def test_pci(host, cni, how):
    on_bus(host, "pci", PCI, "mlx5_core", NAME)
    before = take(host)
    conf = config(device=None, **how)
    interface = add(cni, conf).expect().json["interfaces"][0]
    assert interface["pciID"] == PCI and interface["mac"] == MAC
    # the kernel's folder shows the interfaces of its namespace only
    host.run(["rmdir", f"/sys/bus/pci/devices/{PCI}/net/{NAME}"])
    add(cni, conf, "c2").refused(102, "c1", PCI)
    delete(cni, config(device=None))        # a runtime that does not repeat deviceID
    assert not snapshot.diff(before, take(host))


def test_virtio_has_its_interface_one_folder_down(host, cni):
    on_bus(host, "pci", PCI, "virtio-pci")
    host.run(["mkdir", "-p", f"/sys/bus/pci/devices/{PCI}/virtio0/net/{NAME}"])
    assert add(cni, config(device=None, pciBusID=PCI)).expect().json["interfaces"][0]["pciID"] == PCI
    delete(cni)


def test_auxiliary_device(host, cni):
    on_bus(host, "auxiliary", "mlx5_core.sf.4", "mlx5_core.sf", NAME)
    conf = config(device=None, runtimeConfig={"deviceID": "mlx5_core.sf.4"})
    interface = add(cni, conf).expect().json["interfaces"][0]
    assert "pciID" not in interface and interface["mac"] == MAC
    delete(cni, conf)
    assert configs.link(host, NAME)


@pytest.mark.parametrize("driver, more", [("vfio-pci", {}), ("uio_pci_generic", {}), ("igb_uio", {}), ("mlx5_core", {"dpdkMode": True})])
def test_dpdk(host, cni, driver, more):
    on_bus(host, "pci", PCI, driver, *([NAME] if more else []))
    conf = config(device=None, pciBusID=PCI, **more)
    before = take(host, "c2")
    result = add(cni, conf).expect().json
    assert result["interfaces"] == [{"name": "eth0", "sandbox": "/run/netns/c1", "pciID": PCI}]
    assert [(ip["address"], ip["interface"]) for ip in result["ips"]] == [("10.9.0.2/24", 0)]
    assert [e["ifname"] for e in host.ip("link", netns="c1")] == ["lo"]
    cni.check("host-device", configs.with_previous(conf, result)).expect()
    add(cni, conf, "c2").refused(102, "c1", PCI)
    for _ in range(2):
        delete(cni, conf)
    assert not snapshot.diff(before, take(host, "c2"))
    add(cni, conf).expect()
    host.remove_netns("c1")
    configs.eventually(lambda: add(cni, conf, "c2").ok)


def test_dpdk_without_ipam(host, cni):
    on_bus(host, "pci", PCI, "vfio-pci")
    conf = config(device=None, pciBusID=PCI, ipam=None)
    assert "ips" not in add(cni, conf).expect().json
    delete(cni, conf)


# ---- refusals ----

@pytest.mark.parametrize("how, words", [
    ({"device": None}, ["device", "hwaddr", "none"]),
    ({"hwaddr": MAC}, ["device", "hwaddr", "both"]),
    ({"runtimeConfig": {"deviceID": PCI}}, ["device", "runtimeConfig.deviceID", "both"]),
    ({"device": "absent0"}, ["device", "absent0"]),
    ({"device": "a/b"}, ["device", "a/b"]),
    ({"device": "lo"}, ["device", "loopback"]),
    ({"device": None, "hwaddr": "02:00"}, ["hwaddr", "02:00"]),
    ({"device": None, "hwaddr": "02:00:00:00:00:77"}, ["hwaddr", "02:00:00:00:00:77"]),
    ({"device": None, "kernelpath": "/sys/devices/../class"}, ["kernelpath", ".."]),
    ({"device": None, "kernelpath": "/etc"}, ["kernelpath", "/sys/devices/"]),
    ({"device": None, "kernelpath": "/sys/devices/absent"}, ["kernelpath", "absent"]),
    ({"device": None, "kernelpath": "/sys/devices/virtual"}, ["kernelpath", "interfaces"]),
    ({"device": None, "pciBusID": "../../../virtual"}, ["pciBusID", "expected a PCI address"]),
    ({"device": None, "pciBusID": "0000:ff:1f.7"}, ["pciBusID", "0000:ff:1f.7"]),
    ({"device": None, "runtimeConfig": {"deviceID": "a/../b.c.1"}}, ["runtimeConfig.deviceID", "expected"]),
    ({"dpdkMode": True}, ["dpdkMode", "pciBusID"]),
    ({"runtimeConfig": {"mac": "01:00:00:00:00:01"}}, ["runtimeConfig.mac"]),
])
def test_refused(host, cni, how, words):
    before = take(host)
    add(cni, config(**how)).refused(7, *words)
    assert not snapshot.diff(before, take(host))


def test_ports_and_bridges_are_refused(host, cni):
    host.run(["ip", "-batch", "-"], input=f"link add br0 type bridge\nlink set {NAME} master br0\n")
    before = take(host)
    add(cni).refused(7, NAME, "br0", "bridge")
    add(cni, config(device="br0")).refused(7, "br0", "bridge")
    assert not snapshot.diff(before, take(host))


def test_two_interfaces_with_the_mac(host, cni):
    host.run(["ip", "link", "add", "twin0", "address", MAC, "type", "ifb"])
    add(cni, config(device=None, hwaddr=MAC)).refused(7, NAME, "twin0", "device")


def test_dpdk_refusals(host, cni):
    on_bus(host, "pci", PCI, "vfio-pci")
    add(cni, configs.runtime(config(device=None, pciBusID=PCI), mac=ASKED)).refused(7, "mac", "DPDK")
    add(cni, config(device=None, pciBusID=PCI, mtu=1400)).refused(7, "mtu", "DPDK")


def test_ends_of_a_mtu_that_the_device_has_not(host, cni):
    before = take(host)
    add(cni, config(mtu=20)).refused(None, "mtu", NAME)
    assert not snapshot.diff(before, take(host))
