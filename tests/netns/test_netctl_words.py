# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command table gives: help, completion in three shells, the man page."""
import os
import re
import subprocess

import pytest

from support import configs
from support.netctl import NOT_FOUND, USAGE, program


def all_verbs(netctl):
    """["network ls", ...] from the overview."""
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", netctl("help").expect().stdout, re.M)


def offered(netctl, *words):
    lines = netctl("complete", "--", *words).expect().stdout.splitlines()
    return [line.split("\t")[0] for line in lines]


def test_every_verb_has_help_with_examples(netctl):
    verbs = all_verbs(netctl)
    assert {"attach", "run", "network ls", "endpoint ls", "version"} <= set(verbs)
    for verb in verbs:
        text = netctl("help", *verb.split()).expect().stdout
        assert text.startswith(f"usage: netctl {verb}"), verb
        assert "Examples:" in text or verb in ("version", "help"), f"{verb} has no example"
        assert ("With --json" in text) == ("--no-header" in text), f"{verb}: its JSON is not described"
        assert all(len(line) <= 80 for line in text.splitlines()), verb
        for line in re.findall(r"^  (netctl .*)", text.partition("Examples:")[2], re.M):
            words = line.split()[1:]
            assert any(" ".join(words[:n]) == known for n in (1, 2) for known in verbs) or words[0] in ("port", "stats", "top"), line
    netctl("help", "nonsense").expect(NOT_FOUND, "no such verb")


def test_every_option_is_told_once(netctl):
    for verb in all_verbs(netctl):
        text = netctl("help", *verb.split()).stdout.partition("\nOptions:")[2]
        names = re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)", text, re.M)
        letters = re.findall(r"^  -(\w),", text, re.M)
        assert len(names) == len(set(names)) and len(letters) == len(set(letters)), verb


def test_manual_has_each_verb_and_option(netctl):
    page = netctl("manual", input="a\n@OPTIONS@\n@VERBS@\nb\n").expect().stdout
    assert page.startswith("a\n") and page.endswith("b\n")
    for verb in all_verbs(netctl):
        assert f"## netctl {verb}\n" in page
        text = netctl("help", *verb.split()).stdout.partition("\nOptions:")[2].partition("Examples:")[0]
        for name in re.findall(r"--([a-z0-9-]+)", text):
            assert f"--{name}*" in page, (verb, name)


def test_completion_of_verbs_and_options(netctl):
    assert "network" in offered(netctl, "net") and "run" in offered(netctl, "")
    assert offered(netctl, "net") == ["network"]
    assert {"ls", "create", "inspect"} <= set(offered(netctl, "network", ""))
    assert offered(netctl, "network", "cr") == ["create"]
    assert {"--subnet", "--ipv6", "--json", "--help"} <= set(offered(netctl, "network", "create", "--"))
    assert offered(netctl, "network", "create", "-d", "ma") == ["macvlan"]
    assert offered(netctl, "network", "create", "--subnet", "") == []
    assert offered(netctl, "endpoint", "ls", "--color", "") == ["auto", "always", "never"]
    assert offered(netctl, "endpoint", "ls", "--dir", "") == [":dir"]
    assert offered(netctl, "completion", "") == ["bash", "zsh", "fish"]
    assert "network" in offered(netctl, "help", "netw")
    assert offered(netctl, "run", "web", "--", "") == [":command"]
    assert offered(netctl) == offered(netctl, "")
    assert "complete" not in offered(netctl, "") and "manual" not in offered(netctl, "")


def test_completion_of_what_is_there(netctl):
    netctl("network", "create", "web").expect()
    netctl("sandbox", "create", "alpha").expect()
    assert offered(netctl, "attach", "") == ["web"]
    assert "alpha" in offered(netctl, "attach", "web", "al")
    netctl("attach", "web", "alpha", "--name", "shop").expect()
    assert offered(netctl, "detach", "web", "") == ["shop"]
    assert offered(netctl, "network", "create", "") == []
    netctl.lab.write("/etc/cni/net.d/20-evil.conflist", '{"name": "a\\u001b[2Jb", "plugins": [{"type": "bridge"}]}')
    assert offered(netctl, "attach", "") == ["web"]


def test_completion_behind_common_options(netctl):
    netctl("network", "create", "web").expect()
    assert offered(netctl, "--json", "network", "cr") == ["create"]
    assert offered(netctl, "-q", "--dir", "/etc/cni/net.d", "network", "inspect", "") == ["web"]
    assert offered(netctl, "--color", "") == ["auto", "always", "never"]
    assert offered(netctl, "--color=never", "net") == ["network"]
    assert {"--json", "--dir", "--quiet"} <= set(offered(netctl, "--"))


EVIL = ["x;id", "x$(id)", "x`id`", "x id", "-x", "x>y", "x\\y", "x'y"]


def test_only_names_are_completed(netctl):
    lab = netctl.lab
    for name in (*EVIL, "xyz"):
        lab.write(f"/run/netns/{name}", "")
    for i, name in enumerate((*EVIL, "xnet")):
        netctl.write(configs.conflist({"type": "a\x1b[31m\tb\n:file"}, name=name), f"{i}.conflist")
    assert set(offered(netctl, "sandbox", "rm", "")) == {"outside", "xyz"}
    assert shell(netctl, "bash", "-c", BASH, "x", "netctl", "sandbox", "rm", "x") == ["xyz"]
    out = netctl("complete", "--", "network", "inspect", "").expect().stdout
    assert out == "xnet\ta\\u{1b}[31m\\u{9}b\\u{a}:file\n"


def shell(netctl, *argv, **kwargs):
    env = {**netctl.environment(), "PATH": f"{os.path.dirname(program())}:{os.environ['PATH']}", "HOME": "/run", "TERM": "dumb"}
    return netctl.lab.run(argv, env=env, **kwargs).stdout.split()


BASH = """
eval "$(netctl completion bash)"
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _netctl; printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { :; }
_describe() { print -l -- "${(@)found%%:*}"; }
eval "$(netctl completion zsh)"
words=("$@"); CURRENT=$#; _netctl
"""


@pytest.mark.parametrize("words, wanted", [(("netw",), {"network"}), (("network", "cr"), {"create"}),
                                           (("attach", ""), {"web", "web2"}), (("network", "create", "-d", "br"), {"bridge"})])
def test_shells(netctl, words, wanted):
    for name in ("web", "web2"):
        netctl("network", "create", name).expect()
    assert set(shell(netctl, "bash", "-c", BASH, "x", "netctl", *words)) == wanted
    assert set(shell(netctl, "zsh", "-f", "-c", ZSH, "x", "netctl", *words)) == wanted
    script = f"netctl completion fish | source; complete -C 'netctl {' '.join(words)}' | cut -f 1"
    assert set(shell(netctl, "fish", "--no-config", "-c", script)) == wanted


def test_scripts_are_installed():
    folder = os.path.join(os.path.dirname(program()), "../share")
    for path, name in (("bash-completion/completions/netctl.bash", "bash"), ("zsh/site-functions/_netctl", "zsh"),
                       ("fish/vendor_completions.d/netctl.fish", "fish")):
        with open(os.path.join(folder, path)) as file:
            assert file.read() == subprocess.run([program(), "completion", name], capture_output=True, text=True).stdout


def test_unknown_shell(netctl):
    netctl("completion", "tcsh").expect(USAGE, "expected bash, zsh or fish")
