# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's firewalls: what is mended without being asked, and what is named with the command that mends it."""
import re
import shutil

import pytest

from support import configs, tools
from support.configs import publish

HOST, OUTSIDE = "192.0.2.1", "192.0.2.2"
HOST6, OUTSIDE6 = "2001:db8::1", "2001:db8::2"
OURS = "-m mark --mark 0x100000/0x100000 -m comment --comment fairlead -j ACCEPT"
ELSEWHERE = {"iptables": "203.0.113.1/32", "ip6tables": "2001:db8:9::1/128"}
FAMILIES = ("iptables", "ip6tables")


class Pair:
    """Two containers of one bridge, the first with a published port; servers everywhere."""

    def __init__(self, cni):
        self.cni, self.lab = cni, cni.lab
        self.address = self.add("c1", (8080, 80))
        self.add("c2")
        for name in ("c1", "outside"):
            self.lab.tcp_server(name, port=80)
            self.lab.tcp_server(name, "::", port=80)

    def add(self, name, *ports):
        return self.cni.add("bridge", publish(configs.dual(), *ports), name).expect().address

    def delete(self):
        for name in ("c1", "c2"):
            self.cni.delete("bridge", configs.dual(), name).expect()

    def expect_traffic(self):
        for host, outside in ((HOST, OUTSIDE), (HOST6, OUTSIDE6)):
            assert self.lab.probe("c1", outside, 80).peer == host, "outward"
            assert self.lab.probe("outside", host, 8080).server == "c1", "published"
            for name in ("c1", "c2"):
                assert self.lab.probe(name, host, 8080).server == "c1", f"hairpin from {name}"

    def outward(self, outside=OUTSIDE):
        return not self.lab.blocked("c1", outside, 80)

    def closed_to_strangers(self):
        return self.lab.blocked("outside", self.address, 80)


def shell(lab, *commands):
    for command in commands:
        lab.run(["sh", "-ec", command])


def both(*commands):
    """iptables commands for both families."""
    return [f"{program} {command}" for program in FAMILIES for command in commands]


def forward(lab, program="iptables"):
    return lab.run([program, "-S", "FORWARD"]).stdout.splitlines()


def admit(lab):
    return int(lab.run([tools.built("foreign-probe"), "admit"]).stdout)


def obstacles(lab):
    return lab.run([tools.built("foreign-probe"), "obstacles"]).stdout.splitlines()


def remedy(sentence):
    return re.search(r"`([^`]+)`", sentence).group(1)


def expect_iptables_works(lab):
    for program in FAMILIES:
        listed = lab.run([program, "-S"])
        assert "incompatible" not in listed.stdout + listed.stderr
        saved = lab.run([f"{program}-save"]).stdout
        lab.run([f"{program}-restore"], input=saved)
        assert lab.run([program, "-S"]).stdout == listed.stdout
        rule = ["FORWARD", "-s", ELSEWHERE[program], "-j", "DROP"]
        lab.run([program, "-I", *rule])
        lab.run([program, "-D", *rule])


# ---- mended ----

DOCKER_STYLE = both("-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A FORWARD -j DOCKER-USER",
                    "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT")
ENDING_REJECT = [*both("-A FORWARD -m conntrack --ctstate INVALID -j DROP"),
                 "iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
                 "ip6tables -A FORWARD -j REJECT --reject-with icmp6-adm-prohibited"]
ENDING_DROP = both("-A FORWARD -j DROP")
# ufw's way to a policy of reject: a chain for nothing else, and behind it one that is empty
ENDING_CHAIN = both("-N ending", "-N track", "-A ending -j REJECT", "-A FORWARD -j ending", "-A FORWARD -j track",
                    "-P FORWARD DROP")


@pytest.mark.parametrize("filtered", [0, 1])
@pytest.mark.parametrize("rules", [DOCKER_STYLE, ENDING_REJECT, ENDING_DROP, ENDING_CHAIN],
                         ids=["docker", "reject", "drop", "chain"])
def test_mended(lab, cni, rules, filtered):
    configs.filter_bridged(lab, filtered)
    shell(lab, *rules)
    assert obstacles(lab) == []
    pair = Pair(cni)
    pair.expect_traffic()
    assert pair.closed_to_strangers()
    assert [sum(OURS in line for line in forward(lab, program)) for program in FAMILIES] == [1, 1]
    assert obstacles(lab) == []
    expect_iptables_works(lab)
    assert admit(lab) == 0
    pair.expect_traffic()


