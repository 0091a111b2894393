# SPDX-License-Identifier: GPL-2.0-or-later
"""A private host that systemd booted, with fairlead installed in it.

    with Machine(installed()) as machine:           # a Lab: netns(), run(), probe() and the rest
        machine.systemctl("start", "fairlead-dnsd.socket")
        machine.cni.add("bridge", conf).expect()
        machine.kill("fairlead-dnsd"); machine.wait_active("fairlead-dnsd")

Process 1 is /lib/systemd/systemd with namespaces of its own of every kind. Its root is a tmpfs with the machine's /usr in it,
read-only, and what `meson install` put into DESTDIR; of the kernel's settings it can change those of its network
alone. All that it has of the machine is a cgroup. Units of the distribution are there, and none is enabled.
"""
import contextlib
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

from . import kernel, lab, tools
from .cni import LIBEXEC, Cni, plugin_dir, sanitized

SYSTEMD = "/lib/systemd/systemd"
UNITS = "usr/local/lib/systemd/system"
WITHIN = 30.0       # seconds, for a broken run
_CGROUP = "fairlead-systemd-"
_CLONE_NEWCGROUP, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWPID = 0x02000000, 0x04000000, 0x08000000, 0x20000000
_KINDS = {"cgroup": _CLONE_NEWCGROUP, "uts": _CLONE_NEWUTS, "ipc": _CLONE_NEWIPC, "pid": _CLONE_NEWPID}

# In the machine's mount namespace still, which is a copy. $1: name of the cgroup, $2: folder for the root, $3: DESTDIR.
_ENTER_CGROUP = """
mount -t cgroup2 cgroup2 "$2"
mkdir "$2/$1"
echo $$ >"$2/$1/cgroup.procs"
umount "$2"
exec unshare --pid --fork --mount --net --uts --ipc --cgroup --kill-child sh -ec "$4" sh "$@"
"""

_BOOT = """
mount -t tmpfs -o mode=755 root "$2"
cd "$2"
mkdir etc proc sys dev run tmp usr opt var root old
mkdir -p etc/systemd/system etc/cni/net.d etc/fairlead var/log var/lib var/tmp
ln -s /run var/run
chmod 1777 tmp var/tmp
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind "$3/usr/local" usr/local
mount --bind "$3/opt" opt
for name in bin sbin lib lib64; do ln -s "usr/$name" "$name"; done
for name in passwd group nsswitch.conf ld.so.cache alternatives ssl services protocols nftables.conf manpath.config; do
	cp -a "/etc/$name" etc/
done
: >etc/resolv.conf
echo machine >etc/hostname
echo 0123456789abcdef0123456789abcdef >etc/machine-id
for unit in /lib/systemd/system/*.target.wants/* /lib/systemd/system/systemd-remount-fs.service; do
	case $unit in
	*journald.s* | *dev-log.socket | *.target) ;;
	*) ln -sf /dev/null "etc/systemd/system/${unit##*/}" ;;
	esac
done
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\nAllowIsolate=yes\\n' >etc/systemd/system/booted.target

mount -t proc proc proc
mount --bind proc/sys/net old
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --move old proc/sys/net
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
for name in null zero full random urandom tty; do
	: >dev/$name
	mount --bind /dev/$name dev/$name
done
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
mkdir run/host
mount --bind "$5" run/host

pivot_root . old
umount -l old
exec env -i container=fairlead NOTIFY_SOCKET=/run/host/notify PATH=/usr/local/bin:/usr/sbin:/usr/bin \\
	/lib/systemd/systemd --system --unit=booted.target --show-status=no --log-target=journal
"""


def installed():
    """DESTDIR of the installation that is tested, None: the plugins under test are no part of one."""
    for top in pathlib.Path(plugin_dir()).resolve().parents:
        if (top / UNITS).is_dir():
            return top
    return None


