# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl as a runtime beside others: what is somebody else's stays, what is ours goes, and the right container is meant."""
import concurrent.futures
import json
import os
import signal
import time

import pytest

from support import configs, foreign
from support.cni import plugin_dir
from support.configs import eventually
from support.netctl import FAILED, NOT_FOUND, USAGE

DIR = "/etc/cni/net.d"


@pytest.fixture
def web(netctl):
    netctl("network", "create", "web", "--subnet", "10.50.0.0/24").expect()
    for name in ("a", "b"):
        netctl("sandbox", "create", name).expect()
    return netctl


def state(lab):
    return f"/run/fairlead/{next(f for f in lab.files('/run/fairlead') if f.isdigit())}"


def kept(lab):
    folder = f"{state(lab)}/attachments"
    return {name: lab.files(f"{folder}/{name}") for name in lab.files(folder)}


def attached(netctl):
    return sorted((e["container"], e["network"], e["interface"]) for e in netctl.json("endpoint", "ls"))


def with_foreign(netctl, *names, first=False):
    """Network web with these plugins behind (or in front of) ours; netctl's environment."""
    path = foreign.install(netctl.lab, plugin_dir(), *names)
    conf = json.loads(netctl.lab.read(f"{DIR}/fairlead-web.conflist"))
    more = [{"type": name} for name in names]
    conf["plugins"] = more + conf["plugins"] if first else conf["plugins"] + more
    netctl.lab.write(f"{DIR}/fairlead-web.conflist", json.dumps(conf))
    return {"CNI_PATH": path}


# ---- what is somebody else's ----

def test_an_interface_of_somebody_else_stays(lab, web):
    lab.run(["ip", "link", "add", "docker9", "type", "veth", "peer", "name", "eth0", "netns", "a"])
    web("attach", "web", "a", "--interface", "eth0").expect(FAILED, "has an interface eth0 already")
    assert configs.link(lab, "docker9")
    web("attach", "web", "a").expect(0, "eth1")


