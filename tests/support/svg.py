# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the pictures of `netctl topology --svg`: texts, boxes, and whether the ones fit into the others."""
import collections
import unicodedata
import xml.etree.ElementTree as ElementTree

NS = "{http://www.w3.org/2000/svg}"
# class: (size, bold, monospaced)
STYLES = {"m": (11, False, True), "t": (13, True, False), "b": (14, True, False), "s": (11, False, False),
          "h": (13, False, False), "p": (11, False, True)}
# 1/100 em of DejaVu Sans, which is what fontconfig has as sans-serif: its metrics, by groups.
WIDTHS = {**dict.fromkeys("ijl'|", 28), **dict.fromkeys(" .,:;/()[]tfr!-I", 41), **dict.fromkeys("mM", 97),
          **dict.fromkeys("wWQO&%@", 100)}
Rect = collections.namedtuple("Rect", "x y w h")


def rect(element):
    return Rect(*(float(element.get(key)) for key in ("x", "y", "width", "height")))


def shown(text):
    """What is drawn: without the tooltip."""
    return (text.text or "") + "".join(child.tail or "" for child in text)


def width(kind, text):
    size, bold, mono = STYLES[kind]
    em = 0
    for char in text:
        if unicodedata.east_asian_width(char) in "WF":
            em += 100
        elif mono:
            em += 60.2
        else:
            em += WIDTHS.get(char, 68 if char.isupper() else 63) * (1.1 if bold else 1)
    return em * size / 100


class Picture:
    def __init__(self, source):
        self.root = ElementTree.fromstring(source)
        self.sandboxes = [g for g in self.root.iter(NS + "g") if g.get("class") == "sandbox"]
        self.nodes = [g for g in self.root.iter(NS + "g") if g.get("class") == "node"]
        self.networks = [g for g in self.root.iter(NS + "g") if g.get("class") == "network"]

    @property
    def containers(self):
        return [g.get("data-container") for g in self.sandboxes]

    @property
    def size(self):
        return tuple(float(v) for v in self.root.get("viewBox").split()[2:])

    def texts(self, group):
        return [shown(text) for text in group.iter(NS + "text")]

    def titles(self):
        return [title.text for title in self.root.iter(NS + "title")]

    def lines(self):
        """{container: sorted networks whose lines end at the upper edge of its box}; colours of at most eight differ."""
        names = {g.find(NS + "rect").get("fill"): g.get("data-network") for g in self.networks}
        ends = collections.defaultdict(list)
        for path in self.root.iter(NS + "path"):
            if path.get("class") == "line" and path.get("stroke") in names:
                x, y = map(int, path.get("d").split("L")[1].split())
                ends[y].append((x, names[path.get("stroke")]))
        found = {}
        for group in self.sandboxes:
            box = rect(group.find(NS + "rect"))
            found[group.get("data-container")] = sorted(
                name for x, name in ends[box.y] if box.x < x < box.x + box.w)
        return found

    def overflows(self):
        """Texts that are wider than their box."""
        found = []
        for group in self.sandboxes + self.nodes + self.networks:
            box = rect(group.find(NS + "rect"))
            for text in group.iter(NS + "text"):
                x, kind = float(text.get("x")), text.get("class")
                if x < box.x or x + width(kind, shown(text)) > box.x + box.w:
                    found.append(shown(text))
                inside = box.y <= float(text.get("y")) <= box.y + box.h
                if inside != (kind != "p"):     # ports stand below their box
                    found.append(shown(text))
        return found

    def overlaps(self):
        """Boxes that touch each other, or the edge of the picture."""
        boxes = sorted(rect(group.find(NS + "rect")) for group in self.sandboxes + self.nodes)
        wide, high = self.size
        found = [b for b in boxes if b.x < 0 or b.y < 0 or b.x + b.w > wide or b.y + b.h > high]
        for i, a in enumerate(boxes):
            for b in boxes[i + 1:]:
                if b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h:
                    found.append((a, b))
        return found
