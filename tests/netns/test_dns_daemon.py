# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead-dnsd as a process: started, killed, replaced, ended."""
import glob
import json
import os
import signal
import socket
import threading
import time

import dns.flags
import dns.message
import pytest

from support import configs
from support.cni import LIBEXEC, libexec, sanitized

DNS = {"enabled": True, "forward": False}


def ask(lab, netns, name, timeout=2.0, rdtype="A"):
    """One query to 127.0.0.11; the addresses, or None when there is no answer."""
    def run():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect(("127.0.0.11", 53))
            query = dns.message.make_query(name, rdtype)
            try:
                s.send(query.to_wire())
                answer = dns.message.from_wire(s.recv(4096))
            except OSError:
                return None
            assert answer.id == query.id
            return [r.to_text() for rrset in answer.answer for r in rrset]
    return lab.call(run, netns=netns)


def state(lab):
    return lab.call(glob.glob, "/run/fairlead/*")[0]


def broker(lab):
    return int(lab.read(state(lab) + "/dns.lock"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


def worker(lab):
    return children(broker(lab))[0]


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def until(condition, seconds=5.0):
    """For what no event tells the test; fails when it does not come to be."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.002)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def two(lab, cni):
    """c1 is called web, c2 is called db."""
    conf = configs.bridge(dns=DNS)
    one = cni.add("bridge", conf, args="K8S_POD_NAME=web").expect().address
    other = cni.add("bridge", conf, "c2", args="K8S_POD_NAME=db").expect().address
    assert ask(lab, "c1", "db") == [other] and ask(lab, "c2", "web") == [one]
    return conf, one, other


class Load:
    """Asks again and again, with a short patience, and keeps when each answer came."""

    def __init__(self, lab, netns, name, want):
        self.lab, self.netns, self.name, self.want = lab, netns, name, want
        self.answers, self.wrong = [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: lab.call(self._run, netns=netns))

    def _run(self):
        wire = dns.message.make_query(self.name, "A").to_wire()
        while not self._stop.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(0.02)
                s.connect(("127.0.0.11", 53))
                try:
                    s.send(wire)
                    answer = dns.message.from_wire(s.recv(4096))
                except OSError:
                    continue
                got = [r.to_text() for rrset in answer.answer for r in rrset]
                (self.answers if got == self.want else self.wrong).append(time.monotonic())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def longest_gap(self, after):
        """Seconds without an answer, from `after` on."""
        times = [after] + [t for t in self.answers if t > after]
        return max(b - a for a, b in zip(times, times[1:]))


@pytest.mark.parametrize("who", ["worker", "broker", "both"])
def test_killed_under_load(lab, two, who):
    """The keeper starts them again; every sandbox answers soon, without a new ADD."""
    _, one, other = two
    with Load(lab, "c1", "db", [other]) as load, Load(lab, "c2", "web", [one]) as second:
        until(lambda: load.answers and second.answers)
        for _ in range(3):
            pids = {"worker": [worker(lab)], "broker": [broker(lab)],
                    "both": [broker(lab), worker(lab)]}[who]
            count, at = len(load.answers), time.monotonic()
            kill(*pids)
            until(lambda: not any(alive(pid) for pid in pids))
            until(lambda: load.answers[count:] and load.answers[-1] > at + 0.1)
        began = load.answers[0]
    for each in (load, second):
        assert not each.wrong
        assert each.longest_gap(began) < (1 if sanitized() else 0.25), "the answers stayed away for too long"


def test_killed_with_its_keeper(lab, cni, two):
    """Nobody is left to start it: the next plugin does, and the old sandboxes are served again."""
    conf, one, other = two
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    kill(*pids)
    until(lambda: not any(alive(pid) for pid in pids))
    assert ask(lab, "c1", "db", timeout=0.1) is None
    lab.netns("c3")
    third = cni.add("bridge", conf, "c3", args="K8S_POD_NAME=new").expect().address
    assert ask(lab, "c1", "db") == [other] and ask(lab, "c2", "web") == [one]
    assert ask(lab, "c1", "new") == [third] and ask(lab, "c3", "web") == [one]


def test_started_by_hand_after_death(lab, two):
    """Within 100 ms of the restart every sandbox answers."""
    _, one, other = two
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    kill(*pids)
    until(lambda: not any(alive(pid) for pid in pids))
    began = time.monotonic()
    lab.run([libexec("fairlead-dnsd"), "--state", state(lab), "--background"])
    assert ask(lab, "c1", "db") == [other] and ask(lab, "c2", "web") == [one]
    assert time.monotonic() - began < 0.3       # a process start, and two queries from Python


def test_replaced_in_place(lab, two):
    """SIGHUP: the same process, another image and another worker, and no query is lost."""
    _, _, other = two
    lost = []

    def steadily(stop):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.connect(("127.0.0.11", 53))
            while not stop.is_set():
                query = dns.message.make_query("db", "A")
                s.send(query.to_wire())
                try:
                    answer = dns.message.from_wire(s.recv(4096))
                except OSError:
                    lost.append(time.monotonic())
                    continue
                assert answer.id == query.id and answer.answer[0][0].to_text() == other

    stop = threading.Event()
    running = lab.submit(steadily, stop, netns="c1")
    first, old = broker(lab), worker(lab)
    for _ in range(5):
        os.kill(first, signal.SIGHUP)
        until(lambda: old not in children(first) and len(children(first)) == 1)
        old = worker(lab)
    stop.set()
    running.result()
    assert not lost and broker(lab) == first


def test_replaced_by_another_file(lab, cni, two, tmp_path):
    """An upgrade: the executable's file is replaced, and the process told."""
    conf, _, other = two
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    kill(*pids)
    until(lambda: not any(alive(pid) for pid in pids))
    copy = tmp_path / "fairlead-dnsd"
    lab.run(["cp", libexec("fairlead-dnsd"), str(copy)])
    lab.run([str(copy), "--state", state(lab), "--background"])
    lab.run(["sh", "-ec", f"cp {copy} {copy}.new; mv {copy}.new {copy}"])
    assert os.readlink(f"/proc/{broker(lab)}/exe").endswith("(deleted)")
    os.kill(broker(lab), signal.SIGHUP)
    until(lambda: os.readlink(f"/proc/{broker(lab)}/exe") == str(copy))
    assert ask(lab, "c1", "db") == [other]
    lab.netns("c3")
    cni.add("bridge", conf, "c3", args="K8S_POD_NAME=third").expect()
    cni.delete("bridge", conf, "c3").expect()


def test_forwarded_query_survives_replacement(lab, cni):
    """The old worker finishes what it has at work."""
    server = lab.call(_bound_server, netns="outside")
    conf = configs.bridge(dns={"enabled": True, "nameservers": ["192.0.2.2"]})
    cni.add("bridge", conf).expect()
    answer = lab.submit(ask, lab, "c1", "slow.example", 5.0)
    query, peer = server.recvfrom(4096)
    os.kill(broker(lab), signal.SIGHUP)
    first = broker(lab)
    until(lambda: len(children(first)) == 2)
    reply = dns.message.make_response(dns.message.from_wire(query))
    reply.answer.append(dns.rrset.from_text("slow.example.", 5, "IN", "A", "198.51.100.1"))
    server.sendto(reply.to_wire(), peer)
    assert answer.result() == ["198.51.100.1"]
    until(lambda: len(children(first)) == 1)
    server.close()


def _bound_server():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.bind(("0.0.0.0", 53))
    return s


def test_ends_when_nothing_is_left(lab, cni):
    lab.run(["mkdir", "-p", "-m", "0700", f"/run/fairlead/{lab.cookie()}"])
    lab.run([libexec("fairlead-dnsd"), "--state", f"/run/fairlead/{lab.cookie()}", "--background",
             "--linger", "300"])
    conf = configs.bridge(dns=DNS)
    cni.add("bridge", conf).expect()
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    time.sleep(0.4)     # longer than it would wait without a sandbox
    assert all(alive(pid) for pid in pids)
    cni.delete("bridge", conf).expect()
    until(lambda: not any(alive(pid) for pid in pids))
    assert not lab.exists(state(lab) + "/dns.sock")
    cni.add("bridge", conf).expect()
    assert ask(lab, "c1", "c1")


def test_one_daemon_for_many_that_start_at_once(lab, cni):
    conf = configs.bridge(dns=DNS)
    for i in range(16):
        lab.netns(f"n{i}")
    adds = [lab.submit(cni.add, "bridge", conf, f"n{i}", args=f"K8S_POD_NAME=name{i}") for i in range(16)]
    addresses = [add.result().expect().address for add in adds]
    assert len(set(addresses)) == 16
    for i in range(16):
        assert ask(lab, "n0", f"name{i}") == [addresses[i]]
    running = lab.run(["pgrep", "-f", f"dnsd --state {state(lab)} --background"]).stdout.split()
    assert len(running) == 2        # the broker and its keeper
    dels = [lab.submit(cni.delete, "bridge", conf, f"n{i}") for i in range(16)]
    for each in dels:
        each.result().expect()


def test_worker_can_do_nothing_else(lab, two):
    """No capability, no user, no system call that it does not need."""
    with open(f"/proc/{worker(lab)}/status", encoding="ascii") as f:
        status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
    assert status["CapEff"].strip() == status["CapPrm"].strip() == "0" * 16
    assert set(status["Uid"].split()) == {"65534"} and set(status["Gid"].split()) == {"65534"}
    assert status["NoNewPrivs"].strip() == "1"
    if not sanitized():
        assert status["Seccomp"].strip() == "2"


def test_container_that_went_without_a_del(lab, cni, two):
    """The daemon's sockets must not keep it: its address can be given to another one."""
    conf, _, other = two
    lab.remove_netns("c2")
    veths = lambda: [l["ifname"] for l in lab.ip("link") if l["ifname"].startswith("veth")]     # noqa: E731
    until(lambda: len(veths()) == 1, seconds=12)
    assert ask(lab, "c1", "db") == [other]      # until somebody says so, by DEL or GC
    cni.gc("bridge", conf, valid=[("c1", "eth0")]).expect()
    assert ask(lab, "c1", "db") == []


def test_address_of_a_container_that_went_without_a_del(lab, cni):
    """At once, when an ADD needs the address."""
    conf = configs.bridge(dns=DNS, ipam=configs.host_local({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.5",
                                                            "rangeEnd": "10.1.0.5"}))
    cni.add("bridge", conf).expect()
    cni.add("bridge", conf, "c2").refused(103)
    lab.remove_netns("c1")
    assert cni.add("bridge", conf, "c2").expect().address == "10.1.0.5"
    assert ask(lab, "c2", "c2") == ["10.1.0.5"] and ask(lab, "c2", "c1") != ["10.1.0.5"]


def test_state_directory_removed(lab, cni, two):
    """The old daemon lets go of what it served; a new one serves what comes."""
    conf, _, _ = two
    pids = [broker(lab), worker(lab)]
    lab.run(["rm", "-rf", state(lab)])
    lab.netns("c3")
    conf3 = configs.second(dns=DNS)
    address = cni.add("bridge", conf3, "c3").expect().address
    assert ask(lab, "c3", "c3") == [address]
    assert broker(lab) not in pids
    until(lambda: not any(alive(pid) for pid in pids), seconds=12)
    assert ask(lab, "c1", "db", timeout=0.1) is None
    for name in ("c1", "c2"):
        cni.delete("bridge", conf, name).expect()


def test_port_taken_in_the_sandbox_before_a_restart(lab, two):
    """Reopened on another port, the sandbox's rules follow."""
    _, _, other = two
    port = next(port for port in _ports_set(lab, "c1") if port != 53)
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    kill(*pids)
    until(lambda: not any(alive(pid) for pid in pids))
    thief = lab.udp_server("c1", address="127.0.0.11", port=port)
    for _ in range(2):      # the second time by the new record
        lab.run([libexec("fairlead-dnsd"), "--state", state(lab), "--background"])
        assert ask(lab, "c1", "db") == [other]
        pids = [parent(broker(lab)), broker(lab), worker(lab)]
        kill(*pids)
        until(lambda: not any(alive(pid) for pid in pids))
    thief.close()


def _ports_set(lab, netns):
    """What the rules in the sandbox set ports to."""
    out = json.loads(lab.run(["nft", "-j", "list", "table", "ip", "fairlead_dns"], netns=netns).stdout)
    return [e["mangle"]["value"] for o in out["nftables"] if "rule" in o for e in o["rule"]["expr"] if "mangle" in e]


def test_path_that_is_gone_but_a_process_is_there(lab, cni, two):
    """As a runtime's that unmounts the path: found again by the process in it."""
    conf, _, other = two
    sleeper = lab.start(["sleep", "60"], netns="c1")
    lab.call(lab._remove_path, "/run/netns/c1")
    pids = [parent(broker(lab)), broker(lab), worker(lab)]
    kill(*pids)
    until(lambda: not any(alive(pid) for pid in pids))
    lab.run([libexec("fairlead-dnsd"), "--state", state(lab), "--background"])
    assert ask(lab, "c1", "db") == [other]
    lab.stop(sleeper)


def test_program_is_missing(lab, cni, tmp_path):
    conf = configs.bridge(dns=DNS)
    cni.add("bridge", conf, env={LIBEXEC: str(tmp_path)}).refused(50, "fairlead-dnsd", "not installed")
    assert not [l for l in lab.ip("link") if l["ifname"].startswith("veth")]


@pytest.mark.parametrize("argv, status", [(["--help"], 0), (["--version"], 0), (["--nonsense"], 2), (["--cache", "x"], 2),
                                          (["--linger", "-1"], 2), (["surplus"], 2)])
def test_options(lab, argv, status):
    done = lab.run([libexec("fairlead-dnsd"), *argv], check=False)
    assert done.returncode == status and "fairlead-dnsd" in done.stdout + done.stderr


def test_environment_removed_under_the_daemon(lab, cni, two):
    """Its file alone: the daemon reads the new one, and goes on."""
    conf, _, _ = two
    lab.run(["sh", "-c", f"rm {state(lab)}/*.mdb"])
    lab.netns("c3")
    address = cni.add("bridge", configs.second(dns=DNS), "c3", args="K8S_POD_NAME=late").expect().address
    assert ask(lab, "c3", "late") == [address]


def test_worker_that_hangs_is_ended(lab, cni, two):
    """It reads nothing any more. It is of another user, and must be killed all the same, or it keeps every sandbox."""
    conf, _, other = two
    first, stuck = broker(lab), worker(lab)
    os.kill(stuck, signal.SIGSTOP)
    os.kill(first, signal.SIGHUP)       # it is told to finish, and does not
    until(lambda: len(children(first)) == 2)
    assert ask(lab, "c1", "db") == [other]
    os.kill(first, signal.SIGHUP)       # it has had its time
    until(lambda: not alive(stuck))
    assert ask(lab, "c1", "db") == [other]
    cni.delete("bridge", conf, "c2").expect()


def test_worker_cannot_write_the_state(lab, two):
    files = f"/proc/{worker(lab)}/fd"
    modes = {os.readlink(f"{files}/{fd}"): os.stat(f"{files}/{fd}", follow_symlinks=False).st_mode for fd in os.listdir(files)}
    data = [mode for path, mode in modes.items() if path.endswith("/data.mdb")]
    assert data and not any(mode & 0o200 for mode in data)      # l-x, not lrwx
