#!/usr/bin/python3
"""The man pages against the code: each key is documented in the right page, and no page has a key that is none.

    man_keys.py KEYS-PROBE TOP

What keys there are is told by keys-probe, which watches the code as it decodes. That it saw all of them is asked of the
sources: each key that a table or a look-up there names was seen, unless its file is in NO_CONFIGURATION.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import manpages  # noqa: E402

SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "KEYS", "RUNTIME CONFIGURATION", "EXAMPLE", "SEE ALSO")
CONFIG, DNS = "fairlead-config.5.scd", "fairlead-dns.8.scd"
AGENT = "fairlead-overlayd.8.scd"     # has a configuration of its own
# Looked at by the dialect, before there is a plugin's configuration.
DIALECT = {"name", "cniVersion", "type", "prevResult"}
SHARED = {"ipam", "dns", "args", "runtimeConfig", "stateDir", "checkHostPorts"} | DIALECT
# Files whose keys are of other JSON: results, records, what daemons are asked.
NO_CONFIGURATION = {"lib/plugin/result.c", "lib/plugin/cni.c", "lib/plugin/delegate.c", "plugins/routing.c", "plugins/sbr/plan.c",
                    "plugins/vrf/plan.c"}
# Files with tables of configurations that are no plugin's: the probe's configuration leads there.
TABLES = {"ipam/parse.c", "ipam/static.c", "lib/base/netconf.c", "lib/plugin/dhcp.c", "lib/plugin/ports.c", "lib/plugin/resolver.c",
          "lib/plugin/shape.c", "dhcp/options.c", "plugins/bridge/conf.c", "plugins/overlay/conf.c", "plugins/overlay/static.c", "plugins/overlay/etcd.c"}
# Keys of other JSON in files that have configurations too.
OTHER_JSON = {
    "dhcp/options.c": {"command", "network", "container", "ifname", "netns", "timeout", "families", "hostname", "clientId", "broadcast",
                       "args", "valid", "priority"},
    "lib/plugin/dhcp.c": {"address", "gateway", "routes", "dns", "containerID", "ifname"},
    "lib/plugin/ipam.c": {"cniVersion"},        # of a result
    "lib/plugin/verbs.c": {"containerID", "ifname"},
}
SOURCES = ("lib", "ipam", "plugins", "dhcp/options.c")
ROW = re.compile(r'\b(?:FL_F|NUMBER)\("([^"]+)"|\bfl_json_get\([^;]*?, "([^"]+)"\)|\bfl_config_get\(\w+, "([^"]+)"(?:, "([^"]+)")?(?:, "([^"]+)")?')
WORDS = {"bool": "boolean", "tri": "boolean", "int": "integer", "string": "string", "address": "address", "prefix": "prefix",
         "mac": "MAC address", "enum": "string", "object": "object", "list": "list", "strings": "list", "json-object": "object"}

faults = []


def fault(text):
    if text not in faults:
        faults.append(text)


class Keys:
    """What the probe told."""

    def __init__(self, probe):
        done = subprocess.run([probe], stdout=subprocess.PIPE, text=True, check=True)
        self.rows = collections.defaultdict(list)       # (plugin, path) -> rows of tables
        self.ipams = collections.defaultdict(set)       # path -> IPAM types in which it is looked at
        for line in done.stdout.splitlines():
            row = json.loads(line)
            self.rows[row["plugin"], row["path"]] += [row] if "type" in row else []
            self.ipams[row["path"]].add(row["ipam"])
        self.paths = {path for _, path in self.rows}

    def of(self, plugin):
        return {path for p, path in self.rows if p == plugin}

    def tables(self, path, plugin=None):
        return [row for (p, q), rows in self.rows.items() if q == path and plugin in (None, p) for row in rows]


def documented(page):
    """{key: entry} of all sections."""
    found = {}
    for entry in page.entries(*page.sections):
        for key in entry.keys:
            if key in found:
                fault(f"{page.path}: {key} stands there twice")
            found[key] = entry
    return found


# ---- each key has its page ----

def homes(plugin, path, ipam):
    """The pages in which it may be documented; exactly one of them has it."""
    own = f"fairlead-{plugin}.8.scd"
    if path.startswith("ipam."):
        return [CONFIG] + [f"fairlead-{ipam}.8.scd"]
    if path.startswith("dns."):
        return [DNS]
    if path.startswith("runtimeConfig.bandwidth."):
        return ["fairlead-bandwidth.8.scd"]
    if path.startswith(("runtimeConfig.", "args.")):
        return [CONFIG, own]
    return [CONFIG] if path in SHARED else [own]


def check_documented(keys, docs):
    for plugin, path in sorted(keys.rows):
        for ipam in sorted(keys.ipams[path]):
            if path.startswith("ipam.") and not ipam:
                continue
            where = [home for home in homes(plugin, path, ipam) if path in docs[home]]
            if len(where) != 1:
                fault(f"{plugin}, {path}: expected in one of {homes(plugin, path, ipam)}, found in {where or 'none'}")


def check_ghosts(keys, docs, plugins):
    for name, found in docs.items():
        plugin = name[len("fairlead-"):].split(".")[0]
        if name == AGENT:
            continue
        for key in found:
            if name in (CONFIG, DNS):
                known = key in keys.paths | DIALECT
            elif plugin in plugins:
                known = key in keys.of(plugin)
            else:
                known = False
            if not known:
                fault(f"{name}: no code looks at {key}")


# ---- what is said of it ----

def check_kind(keys, docs):
    for name, found in docs.items():
        plugin = name[len("fairlead-"):].split(".")[0]
        if name == AGENT:
            continue
        for key, entry in found.items():
            rows = keys.tables(key, None if name in (CONFIG, DNS) else plugin)
            for row in [row for row in rows if row["type"] != "json"]:
                check_row(f"{name}: {key} ({entry.kind})", row, entry)


def check_row(where, row, entry):
    word = WORDS[row["type"]]
    # "auto", and addresses that the code reads as text, are strings to a table
    others = {"string": ("MAC address",), "prefix": (), "strings": ()}.get(row["type"], ())
    if word not in entry.kind and not any(other in entry.kind for other in others):
        fault(f"{where}: a table says {word}")
    if row["type"] == "int" and row["max"] <= 0xffffffff and f"{row['min']} to {row['max']}" not in entry.kind:
        fault(f"{where}: a table says {row['min']} to {row['max']}")
    for value in filter(None, row["names"]):
        if f'"{value}"' not in entry.kind:
            fault(f'{where}: "{value}" is missing')


# ---- what a container may ask for, on the page of each plugin ----

def check_runtime(keys, pages, plugins):
    for plugin in plugins:
        page = pages[f"fairlead-{plugin}.8.scd"]
        named = set(page.bold("RUNTIME CONFIGURATION"))
        asked = keys.of(plugin)
        want = {path.split(".")[1] for path in asked if re.fullmatch(r"runtimeConfig\.\w+", path)}
        want |= {path for path in asked if re.fullmatch(r"args\.cni\.\w+", path)}
        if page.sections["RUNTIME CONFIGURATION"] and (want - named):
            fault(f"{page.path}: RUNTIME CONFIGURATION does not name {sorted(want - named)}")
        others = {"hostAccess", "peer", "ipam.provide[].fromArg"}
        if named - want - others:
            fault(f"{page.path}: RUNTIME CONFIGURATION names {sorted(named - want - others)}, at which no code looks")
        stated = "stateDir" in page.bold("KEYS")
        if stated != ("stateDir" in asked):
            fault(f"{page.path}: stateDir is {'not ' if stated else ''}looked at")


# ---- pages as such ----

def check_pages(pages, plugins):
    known = {(page.name, page.section) for page in pages.values()}
    for plugin in plugins:
        page = pages.get(f"fairlead-{plugin}.8.scd")
        for title in SECTIONS:
            if page is None or title not in page.sections:
                fault(f"fairlead-{plugin}.8.scd: section {title} is missing")
        if page and not page.examples():
            fault(f"{page.path}: no example")
        if page and not any(p["type"] == plugin or p.get("ipam", {}).get("type") == plugin for example in page.examples() for p in example["plugins"]):
            fault(f"{page.path}: no example has {plugin} in it")
        if page and page.path.parent.name != plugin:
            fault(f"{page.path}: expected in the plugin's own folder")
    for page in pages.values():
        if not page.header.startswith(f"{page.name}({page.section}) "):
            fault(f"{page.path}: the first line is of another page")
        if not any(line.startswith(f"{page.name} - ") for line in page.sections.get("NAME", [])):
            fault(f"{page.path}: NAME does not begin with its name")
        for name, section in sorted(page.references()):
            if name.startswith("fairlead") and (name, section) not in known:
                fault(f"{page.path}: there is no page {name}({section})")
        for number, line in enumerate(page.lines, 1):
            if len(line) > 140:
                fault(f"{page.path}:{number}: longer than 140 columns")
        for title, text in page.blocks:
            for line in text.split("\n"):
                if len(line) > 69:
                    fault(f"{page.path}, {title}: does not fit 80 columns: {line}")
    overview = pages["fairlead.7.scd"]
    for name, section in sorted(known - {("fairlead", "7")}):
        if name.startswith("fairlead") and (name, section) not in overview.references():
            fault(f"{overview.path}: does not name {name}({section})")


# ---- the overview's lists ----

def used(top, word):
    return any(word in path.read_text() for folder in ("lib", "dns", "dhcp", "ipam", "plugins") for path in (top / folder).rglob("*.c"))


def check_overview(page, top):
    codes = re.findall(r"^\t(FL_ECODE_\w+) = ([1-9]\d*),", (top / "lib/base/error.h").read_text(), re.M)
    told = set(re.findall(r"^\|  (\d+)$", "\n".join(page.sections["ERRORS"]), re.M))
    for name, number in codes:
        if used(top, name) != (number in told):
            fault(f"{page.path}: ERRORS: {number} ({name}) is {'missing' if number not in told else 'used by nobody'}")
    told = set(page.bold("ENVIRONMENT"))
    for folder in ("lib", "plugins"):
        for path in sorted((top / folder).rglob("*.c")):
            for name in re.findall(r'\b(?:getenv|env)\("(\w+)"\)', path.read_text()):
                if name not in told and not name.startswith(("LISTEN_", "NOTIFY_")):
                    fault(f"{page.path}: ENVIRONMENT: {name} is missing ({path.relative_to(top)})")


# ---- the daemons ----

def check_agent(found, top):
    """The agent's file: the rows of its table, with their bounds."""
    code = (top / "overlay/config.c").read_text()
    table = code[code.index("field fields[]"):]
    rows = re.findall(r'FL_F\("(\w+)", (\w+),[^)]*?(?:\.min = (\d+), \.max = (\d+)[^)]*)?\)', table)
    for key in sorted({row[0] for row in rows} ^ set(found)):
        fault(f"{AGENT}: {key} is {'no key' if key in found else 'missing'}")
    for key, _, least, most in rows:
        if key in found and most and f"{least} to {most}" not in found[key].kind:
            fault(f"{AGENT}: {key}: the table says {least} to {most}")


