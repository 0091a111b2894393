# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed ADD, or a host that rebooted, leaves for others, when nobody sends DEL or GC for it."""
import shutil

import pytest

from support import configs, snapshot
from support.interrupted import inject, trace

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def test_without_del_the_next_add_gets_address_and_port(lab, cni):
    """The sandbox of a killed ADD is gone, and nobody ever sends DEL or GC."""
    config = configs.publish(configs.runtime(configs.bridge(), ips=["10.1.0.77"]), (8080, 80))
    calls = trace(cni, lab, "ADD", config, "c1")
    cni.delete("bridge", config, "c1").expect()
    for index, (name, number) in enumerate(calls):
        victim, heir = f"v{index}", f"h{index}"
        lab.netns(victim)
        lab.netns(heir)
        cni.call("ADD", "bridge", config, victim, prefix=inject("signal=KILL", name, number))
        lab.remove_netns(victim)
        gone = wait_for_link_to_go(lab)
        assert gone, f"{name} #{number}: the pair outlives its sandbox"
        outcome = cni.add("bridge", config, heir)
        assert outcome.ok, f"{name} #{number}: {outcome}"
        assert outcome.address == "10.1.0.77"
        cni.delete("bridge", config, heir).expect()
        lab.remove_netns(heir)


def wait_for_link_to_go(lab, tries=200):
    """The kernel takes a namespace down in the background."""
    for _ in range(tries):
        if not configs.bridge_ports(lab, "net0"):
            return True
        lab.run(["sleep", "0.01"])
    return False


def test_old_del_after_a_reboot_touches_no_new_container(lab, cni):
    config = configs.publish(configs.runtime(configs.bridge(), ips=["10.1.0.9"]), (8080, 80))
    old = cni.add("bridge", config, "c1").expect()
    lab.remove_netns("c1")
    assert wait_for_link_to_go(lab)
    # What a reboot does: another boot id in the store empties it; here the state directory goes.
    lab.run(["sh", "-c", "rm -rf /run/fairlead; nft flush ruleset"])
    lab.run(["ip", "link", "del", "net0"])
    cni.add("bridge", config, "c2").expect()
    state = snapshot.take(lab, ("c2",))
    cni.delete("bridge", configs.with_previous(config, old.json), "c1").expect()
    assert not snapshot.diff(state, snapshot.take(lab, ("c2",)))


def test_owner_that_was_displaced_leaves_no_rule(lab, cni):
    """The ADD that displaces it fails, or is killed, after its record went: the next one finds the port free."""
    config = configs.publish(configs.bridge(), (8080, 80))
    calls = [call for call in trace(cni, lab, "ADD", config, "c1") if call[0] in ("sendmsg", "sendto", "pwrite64")]
    cni.delete("bridge", config, "c1").expect()
    for index, (name, number) in enumerate(calls):
        victim = f"v{index}"
        lab.netns(victim)
        cni.add("bridge", config, victim).expect()
        lab.remove_netns(victim)
        assert wait_for_link_to_go(lab)
        cni.call("ADD", "bridge", config, "c1", prefix=inject("error=ENOMEM" if index % 2 else "signal=KILL", name, number))
        outcome = cni.add("bridge", config, "c2") if index % 2 else cni.add("bridge", config, "c1")
        if outcome.code == 102 and "c1" in outcome.message:     # the refused call was none that matters
            outcome = cni.delete("bridge", config, "c1")
        assert outcome.ok, f"{name} #{number}: {outcome}"
        for container in ("c1", "c2", victim):
            cni.delete("bridge", config, container).expect()


def test_owner_that_was_displaced_from_another_network(lab, cni):
    """Its own DEL, or GC, still ends the network whose last endpoint it was."""
    lab.run(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"])
    lab.run(["ip", "-batch", "-"], input="addr add 198.51.100.1/24 dev lan0\nlink set lan0 up\nlink set lan1 up\n")
    lan = configs.publish({"cniVersion": configs.VERSION, "name": "lan", "type": "macvlan", "master": "lan0", "hostAccess": True,
                           "promisc": True, "ipam": configs.host_local({"subnet": "198.51.100.0/24", "rangeStart": "198.51.100.9"})},
                          (8080, 80))
    config = configs.publish(configs.bridge(), (8080, 80))
    configs.warm(cni, configs.bridge())
    before = snapshot.take(lab, ())
    for verb in ("DEL", "GC"):
        lab.netns("victim")
        cni.add("macvlan", lan, "victim").expect()
        lab.remove_netns("victim")
        configs.eventually(lambda: cni.add("bridge", config, "c1").ok)
        if verb == "DEL":
            cni.delete("macvlan", lan, "victim").expect()
        else:
            cni.gc("macvlan", lan).expect()
        cni.delete("bridge", config, "c1").expect()
        # The macvlan in the victim's namespace goes when the kernel gets to it, and its address at lan0 with it.
        configs.eventually(lambda: not snapshot.diff(before, snapshot.take(lab, ())))


def test_changed_settings_of_a_killed_add(lab, cni):
    """Killed between the record with the new settings and the batch: the next ADD brings the rules in line."""
    old, new = configs.bridge(), configs.bridge(ipMasq=False)
    cni.add("bridge", old, "c1").expect()
    lab.netns("victim")
    cni.call("ADD", "bridge", new, "victim", prefix=inject("signal=KILL", "sendto", 1))
    assert "10.1.0.0/24" in lab.run(["nft", "list", "map", "inet", "fairlead", "masquerade4"]).stdout
    cni.add("bridge", new, "c2").expect()
    assert "10.1.0.0/24" not in lab.run(["nft", "list", "map", "inet", "fairlead", "masquerade4"]).stdout
