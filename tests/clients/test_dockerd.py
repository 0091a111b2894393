# SPDX-License-Identifier: GPL-2.0-or-later
"""The real dockerd beside a bridge network of ours: each keeps out of the other's way, whoever came first."""
import json
import os

import pytest

from clientlib import host as hosts, image, plugins
from clientlib.dockerd import Dockerd

BRIDGE = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "net0", "isDefaultGateway": True,
          "ipMasq": True, "hairpinMode": True,
          "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.75.0.0/24"}]]}}
PORTS = {"c1": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}], "c2": []}

pytestmark = pytest.mark.skipif(not plugins.ours(), reason="the reference plugins do not work beside a policy of drop")


class Ours:
    """Containers c1, which publishes port 8080 and serves on port 80, and c2."""

    def __init__(self, host):
        self.host = host
        self.folder = plugins.link_folder(host.scratch / "ours", fill=False)
        page = host.scratch / "www"
        page.mkdir()
        for name in ("c1", "outside"):
            (page / name).mkdir()
            (page / name / "index.html").write_text(name)

    def call(self, command, name):
        config = {**BRIDGE, "runtimeConfig": {"portMappings": PORTS[name]}}
        env = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": name, "CNI_IFNAME": "eth0",
               "CNI_NETNS": f"/run/netns/{name}", "CNI_PATH": str(self.folder)}
        return self.host.out("env", "-i", *[f"{key}={value}" for key, value in env.items()], self.folder / "bridge",
                             input=json.dumps(config))

    def add(self, name):
        self.host.run("ip", "netns", "add", name)
        result = json.loads(self.call("ADD", name))
        return result["ips"][0]["address"].split("/")[0]

    def serve(self, name):
        """Forks once it listens."""
        self.host.run("ip", "netns", "exec", name, image.BUSYBOX, "httpd", "-p", "80",
                      "-h", self.host.scratch / "www" / name)

    def faults(self, address):
        """What does not pass as it should; empty when all is well."""
        get = self.host.get
        pages = {
            "outward": get(80, "192.0.2.2", where="/run/netns/c1") == "outside",
            "published": get(8080) == "c1",
            "published, from the host": get(8080, where="host") == "c1",
            "hairpin": get(8080, where="/run/netns/c2") == "c1",
            "hairpin to itself": get(8080, where="/run/netns/c1") == "c1",
            "neighbour": get(80, address, where="/run/netns/c2") == "c1",
            "closed to strangers": get(80, address, timeout=0.5) is None,
        }
        return [name for name, fine in pages.items() if not fine]


def make(host):
    ours = Ours(host)
    host.run("ip", "-n", "outside", "route", "add", "10.75.0.0/24", "via", hosts.ADDRESS)
    ours.serve("outside")
    return ours


def up(ours):
    address = ours.add("c1")
    ours.add("c2")
    ours.serve("c1")
    return address


def run_docker_container(docker):
    docker("run", "-d", "--name", "d1", "-p", "8090:80", "bb:1", "/bin/httpd", "-f", "-p", "80", "-h", "/www")


@pytest.fixture
def machine():
    with hosts.Host() as host:
        yield host


def policy(host):
    return host.out("iptables", "-S", "FORWARD").splitlines()[0]


def test_beside_docker(machine):
    ours = make(machine)
    docker = Dockerd(machine)
    assert policy(machine) == "-P FORWARD DROP"
    run_docker_container(docker)
    address = up(ours)
    assert ours.faults(address) == []
    assert machine.get(8090) == "served\n"
    assert docker("exec", "d1", "/bin/ping", "-c", "1", "-W", "3", "192.0.2.2")

    machine.run("iptables", "-I", "DOCKER-USER", "-d", address, "-p", "tcp", "--dport", "80", "-j", "DROP")
    assert machine.get(8080, timeout=0.5) is None
    machine.run("iptables", "-D", "DOCKER-USER", "1")
    assert ours.faults(address) == []

    docker.restart()
    assert ours.faults(address) == []
    docker("start", "d1")
    assert machine.get(8090) == "served\n"
    for name in PORTS:
        ours.call("DEL", name)
    assert machine.get(8090) == "served\n"
    listed = machine.run("iptables", "-S")
    assert "incompatible" not in listed.stdout + listed.stderr
    assert listed.stdout.count("--comment fairlead") == 1
    docker.stop()


def test_docker_comes_later(machine):
    """Our next operation notices what Docker made of the host."""
    ours = make(machine)
    address = ours.add("c1")
    ours.serve("c1")
    # dockerd sets the policy to drop when it has to switch forwarding on itself
    machine.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    docker = Dockerd(machine)
    assert policy(machine) == "-P FORWARD DROP"
    assert machine.get(8080, timeout=0.5) is None
    ours.add("c2")
    assert ours.faults(address) == []
    run_docker_container(docker)
    assert machine.get(8090) == "served\n"
    docker.stop()
