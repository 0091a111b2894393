# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl's frame: dispatch, options, help, tables, JSON, errors."""
import json

import pytest

from support import configs as net
from support.netctl import FAILED, NOT_FOUND, USAGE, program


@pytest.fixture
def attached(cni, netctl):
    """Network "net" with c1 and c2, "other" with c1; yields netctl."""
    for config, containers in ((net.dual(), ("c1", "c2")), (net.second(), ("c1",))):
        netctl.write(net.conflist({k: v for k, v in config.items() if k not in ("cniVersion", "name")}, name=config["name"]))
        for container in containers:
            cni.add("bridge", config, container, ifname="eth0" if config["name"] == "net" else "eth1").expect()
    return netctl


def test_overview_help_and_version(netctl):
    assert netctl().status == USAGE
    assert "endpoint ls" in netctl("help").expect().stdout
    assert netctl("--help").expect().stdout == netctl("help").stdout
    assert "--no-header" in netctl("help", "endpoint", "ls").expect().stdout
    assert netctl("endpoint", "ls", "--help").stdout == netctl("help", "endpoint", "ls").stdout
    assert netctl("--version").expect().stdout == netctl("version").stdout
    assert "1.1.0" in netctl.json("version")["cniVersions"]


@pytest.mark.parametrize("argv, words", [
    (["netwrok", "ls"], 'did you mean "network"'),
    (["network", "lss"], 'did you mean "network ls"'),
    (["endpoint", "ls", "--jsno"], "did you mean --json"),
    (["endpoint", "ls", "-Z"], "no such option"),
    (["endpoint", "ls", "a", "b"], "b: one argument too many"),
    (["endpoint", "ls", "--container"], "expected a value"),
    (["endpoint", "ls", "--color=often"], "expected auto, always or never"),
    (["xyzzy"], "no such verb"),
    (["network", "delete", "x"], 'did you mean "network rm"'),
    (["network", "list"], 'did you mean "network ls"'),
    (["create", "network", "x"], 'did you mean "network create"'),
    (["rm", "network", "x"], 'did you mean "network rm"'),
    (["ps"], 'did you mean "endpoint ls"'),
    (["inspect", "web"], 'did you mean "endpoint inspect"'),
    (["exec", "web", "ls"], 'did you mean "sandbox exec"'),
])
def test_wrong_usage(netctl, argv, words):
    outcome = netctl(*argv).expect(USAGE, words)
    assert not outcome.stdout


def test_nothing_there(lab, netctl):
    assert netctl.json("network", "ls") == []
    assert netctl.json("endpoint", "ls") == []
    netctl("endpoint", "ls", "net").expect(NOT_FOUND, "nothing is attached to network net")
    assert netctl("endpoint", "ls", "net", "--json").error["code"] == 3
    assert not any(lab.files(f"/run/fairlead/{folder}") for folder in lab.files("/run/fairlead"))


def test_endpoints(attached):
    rows = attached("endpoint", "ls").expect().rows
    assert rows[0] == ["CONTAINER", "NETWORK", "DRIVER", "INTERFACE", "HOST", "ADDRESSES", "MAC", "STATE"]
    assert [row[:2] for row in rows[1:] if len(row) > 1] == [["c1", "net"], ["c2", "net"], ["c1", "other"]]
    one = attached.json("endpoint", "ls", "other")
    assert [(e["container"], e["interface"], e["addresses"], e["state"]) for e in one] == \
        [("c1", "eth1", ["10.2.0.2/24"], "ready")]
    assert attached("endpoint", "ls", "-q", "net").expect().stdout == "c1\nc2\n"
    assert attached("endpoint", "ls", "--no-header", "net").expect().rows[0][0] == "c1"
    assert [e["network"] for e in attached.json("endpoint", "ls", "--container", "c1")] == ["net", "other"]
    assert [e["network"] for e in attached.json("endpoint", "ls", "c1")] == ["net", "other"]
    assert [e["network"] for e in attached.json("endpoint", "ls", "other", "--container", "c1")] == ["other"]
    attached("endpoint", "ls", "c1", "--container", "c2").expect(NOT_FOUND)
    attached("endpoint", "ls", "c").expect(NOT_FOUND)
    assert [e["interface"] for e in attached.json("endpoint", "inspect", "c1", "-i", "eth1")] == ["eth1"]


def test_networks(attached):
    found = {n["name"]: n for n in attached.json("network", "ls")}
    assert {name: (n["endpoints"], n["subnets"], n["link"]) for name, n in found.items()} == {
        "net": (2, ["10.1.0.0/24", "fd00:1::/64"], "net0"), "other": (1, ["10.2.0.0/24"], "other0")}
    attached.lab.run(["rm", "/etc/cni/net.d/50-other.conflist"])
    attached.lab.write("/etc/cni/net.d/10-bad.conflist", "{")
    outcome = attached("network", "ls").expect()
    assert "10-bad.conflist: not JSON" in outcome.stderr
    found = {n["name"]: n for n in attached.json("network", "ls")}
    assert found["other"]["file"] == "" and found["other"]["driver"] == "bridge"


@pytest.mark.parametrize("argv", [["--json", "network", "ls"], ["--color", "never", "--json", "network", "ls"],
                                  ["--dir=/etc/cni/net.d", "--json", "network", "ls", "--no-header"]])
