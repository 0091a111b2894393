# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugins of others, as shell scripts: they write down how they were called."""
import os

LOG = "/run/foreign.log"
SCRIPT = """#!/bin/sh
# NAME says what it does: fails where /run/NAME.COMMAND is there
config=$(cat)
echo "{name} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME ${{CNI_NETNS:--}}" >>{log}
if [ -e /run/{name}.$CNI_COMMAND ]; then
	printf '{{"cniVersion": "1.0.0", "code": 99, "msg": "%s"}}' "$(cat /run/{name}.$CNI_COMMAND)"
	exit 1
fi
[ "$CNI_COMMAND" != ADD ] || printf '%s' "$config" | /usr/bin/python3 -c 'import json, sys
print(json.dumps(json.load(sys.stdin).get("prevResult") or {{"cniVersion": "1.0.0", "interfaces": [], "ips": []}}))'
"""


def install(lab, plugin_dir, *names):
    """A folder that has them, and ours behind it: CNI_PATH."""
    folder = "/run/foreign"
    lab.run(["mkdir", "-p", folder])
    for name in names:
        lab.write(f"{folder}/{name}", SCRIPT.format(name=name, log=LOG))
        lab.run(["chmod", "755", f"{folder}/{name}"])
    return f"{folder}:{plugin_dir}"


def fail(lab, name, command, message="no"):
    lab.write(f"/run/{name}.{command}", message)


def mend(lab, name, command):
    lab.call(os.unlink, f"/run/{name}.{command}")


def calls(lab):
    """["NAME COMMAND", ...] since the last time."""
    if not lab.exists(LOG):
        return []
    lines = [" ".join(line.split()[:2]) for line in lab.read(LOG).splitlines()]
    lab.call(os.unlink, LOG)
    return lines