def check_options(pages, top):
    for name, source in (("fairlead-dnsd.8.scd", "dns/main.c"), ("fairlead-dhcpd.8.scd", "dhcp/main.c"), (AGENT, "overlay/main.c")):
        code = (top / source).read_text()
        usage = code[code.index("usage[]"):code.index('";', code.index("usage[]"))]
        want = set(re.findall(r"--[a-z]+", usage))
        told = set(re.findall(r"\*(--[a-z]+)\*", "\n".join(line for line in pages[name].sections["OPTIONS"] if line.startswith("*"))))
        for option in sorted(want ^ told):
            fault(f"{name}: OPTIONS: {option} is {'missing' if option in want else 'not in the help text'}")


# ---- links of the other documents ----

def check_links(top):
    for path in [*top.glob("*.md"), *(top / "docs").rglob("*.md"), *(top / "bench").glob("*.md"), *(top / "tests").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text()):
            if not (path.parent / target).exists():
                fault(f"{path}: there is no {target}")


# ---- was the probe shown everything ----

def files(top):
    for source in SOURCES:
        path = top / source
        yield from [path] if path.is_file() else sorted(path.rglob("*.c"))


def check_complete(keys, top):
    seen = {part.split("[")[0] for path in keys.paths for part in path.split(".")} | DIALECT
    listed = set()
    for path in files(top):
        name = str(path.relative_to(top))
        plugin_itself = path.parent.parent.name == "plugins" and path.stem == path.parent.name
        if "FL_F(" in path.read_text() and name not in TABLES | NO_CONFIGURATION and not plugin_itself:
            fault(f"{name}: has a table: make sure that keys-probe sees it, and put the file into TABLES")
        named = {key for groups in ROW.findall(path.read_text()) for key in groups if key}
        if name in NO_CONFIGURATION:
            listed |= {name} if named else set()
            continue
        for key in sorted(named - seen - OTHER_JSON.get(name, set())):
            fault(f"{name}: {key}: the probe's configuration does not lead there, or the file belongs into NO_CONFIGURATION")
    for name in sorted(NO_CONFIGURATION - listed):
        fault(f"{name}: is in NO_CONFIGURATION and has no keys")


def main():
    probe, top = sys.argv[1], pathlib.Path(sys.argv[2])
    keys, pages, plugins = Keys(probe), manpages.all_pages(top), manpages.plugin_names(top)
    check_pages(pages, plugins)
    check_overview(pages["fairlead.7.scd"], top)
    check_options(pages, top)
    check_links(top)
    missing = [plugin for plugin in plugins if f"fairlead-{plugin}.8.scd" not in pages]
    if not missing:
        docs = {name: documented(page) for name, page in pages.items() if name.startswith("fairlead")}
        check_agent(docs[AGENT], top)
        check_documented(keys, docs)
        check_ghosts(keys, docs, plugins)
        check_kind(keys, docs)
        check_runtime(keys, pages, plugins)
    check_complete(keys, top)
    print("\n".join(faults) or f"man pages: {len(pages)} pages, {len(keys.paths)} keys")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