def test_common_options_before_the_verb(attached, argv):
    assert attached(*argv).expect().json == attached("network", "ls", "--json").json


def test_options_before_the_verb(attached):
    assert attached("-q", "network", "ls").expect().stdout == "net\nother\n"
    assert attached("--dir", "/run/nowhere", "-q", "network", "ls").expect().stdout == "net\nother\n"
    assert attached("--no-header", "endpoint", "ls", "other").expect().rows[0][0] == "c1"
    assert attached("--help", "network", "ls").expect().stdout == attached("help", "network", "ls").stdout
    assert attached("--json", "--version").expect().json["cniVersions"]
    attached("--container", "c1", "endpoint", "ls").expect(USAGE, "--container: no such option in front of a verb")
    attached("--dir").expect(USAGE)
    attached("--json").expect(USAGE)
    attached.lab.netns("box")
    assert attached("-q", "sandbox", "exec", "box", "--", "echo", "--json").expect().stdout == "--json\n"
    attached("--json", "completion", "bash").expect(USAGE, "--json: no such option")


@pytest.mark.parametrize("argv, words", [
    (["endpoint", "ls", "--json", "--bogus"], "--bogus: no such option"), (["endpoint", "ls", "--bogus", "--json"], "--bogus"),
    (["endpoint", "ls", "--json", "a", "b"], "one argument too many"), (["nope", "--json"], "nope: no such verb"),
    (["--json", "nope"], "nope: no such verb"), (["--json", "--bogus", "nope"], "--bogus: no such option"),
    (["network", "lss", "--json"], "did you mean"), (["network", "inspect", "--json"], "expected at least 1 argument")])
def test_wrong_usage_is_json_where_that_was_asked_for(netctl, argv, words):
    outcome = netctl(*argv).expect(USAGE)
    assert words in outcome.error["msg"] and outcome.error["code"] == 2
    assert outcome.stderr.count("\n") == 1 and not outcome.stdout


def evil_plugin(netctl, message):
    """A network whose plugin fails with the message; what --cni-path is to be."""
    lab = netctl.lab
    lab.run(["mkdir", "-p", "/run/stub"])
    lab.write("/run/stub/answer", json.dumps({"cniVersion": "1.0.0", "code": 11, "msg": message, "details": message}))
    lab.write("/run/stub/evil", "#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\ncat /run/stub/answer\nexit 1\n")
    lab.run(["chmod", "755", "/run/stub/evil"])
    netctl.write(net.conflist({"type": "evil"}, name="evil"))
    return "--cni-path", "/run/stub"


@pytest.mark.parametrize("shift", ["", "x"])
def test_a_message_cut_within_a_letter_is_json(cni, netctl, shift):
    outcome = netctl("attach", "evil", "c1", "--json", *evil_plugin(netctl, shift + "\u00e9" * 4000))
    assert "\u00e9\u00e9" in outcome.expect(FAILED).error["msg"]


def test_arguments_that_are_not_utf8(netctl):
    for argv, status in (((b"endpoint", b"inspect", b"x\xffy"), NOT_FOUND), ((b"no\xffpe",), USAGE)):
        done = netctl.lab.run([program(), *argv, b"--json"], env=netctl.environment(), check=False)
        assert done.returncode == status and "?" in json.loads(done.stderr)["msg"]


def test_terminals_are_not_written_to_by_others(cni, netctl):
    evil = "\x1b[31mred \x1b]0;title\x07 \u202edne\n"
    outcome = netctl("attach", "evil", "c1", *evil_plugin(netctl, evil)).expect(FAILED, r"\u{1b}[31mred")
    assert not set(outcome.stderr) & set("\x1b\x07\u202e")
    outcome = netctl("network", "inspect", "\x1b]0;pwn\x07").expect(NOT_FOUND, r"\u{1b}]0;pwn")
    assert not set(outcome.stderr) & set("\x1b\x07")
    netctl.lab.write("/etc/cni/net.d/70-\x1b[31m.conflist", "{")
    outcome = netctl("network", "ls").expect()
    assert "70-" in outcome.stderr and "\x1b" not in outcome.stderr + outcome.stdout


def test_files_that_cannot_be_read(attached):
    lab = attached.lab
    lab.write("/etc/cni/net.d/70-bad.conflist", '{"name": "' + "\u00e9" * 300)
    lab.write("/etc/cni/net.d/71-bad.conflist", '{"name": x"' + "\u00e9" * 300)
    lab.call(lambda: open(b"/etc/cni/net.d/72-\xff.conflist", "w").close())
    broken = [row["file"] for row in attached.json("network", "ls") if "error" in row]
    assert broken == ["70-bad.conflist", "71-bad.conflist", "72-?.conflist"]
    assert attached("network", "ls", "-q").expect().stdout == "net\nother\n"


def test_colours_only_when_wanted(attached):
    assert "\x1b" not in attached("endpoint", "ls").expect().stdout
    assert "\x1b[32m" in attached("endpoint", "ls", "--color=always").expect().stdout


def test_not_root(attached):
    done = attached.lab.run(["setpriv", "--reuid", "65534", "--clear-groups", program(), "endpoint", "ls"], check=False,
                            env=attached.environment())
    assert done.returncode == FAILED and "run netctl as root" in done.stderr
