# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs in containers ask with: glibc's and musl's getaddrinfo, busybox, dig; with the resolv.conf that we write."""
import shutil
import subprocess
import time

import pytest

from support import dns

SOURCE = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    char text[INET6_ADDRSTRLEN];
    int r = getaddrinfo(argv[argc - 1], NULL, &hints, &list);

    for (struct addrinfo *a = list; a; a = a->ai_next) {
        void *at = a->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
                                           : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
        puts(inet_ntop(a->ai_family, at, text, sizeof(text)));
    }
    if (r)
        puts(gai_strerror(r));
    return r != 0;
}
"""
# Two attempts of five seconds each are what a stub waits for silence; an answer takes less than a millisecond.
AT_ONCE = 2.5


@pytest.fixture(scope="session")
def musl(tmp_path_factory):
    """A static program that asks by musl's getaddrinfo."""
    if not shutil.which("musl-gcc"):
        pytest.skip("musl-gcc is not installed")
    folder = tmp_path_factory.mktemp("musl")
    (folder / "ask.c").write_text(SOURCE)
    subprocess.run(["musl-gcc", "-static", "-o", folder / "ask", folder / "ask.c"], check=True, timeout=60)
    return [str(folder / "ask")]


@pytest.fixture
def ask(lab):
    """Runs a program in c2 with the container's files in place of the host's. It must not have waited for anything."""
    def run(argv, check=True):
        files = f"{dns.state_dir(lab)}/files/c2"
        mounts = "".join(f"mount --bind {files}/{name} /etc/{name}; " for name in ("resolv.conf", "hosts"))
        # nsswitch: files, then dns, as containers have it.
        script = f'{mounts} echo "hosts: files dns" >/run/nsswitch; mount --bind /run/nsswitch /etc/nsswitch.conf; exec "$@"'
        began = time.monotonic()
        done = lab.run(["unshare", "--mount", "sh", "-ec", script, "sh", *argv], netns="c2", check=check)
        assert time.monotonic() - began < AT_ONCE, f"{argv} took {time.monotonic() - began:.1f} s"
        return done
    return run


@pytest.fixture
def upstream(lab):
    with dns.upstream(lab) as server:
        yield server


def attach(cni, config):
    """c1, called web and www, and the asker c2."""
    found = dns.attach(cni, config, "c1", "web", aliases=["www"])
    dns.attach(cni, config, "c2", "asker")
    return found


def lines(done):
    return sorted({line.split()[0] for line in done.stdout.splitlines()})


GLIBC = ["getent", "ahosts"]
PYTHON = ["/usr/bin/python3", "-c", "import socket, sys\nfor i in socket.getaddrinfo(sys.argv[1], 80): print(i[4][0])"]


@pytest.fixture(params=["getent", "python", "musl"])
def program(request):
    return {"getent": GLIBC, "python": PYTHON}.get(request.param) or request.getfixturevalue("musl")


def test_names(lab, cni, upstream, ask, program):
    found = attach(cni, dns.network())
    for name in ("web", "www", "web.net", "WEB", "web.", "c1"):
        assert lines(ask([*program, name])) == found, name
    assert not upstream.asked, "with ndots:0 a name is asked for as it is"


def test_both_families(lab, cni, upstream, ask, program):
    found = attach(cni, dns.dual())
    assert lines(ask([*program, "web"])) == sorted(found)


def test_search_list(lab, cni, upstream, ask, program):
    """A name below the network's domain, also by its first label alone; and names of the world."""
    found = attach(cni, dns.network(dns={"domain": "corp.example", "options": ["ndots:1"]}))
    assert lines(ask([*program, "web.corp.example"])) == lines(ask([*program, "web"])) == found
    assert lines(ask([*program, "www.example.org"])) == [dns.FOREIGN]


def test_unknown_name_without_delay(lab, cni, ask, program):
    """Nobody is asked on an internal network, and the program is told so at once."""
    attach(cni, dns.network(internal=True, isDefaultGateway=None, ipMasq=None))
    for name in ("nobody", "nobody.example.org"):
        assert ask([*program, name], check=False).returncode


def test_own_name(lab, cni, ask, program):
    """From hosts."""
    attach(cni, dns.network(dns={"hosts": ["db:192.0.2.7"]}))
    [own] = dns.lookup(lab, "c2", "asker")
    assert lines(ask([*program, "asker"])) == [own] and lines(ask([*program, "db"])) == ["192.0.2.7"]


def test_long_answer(lab, cni, upstream, ask, program):
    """40 addresses: what is cut off by UDP is asked for again by TCP. (musl of before 1.2.4 takes what there is.)"""
    found = []
    for i in range(5):
        addresses = [f"10.1.{i}.{n}" for n in range(2, 10)]
        config = dns.network(isDefaultGateway=None, ipMasq=None,
                             ipam={"type": "static", "addresses": [{"address": f"{a}/16"} for a in addresses]})
        lab.netns(f"m{i}")
        dns.attach(cni, config, f"m{i}", aliases=["db"])
        found += addresses
    dns.attach(cni, config | {"ipam": {"type": "static", "addresses": [{"address": "10.1.9.9/16"}]}}, "c2")
    answer = lines(ask([*program, "db"]))
    assert answer == sorted(found) or "musl" in program[0] and len(answer) >= 28 and set(answer) <= set(found)


def test_reverse(lab, cni, upstream, ask):
    four, six = attach(cni, dns.dual())
    for address in (four, six):
        assert ask(["getent", "hosts", address]).stdout.split() == [address, "web.net"]
        assert ask(["dig", "+short", "-x", address]).stdout.split() == ["web.net."]


@pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed")
def test_busybox(lab, cni, upstream, ask):
    """It asks for A and AAAA at once, from one socket, and complains of anything but an answer to each."""
    [four] = attach(cni, dns.network())
    out = ask(["busybox", "nslookup", "web"]).stdout
    assert four in out and "127.0.0.11" in out and "NXDOMAIN" not in out and "can't find" not in out


@pytest.mark.parametrize("more", [[], ["+tcp"], ["+noedns"], ["+cookie"], ["+dnssec"], ["+bufsize=512"], ["+nsid", "+subnet=192.0.2.0/24"]])
def test_dig(lab, cni, upstream, ask, more):
    [four] = attach(cni, dns.network())
    out = ask(["dig", *more, "web"]).stdout
    assert "status: NOERROR" in out and four in out and "WARNING" not in out and "malformed" not in out
    assert ask(["dig", "+short", *more, "web", "www.net"]).stdout.split() == [four, four]


def test_connection_by_name(lab, cni, ask):
    attach(cni, dns.network())
    server = lab.tcp_server("c1", port=80)
    script = "import socket\nwith socket.create_connection(('www', 80), 2) as s: s.send(b'x'); print(s.recv(4096).decode())"
    assert '"server": "c1"' in ask(["/usr/bin/python3", "-c", script]).stdout and server.seen


def test_unprivileged(lab, cni, upstream, ask):
    """Any user of the container may ask."""
    [four] = attach(cni, dns.network())
    assert lines(ask(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "getent", "ahosts", "web"])) == [four]
