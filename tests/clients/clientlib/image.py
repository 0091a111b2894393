# SPDX-License-Identifier: GPL-2.0-or-later
"""A busybox image built from nothing: a root file system tar, and an OCI layout around it.

No registry is reachable in tests, and one static binary is image enough: it pings, serves HTTP and sleeps.
"""
import hashlib
import io
import json
import pathlib
import platform
import tarfile

NAME = "docker.io/library/bb:1"
BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "ip", "ping", "httpd", "mkdir", "sleep", "cat", "echo", "nc", "ls", "hostname", "kill", "true")
_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def _member(tar, name, data=None, link=None):
    info = tarfile.TarInfo(name)
    info.mode = 0o755
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    elif data is None:
        info.type = tarfile.DIRTYPE
    else:
        info.size = len(data)
    tar.addfile(info, io.BytesIO(data) if data is not None else None)


def _static_busybox():
    data = pathlib.Path(BUSYBOX).read_bytes()
    if b"/ld-linux" in data:
        raise RuntimeError(f"{BUSYBOX} needs libraries that the image does not have; install busybox-static")
    return data


def rootfs(path):
    """Write the root file system as a tar; every member has time 0, so the digest is stable."""
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "www"):
            _member(tar, name)
        _member(tar, "bin/busybox", _static_busybox())
        for applet in APPLETS:
            _member(tar, "bin/" + applet, link="busybox")
        _member(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
        _member(tar, "www/index.html", b"served\n")
    return path


def _digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def oci(path, layer):
    """Write an OCI layout tar around the rootfs tar `layer`, as `ctr images import` takes it."""
    blobs = {}

    def blob(data, media_type):
        blobs[_digest(data)] = data
        return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}

    kind = "application/vnd.oci.image."
    tar_layer = blob(pathlib.Path(layer).read_bytes(), kind + "layer.v1.tar")
    arch = _ARCH.get(platform.machine(), platform.machine())
    config = blob(json.dumps({
        "architecture": arch, "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "600"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [tar_layer["digest"]]}}).encode(), kind + "config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
        "config": config, "layers": [tar_layer]}).encode(), kind + "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": NAME}
    with tarfile.open(path, "w") as tar:
        _member(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _member(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
        for digest, data in blobs.items():
            _member(tar, "blobs/sha256/" + digest.split(":")[1], data)
    return path