def test_a_runtimes_add_at_the_same_time_is_left_alone(lab, cni, web):
    config = {**json.loads(lab.read(f"{DIR}/fairlead-web.conflist"))["plugins"][0], "name": "web", "cniVersion": "1.0.0"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(12):
            theirs = pool.submit(cni.add, "bridge", config, "a")
            ours = pool.submit(web, "attach", "web", "a", "-i", "eth0")
            won = [theirs.result().ok, ours.result().ok]
            assert sum(won) == 1, (str(theirs.result()), str(ours.result()))
            assert attached(web) == [("a", "web", "eth0")] and len(configs.bridge_ports(lab, "fl-web")) == 1
            web("detach", "web", "a").expect()


def test_sandbox_rm_of_a_runtimes_container_only_by_force(cni, web):
    cni.lab.netns("pod")
    cni.add("bridge", configs.bridge(), "0123456789", netns="pod").expect()
    web("sandbox", "rm", "pod").expect(FAILED, "0123456789", "--force")
    assert cni.lab.exists("/run/netns/pod")
    web("sandbox", "rm", "-f", "pod").expect()
    assert attached(web) == [] and not cni.lab.exists("/run/netns/pod")


def test_a_bridge_that_was_there_stays(lab, netctl):
    lab.run(["ip", "link", "add", "br0", "type", "bridge"])
    netctl("network", "create", "mine", "-o", "bridge=br0").expect()
    netctl("network", "rm", "mine").expect()
    assert configs.link(lab, "br0")


# ---- who is meant ----

def test_only_the_one_that_was_named(web):
    for name in ("web1", "web"):
        web("sandbox", "create", name).expect()
    web("attach", "web", "web1").expect()
    web("sandbox", "rm", "web").expect()
    web("sandbox", "create", "web").expect()
    web("detach", "web", "/run/netns/web").expect(NOT_FOUND)
    web("run", "web", "--name", "we", "--", "true").expect()
    assert attached(web) == [("web1", "web", "eth0")]


def test_exact_before_prefix(web):
    for name in ("deadbeef", "de"):
        web("sandbox", "create", name).expect()
    web("attach", "web", "deadbeef").expect()
    web("attach", "web", "de").expect()
    assert attached(web) == [("de", "web", "eth0"), ("deadbeef", "web", "eth0")]
    web("detach", "web", "dead").expect()
    assert attached(web) == [("de", "web", "eth0")]
    web("detach", "web", "d").expect(NOT_FOUND)     # one letter is chance


def test_a_name_of_several_is_an_error(web):
    for name in ("x1", "x2"):
        web("sandbox", "create", name).expect()
        web("attach", "web", name, "--name", "dup").expect()
    for argv in (("detach", "web", "dup"), ("sandbox", "exec", "dup", "true"), ("endpoint", "inspect", "dup"), ("stats", "x")):
        assert "several" in web(*argv).stderr or argv[0] == "stats", argv
    web("sandbox", "create", "dup").expect()
    assert len(attached(web)) == 2
    assert [r["container"] for r in web.json("stats", "x1")] == ["x1"]


def test_a_name_that_is_another_namespace_too(web):
    web("attach", "web", "a", "--name", "b").expect()
    web("attach", "web", "b").expect(NOT_FOUND, "/run/netns/b")
    web("attach", "web", "/run/netns/b").expect()
    assert attached(web) == [("a", "web", "eth0"), ("b", "web", "eth0")]


def test_a_namespace_is_known_by_what_it_is(lab, cni, web):
    lab.netns("pod")
    cni.add("bridge", configs.bridge(), "0123456789", netns="pod").expect()
    web("attach", "web", "pod").expect(0, "0123456789 on web: eth1")
    rows = {row["name"]: row for row in web.json("sandbox", "ls")}
    assert rows["pod"]["networks"] == ["net", "web"] and "0123456789" not in rows
    web("attach", "web", "a", "--id", "cid7").expect()
    web("sandbox", "rm", "a").expect()
    assert ("cid7", "web", "eth0") not in attached(web)


def test_a_path_that_leads_elsewhere_is_not_entered(lab, web):
    web("attach", "web", "a").expect()
    holder = web.start("sandbox", "exec", "a", "--", "sh", "-c", "echo up; exec sleep 1000", stdout=-1, text=True)
    assert holder.stdout.readline() == "up\n"
    lab.run(["umount", "/run/netns/a"])
    lab.run(["mount", "--bind", "/run/netns/b", "/run/netns/a"])
    web("sandbox", "exec", "a", "ip", "link").expect(125, "is gone")
    web("attach", "web", "a", "-i", "eth7").expect(NOT_FOUND, "is gone")
    web("attach", "web", "/run/netns/a", "--id", "other").expect()
    assert attached(web) == [("a", "web", "eth0"), ("other", "web", "eth0")]


# ---- foreign plugins ----

def test_foreign_plugins_are_deleted_too(lab, web):
    env = with_foreign(web, "theirs")
    conf = json.loads(lab.read(f"{DIR}/fairlead-web.conflist"))
    conf["plugins"] = [{"type": "theirs"}]
    lab.write(f"{DIR}/fairlead-web.conflist", json.dumps(conf))
    web("attach", "web", "a", env=env).expect()
    assert foreign.calls(lab) == ["theirs ADD"] and attached(web) == []
    web("detach", "web", "a", env=env).expect(0, "eth0 is gone from web")
    assert foreign.calls(lab) == ["theirs DEL"] and kept(lab) == {}
    web("run", "web", "--", "true", env=env).expect()
    web("attach", "web", "a", env=env).expect()
    web("sandbox", "rm", "a", env=env).expect()
    assert foreign.calls(lab) == ["theirs ADD", "theirs DEL"] * 2 and kept(lab) == {}


def test_a_failed_del_is_told_and_can_be_repeated(lab, web):
    env = with_foreign(web, "theirs")
    web("attach", "web", "a", env=env).expect()
    foreign.fail(lab, "theirs", "DEL", "not now")
    web("detach", "web", "a", env=env).expect(FAILED, "theirs: not now", "--force")
    assert attached(web) == [] and list(kept(lab)) == ["a"]
    web("detach", "web", "a", env=env).expect(FAILED, "not now")
    foreign.mend(lab, "theirs", "DEL")
    web("detach", "web", "a", env=env).expect()
    assert kept(lab) == {}
    web("attach", "web", "a", env=env).expect()
    foreign.fail(lab, "theirs", "DEL", "never")
    web("detach", "-f", "web", "a", env=env).expect()
    assert kept(lab) == {} and attached(web) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_failed_add_undoes_the_others(lab, web, first):
    env = with_foreign(web, "one", "two", first=first)
    foreign.fail(lab, "two", "ADD", "boom")
    web("attach", "web", "a", env=env).expect(FAILED, "two: boom")
    assert foreign.calls(lab) == ["one ADD", "two ADD", "two DEL", "one DEL"]
    assert attached(web) == [] and kept(lab) == {} and not configs.bridge_ports(lab, "fl-web")
    foreign.fail(lab, "one", "DEL", "stuck")
    assert "tries again" in web("attach", "web", "a", env=env).expect(FAILED, "two: boom").stderr
    foreign.mend(lab, "one", "DEL")
    web("detach", "web", "a", env=env).expect()
    assert kept(lab) == {} and attached(web) == []


def test_the_kept_list_is_only_its_own_attachments(lab, cni, web):
    """Somebody else's DEL and ADD between: then the list in the folder counts."""
    web("attach", "web", "a").expect()
    conf = json.loads(lab.read(f"{DIR}/fairlead-web.conflist"))
    config = {**conf["plugins"][0], "name": "web", "cniVersion": "1.0.0"}
    cni.delete("bridge", config, "a").expect()
    env = with_foreign(web, "theirs")
    cni.add("bridge", config, "a").expect()
    web("detach", "web", "a", env=env).expect()
    assert foreign.calls(lab) == ["theirs DEL"]


def test_plugins_get_signals_as_they_should_be(lab, web):
    env = with_foreign(web, "theirs")
    lab.write("/run/foreign/theirs", "#!/bin/sh\ncat >/run/in; [ $CNI_COMMAND != ADD ] || { grep SigBlk /proc/self/status >/run/blk; "
              "grep SigIgn /proc/self/status >>/run/blk; }\nexec /usr/bin/python3 -c 'import json; print(json.dumps(json.load("
              "open(\"/run/in\")).get(\"prevResult\", {})))'")
    web("run", "web", "--", "true", env=env).expect()
    # Above 31 are those that the C library keeps for itself.
    assert [int(line.split()[1], 16) & 0x7fffffff for line in lab.read("/run/blk").splitlines()] == [0, 0]


# ---- at once, and killed ----

def test_two_networks_for_one_sandbox_at_once(web):
    web("network", "create", "db").expect()
    running = [web.start("attach", net, "a", stdout=-1, stderr=-1, text=True) for net in ("web", "db")]
    assert [p.communicate(timeout=60) and p.returncode for p in running] == [0, 0]
    assert sorted(e[2] for e in attached(web)) == ["eth0", "eth1"]


def test_a_range_of_ports_at_once(web):
    names = [f"s{i}" for i in range(6)]
    for name in names:
        web("sandbox", "create", name).expect()
    running = [web.start("attach", "web", name, "-p", "8000-8010:80", stdout=-1, stderr=-1, text=True) for name in names]
    assert [p.communicate(timeout=60) and p.returncode for p in running] == [0] * 6
    assert sorted(p["hostPort"] for p in web.json("port", "ls")) == list(range(8000, 8006))


def test_networks_created_at_once_have_subnets_of_their_own(netctl):
    running = [netctl.start("network", "create", f"n{i}", stdout=-1, stderr=-1, text=True) for i in range(8)]
    assert [p.communicate(timeout=60) and p.returncode for p in running] == [0] * 8
    subnets = [n["subnets"][0] for n in netctl.json("network", "ls")]
    assert len(set(subnets)) == 8


def test_rm_and_attach_at_once(lab, netctl):
    """Whoever comes first: an attached endpoint has its configuration and bridge, or there is none of it."""
    netctl("sandbox", "create", "a").expect()
    for _ in range(10):
        netctl("network", "create", "race", "--subnet", "10.50.0.0/24").expect()
        running = [netctl.start(*argv, stdout=-1, stderr=-1, text=True)
                   for argv in (("attach", "race", "a"), ("network", "rm", "race"))]
        added, removed = [p.communicate(timeout=60) and p.returncode == 0 for p in running]
        there = bool(attached(netctl))
        assert (there, lab.files(DIR) != []) == (added, not removed) and added != removed
        if there:
            assert configs.bridge_ports(lab, "fl-race")
            netctl("network", "rm", "-f", "race").expect()


def test_killed_anywhere_and_then_detached(lab, web):
    """SIGKILL at many points of attach; the next detach or gc leaves nothing."""
    for delay in range(0, 24, 2):
        process = web.start("attach", "web", "a", stdout=-1, stderr=-1, start_new_session=True)
        time.sleep(delay / 1000)        # any instant will do: this one is not waited for
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        web("detach", "web", "a")
        eventually(lambda: web("gc").ok)
        assert attached(web) == [] and kept(lab) == {} and not configs.bridge_ports(lab, "fl-web"), delay


def test_a_file_that_keeps_no_namespace_is_used(lab, netctl):
    lab.run(["mkdir", "-p", "/run/netns"])
    lab.write("/run/netns/half", "")
    netctl("sandbox", "create", "half").expect()
    netctl("sandbox", "exec", "half", "true").expect()
    netctl("sandbox", "create", "half").expect(FAILED, "is there already")
    lab.write("/run/netns/other", "")
    netctl("sandbox", "rm", "other").expect()


def test_names_of_networks_are_no_paths(lab, netctl):
    netctl.write({"cniVersion": "1.0.0", "name": "../../../../run/PWN", "plugins": [{"type": "none"}]}, "10-x.conflist")
    netctl("sandbox", "create", "a").expect()
    netctl("attach", "../../../../run/PWN", "a").expect(NOT_FOUND)
    assert "expected the network's name" in netctl("network", "ls").stderr and not lab.exists("/run/PWN,eth0")
    netctl("network", "create", "web", "--default").expect()
    netctl("attach", "web", "a", "--id", "../b").expect(USAGE, "--id")


# ---- chains: which record tells of the interface ----

@pytest.mark.parametrize("chained", [
    {"type": "bandwidth", "egressRate": 1000000, "egressBurst": 100000}, {"type": "portmap", "capabilities": {"portMappings": True}},
    {"type": "firewall"}, {"type": "tuning", "mtu": 1400}, {"type": "sbr"}])
def test_the_plugin_that_made_the_interface_speaks(web, chained):
    conf = json.loads(web.lab.read(f"{DIR}/fairlead-web.conflist"))
    conf["plugins"].append(chained)
    conf["plugins"][0].update(isolate=True, icc=False)
    ports = ["-p", "8080:80"] if chained["type"] == "portmap" else []
    if ports:
        del conf["plugins"][0]["capabilities"]["portMappings"]
    web.lab.write(f"{DIR}/fairlead-web.conflist", json.dumps(conf))
    web("attach", "web", "a", *ports).expect()
    one = web.json("endpoint", "ls")[0]
    assert (one["driver"], one["addresses"]) == ("bridge", ["10.50.0.2/24"]) and one["mac"] and len(one["plugins"]) == 2
    inspected = web.json("network", "inspect", "web")[0]
    assert inspected["isolate"] is True and inspected["icc"] is False and inspected["link"] == "fl-web"
    assert "10.50.0.2/24" in web("topology").expect().stdout


# ---- what people expect ----

def test_own_name_is_resolved_without_the_name_server(lab, web):
    """Programs that ask for their own address must not wait for the host's servers, of which there is none here."""
    code = "import socket, time; t = time.time(); socket.getfqdn(); print(time.time() - t < 1, socket.gethostname())"
    web("attach", "web", "a").expect()
    assert web("sandbox", "exec", "a", "python3", "-c", code).expect().stdout == "True a\n"
    assert web("run", "web", "--", "python3", "-c", code).expect().stdout.startswith("True run-")


def test_a_chosen_port_is_told(web):
    outcome = web("run", "web", "-p", "80", "--", "true").expect()
    assert "80/tcp -> " in outcome.stderr and not outcome.stdout
    assert not web("run", "web", "-q", "-p", "80", "--", "true").expect().stderr


def test_internal_networks_publish_nothing(web):
    web("network", "create", "db", "--internal").expect()
    web("attach", "db", "a", "-p", "80:80").expect(FAILED, "is internal")
    assert attached(web) == []


def test_words_in_the_wrong_order(web):
    web("attach", "a", "web").expect(NOT_FOUND, "netctl attach web a")
    web("attach", "a", "b").expect(NOT_FOUND, "a is a sandbox and no network")
    web("attach", "web", "a").expect()
    web("detach", "a", "web").expect(NOT_FOUND, "netctl detach web a")
    web("attach", "web,db", "b").expect(NOT_FOUND, "expected one network")
    web("attach", "db", "b").expect(NOT_FOUND, "netctl network create db")
    assert "makes one" not in web("network", "rm", "db").expect(NOT_FOUND).stderr


def test_a_sandbox_that_lives_on_without_its_file(lab, web):
    web("attach", "web", "a").expect()
    holder = web.start("sandbox", "exec", "a", "--", "sh", "-c", "echo up; exec sleep 1000", stdout=-1, text=True)
    assert holder.stdout.readline() == "up\n"
    lab.run(["ip", "netns", "del", "a"])
    assert [f["code"] for f in web("doctor", "--json").json["findings"]] == ["path-lost"]
    web("sandbox", "create", "a").expect(FAILED, "netctl sandbox rm a")
    web("sandbox", "rm", "a").expect()
    assert attached(web) == [] and "all is well" in web("doctor").expect().stdout
    web("sandbox", "create", "a", "c").expect()
