#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for a plugin executable: records the call as JSON, runs the real plugin, passes its answer on.

A folder of links to this file, one per plugin, is given to a client as its plugin directory. `record.json` beside the
links names the real executables and the folder for the records. Nothing is taken from the environment, because
clients do not pass on all of it.
"""
import json
import os
import pathlib
import subprocess
import sys
import time


def _decoded(data):
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _write(folder, entry):
    # A rename makes the record appear whole: plugins run in parallel and a reader may come at any time.
    name = f"{entry['start_ns']}-{os.getpid()}"
    partial = folder / ("." + name)
    partial.write_text(json.dumps(entry))
    partial.rename(folder / (name + ".json"))


def main():
    called = pathlib.Path(sys.argv[0])
    config = json.loads((called.parent / "record.json").read_text())
    stdin = sys.stdin.buffer.read()
    start = time.monotonic_ns()
    done = subprocess.run([config["real"][called.name], *sys.argv[1:]], input=stdin, stdout=subprocess.PIPE)
    end = time.monotonic_ns()
    _write(pathlib.Path(config["log"]), {
        "plugin": called.name,
        "argv": sys.argv[1:],
        "env": {k: v for k, v in os.environ.items() if k.startswith("CNI_")},
        "stdin": _decoded(stdin),
        "stdout": _decoded(done.stdout),
        "status": done.returncode,
        "start_ns": start,
        "end_ns": end})
    sys.stdout.buffer.write(done.stdout)
    sys.stdout.buffer.flush()
    os._exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


main()
