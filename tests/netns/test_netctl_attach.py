# SPDX-License-Identifier: GPL-2.0-or-later
"""attach and detach without a runtime, sandboxes, and commands in them."""
import json
import os
import signal

import pytest

from support import configs
from support.configs import eventually
from support.netctl import FAILED, NOT_FOUND, USAGE


@pytest.fixture
def web(netctl):
    """Network "web", 10.50.0.0/24, and namespaces a and b."""
    netctl("network", "create", "web", "--subnet", "10.50.0.0/24").expect()
    for name in ("a", "b"):
        netctl("sandbox", "create", name).expect()
    return netctl


def inside(netctl, name, *argv):
    return netctl("sandbox", "exec", name, "--", *argv)


def test_attach_traffic_names_detach(lab, web):
    before = lab.run(["ip", "-br", "link"]).stdout
    out = web("attach", "web", "a", "-p", "8080:80").expect().stdout
    assert "a on web: eth0 10.50.0.2/24" in out and "80/tcp -> 0.0.0.0:8080" in out
    web("attach", "web", "b").expect()
    assert inside(web, "b", "getent", "hosts", "a").expect().stdout.split()[0] == "10.50.0.2"
    assert [e["origin"] for e in web.json("endpoint", "ls")] == ["netctl", "netctl"]
    web("detach", "web", "a").expect(0, "eth0 is gone from web")
    web("detach", "web", "b").expect()
    web("network", "rm", "web").expect()
    assert lab.run(["ip", "-br", "link"]).stdout == before
    web("detach", "web", "a").expect(NOT_FOUND, "is not attached to network web")


def test_published_port_is_reached(lab, web):
    server = web.start("sandbox", "exec", "a", "--", "python3", "-c",
                       "import socket; s = socket.create_server(('', 80)); print('up', flush=True)\n"
                       "while True: s.accept()[0].sendall(b'hello')", stdout=-1, text=True)
    web("attach", "web", "a", "-p", "8080:80").expect()
    assert server.stdout.readline() == "up\n"
    code = "import socket, sys; print(socket.create_connection(('192.0.2.1', 8080), 3).recv(9).decode())"
    assert lab.run(["python3", "-c", code], netns="outside").stdout == "hello\n"


def test_a_runtimes_gc_leaves_netctls_alone(cni, web):
    web("attach", "web", "a").expect()
    conf = json.loads(web.lab.read("/etc/cni/net.d/fairlead-web.conflist"))
    config = {**conf["plugins"][0], "name": "web", "cniVersion": "1.1.0"}
    cni.add("bridge", config, "c1").expect()
    cni.gc("bridge", config, valid=[]).expect()
    assert [e["container"] for e in web.json("endpoint", "ls")] == ["a"]


@pytest.mark.parametrize("spec, published", [
    ("8000:80", ["", 8000, 80, "tcp", 1]), ("127.0.0.1:8000:80", ["127.0.0.1", 8000, 80, "tcp", 1]),
    ("192.0.2.1:8000:80/udp", ["192.0.2.1", 8000, 80, "udp", 1]), ("[2001:db8::1]:8000:80", ["2001:db8::1", 8000, 80, "tcp", 1]),
    ("8000-8009:80-89", ["", 8000, 80, "tcp", 10]), ("8000-8009:80", ["", 8000, 80, "tcp", 1]),
    ("80", ["", None, 80, "tcp", 1]), ("127.0.0.1::80", ["127.0.0.1", None, 80, "tcp", 1]), ("80-81/udp", ["", None, 80, "udp", 2]),
])
def test_ports_in_all_of_dockers_forms(web, spec, published):
    web("attach", "web", "a", "-p", spec).expect()
    port = web.json("endpoint", "ls")[0]["ports"][0]
    got = [port["hostIP"], port["hostPort"], port["containerPort"], port["protocol"], port["range"]]
    if published[1] is None:
        assert 32768 <= got[1] <= 60999
        got[1] = None
    assert got == published


