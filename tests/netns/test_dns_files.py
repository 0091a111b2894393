# SPDX-License-Identifier: GPL-2.0-or-later
"""resolv.conf, hosts and hostname of a container: by Docker's rules, in place, and with what people wrote into them."""
import os
import subprocess

import pytest

from support import configs, dns

NET, OTHER = dns.network(), dns.second()
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def host(lab):
    """The host's own resolv.conf says nothing but whom to ask."""
    dns.host_servers(lab, "nameserver 192.0.2.2\n")


def read(lab, name, container="c1"):
    return lab.read(f"{dns.state_dir(lab)}/files/{container}/{name}")


def path(lab, name, container="c1"):
    return f"{dns.state_dir(lab)}/files/{container}/{name}"


def resolv(lab, cni, **settings):
    """{keyword: words} of resolv.conf that a container with these settings gets."""
    config = dns.network(dns=settings)
    cni.add("bridge", config).expect()
    text = read(lab, "resolv.conf")
    cni.delete("bridge", config).expect()
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == ["nameserver", "127.0.0.11"] and [line[0] for line in lines].count("nameserver") == 1
    return {line[0]: line[1:] for line in lines}


def entries(lab, container="c1"):
    """[(address, names)] of hosts, without those of localhost."""
    lines = [line.split("#")[0].split() for line in read(lab, "hosts", container).splitlines()]
    return [(line[0], line[1:]) for line in lines if line and not line[0].startswith(("127.", "::1", "fe00:", "ff0"))]


# ---- resolv.conf ----

def test_resolv_conf(lab, cni):
    assert resolv(lab, cni) == {"nameserver": ["127.0.0.11"], "options": ["ndots:0"]}
    assert resolv(lab, cni, nameservers=["192.0.2.9"], search=["a.example", "b.example"], options=["ndots:2", "edns0"]) == {
        "nameserver": ["127.0.0.11"], "search": ["a.example", "b.example"], "options": ["ndots:2", "edns0"]}


@pytest.mark.parametrize("options, written", [
    (["edns0"], "edns0 ndots:0"), (["ndots:15"], "ndots:15"), (["ndots:16"], "ndots:0"), (["ndots:x"], "ndots:0"),
    (["ndots:"], "ndots:0"), (["ndots:-1"], "ndots:0"), (["ndots:1x", "rotate"], "rotate ndots:0"),
    (["ndots:7", "ndots:bad", "timeout:1"], "ndots:7 timeout:1")])
def test_options(lab, cni, options, written):
    assert resolv(lab, cni, options=options)["options"] == written.split()


def test_search_that_is_cleared(lab, cni):
    dns.host_servers(lab, "nameserver 192.0.2.2\nsearch host.example\n")
    assert "search" not in resolv(lab, cni, search=["."])
    assert resolv(lab, cni, search=[".", "a.example"])["search"] == [".", "a.example"]
    assert resolv(lab, cni)["search"] == ["host.example"]


def test_what_the_host_says(lab, cni):
    """Search and options are the host's where nobody else says them: each by itself."""
    dns.host_servers(lab, "search one.example two.example\nnameserver 192.0.2.2\noptions timeout:3 ndots:4 ndots:99\n")
    assert resolv(lab, cni) == {"nameserver": ["127.0.0.11"], "search": ["one.example", "two.example"],
                                "options": ["timeout:3", "ndots:4"]}
    assert resolv(lab, cni, search=["own.example"])["options"] == ["timeout:3", "ndots:4"]
    assert resolv(lab, cni, options=["rotate"]) == {"nameserver": ["127.0.0.11"], "search": ["one.example", "two.example"],
                                                    "options": ["rotate", "ndots:0"]}
    dns.host_servers(lab, "nameserver 192.0.2.2\ndomain old.example\n")
    assert resolv(lab, cni)["search"] == ["old.example"]


def test_domain_is_searched(lab, cni):
    dns.host_servers(lab, "nameserver 192.0.2.2\nsearch host.example\n")
    assert resolv(lab, cni, domain="corp.example")["search"] == ["corp.example"]
    assert resolv(lab, cni, domain="corp.example", search=["a.example"])["search"] == ["a.example"]


def test_words_of_others(lab, cni):
    """What IPAM answers is not ours to refuse; what is no word stays out of the files."""
    lab.run(["mkdir", "/run/ipam"])
    lab.write("/run/ipam/odd", r"""#!/bin/sh
cat >/dev/null
[ $CNI_COMMAND != ADD ] || printf '%s\n' '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.77/24"}], "dns": {
  "domain": "x\n203.0.113.66 bank", "search": ["good.example", "a\nnameserver 203.0.113.66", ""], "options": ["b\tc", "rotate"]}}'
""")
    lab.run(["chmod", "+x", "/run/ipam/odd"])
    config = dns.network(ipam={"type": "odd"}, isDefaultGateway=None, ipMasq=None, cniVersion="1.0.0")
    cni.add("bridge", config, path="/run/ipam").expect()
    assert read(lab, "resolv.conf").splitlines()[1:] == ["nameserver 127.0.0.11", "search good.example", "options rotate ndots:0"]
    assert entries(lab) == [("10.1.0.77", ["c1"])]
    cni.delete("bridge", config, path="/run/ipam").expect()
    assert not lab.exists(path(lab, ""))


