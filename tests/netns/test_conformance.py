# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/conformance finds nothing wrong with the plugins of this tree, and does find what is wrong with others."""
import json
import pathlib
import subprocess

import pytest

from conformancelib.table import PLUGINS
from support.cni import plugin_dir

TOOL = pathlib.Path(__file__).resolve().parents[1] / "conformance"
PRESENT = [name for name in PLUGINS if (pathlib.Path(plugin_dir()) / name).exists()]

def run(*args):
    return subprocess.run([TOOL, *args], capture_output=True, text=True, timeout=300)


def verdicts(path, plugin):
    """{check: (state, reason)}"""
    done = run("--cni-path", path, "--only", plugin, "--json")
    assert done.returncode in (0, 1), done.stderr
    report, = json.loads(done.stdout)
    found = {v["check"]: (v["state"], v["reason"]) for v in report["verdicts"]}
    assert done.returncode == any(state == "failed" for state, _ in found.values())
    return found


def failed(found):
    return {check: reason for check, (state, reason) in found.items() if state == "failed"}


@pytest.mark.parametrize("plugin", PRESENT)
def test_plugin_conforms(plugin):
    found = verdicts(plugin_dir(), plugin)
    wrong = failed(found)
    assert not wrong, "\n".join(f"{check}: {reason}" for check, reason in wrong.items())
    assert sum(state == "passed" for state, _ in found.values()) > 40


# ---- the tool itself ----

CARELESS = """#!/bin/sh
# A bridge plugin that makes an interface, answers everything with success, and never takes anything away.
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.1.0"]}' ;;
ADD)
    nsenter --net=$CNI_NETNS ip link add $CNI_IFNAME type veth peer name leak-$CNI_CONTAINERID >&2
    echo '{"cniVersion": "1.1.0", "interfaces": [{"name": "'$CNI_IFNAME'", "sandbox": "'$CNI_NETNS'"}]}' ;;
DEL) echo deleted ;;
esac
exit 0
"""
GARBAGE = """#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.1.0", "supportedVersions": ["1.1.0"]}' ;;
ADD) echo 'adding ...'; echo '{"cniVersion": "1.1.0"}' ;;
esac
"""


def fake(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return folder


def test_careless_plugin_is_found_out(tmp_path):
    wrong = failed(verdicts(fake(tmp_path, "bridge", CARELESS), "bridge"))
    assert {"env.missing.ADD.CNI_IFNAME", "env.containerid", "command.unknown", "error.object", "version.unsupported",
            "version.too-old.GC.0.4.0", "version.echo", "json.truncated", "name.missing", "netns.own", "netns.absent",
            "bad.refused.vlan-high", "bad.refused.mtu-type", "add.0.4.0", "add.1.1.0", "add.twice", "add.exists", "del.clean",
            "del.twice", "del.no-prev", "check.no-prev", "check.tamper.link", "check.tamper.nft", "gc.malformed.type",
            "gc.removes", "gc.all", "status.exhausted", "args.mac", "args.malformed", "ipam.passed-on", "ipam.fails",
            "ipam.del", "ipam.garbage.text", "ipam.missing"} <= set(wrong)
    assert "deleted" in wrong["del.clean"] and "+ eth0" in wrong["gc.all"]


def test_text_around_the_result_is_found_out(tmp_path):
    found = verdicts(fake(tmp_path, "bridge", GARBAGE), "bridge")
    assert found["add.works"][0] == "failed" and "not JSON" in found["add.works"][1]
    # One defect is one failure: what needs an ADD that works is not counted.
    assert found["del.clean"] == ("not applicable", "needs an ADD that works")


def test_what_is_not_there_is_absent(tmp_path):
    done = run("--cni-path", fake(tmp_path, "loopback", GARBAGE), "--only", "loopback,bridge")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("loopback") and "FAILED: " in lines[0] and " error.object" in lines[0]
    assert lines[1].split() == ["bridge", "absent"] and lines[2].startswith("total") and len(lines) == 3
    assert done.returncode == 1


@pytest.mark.parametrize("args", [["--cni-path", "/nowhere"], ["--cni-path", "EMPTY"], ["--no-such-option"]])
def test_nothing_to_check_is_an_error(args, tmp_path):
    done = run(*[str(tmp_path) if arg == "EMPTY" else arg for arg in args])
    assert done.returncode == 2 and done.stderr


def test_list():
    lines = run("--list").stdout.splitlines()
    assert len(lines) == len({line.split()[0] for line in lines}) and all(len(line.split()) > 3 for line in lines)
