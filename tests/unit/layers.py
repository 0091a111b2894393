#!/usr/bin/python3
"""The layers of docs/architecture.md: which folder may include what. Run from the top of the tree."""
import pathlib
import re
import sys

BELOW = {
    "lib/base": set(),
    "lib/nl": {"base"},
    "lib/netns": {"base"},
    "lib/nft": {"base"},
    "lib/vxlan": {"base", "nl", "netns"},
    "lib/store": {"base"},
    "lib/fw": {"base", "nft", "store"},
    "ipam": {"base", "store"},
    "dhcp": {"base", "nl", "netns"},
    "dns": {"base", "store", "netns", "nft", "nl"},
    "cluster": {"base"},
    "overlay": {"base", "nl", "netns", "store", "cluster", "vxlan", "ipam"},
    "lib/plugin": {"base", "nl", "netns", "store", "fw", "ipam", "dhcp", "dns"},
    "netctl": {"base", "nl", "netns", "nft", "store", "fw", "ipam", "plugin", "dns", "overlay", "vxlan"},
    "plugins": {"base", "nl", "netns", "store", "fw", "ipam", "plugin", "dhcp", "vxlan", "overlay"},
}
# header prefix -> the one folder that may include it
ONLY = {"netlink/": "lib/nl", "libmnl/": "lib/nft", "libnftnl/": "lib/nft", "lmdb.h": "lib/store",
        "dbus/": "plugins", "curl/": "cluster"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# records are plain structs: the one header of the store that fw may use
RECORDS_ONLY = {"lib/fw": "store/record.h"}


def faults(folder, path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            if "setns(" in line and folder != "lib/netns" and not line.lstrip().startswith(("*", "/*")):
                yield f"{path}:{number}: setns belongs to lib/netns"
            continue
        kind, header = match.groups()
        for prefix, owner in ONLY.items():
            if header.startswith(prefix) and folder != owner:
                yield f"{path}:{number}: <{header}> belongs to {owner}"
        layer = header.split("/")[0]
        if kind == '"' and "/" in header and layer != folder.split("/")[-1]:
            if layer not in BELOW[folder]:
                yield f"{path}:{number}: {folder} may not include {header}"
            elif layer == "store" and header != RECORDS_ONLY.get(folder, header):
                yield f"{path}:{number}: {folder} may use only {RECORDS_ONLY[folder]}"


def main():
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    found = [f for folder in BELOW for path in sorted((top / folder).rglob("*.[ch]")) for f in faults(folder, path)]
    print("\n".join(found) or "layers: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