# ---- hosts and hostname ----

def test_hosts(lab, cni):
    four, six = dns.attach(cni, dns.dual(), "c1", "web", aliases=["www"])
    assert entries(lab) == [(four, ["web"]), (six, ["web"])]
    assert read(lab, "hostname") == "web\n"
    text = read(lab, "hosts")
    assert text.startswith("127.0.0.1\tlocalhost\n") and "::1\tlocalhost ip6-localhost ip6-loopback\n" in text


def test_names_in_hosts(lab, cni):
    """What it calls itself first, with the domain; then what people call it."""
    config = dns.network(dns={"domain": "corp.example"})
    [one] = dns.attach(cni, config, "c1", "web", hostname="box")
    assert entries(lab) == [(one, ["box.corp.example", "box", "web"])] and read(lab, "hostname") == "box\n"
    [two] = dns.attach(cni, config, "c2", "web", hostname="box.example.org")
    assert entries(lab, "c2") == [(two, ["box.example.org", "web"])] and read(lab, "hostname", "c2") == "box.example.org\n"


def test_without_a_name(lab, cni):
    """The short id, as runtimes show it."""
    where = lab.netns("long")
    [one] = cni.add("bridge", NET, ID, netns=where).expect().addresses()
    assert entries(lab, ID) == [(one, [ID[:12]])] and read(lab, "hostname", ID) == f"{ID[:12]}\n"


def test_hosts_of_the_configuration(lab, cni):
    hosts = ["db:192.0.2.7", "host.docker.internal:host-gateway", "six:2001:db8::7", "db:192.0.2.8"]
    [one] = dns.attach(cni, dns.network(dns={"hosts": hosts}), "c1", "web")
    assert entries(lab) == [("192.0.2.7", ["db"]), (configs.GATEWAY, ["host.docker.internal"]), ("2001:db8::7", ["six"]),
                            ("192.0.2.8", ["db"]), (one, ["web"])]


def test_host_gateway_without_one(lab, cni):
    """An internal network has none: the line is left out."""
    config = dns.network(internal=True, isDefaultGateway=None, ipMasq=None, dns={"hosts": ["gate:host-gateway", "db:192.0.2.7"]})
    [one] = dns.attach(cni, config, "c1", "web")
    assert entries(lab) == [("192.0.2.7", ["db"]), (one, ["web"])]


@pytest.mark.parametrize("umask", ["022", "077", "000"])
def test_modes(lab, cni, umask):
    """Everybody in the container may read them, whatever the runtime's umask; the folder above is root's alone."""
    cni.add("bridge", NET, "c1", prefix=["sh", "-c", f'umask {umask}; exec "$@"', "sh"]).expect()
    for name in ("resolv.conf", "hosts", "hostname"):
        assert lab.call(os.stat, path(lab, name)).st_mode & 0o777 == 0o644
    assert lab.call(os.stat, path(lab, "")).st_mode & 0o777 == 0o755
    assert lab.call(os.stat, dns.state_dir(lab)).st_mode & 0o077 == 0


# ---- what happens to them ----

def test_second_network(lab, cni):
    """Its line comes and goes in the same file, which may be mounted."""
    [one] = dns.attach(cni, NET, "c1", "web")
    inode, before = lab.call(os.stat, path(lab, "hosts")).st_ino, read(lab, "hosts")
    [two] = dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert entries(lab) == [(one, ["web"]), (two, ["web"])]
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert read(lab, "hosts") == before and lab.call(os.stat, path(lab, "hosts")).st_ino == inode
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    cni.delete("bridge", NET, "c1").expect()
    assert [names for _, names in entries(lab)] == [["web"]] and lab.call(os.stat, path(lab, "hosts")).st_ino == inode
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert not lab.exists(path(lab, ""))


def test_what_people_write_stays(lab, cni):
    """Also without a newline at its end, behind which our next line would join it."""
    [one] = dns.attach(cni, NET, "c1", "web")
    lab.write(path(lab, "hosts"), f"# mine\n{one}\tweb\n192.0.2.7 db # {one}\tweb")
    lab.write(path(lab, "resolv.conf"), "nameserver 192.0.2.53\n")
    lab.write(path(lab, "hostname"), "other\n")
    [two] = dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert entries(lab) == [(one, ["web"]), ("192.0.2.7", ["db"]), (two, ["web"])]
    assert read(lab, "resolv.conf") == "nameserver 192.0.2.53\n" and read(lab, "hostname") == "other\n"
    cni.delete("bridge", NET, "c1").expect()
    assert read(lab, "hosts") == f"# mine\n192.0.2.7 db # {one}\tweb\n{two}\tweb\n"