@pytest.mark.parametrize("rules", [DOCKER_STYLE, ENDING_REJECT], ids=["docker", "reject"])
def test_what_came_later_is_mended_by_gc(lab, cni, rules):
    pair = Pair(cni)
    shell(lab, *rules)
    assert not pair.outward()
    cni.gc("bridge", configs.dual(), [("c1", "eth0"), ("c2", "eth0")]).expect()
    pair.expect_traffic()
    before = forward(lab)
    cni.gc("bridge", configs.dual(), [("c1", "eth0"), ("c2", "eth0")]).expect()
    assert forward(lab) == before


def test_gc_of_an_empty_network_mends_nothing(lab, cni):
    pair = Pair(cni)
    pair.delete()
    shell(lab, *DOCKER_STYLE)
    before = forward(lab)
    cni.gc("bridge", configs.dual(), []).expect()
    assert forward(lab) == before


def test_goes_in_front_of_the_ending_only(lab):
    shell(lab, "iptables -A FORWARD -s 203.0.113.1 -j DROP", "iptables -A FORWARD -j REJECT")
    assert admit(lab) == 1
    assert [line.split()[-1] for line in forward(lab)[1:3]] == ["DROP", "ACCEPT"]
    assert "REJECT" in forward(lab)[3]


@pytest.mark.parametrize("rules", [DOCKER_STYLE, ENDING_REJECT], ids=["docker", "reject"])
def test_a_users_drop_still_wins(lab, cni, rules):
    shell(lab, *rules)
    chain = "DOCKER-USER" if rules is DOCKER_STYLE else "FORWARD"
    pair = Pair(cni)
    shell(lab, f"iptables -I {chain} -d {pair.address} -p tcp --dport 80 -j DROP",
          f"iptables -I {chain} -s {pair.address} -d {OUTSIDE} -j DROP")
    assert lab.blocked("outside", HOST, 8080)
    assert not pair.outward()
    pair.lab.probe("outside", HOST6, 8080)


@pytest.mark.parametrize("rules", [
    ["iptables -A FORWARD -j ACCEPT", "iptables -P FORWARD DROP"],
    ["iptables -P FORWARD ACCEPT", "iptables -A FORWARD -s 203.0.113.1 -j REJECT"],
    ["iptables -P FORWARD DROP", "iptables -A FORWARD -m mark --mark 0x100000/0x100000 -j ACCEPT"],
    ["iptables -P INPUT DROP"],
], ids=["accepted", "conditional", "by hand", "input"])
def test_nothing_to_mend(lab, rules):
    shell(lab, *rules)
    before = lab.run(["iptables-save"]).stdout
    assert admit(lab) == 0
    assert obstacles(lab) == []
    keep = [line for line in before.splitlines() if not line.startswith("#")]
    assert [line for line in lab.run(["iptables-save"]).stdout.splitlines() if not line.startswith("#")] == keep


# ---- named ----

