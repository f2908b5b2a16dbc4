"""Stock kernels of the distribution, with the driver as a module, for a virtual machine.

Nothing is installed: packages are fetched and unpacked in the cache.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from kmem_oracle.kernels import shadow
from kmem_oracle.kernels.initrd import archive
from kmem_oracle.kernels.source import Say, candidate, need, run
from kmem_oracle.kernels.store import IMAGE, Kernel, cache, keep
from kmem_oracle.targets.target import CouldNotRun

PACKED: Final = {
    b"\x02\x21\x4c\x18": "lz4",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"\x1f\x8b": "gzip",
}
INITRD: Final = "initrd"
TOOLS: Final = ("make", "gcc", "ld", "apt-get", "dpkg-deb", "qemu-system-x86_64")


def build(*, package: str, name: str, say: Say) -> Kernel:
    """Fetch a kernel by its package's name, such as linux-image-cloud-amd64, and build the module for it.

    Errors   CouldNotRun
    """
    need(TOOLS)
    if not package.startswith("linux-image-"):
        raise CouldNotRun(f"--stock {package}: give a package linux-image-…, such as linux-image-cloud-amd64")
    try:
        root = _unpacked(package, say)
        image = next(iter(sorted((root / "boot").glob("vmlinuz-*"))), None)
        headers = next(
            (
                path
                for path in sorted((root / "usr" / "src").glob("linux-headers-*"))
                if not path.name.endswith("-common")
            ),
            None,
        )
        if image is None or headers is None:
            raise CouldNotRun(
                f"{package}: it brings no kernel (boot/vmlinuz-…), or there are no headers for it"
            )
        release = image.name.removeprefix("vmlinuz-")
        name = name or f"{'.'.join(release.split('.')[:2])}-stock"
        kernel = Kernel(name, "qemu", release, package, shadow.driver_hash())
        say(f"building the module for Linux {release}")
        initrd = archive({"init": _init(root), "kmem_oracle.ko": _module(root, headers)})
        kernel.folder.mkdir(parents=True, exist_ok=True)
        (kernel.folder / INITRD).write_bytes(initrd)
        (kernel.folder / IMAGE).write_bytes(_unpacked_image(image))
        keep(kernel)
    except OSError as error:
        raise CouldNotRun(f"building {name or package}: {error.filename}: {error.strerror}") from error
    return kernel


def _unpacked_image(image: Path) -> bytes:
    """Return the kernel as it is in memory: a virtual machine that need not unpack it comes up sooner.

    Source   Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length
    Errors   CouldNotRun, OSError
    """
    data = image.read_bytes()
    at, length = struct.unpack_from("<II", data, 0x248)
    begin = (data[0x1F1] or 4) * 512 + 512 + at
    payload = data[begin : begin + length]
    tool = next((tool for magic, tool in PACKED.items() if payload.startswith(magic)), None)
    if tool is None:
        return data
    need([tool])
    # what follows the packed kernel is its length, which the tools do not know
    done = subprocess.run([tool, "-dc"], input=payload[:-4], capture_output=True, check=False)
    return done.stdout if done.stdout.startswith(b"\x7fELF") else data


def _unpacked(package: str, say: Say) -> Path:
    """Return the folder with what a kernel's package, its headers' and all that these need hold.

    Errors   CouldNotRun, OSError
    """
    say(f"looking up {package}")
    real = _real(package)
    root = cache() / "stock" / f"{real}_{candidate(real).replace(':', '%3a')}"
    if root.is_dir():
        return root
    packages = _closure([real, real.replace("linux-image-", "linux-headers-")])
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        work = Path(scratch)
        say(f"fetching {', '.join(packages)}")
        run(["apt-get", "download", "-q", *packages], where=work, what=f"fetching {package}")
        for deb in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "-x", str(deb), "files"], where=work, what=f"unpacking {deb.name}")
        for makefile in (work / "files" / "usr" / "src").glob("linux-headers-*/Makefile"):
            text = makefile.read_text(
                encoding="utf-8"
            )  # it includes another by where that would be installed
            makefile.write_text(text.replace("include /usr/", f"include {root}/usr/"), encoding="utf-8")
        (work / "files").rename(root)
    return root


def _real(package: str) -> str:
    """Return the package of the kernel itself, where one is named that stands for the newest."""
    return next((need for need in _needs(package) if need.startswith("linux-image-")), package)


def _closure(packages: list[str]) -> list[str]:
    """Return packages with those of the kernel's family that they need, but for other kernels."""
    done: list[str] = []
    while packages:
        package = packages.pop()
        if package not in done:
            done.append(package)
            packages += [
                need for need in _needs(package) if need.startswith(("linux-headers-", "linux-kbuild-"))
            ]
    return sorted(done)


def _needs(package: str) -> list[str]:
    """Return the names of the packages that one depends on.

    Errors   CouldNotRun
    """
    text = run(
        ["apt-cache", "show", "--no-all-versions", package], where=Path("/"), what=f"looking up {package}"
    )
    line = next((line for line in text.splitlines() if line.startswith("Depends: ")), "")
    return re.findall(r"[a-z0-9][a-z0-9.+-]+", re.sub(r"\([^)]*\)", "", line.removeprefix("Depends: ")))


def _module(root: Path, headers: Path) -> bytes:
    """Return the driver as a module.

    Errors   CouldNotRun, OSError
    """
    folder = root / "driver"
    shadow.lay_driver(folder)
    release = headers.name.removeprefix("linux-headers-")
    run(
        [
            "make",
            "-s",
            "-C",
            str(headers),
            f"M={folder}",
            f"KERNELRELEASE={release}",
            "CONFIG_DEBUG_INFO_BTF_MODULES=",
            "modules",
        ],
        where=folder,
        what="building the module",
    )
    return (folder / "kmem_oracle.ko").read_bytes()


def _init(root: Path) -> bytes:
    """Return the program that loads the module.

    Errors   CouldNotRun, OSError
    """
    made = root / "init"
    source = shadow.LINUX / "init.c"
    flags = [
        "-Os",
        "-static",
        "-nostdlib",
        "-fno-pie",
        "-no-pie",
        "-fno-stack-protector",
        "-Wl,--build-id=none",
    ]
    run(
        ["gcc", *flags, "-o", str(made), str(source)],
        where=root,
        what="building the program that loads the module",
    )
    return made.read_bytes()
