"""How large: files on disk, and the peak memory of a process."""

import os
import subprocess

from .subjects import Container, cni_env
from .variants import macvlan, make_master, ptp
from .world import SCRATCH, Job, Step

DAEMON = "fairlead-dhcpd"


def executables(directory):
    return sorted(e.name for e in os.scandir(directory) if e.is_file() and os.access(e.path, os.X_OK))


def stripped_size(path):
    copy = f"{SCRATCH}/stripped"
    subprocess.run(["strip", "-o", copy, path], check=True)
    return os.stat(copy).st_size


def on_disk(paths):
    """Bytes as they are and stripped, and how many files: each once, however many names it has."""
    files = {}
    for path in map(os.path.realpath, paths):
        found = os.stat(path)
        files[found.st_dev, found.st_ino] = path
    return (sum(os.stat(p).st_size for p in files.values()), sum(map(stripped_size, files.values())), len(files))


def report_disk(report, name, directory, daemon):
    names = executables(directory)
    sizes = on_disk(f"{directory}/{n}" for n in names)
    tell(report, f"{name}, {len(names)} plugins in {sizes[2]} file{'s' if sizes[2] > 1 else ''}", sizes)
    if not daemon:
        return
    tell(report, f"{name}, {os.path.basename(daemon)}", on_disk([daemon]))
    tell(report, f"{name}, in all", on_disk([f"{directory}/{n}" for n in names] + [daemon]))


def tell(report, what, sizes):
    report.fact("size on disk", what, -(-sizes[0] // 1024), "KiB, as it is")
    report.fact("size on disk", f"{what}, stripped", -(-sizes[1] // 1024), "KiB")


def version_memory(world, directory):
    """The peak of VERSION of each plugin, KiB."""
    nobody = Container(0, "")
    jobs = [Job(n, [Step([f"{directory}/{n}"], cni_env("VERSION", nobody, directory), '{"cniVersion":"1.0.0"}')])
            for n in executables(directory) if n != "fairlead"]
    return {t.tag: t.maxrss for t in world.run(jobs)}


def attach_memory(world, subject, containers):
    """The peak of ADD and DEL, KiB."""
    timings = world.run([j for c in containers for j in (subject.add(c), subject.delete(c))])
    return max(t.maxrss for t in timings)


def others(directory):
    """Of our plugins those, beside bridge, whose ADD is looked at."""
    make_master()
    found = (macvlan("macvlan", directory, "size-macvlan", "10.88.0.0/16"), ptp("ptp", directory))
    return [s for s in found if s.available()]
