"""Packages for Debian and its derivatives: the library, its headers, the service, and the network."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from pipeline.packages.cpu_engine import SERVE, engine_files, machine, package_name, require_cpu
from pipeline.packages.jetson_graphs import below
from pipeline.packages.plain_tar import MOMENT, packed, plain_tar
from targets.runtime.bundle.archive import OpenBundle

ARCHITECTURES = {"x86_64": ("amd64", "x86_64-linux-gnu"), "aarch64": ("arm64", "aarch64-linux-gnu")}
"""Debian's name and the folder of its libraries."""
MAINTAINER = "edgec <edgec@edgec.invalid>"
"""Nobody reads it: who packages is not known."""
NETWORKS = "usr/lib/edgec"
LIBRARY = "libedgec.so.1"
CHANGES = """{package} ({version}) unstable; urgency=medium

  * Written by edgec package.

 -- {maintainer}  Wed, 01 Jan 2020 00:00:00 +0000
"""
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: edgec

Files: *
Copyright: 2026 the edgec authors
License: Expat
 Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the "Software"), to deal
 in the Software without restriction, including without limitation the rights
 to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in
 all copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 SOFTWARE.
"""
UNIT = """[Unit]
Description=edgec's HTTP service for the network %i
Documentation=man:edgec-serve(1)
After=network.target

[Service]
Environment=EDGEC_OPTIONS=
EnvironmentFile=-/etc/default/edgec-serve-%i
ExecStart=/usr/bin/edgec-serve /usr/lib/edgec/%i $EDGEC_OPTIONS
Restart=on-failure
DynamicUser=yes
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_INET
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service memfd_create
SystemCallFilter=~@privileged @resources
UMask=0077

[Install]
WantedBy=multi-user.target
"""
MANUAL = """.TH EDGEC-SERVE 1 2020-01-01 edgec "User Commands"
.SH NAME
edgec-serve \\- answer inference requests of one network over HTTP
.SH SYNOPSIS
.B edgec-serve
.I BUNDLE
[\\fB\\-\\-host\\fR \\fIADDRESS\\fR] [\\fB\\-\\-port\\fR \\fIN\\fR] [\\fB\\-\\-workers\\fR \\fIN\\fR]
[\\fB\\-\\-name\\fR \\fIMODEL\\fR] [\\fB\\-\\-sha256\\fR \\fIDIGEST\\fR] [\\fB\\-\\-without\\-token\\fR]
.SH DESCRIPTION
Serves a bundle that edgec wrote by the Open Inference Protocol (KServe v2) below /v2, and numbers for
Prometheus at /metrics. It listens on 127.0.0.1 and port 8000 unless told otherwise. For other addresses a
secret of 16 characters or more has to be in the environment, or \\fB\\-\\-without\\-token\\fR be given.
.SH ENVIRONMENT
.TP
.B EDGEC_TOKEN
what requests have to send as Authorization: Bearer TOKEN
.SH FILES
.TP
.I /etc/default/edgec\\-serve\\-NETWORK
EDGEC_OPTIONS and EDGEC_TOKEN of the unit edgec\\-serve@NETWORK.service
"""
READ_ME = """# {name} for Debian, Ubuntu and Raspberry Pi OS ({architecture})

