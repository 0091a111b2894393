# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl gc and reload."""
import concurrent.futures
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from support import configs as net
from support import dns, kernel
from support.cni import plugin_dir, sanitized
from support.netctl import FAILED, USAGE, program



def state(lab):
    [cookie] = lab.files("/run/fairlead")
    return f"/run/fairlead/{cookie}"


def ready(lab):
    """Interface names of the bridge's living ports."""
    return net.bridge_ports(lab, "net0")


@pytest.fixture
def three(cni, netctl):
    """c1, c2 and gone on network net; the sandbox of the last one is gone."""
    cni.lab.netns("gone")
    net.attach(cni, net.bridge(), "c1", "c2")
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "gone").expect()
    cni.lab.remove_netns("gone")
    net.eventually(lambda: len(ready(cni.lab)) == 2)
    return netctl


def test_nothing_to_do(lab, netctl, cni):
    assert netctl.json("gc") == []
    assert "nothing is left" in netctl("gc").expect().stdout
    net.attach(cni, net.bridge(), "c1")
    assert netctl.json("gc") == []
    netctl("gc", "now").expect(USAGE, "expected no argument")


def test_sandbox_that_is_gone(three):
    lab = three.lab
    expected = {"kind": "endpoint", "label": "gone", "container": "gone", "network": "net", "interface": "eth0",
                "address": "", "why": "its sandbox is gone", "removed": False}
    assert three.json("gc", "--dry-run") == [expected]
    assert "publish4" in net.nft_elements(lab) and net.nft_elements(lab)["publish4"]
    assert three.json("gc", "--network", "other") == []
    outcome = three("gc").expect()
    assert outcome.rows[0] == ["WHAT", "CONTAINER", "NETWORK", "INTERFACE", "ADDRESS", "WHY"]
    assert outcome.rows[1][:5] == ["endpoint", "gone", "net", "eth0", "-"] and "1 removed" in outcome.stdout
    assert not net.nft_elements(lab)["publish4"]
    assert three.json("gc") == []
    assert {e["container"] for e in three.json("endpoint", "ls")} == {"c1", "c2"}
    lab.tcp_server("c2", port=80)
    assert lab.reaches("c1", "10.1.0.3", 80)


def test_process_of_the_sandbox_killed(lab, cni, netctl):
    """As containerd leaves it: the namespace is held by a process alone, by its path in /proc."""
    process = lab.start(["unshare", "-n", "sleep", "600"], stdout=subprocess.DEVNULL)
    own = lab.call(lambda: os.stat("/proc/thread-self/ns/net").st_ino)
    path = f"/proc/{process.pid}/ns/net"
    net.eventually(lambda: lab.call(lambda: os.stat(path).st_ino) != own)
    cni.add("bridge", net.bridge(), "pod", netns=path).expect()
    net.attach(cni, net.bridge(), "c1")
    assert netctl.json("gc") == []
    lab.stop(process, signal.SIGKILL)
    net.eventually(lambda: len(ready(lab)) == 1)
    assert [(row["container"], row["removed"]) for row in netctl.json("gc")] == [("pod", True)]
    assert [e["container"] for e in netctl.json("endpoint", "ls")] == ["c1"]