class Machine(lab.Lab):
    def __init__(self, destdir):
        _sweep()
        self._scratch = pathlib.Path(tempfile.mkdtemp(prefix=_CGROUP))
        try:
            self._boot(destdir)
            super().__init__()
        except BaseException:
            self._shut_down()
            raise
        self.cni = _Cni(self, "/opt/cni/bin")
        if sanitized():     # leaks are looked for by another process, which the units forbid
            for unit in ("dnsd", "dhcpd", "overlayd", "reload"):
                self.drop_in(f"fairlead-{unit}", "[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n")

    def close(self):
        try:
            super().close()
        finally:
            for fd, _ in self._others:
                os.close(fd)
            self._shut_down()

    # ---- namespaces ----

    def netns(self, name):
        self.run(["ip", "netns", "add", name])
        fd = self.call(os.open, f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        with self._lock:
            self._fds[name] = fd
        return f"/run/netns/{name}"

    # ---- units ----

    def systemctl(self, *args, check=True):
        return self.run(["systemctl", "--no-pager", *args], check=check).stdout.strip()

    def property(self, unit, name):
        return self.systemctl("show", "--value", "--property", name, unit)

    def main_pid(self, unit):
        """As the machine counts."""
        return int(self.property(unit, "MainPID"))

    def is_active(self, unit):
        return self.systemctl("is-active", unit, check=False) == "active"

    def wait(self, found, what):
        """Until found() is true; what it returned."""
        end = time.monotonic() + WITHIN
        while not (result := found()):
            assert time.monotonic() < end, f"{what}: not within {WITHIN:.0f} s\n{self.journal()}"
            time.sleep(0.02)
        return result

    def kill(self, unit):
        """All of its processes; waits until it was started again, and is ready. Returns the new main process."""
        before = self.main_pid(unit)
        self.systemctl("kill", "--signal=KILL", unit)
        self.wait(lambda: self.is_active(unit) and self.main_pid(unit) not in (0, before), f"another {unit}")
        return self.main_pid(unit)

    def journal(self, unit=None):
        return self.run(["journalctl", "--no-pager", "-o", "short-monotonic", *(["-u", unit] if unit else [])], check=False).stdout

    def drop_in(self, unit, text):
        folder = f"/etc/systemd/system/{unit}.service.d"
        self.call(os.makedirs, folder, exist_ok=True)
        self.write(f"{folder}/test.conf", text)
        self.systemctl("daemon-reload")

    def processes(self, program):
        """{id, as the machine counts: cgroup}; without those that are only there to be waited for."""
        script = 'for p in /proc/[0-9]*; do case $(readlink $p/exe) in */"$1") echo "${p#/proc/} $(grep ^0:: $p/cgroup)";; esac; done'
        lines = self.run(["sh", "-c", script, "sh", program]).stdout.splitlines()
        return {int(line.split()[0]): line.split("::", 1)[1] for line in lines}

    def mode(self, path):
        return oct(self.call(os.stat, path).st_mode & 0o7777)

    # ---- inside ----

    def _boot(self, destdir):
        notify = self._scratch / "notify"
        (self._scratch / "root").mkdir()
        notify.mkdir()
        ready = tools.Readiness(notify / "notify")
        self._log = self._scratch / "boot.log"
        try:
            with open(self._log, "wb") as log:
                self._systemd = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER_CGROUP, "sh",
                     self._scratch.name, self._scratch / "root", destdir, _BOOT, notify],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            ready.wait(WITHIN)
        except TimeoutError as error:
            raise RuntimeError(f"systemd did not boot:\n{self._log.read_text()}") from error
        finally:
            ready.close()
        children = pathlib.Path(f"/proc/{self._systemd.pid}/task/{self._systemd.pid}/children").read_text().split()
        self._leader = int(children[0])

    def _create(self):
        def namespace(kind):
            return os.open(f"/proc/{self._leader}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        self._fds[None], self._mounts = namespace("net"), namespace("mnt")
        self._others = [(namespace(kind), flag) for kind, flag in _KINDS.items()]

    def _enter(self):
        super()._enter()
        for fd, kind in self._others:
            kernel.setns(fd, kind)

    def _end_daemons(self):
        """They end with process 1. The ids in their lock files are the machine's, not ours."""

    def _shut_down(self):
        process = getattr(self, "_systemd", None)
        if process:
            leader = getattr(self, "_leader", None)
            with contextlib.suppress(ProcessLookupError):
                gone = os.pidfd_open(leader) if leader else None
            process.kill()
            process.wait()
            if leader and gone is not None:
                select.select([gone], [], [], WITHIN)
                os.close(gone)
        _remove_cgroup(self._scratch.name)
        shutil.rmtree(self._scratch, ignore_errors=True)


class _Cni(Cni):
    def call(self, *args, env=None, **kwargs):
        """Plugins find their daemons where they are installed, as on a real host."""
        return super().call(*args, env={LIBEXEC: None, **(env or {})}, **kwargs)


def _remove_cgroup(name):
    """With all below it, when no process is in it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount -t cgroup2 cgroup2 "$1"; cd "$1"; '
                        '[ ! -d "$2" ] || ! grep -q "populated 0" "$2/cgroup.events" || find "$2" -depth -type d -exec rmdir {} +',
                        "sh", folder, name], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _sweep():
    """Empty cgroups and folders are all that killed tests leave."""
    for scratch in pathlib.Path(tempfile.gettempdir()).glob(_CGROUP + "*"):
        if time.time() - scratch.stat().st_mtime > 600:
            _remove_cgroup(scratch.name)
            shutil.rmtree(scratch, ignore_errors=True)
