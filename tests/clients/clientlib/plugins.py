# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the plugins under test are, and directories of links that clients are given as plugin directory."""
import os
import pathlib

TREE = pathlib.Path(__file__).resolve().parents[3]
REFERENCE = pathlib.Path("/usr/lib/cni")


def directory():
    """The plugins under test; the reference plugins' own folder serves to check the tests themselves."""
    return pathlib.Path(os.environ.get("FAIRLEAD_PLUGIN_DIR") or TREE / "build" / "plugins").resolve()


def ours():
    return directory() != REFERENCE.resolve()


def find(kind, folders=None):
    """The executable of plugin `kind`: FOLDER/kind as installed, or FOLDER/kind/kind as built."""
    for folder in folders or (directory(), REFERENCE):
        for path in (folder / kind, folder / kind / kind):
            if path.is_file() and os.access(path, os.X_OK):
                return path.resolve()
    return None


def names(folder):
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if find(p.name, [folder]))


def link_folder(into, fill=True):
    """One flat folder with a link for each of our plugins, and for the reference's where we have none (`fill`)."""
    into.mkdir(parents=True)
    for kind in {*names(directory()), *(names(REFERENCE) if fill else ())}:
        (into / kind).symlink_to(find(kind))
    return into