WALLS = {
    "legacy-policy": [f"{program}-legacy -P FORWARD DROP" for program in FAMILIES],
    "legacy-reject": [f"{program}-legacy -A FORWARD -j REJECT" for program in FAMILIES],
    "legacy-chain": [f"{program}-legacy {command}" for program in FAMILIES for command in (
        "-N first", "-A first -m comment --comment counted", "-A first -p udp -j ACCEPT", "-N wall", "-A wall -j first",
        "-A wall -p udp -j RETURN", "-A wall -j DROP", "-A FORWARD -m comment --comment all -j wall", "-P FORWARD ACCEPT")],
    "legacy-goto": [f"{program}-legacy {command}" for program in FAMILIES for command in (
        "-N wall", "-A wall -p udp -j ACCEPT", "-P FORWARD DROP", "-A FORWARD -g wall", "-A FORWARD -j ACCEPT")],
    "docker-user": both("-N DOCKER-USER", "-A DOCKER-USER -p udp -j RETURN", "-A DOCKER-USER -j DROP",
                        "-A FORWARD -j DOCKER-USER", "-A FORWARD -i docker0 -j ACCEPT", "-P FORWARD DROP"),
    "in-the-midst": both("-A FORWARD -j DROP", "-A FORWARD -p udp -j ACCEPT"),
    "policy-accept": both("-N ending", "-A ending -j REJECT", "-A FORWARD -j ending"),
    "goto": both("-N last", "-A last -p udp -j ACCEPT", "-A FORWARD -g last", "-P FORWARD DROP"),
    "return": both("-A FORWARD -j RETURN", "-A FORWARD -p udp -j ACCEPT", "-P FORWARD DROP"),
    "legacy-return": [f"{program}-legacy {command}" for program in FAMILIES for command in (
        "-P FORWARD DROP", "-A FORWARD -j RETURN", "-A FORWARD -p udp -j ACCEPT")],
    "security": both("-t security -P FORWARD DROP"),
    "inet-policy": ["nft 'add table inet filter; add chain inet filter forward "
                    "{ type filter hook forward priority 0; policy drop; }; "
                    "add rule inet filter forward iifname \"lan0\" accept'"],
    "inet-reject": ["nft 'add table inet mine; add chain inet mine f { type filter hook forward priority 5; }; "
                    "add chain inet mine rest; add rule inet mine rest meta l4proto udp accept; "
                    "add rule inet mine rest counter log reject with icmpx admin-prohibited; "
                    "add rule inet mine f ct state invalid drop; add rule inet mine f goto rest'"],
    "ip-and-ip6": [f"nft 'add table {family} mine; add chain {family} mine f "
                   "{ type filter hook forward priority 0; policy drop; }'" for family in ("ip", "ip6")],
}


@pytest.mark.parametrize("wall", WALLS)
def test_named_with_a_remedy_that_works(lab, cni, wall):
    shell(lab, *WALLS[wall])
    pair = Pair(cni)
    assert not pair.outward() and not pair.outward(OUTSIDE6), "the wall stands"
    found = obstacles(lab)
    assert len(found) == (1 if wall.startswith("inet") else 2), found
    shell(lab, *map(remedy, found))
    assert obstacles(lab) == []
    pair.expect_traffic()
    assert pair.closed_to_strangers() or wall in ("in-the-midst", "inet-reject")


def test_a_chain_before_ours_is_named_without_a_rule(lab):
    shell(lab, "iptables -t mangle -P FORWARD DROP")
    found = obstacles(lab)
    assert len(found) == 1 and "chain FORWARD of table ip mangle" in found[0] and "-150" in found[0]


def test_our_own_and_other_hooks_are_no_obstacles(lab, cni):
    Pair(cni).delete()
    shell(lab, "nft 'add table inet mine; add chain inet mine i { type filter hook input priority 0; policy drop; }'",
          "nft 'add table bridge mine; add chain bridge mine f { type filter hook forward priority 0; policy drop; }'",
          "nft 'add table inet mine; add chain inet mine f { type filter hook forward priority 0; }; "
          "add rule inet mine f meta mark 7 drop; add rule inet mine f ip saddr 203.0.113.1 reject'")
    assert obstacles(lab) == []


def test_asking_creates_no_table(lab):
    names = "/proc/thread-self/net/ip_tables_names"
    if not lab.exists(names):
        pytest.skip("no iptables-legacy in this kernel")
    assert lab.read(names) == ""
    assert obstacles(lab) == []
    assert lab.read(names) == ""


# ---- ufw ----

@pytest.fixture(params=["DROP", "REJECT"])
def ufw(lab, request):
    if not shutil.which("ufw"):
        pytest.skip("not installed: ufw")
    tools.private(lab, "/etc/ufw", "/etc/default", "/lib/ufw")
    shell(lab, f"sed -i 's/^DEFAULT_FORWARD_POLICY=.*/DEFAULT_FORWARD_POLICY={request.param}/' /etc/default/ufw",
          "ufw --force enable")
    return request.param


def test_ufw(lab, cni, ufw):
    assert "-P FORWARD DROP" in forward(lab)
    assert obstacles(lab) == []
    pair = Pair(cni)
    pair.expect_traffic()
    assert pair.closed_to_strangers()
    shell(lab, f"ufw route deny proto tcp from any to {pair.address} port 80")
    assert lab.blocked("outside", HOST, 8080)
    shell(lab, f"ufw route delete deny proto tcp from any to {pair.address} port 80", "ufw reload")
    pair.expect_traffic()
    shell(lab, "ufw disable", "ufw --force enable")
    pair.expect_traffic()
    assert pair.closed_to_strangers()
    assert obstacles(lab) == []
    expect_iptables_works(lab)