@pytest.mark.parametrize("spec, words", [
    ("", "a container port"), ("0:80", "a host port"), ("80:0", "a container port"), ("80:x", "a container port"),
    ("70000:80", "a host port"), ("80/icmp", "tcp, udp or sctp"), ("1.2.3:80:80", "an address"), ("::1:80:80", "IPv6 in brackets"),
    ("8000-8001:80-82", "2 host ports for 3"), ("8001-8000:80", "a host port"), (":80", "a host port"), ("host:80", "a host port"),
])
def test_ports_that_are_none(web, spec, words):
    web("attach", "web", "a", "-p", spec).expect(USAGE, words)
    assert web.json("endpoint", "ls") == []


def test_one_of_a_range_that_is_free(lab, web):
    web("attach", "web", "a", "-p", "8000:80").expect()
    lab.tcp_server(None, port=8001)
    web("attach", "web", "b", "-p", "8000-8002:80").expect(0, "0.0.0.0:8002")


def test_a_port_of_the_hosts_own_is_not_taken_over(lab, web):
    server = lab.tcp_server(None, port=8022)
    assert server
    web("attach", "web", "a", "-p", "8022:22").expect(FAILED, "port 8022 is held by the host process")
    assert web.json("endpoint", "ls") == []


def test_publish_all(web):
    web("attach", "web", "a", "-P", "--expose", "80", "--expose", "53/udp").expect()
    assert sorted(p["containerPort"] for p in web.json("endpoint", "ls")[0]["ports"]) == [53, 80]
    outcome = web("attach", "web", "b", "--expose", "80").expect()
    assert "without -P" in outcome.stderr


def test_address_mac_names_and_dns(web):
    web("attach", "web", "a", "--ip", "10.50.0.77", "--mac", "02:00:00:00:00:77", "-i", "lan0", "--name", "alpha",
        "--alias", "first", "--hostname", "alpha-host", "--dns", "192.0.2.53", "--dns-search", "example.org").expect()
    one = web.json("endpoint", "ls")[0]
    assert (one["addresses"], one["mac"], one["interface"], one["name"]) == (["10.50.0.77/24"], "02:00:00:00:00:77", "lan0", "alpha")
    web("attach", "web", "b").expect()
    for name in ("alpha", "first", "alpha-host"):
        assert inside(web, "b", "getent", "hosts", name).expect().stdout.startswith("10.50.0.77")
    assert "search example.org" in inside(web, "a", "cat", "/etc/resolv.conf").expect().stdout
    web("attach", "web", "b", "-i", "eth9", "--ip", "10.50.0.77").expect(FAILED, "10.50.0.77")
    for option, value in (("--ip", "x"), ("--mac", "x"), ("--alias", "a b"), ("--dns", "dns.example"), ("-i", "a/b")):
        web("attach", "web", "b", "-i", "eth9", option, value).expect(USAGE)


def test_twice_only_when_meant(web):
    web("attach", "web", "a").expect()
    web("attach", "web", "a").expect(FAILED, "is on network web already")
    web("attach", "web", "a", "-i", "eth0").expect(FAILED, "has an interface eth0")
    web("attach", "web", "a", "-i", "eth5").expect()
    assert [e["interface"] for e in web.json("endpoint", "ls")] == ["eth0", "eth5"]
    web("detach", "web", "a", "-i", "eth5").expect()
    assert [e["interface"] for e in web.json("endpoint", "ls")] == ["eth0"]


def test_by_path_and_pid(lab, web):
    web("attach", "web", "/run/netns/b").expect()
    process = lab.start(["unshare", "-n", "sleep", "1000"])
    assert eventually(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
                      and b"sleep" in open(f"/proc/{process.pid}/comm", "rb").read())
    web("attach", "web", str(process.pid)).expect()
    assert [e["container"] for e in web.json("endpoint", "ls")] == ["b", f"pid-{process.pid}"]
    web("detach", "web", str(process.pid)).expect()
    web("attach", "web", "nowhere").expect(NOT_FOUND, "netctl sandbox create nowhere")
    web("attach", "web", "999999999").expect(NOT_FOUND, "no such process")
    web("attach", "wep", "a").expect(NOT_FOUND, "did you mean web")
    web("attach", "web", "/proc/self/ns/net").expect(FAILED)        # the host itself