| package | what it installs |
|---|---|
| libedgec1 | the library, for programs that are linked with it |
| libedgec-dev | edgec.h, edgec.hpp, libedgec.a and the pkg-config file |
| edgec-serve | the HTTP service and its unit; needs no library |
| edgec-model-{name} | the network, as {networks}/{name} |

    apt install ./*.deb
    systemctl enable --now edgec-serve@{name}      # 127.0.0.1:8000
    systemd-analyze security edgec-serve@{name}

`/etc/default/edgec-serve-{name}`, which only root should read, may hold
`EDGEC_OPTIONS="--host 0.0.0.0 --port 8001"` and `EDGEC_TOKEN=SECRET`.
"""


@dataclass(frozen=True)
class _Deb:
    """One binary package (Debian Policy 3 and 5)."""

    name: str
    architecture: str
    version: str
    section: str
    summary: str
    description: str
    files: Mapping[str, bytes | str]
    depends: str = ""
    multi_arch: str = ""
    triggers: str = ""
    shlibs: str = ""
    overrides: str = ""

    @property
    def file_name(self) -> str:
        return f"{self.name}_{self.version}_{self.architecture}.deb"

    def content(self) -> bytes:
        """Return the .deb: an ar archive (deb(5))."""
        documents = f"usr/share/doc/{self.name}"
        changes = CHANGES.format(package=self.name, version=self.version, maintainer=MAINTAINER)
        more = {
            f"{documents}/copyright": COPYRIGHT.encode(),
            f"{documents}/changelog.gz": packed(changes.encode()),
        }
        if self.overrides:
            more[f"usr/share/lintian/overrides/{self.name}"] = self.overrides.encode()
        every = {**self.files, **more}
        control = {"control": self._control(every), "md5sums": _sums(every)}
        optional = {"triggers": self.triggers, "shlibs": self.shlibs}
        control.update({name: text.encode() for name, text in optional.items() if text})
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.gz": packed(plain_tar(control, "./")),
            "data.tar.gz": packed(plain_tar(every, "./")),
        }
        return b"!<arch>\n" + b"".join(_member(name, data) for name, data in members.items())

    def _control(self, files: Mapping[str, bytes | str]) -> bytes:
        size = sum(-(-len(one) // 1024) for one in files.values())
        fields = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": self.architecture,
            "Maintainer": MAINTAINER,
            "Installed-Size": str(size),
            "Depends": self.depends,
            "Section": self.section,
            "Priority": "optional",
            "Multi-Arch": self.multi_arch,
            "Description": f"{self.summary}\n {self.description}",
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items() if value).encode()


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a CPU."""
    require_cpu(bundle, "deb")
    architecture, triplet = ARCHITECTURES[machine(bundle)]
    name = package_name(bundle)
    release = bundle.manifest.release
    number = version("edgec") + (f"+r{release}" if release else "")
    made = [
        _library(bundle, architecture, triplet),
        _headers(bundle, architecture, triplet),
        _service(bundle, architecture),
        _network(bundle, architecture, name, number),
    ]
    text = READ_ME.format(name=name, architecture=architecture, networks=f"/{NETWORKS}")
    return {**{one.file_name: one.content() for one in made}, "README.md": text.encode()}


def _library(bundle: OpenBundle, architecture: str, triplet: str) -> _Deb:
    return _Deb(
        "libedgec1",
        architecture,
        version("edgec"),
        "libs",
        "networks that edgec compiled, in any program",
        "The library that runs INT8 networks on this processor, with exact answers.",
        {f"usr/lib/{triplet}/{LIBRARY}": bundle.read(f"lib/{LIBRARY}")},
        depends="libc6 (>= 2.28)",
        multi_arch="same",
        triggers="activate-noawait ldconfig\n",
        shlibs="libedgec 1 libedgec1\n",
    )


def _headers(bundle: OpenBundle, architecture: str, triplet: str) -> _Deb:
    pc = bundle.read("lib/pkgconfig/edgec.pc").decode()
    pc = pc.replace("${prefix}/lib", "${libdir}").replace("${prefix}/include", "${includedir}")
    told = [line for line in pc.splitlines() if not line.startswith(("prefix=", "libdir=", "includedir="))]
    places = ["prefix=/usr", f"libdir=${{prefix}}/lib/{triplet}", "includedir=${prefix}/include"]
    return _Deb(
        "libedgec-dev",
        architecture,
        version("edgec"),
        "libdevel",
        "networks that edgec compiled, in any program - development",
        "Headers for C and C++, the static library and the pkg-config file.",
        {
            "usr/include/edgec.h": bundle.read("include/edgec.h"),
            "usr/include/edgec.hpp": bundle.read("include/edgec.hpp"),
            f"usr/lib/{triplet}/libedgec.a": bundle.read("lib/libedgec.a"),
            f"usr/lib/{triplet}/libedgec.so": LIBRARY,
            f"usr/lib/{triplet}/pkgconfig/edgec.pc": ("\n".join([*places, *told]) + "\n").encode(),
        },
        depends=f"libedgec1 (= {version('edgec')})",
        multi_arch="same",
    )


def _service(bundle: OpenBundle, architecture: str) -> _Deb:
    return _Deb(
        "edgec-serve",
        architecture,
        version("edgec"),
        "net",
        "HTTP service for networks that edgec compiled",
        "Answers inference requests by the Open Inference Protocol (KServe v2).",
        {
            "usr/bin/edgec-serve": bundle.read(SERVE),
            "usr/lib/systemd/system/edgec-serve@.service": UNIT.encode(),
            "usr/share/man/man1/edgec-serve.1.gz": packed(MANUAL.encode()),
        },
        overrides="# the same program runs in containers that hold nothing else\n"
        "edgec-serve: statically-linked-binary [usr/bin/edgec-serve]\n",
    )


def _network(bundle: OpenBundle, architecture: str, name: str, number: str) -> _Deb:
    return _Deb(
        f"edgec-model-{name}",
        architecture,
        number,
        "misc",
        f"network {name}, compiled by edgec",
        f"The engine for {bundle.manifest.target} and its manifest, for libedgec and edgec-serve.",
        below(f"{NETWORKS}/{name}", engine_files(bundle)),
        overrides="# an engine is a program of its own, for boards where nothing is installed\n"
        f"edgec-model-{name}: statically-linked-binary [{NETWORKS}/{name}/{bundle.manifest.engine}]\n",
    )


def _sums(files: Mapping[str, bytes | str]) -> bytes:
    """Return md5sums: the form that dpkg --verify reads, for accidents and not against attackers."""
    return "".join(
        f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {name}\n"
        for name, data in sorted(files.items())
        if isinstance(data, bytes)
    ).encode()


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{MOMENT:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return head.encode() + data + b"\n" * (len(data) % 2)
