# SPDX-License-Identifier: GPL-2.0-or-later
"""Recording of a client's calls by wrapper/record.py, and their form as fixtures without anything of the host."""
import json
import pathlib
import re

from . import plugins

_WRAPPER = pathlib.Path(__file__).resolve().parents[1] / "wrapper" / "record.py"


class Recorder:
    def __init__(self, folder):
        self.plugins = folder / "recorded-plugins"
        self._log = folder / "calls"
        for path in (self.plugins, self._log):
            path.mkdir(parents=True)
        kinds = {*plugins.names(plugins.directory()), *plugins.names(plugins.REFERENCE)}
        for kind in kinds:
            (self.plugins / kind).symlink_to(_WRAPPER)
        real = {kind: str(plugins.find(kind)) for kind in kinds}
        (self.plugins / "record.json").write_text(json.dumps({"real": real, "log": str(self._log)}))

    def calls(self):
        """All calls so far in the order of their start."""
        return sorted((json.loads(p.read_text()) for p in self._log.glob("*.json")), key=lambda c: c["start_ns"])


def _is_delegate(call):
    ipam = call["stdin"].get("ipam") if isinstance(call["stdin"], dict) else None
    return bool(ipam) and ipam.get("type") == call["plugin"]


class _Scrubber:
    """Replaces what differs from run to run, the same value by the same word each time."""

    _PATTERNS = (
        (re.compile(r"\b[0-9a-f]{64}\b"), lambda n: f"{n:064x}"),
        (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12}\b"), lambda n: f"{n:012x}"),
        (re.compile(r"/(?:var/)?run/netns/(?!@)[\w-]+|/proc/\d+/ns/net"), None),
        (re.compile(r"\b(?!02:11:22:)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), lambda n: f"02:00:00:00:00:{n:02x}"),
        (re.compile(r"\bveth[0-9a-f]{8}\b"), lambda n: f"veth{n:08x}"))

    def __init__(self, plugin_dir):
        self._plugin_dir = str(plugin_dir)
        self._seen = {}

    def _word(self, kind, value, form):
        known = self._seen.setdefault(kind, {})
        return known.setdefault(value, form(len(known) + 1))

    @staticmethod
    def _netns(value):
        """The shape of the path is a fact worth keeping: clients name namespaces in different ways."""
        def form(number):
            if value.startswith("/proc/"):
                return f"/proc/@PID{number}@/ns/net"
            return f"{value[:value.rindex('/')]}/@NETNS{number}@"
        return form

    def text(self, value):
        value = value.replace(self._plugin_dir, "@PLUGINS@")
        for kind, (pattern, form) in enumerate(self._PATTERNS):
            value = pattern.sub(lambda m: self._word(kind, m[0], form or self._netns(m[0])), value)
        return value

    def __call__(self, value):
        return json.loads(self.text(json.dumps(value)))


def fixture(client, what, recorder):
    """The recorded calls as one fixture; times become milliseconds from the first call."""
    scrub, calls, base = _Scrubber(recorder.plugins), recorder.calls(), None
    out = []
    for call in calls:
        base = base or call["start_ns"]
        entry = scrub({k: call[k] for k in ("plugin", "env", "stdin", "stdout", "status")})
        entry["delegated"] = _is_delegate(call)
        entry["start_ms"] = round((call["start_ns"] - base) / 1e6, 2)
        entry["end_ms"] = round((call["end_ns"] - base) / 1e6, 2)
        out.append(entry)
    return {"client": client, "what": what, "calls": out}