def test_endpoint_without_its_cable_is_left_to_doctor(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    lab.run(["ip", "link", "del", ready(lab)[0]])
    assert netctl.json("gc") == []
    assert len(netctl.json("endpoint", "ls")) == 1


def test_killed_add(lab, cni, netctl):
    """An ADD that is killed when its record is written and the interface is there."""
    net.attach(cni, net.bridge(), "c1")
    stub = "/run/stub"
    lab.run(["mkdir", stub])
    lab.write(f"{stub}/slow", "#!/bin/sh\n"
              "[ $CNI_COMMAND = ADD ] || exit 0\ntouch /run/started\nexec setpriv --pdeathsig KILL sleep 600\n")
    lab.run(["chmod", "755", f"{stub}/slow"])
    config = net.bridge(ipam={"type": "slow"})
    env = {"PATH": os.environ["PATH"], "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c2", "CNI_NETNS": "/run/netns/c2",
           "CNI_IFNAME": "eth0", "CNI_PATH": f"{plugin_dir()}:{stub}"}
    adding = lab.start([f"{plugin_dir()}/bridge"], env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    adding.stdin.write(json.dumps(config).encode())
    adding.stdin.close()
    net.eventually(lambda: lab.exists("/run/started"))
    states = {e["container"]: e["state"] for e in netctl.json("endpoint", "ls")}
    assert states["c2"] == "creating" and netctl.json("gc", "--dry-run") == [] and netctl.json("gc") == []
    lab.stop(adding, signal.SIGKILL)
    assert netctl("doctor", "-q").stdout == "endpoint-unfinished\n"
    outcome = netctl("gc").expect(FAILED, 'no executable "slow"')
    assert not outcome.stdout
    [row] = netctl.json("gc", "--cni-path", f"{plugin_dir()}:{stub}")
    assert (row["container"], row["why"]) == ("c2", "its ADD ended in the midst of it")
    assert [e["container"] for e in netctl.json("endpoint", "ls")] == ["c1"]


def test_files_and_kept_attachments(lab, cni, netctl):
    net.attach(cni, net.bridge(), "c1")
    folder = state(lab)
    for path in (f"{folder}/files/gone", f"{folder}/files/c1", f"{folder}/attachments/gone", f"{folder}/attachments/c2"):
        lab.run(["mkdir", "-p", path])
    lab.write(f"{folder}/files/gone/hosts", "127.0.0.1 localhost\n")
    kept = {"config": {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}]}, "result": {}}
    lab.write(f"{folder}/attachments/gone/net,eth0", json.dumps({**kept, "netns": "/run/netns/gone"}))
    lab.write(f"{folder}/attachments/c2/net,eth7", json.dumps({**kept, "netns": "/run/netns/c2"}))
    found = netctl.json("gc")
    assert [(row["kind"], row["container"], row["interface"]) for row in found] == \
        [("attachment", "gone", "eth0"), ("files", "gone", "")]
    assert lab.files(f"{folder}/files") == ["c1"]
    assert lab.files(f"{folder}/attachments") == ["c2"], "the sandbox lives: the network may be another's"
    assert netctl.json("gc") == []


def test_killed_run(lab, netctl):
    """Its command and its sandbox end with it; what was kept goes with the record."""
    netctl("network", "create", "web", "-o", "dns.enabled=false").expect()
    running = netctl.start("run", "web", "--", "sleep", "600")
    net.eventually(lambda: [e["state"] for e in netctl.json("endpoint", "ls")] == ["ready"])
    assert netctl.json("gc") == [] and len(lab.files(f"{state(lab)}/attachments")) == 1
    lab.stop(running, signal.SIGKILL)
    net.eventually(lambda: not net.bridge_ports(lab, "fl-web"))
    assert [row["kind"] for row in netctl.json("gc")] == ["endpoint"]
    assert lab.files(f"{state(lab)}/attachments") == []


def test_killed_attach_of_a_plugin_without_records(lab, netctl):
    """The sandbox lives, and nothing was attached to it."""
    lab.run(["mkdir", "/run/stub"])
    lab.write("/run/stub/slow", "#!/bin/sh\necho $CNI_COMMAND >> /run/calls\n"
              "[ $CNI_COMMAND = ADD ] && exec setpriv --pdeathsig KILL sleep 600\nexit 0\n")
    lab.run(["chmod", "755", "/run/stub/slow"])
    netctl.write(net.conflist({"type": "slow"}))
    netctl("sandbox", "create", "box").expect()
    path = ["--cni-path", f"/run/stub:{plugin_dir()}"]
    lab.write("/run/calls", "")
    adding = netctl.start("attach", "net", "box", *path)
    net.eventually(lambda: lab.read("/run/calls") == "ADD\n")
    assert netctl.json("gc", *path) == [], "somebody is at work"
    lab.stop(adding, signal.SIGKILL)
    [row] = [row for row in netctl.json("gc", "-n", *path) if row["kind"] == "attachment"]
    assert (row["container"], row["network"], row["interface"]) == ("box", "net", "eth0")
    assert row["why"] == "its ADD ended in the midst of it" and not row["removed"]
    assert [r["removed"] for r in netctl.json("gc", *path)] == [True]
    assert lab.read("/run/calls") == "ADD\nDEL\n" and lab.files(f"{state(lab)}/attachments") == []
    assert netctl.json("gc", *path) == []


def test_killed_as_it_wrote(lab, cni, netctl):
    net.attach(cni, net.bridge(), "c1")
    folder = f"{state(lab)}/attachments"
    lab.run(["mkdir", "-p", f"{folder}/half", f"{folder}/empty", f"{folder}/busy"])
    for name in ("half", "busy"):
        lab.write(f"{folder}/{name}/.new", '{"conf')
    busy = lab.call(os.open, f"{folder}/busy", os.O_RDONLY)
    fcntl.flock(busy, fcntl.LOCK_EX)
    assert netctl.json("gc", "--network", "net") == []
    found = netctl.json("gc")
    assert sorted((row["kind"], row["container"], row["network"], row["removed"]) for row in found) == \
        [("attachment", "empty", "", True), ("attachment", "half", "", True)]
    assert lab.files(folder) == ["busy"]
    os.close(busy)
    assert netctl("doctor", "-q").stdout == "attachment-stale\n"
    netctl("doctor", "--repair").expect()
    assert lab.files(folder) == [] and netctl.json("gc") == []