def test_connect_of_a_runtimes_container(cni, web):
    config = configs.bridge(name="net")
    cni.add("bridge", config, "c1", args="K8S_POD_NAME=shop").expect()
    web("network", "connect", "web", "shop").expect(0, "eth1 10.50.0.2/24")
    assert [e["name"] for e in web.json("endpoint", "ls")] == ["shop", "shop"]
    web("network", "disconnect", "web", "shop").expect()
    web("network", "disconnect", "net", "c1").expect()      # by its records: there is no file of it
    assert web.json("endpoint", "ls") == [] and not configs.bridge_ports(web.lab, "net0")


def test_detach_when_the_namespace_is_gone(web):
    web("attach", "web", "a").expect()
    web.lab.run(["umount", "/run/netns/a"])
    web.lab.run(["rm", "/run/netns/a"])
    web("detach", "web", "a").expect()
    assert web.json("endpoint", "ls") == []
    web("attach", "web", "b").expect(0, "10.50.0.3")


def test_chains_of_others(web):
    """A list with plugins that somebody added: all run, each with the result before; capabilities where declared."""
    ours = json.loads(web.lab.read("/etc/cni/net.d/fairlead-web.conflist"))
    ours["plugins"].append({"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1"}})
    del ours["plugins"][0]["capabilities"]["portMappings"]
    web.lab.write("/etc/cni/net.d/fairlead-web.conflist", json.dumps(ours))
    web("attach", "web", "a", "-p", "80:80").expect(FAILED, "no plugin", "portMappings")
    web("attach", "web", "a").expect()
    assert sorted(web.json("endpoint", "ls")[0]["plugins"]) == ["bridge", "tuning"]
    assert inside(web, "a", "cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify").stdout == "1\n"
    web.lab.run(["rm", "/etc/cni/net.d/fairlead-web.conflist"])     # what was kept is enough
    web("detach", "web", "a").expect()
    assert web.json("endpoint", "ls") == []


def test_failed_attach_leaves_nothing(lab, web):
    ours = json.loads(lab.read("/etc/cni/net.d/fairlead-web.conflist"))
    ours["plugins"].append({"type": "no-such-plugin"})
    lab.write("/etc/cni/net.d/fairlead-web.conflist", json.dumps(ours))
    error = web("attach", "web", "a", "--json").expect(FAILED).error
    assert "no-such-plugin" in error["msg"]
    assert web.json("endpoint", "ls") == [] and not configs.bridge_ports(lab, "fl-web")
    state = f"/run/fairlead/{lab.files('/run/fairlead')[0]}"
    assert lab.files(f"{state}/attachments") == []


def test_attach_json_is_the_result(web):
    result = web.json("attach", "web", "a")
    assert result["ips"][0]["address"] == "10.50.0.2/24" and result["cniVersion"] == "1.0.0"


def test_many_at_once(web):
    names = [f"s{i}" for i in range(16)]
    for name in names:
        web("sandbox", "create", name).expect()
    running = [web.start("attach", "web", name, stdout=-1, stderr=-1, text=True) for name in names for _ in range(2)]
    results = [process.communicate(timeout=60) + (process.returncode,) for process in running]
    # Each of the two for one sandbox wins or is told why not; nobody's endpoint goes with the other's failure.
    assert sum(r[2] == 0 for r in results) == 16, results
    found = web.json("endpoint", "ls")
    assert sorted(e["container"] for e in found) == sorted(names) and len({e["addresses"][0] for e in found}) == 16


# ---- sandboxes ----