def test_line_that_somebody_changed(lab, cni):
    """It is his then."""
    [one] = dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    text = read(lab, "hosts").replace(f"{one}\tweb\n", f"{one}\tweb extra\n")
    lab.write(path(lab, "hosts"), text)
    cni.delete("bridge", NET, "c1").expect()
    assert read(lab, "hosts") == text


def test_large_file_is_left_alone(lab, cni):
    dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    large = read(lab, "hosts") + "# filler\n" * 150_000
    lab.write(path(lab, "hosts"), large)

    def is_as_it_was():
        return read(lab, "hosts") == large      # pytest would explain the difference for minutes

    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert is_as_it_was()
    cni.add("bridge", OTHER, "c1", ifname="eth1").refused(None, "hosts")
    assert is_as_it_was() and dns.knows(lab, "c1", "web")


def test_file_that_is_gone(lab, cni):
    dns.attach(cni, NET, "c1", "web")
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    lab.run(["rm", "-r", path(lab, "")])
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    [two] = dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert entries(lab) == [(two, ["web"])]


def test_links_are_not_followed(lab, cni):
    """A folder that a container was given to write must not lead us out of it."""
    dns.attach(cni, NET, "c1", "web")
    lab.write("/run/target", "precious\n")
    for name in ("hosts", "resolv.conf"):
        lab.run(["ln", "-sf", "/run/target", path(lab, name)])
    cni.add("bridge", OTHER, "c1", ifname="eth1").refused(None, "hosts")
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert lab.read("/run/target") == "precious\n"


def test_somebody_elses_file_keeps_the_folder(lab, cni):
    dns.attach(cni, NET, "c1", "web")
    lab.write(path(lab, "mine"), "x")
    cni.delete("bridge", NET, "c1").expect()
    assert lab.files(path(lab, "")) == ["mine"]


def test_two_containers_in_one_sandbox(lab, cni):
    """Each has its own files, which go with its own last network."""
    [one] = dns.attach(cni, NET, "c1", "web")
    where = "/run/netns/c1"
    [two] = cni.add("bridge", dns.named(OTHER, "beside"), "c9", ifname="eth1", netns=where).expect().addresses()
    assert entries(lab) == [(one, ["web"])] and entries(lab, "c9") == [(two, ["beside"])]
    cni.delete("bridge", OTHER, "c9", ifname="eth1", netns=where).expect()
    assert lab.files(f"{dns.state_dir(lab)}/files") == ["c1"] and dns.lookup(lab, "c1", "web") == [one]


def test_lock_of_a_container(lab, cni):
    """A file that is mounted can be locked by anybody who sees it: nobody waits for that."""
    dns.attach(cni, NET, "c1", "web")
    holder = lab.start(["flock", path(lab, "hosts"), "sh", "-c", "echo held; exec sleep 60"], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    dns.attach(cni, OTHER, "c1", "web", ifname="eth1")
    assert len(entries(lab)) == 2
    cni.delete("bridge", OTHER, "c1", ifname="eth1").expect()
    assert len(entries(lab)) == 1


def test_first_comes_while_the_last_goes(lab, cni):
    """One network for another, at the same time: the files are there afterwards, with the one's line."""
    networks = [(NET, "eth0"), (OTHER, "eth1")]
    dns.attach(cni, NET, "c1", "web")
    for i in range(30):
        (old, gone), (new, ifname) = networks if i % 2 == 0 else reversed(networks)
        added = lab.submit(cni.add, "bridge", dns.named(new, "web"), "c1", ifname=ifname)
        cni.delete("bridge", old, "c1", ifname=gone).expect()
        address = added.result().expect().address
        assert entries(lab) == [(address, ["web"])]
        assert lab.files(path(lab, "")) == ["hostname", "hosts", "resolv.conf"]


def test_networks_that_come_and_go_at_once(lab, cni):
    """Twelve interfaces of one container, all at the same time: each has its line, and then none."""
    networks = [dns.network(f"n{i}", subnets=(f"10.{20 + i}.0.0/24",), isDefaultGateway=None, ipMasq=None) for i in range(12)]
    [keep] = dns.attach(cni, NET, "c1", "web")

    def all_at_once(call):
        futures = [lab.submit(call, "bridge", dns.named(config, "web"), "c1", ifname=f"e{i}") for i, config in enumerate(networks)]
        return [future.result().expect() for future in futures]

    for _ in range(2):
        found = [outcome.address for outcome in all_at_once(cni.add)]
        assert sorted(entries(lab)) == sorted((address, ["web"]) for address in (keep, *found))
        all_at_once(cni.delete)
        assert entries(lab) == [(keep, ["web"])]