def test_stale_leases(lab, cni, netctl):
    lab.run(["mkdir", "-p", "/var/lib/cni/networks/net"])
    lab.write("/var/lib/cni/networks/net/10.1.0.2", "living\r\neth0")
    lab.write("/var/lib/cni/networks/net/10.1.0.3", "long-gone\r\neth0")
    lab.call(os.utime, "/var/lib/cni/networks/net/10.1.0.3", (0, 0))
    net.attach(cni, net.bridge(), "c1")
    found = netctl.json("gc")
    assert [(row["kind"], row["address"], row["container"]) for row in found] == [("lease", "10.1.0.3", "long-gone")]
    assert netctl.json("gc") == []


def test_two_hundred(lab, cni, netctl):
    names = [f"old{i}" for i in range(200)]
    for name in names:
        lab.netns(name)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for outcome in pool.map(lambda name: cni.add("bridge", net.bridge(), name), names):
            outcome.expect()
    net.attach(cni, net.bridge(), "c1")
    for name in names:
        lab.remove_netns(name)
    net.eventually(lambda: len(ready(lab)) == 1, 30)
    begun = time.monotonic()
    found = netctl.json("gc")
    took = time.monotonic() - begun
    print(f"gc of 200 endpoints: {took:.2f} s")
    assert len(found) == 200 and took < (60 if sanitized() else 4)
    assert [e["container"] for e in netctl.json("endpoint", "ls")] == ["c1"]


# ---- reload ----

def test_reload_after_a_flush(lab, cni, netctl):
    cni.add("bridge", net.publish(net.bridge(), (8080, 80)), "c1").expect()
    lab.tcp_server("c1", port=80)
    lab.tcp_server("outside", port=90)
    before = net.nft_elements(lab)
    lab.run(["nft", "flush", "ruleset"])
    assert lab.blocked("outside", "192.0.2.1", 8080)
    outcome = netctl("reload").expect()
    assert "loaded the rules of 1 networks and 1 endpoints" in outcome.stdout
    assert net.nft_elements(lab) == before
    assert lab.probe("outside", "192.0.2.1", 8080)
    assert lab.probe("c1", "192.0.2.2", 90)
    assert netctl.json("reload") == {"networks": 1, "endpoints": 1, "admitted": False, "resolver": False}
    assert not netctl("reload", "-q").expect().stdout


def test_reload_behind_a_forward_policy(lab, cni, netctl):
    cni.add("bridge", net.bridge(), "c1").expect()
    lab.tcp_server("outside", port=90)
    lab.nft("table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
    assert lab.blocked("c1", "192.0.2.2", 90)
    assert netctl.json("reload")["admitted"]
    assert lab.reaches("c1", "192.0.2.2", 90)


def test_reload_starts_the_resolver(lab, cni, netctl):
    cni.add("bridge", dns.named(dns.network(), "web"), "c1").expect()
    pid = int(lab.read(f"{state(lab)}/dns.lock"))
    kill_resolver(lab, pid)
    assert netctl.json("reload")["resolver"]
    assert dns.lookup(lab, "c1", "web") == ["10.1.0.2"]


def kill_resolver(lab, pid):
    """Keeper, broker and worker."""
    status = lab.read(f"/proc/{pid}/status")
    keeper = int(status.split("PPid:")[1].split()[0])
    children = lab.read(f"/proc/{pid}/task/{pid}/children").split()
    if "fairlead-dnsd" in lab.read(f"/proc/{keeper}/comm"):
        os.kill(keeper, signal.SIGKILL)
    for one in [pid, *map(int, children)]:
        os.kill(one, signal.SIGKILL)
    net.eventually(lambda: not any(alive(one) for one in [pid, *map(int, children)]))


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_reload_with_nothing_there(lab, netctl):
    assert netctl.json("reload") == {"networks": 0, "endpoints": 0, "admitted": False, "resolver": False}
    assert not lab.run(["nft", "list", "tables"]).stdout
    assert not any(lab.files(f"/run/fairlead/{folder}") for folder in lab.files("/run/fairlead"))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_unit_file(tmp_path):
    installed = pathlib.Path(program()).parents[1] / "lib/systemd/system/fairlead-reload.service"
    text = installed.read_text().replace(str(pathlib.Path("/usr/local/bin/netctl")), program())
    unit = tmp_path / installed.name
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "fairlead-reload" in line]
    assert not complaints and not re.search(r"@\w+@", text)