def test_sandbox_verbs(lab, netctl):
    assert netctl("sandbox", "create", "a").expect().stdout == "/run/netns/a\n"
    assert "lo" in lab.run(["ip", "netns", "exec", "a", "ip", "-br", "link", "show", "up"]).stdout
    netctl("sandbox", "create", "a").expect(FAILED, "/run/netns/a")
    netctl("sandbox", "create", "a/b").expect(USAGE)
    lab.run(["ip", "netns", "add", "by-ip"])
    assert {"a", "by-ip"} <= {s["name"] for s in netctl.json("sandbox", "ls")}
    netctl("sandbox", "rm", "a", "by-ip").expect()
    netctl("sandbox", "rm", "a").expect(NOT_FOUND, "no such namespace")
    assert lab.files("/run/netns") == ["outside"]


def test_sandbox_rm_detaches(lab, web):
    web("attach", "web", "a").expect()
    web("sandbox", "rm", "a").expect()
    assert web.json("endpoint", "ls") == [] and not configs.bridge_ports(lab, "fl-web")


def test_exec_status_and_files(web):
    web("attach", "web", "a").expect()
    assert inside(web, "a", "sh", "-c", "exit 9").status == 9
    assert inside(web, "a", "sh", "-c", "kill -9 $$").status == -9
    assert inside(web, "a", "/nonexistent").status == 127
    assert inside(web, "a", "/etc/passwd").status == 126
    assert inside(web, "nobody", "true").status == 125
    assert inside(web, "a", "cat", "/etc/resolv.conf").stdout.count("127.0.0.11") == 1
    assert sorted(inside(web, "a", "ls", "/sys/class/net").stdout.split()) == ["eth0", "lo"]
    assert inside(web, "a", "sh", "-c", "ls -l /proc/self/fd | grep -c mdb").stdout == "0\n"


# ---- run ----

def test_run(lab, web):
    out = web("run", "web", "--", "sh", "-c", "ip -br -4 addr show eth0; cat /etc/resolv.conf; hostname").expect().stdout
    assert "10.50.0.2/24" in out and "127.0.0.11" in out
    assert web("run", "web", "--name", "site", "--", "hostname").expect().stdout == "site\n"
    assert web("run", "web", "sh", "-c", "exit 7").status == 7
    assert web("run", "web", "--", "sh", "-c", "kill -15 $$").status == 128 + 15
    assert web("run", "web", "--", "/nonexistent").status == 127
    assert web("run", "nowhere", "--", "true").status == 125
    assert web("run", "web", "-p", "bad:port:x:y", "--", "true").status == USAGE
    assert web("run", "web", "-p", "8080:80", "--", "ls", "-a", "/proc/self/fd").status == 0       # options behind -- are ls's
    assert web.json("endpoint", "ls") == [] and not configs.bridge_ports(lab, "fl-web")


def test_run_two_networks_and_names(web):
    web("network", "create", "db", "--internal", "--subnet", "10.60.0.0/24").expect()
    web("attach", "db", "b", "--alias", "store").expect()
    out = web("run", "web,db", "--", "sh", "-c", "getent hosts store; ip -br -4 addr").expect().stdout
    assert "10.60.0.2" in out and "10.50.0.2/24" in out and "10.60.0.3/24" in out


def test_run_ends_by_signals(lab, web):
    for sig in (signal.SIGTERM, signal.SIGHUP):
        process = web.start("run", "web", "--", "sh", "-c", "echo up; exec sleep 1000", stdout=-1, text=True)
        assert process.stdout.readline() == "up\n"
        process.send_signal(sig)
        assert process.wait(30) == 128 + sig
        assert web.json("endpoint", "ls") == []
    process = web.start("run", "web", "--name", "killed", "--", "sh", "-c", "echo up; exec sleep 1000", stdout=-1, text=True)
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait(30)
    eventually(lambda: not configs.bridge_ports(lab, "fl-web"))     # the command ended with it, and the pair with that
    assert [e["container"] for e in web.json("endpoint", "ls")] == ["killed"]
