# SPDX-License-Identifier: GPL-2.0-or-later
"""The man pages as their sources have them: sections, entries for keys, examples.

An entry is a line of keys with type and default, and an indented text (fairlead-config(5), "How keys are written"):

    *KEY*, *KEY* (+ TYPE; DEFAULT)
    	Text.

A literal block that begins with a brace and has "plugins" is an example: a network configuration.
"""
import json
import pathlib
import re

_ENTRY = re.compile(r"^((?:\*[^*\s]+\*(?:, )?)+) \((\+ )?([^;)]+); ([^)]+)\)$")
_BOLD = re.compile(r"\*([^*\s]+)\*")
_REFERENCE = re.compile(r"\*([a-z0-9-]+)\*\((\d)\)")


class Entry:
    def __init__(self, keys, own, kind, default):
        self.keys, self.own, self.kind, self.default, self.text = keys, own, kind, default, ""


class Page:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name, self.section = self.path.name.split(".")[:2]
        self.lines = self.path.read_text().split("\n")
        self.sections = {}      # title -> lines, those of literal blocks left out
        self.blocks = []        # (title of the section, text)
        self._read()

    def _read(self):
        title, block = "", None
        for line in self.lines[1:]:
            if line.startswith("```"):
                if block is not None:
                    self.blocks.append((title, "\n".join(block)))
                block = [] if block is None else None
            elif block is not None:
                block.append(line)
            elif line.startswith("# "):
                title = line[2:]
                self.sections[title] = []
            elif title:
                self.sections[title].append(line)

    @property
    def header(self):
        return self.lines[0]

    @property
    def text(self):
        return "\n".join(self.lines)

    def entries(self, *titles):
        """Entries for keys in these sections. A line that looks like one and is none is an error."""
        found, entry = [], None
        for line in [line for title in titles for line in self.sections.get(title, [])]:
            match = _ENTRY.match(line)
            if match:
                entry = Entry(_BOLD.findall(match[1]), bool(match[2]), match[3], match[4])
                found.append(entry)
            elif line.startswith("*") and line.endswith(")") and " (" in line and ";" in line:
                raise ValueError(f"{self.path}: no entry for a key: {line}")
            elif line.startswith("\t") and entry:
                entry.text += line.strip() + " "
            elif line:
                entry = None
        return found

    def bold(self, title):
        """Bold words of a section that are no other pages."""
        text = _REFERENCE.sub("", "\n".join(self.sections.get(title, [])))
        return _BOLD.findall(text)

    def references(self):
        """(name, section) of the pages that it names."""
        return set(_REFERENCE.findall(self.text))

    def examples(self):
        """Network configurations, in order."""
        return [json.loads(text) for _, text in self.blocks if text.startswith("{") and '"plugins"' in text]


def all_pages(top):
    return {path.name: Page(path) for path in sorted(pathlib.Path(top).rglob("*.scd")) if "build" not in path.relative_to(top).parts[0]}


def plugin_names(top):
    text = (pathlib.Path(top) / "plugins/meson.build").read_text()
    return re.findall(r"'([a-z-]+)'", text[text.index("plugin_names = ["):text.index("]")])
