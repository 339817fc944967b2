"""What is in each image of the cluster and its tests. Files that are ours lie in images/NAME/root."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What the images of Debian packages share.
BASE_PACKAGES = ["base-files", "bash", "coreutils", "dash", "debianutils", "findutils", "grep", "gzip", "hostname",
                 "libc-bin", "mawk", "netbase", "sed", "tar", "tzdata", "util-linux"]
# Left out of every package; patterns as of fnmatch, whose * matches / too.
LEFT_OUT = ["usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian/*",
            "usr/share/bash-completion/*", "usr/share/menu/*", "usr/share/gdb/*", "usr/share/i18n/*",
            "usr/share/zoneinfo/right/*", "usr/lib/x86_64-linux-gnu/gconv/*", "usr/lib/systemd/*",
            "etc/init.d/*", "etc/cron.*", "etc/logrotate.d/*", "etc/apparmor.d/*", "var/cache/*", "var/log/*"]


@dataclass(frozen=True)
class Recipe:
    """`version` is the tag that manifests name. An image on the base gets its packages with all they need; one that
    is not gets the named packages alone. Paths are relative to the image's root."""
    name: str
    version: str
    packages: list[str] = field(default_factory=list)
    on_base: bool = False
    # Path, mode, owner and group.
    directories: list[tuple[str, int, int, int]] = field(default_factory=list)
    # Name in the folder of Go binaries, path in the image.
    binaries: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)


PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def recipes(versions: dict[str, str]) -> list[Recipe]:
    postgres = versions["POSTGRES"]
    return [
        Recipe("pause", "1", config={"Entrypoint": ["/pause"], "User": "65535:65535"}),
        Recipe("busybox", "1", packages=["busybox-static"], directories=[("tmp", 0o1777, 0, 0), ("root", 0o700, 0, 0)],
               config={"Env": [PATH], "Cmd": ["sh"]}),
        Recipe("web", "1", packages=["busybox-static"], directories=[("tmp", 0o1777, 0, 0), ("www", 0o755, 1000, 1000)],
               config={"Env": [PATH, "PORT=8080"], "Cmd": ["serve"], "User": "1000:1000", "WorkingDir": "/www",
                       "ExposedPorts": {"8080/tcp": {}}}),
        Recipe("postgres", postgres, packages=[f"postgresql-{postgres}", f"postgresql-client-{postgres}"], on_base=True,
               directories=[("var/lib/postgresql/data", 0o700, 999, 999), ("run/postgresql", 0o3777, 999, 999),
                            ("docker-entrypoint-initdb.d", 0o755, 0, 0)],
               # Without LLVM there is no JIT.
               left_out=["*/llvmjit*", "*/bitcode/*", "usr/share/postgresql/*/man/*"],
               config={"Env": [f"PATH=/usr/local/bin:/usr/lib/postgresql/{postgres}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data"],
                       "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "StopSignal": "SIGINT",
                       "ExposedPorts": {"5432/tcp": {}}}),
        Recipe("mariadb", versions["MARIADB"], packages=["mariadb-server", "mariadb-client", "mariadb-backup"], on_base=True,
               directories=[("var/lib/mysql", 0o755, 999, 999), ("run/mysqld", 0o1777, 999, 999),
                            ("etc/mysql/conf.d", 0o755, 0, 0), ("docker-entrypoint-initdb.d", 0o755, 0, 0)],
               left_out=["etc/mysql/mariadb.conf.d/*", "usr/bin/aria_*", "usr/bin/myisam*", "usr/bin/wsrep_*",
                         "usr/bin/galera_*", "usr/bin/innotop", "usr/bin/mytop", "usr/bin/mariadb-slap"],
               config={"Env": [PATH, "LANG=C.UTF-8"], "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["mariadbd"],
                       "ExposedPorts": {"3306/tcp": {}}}),
        Recipe("prometheus", "2", packages=["prometheus"], on_base=True, left_out=["usr/bin/promtool"],
               directories=[("prometheus", 0o755, 65534, 65534)],
               config={"Env": [PATH], "User": "65534:65534", "WorkingDir": "/prometheus",
                       "Entrypoint": ["/usr/bin/prometheus"], "ExposedPorts": {"9090/tcp": {}},
                       "Cmd": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]}),
        Recipe("velero", versions["VELERO"], packages=["ca-certificates"],
               directories=[("tmp", 0o1777, 0, 0), ("home/cnb", 0o777, 1000, 1000)],
               binaries=[("velero", "velero"), ("velero-restore-helper", "velero-restore-helper"),
                         ("velero-helper", "velero-helper")],
               config={"Env": ["PATH=/", "HOME=/home/cnb"], "User": "1000:1000"}),
        Recipe("velero-plugin-aws", versions["VELERO_PLUGIN_AWS"],
               binaries=[("velero-plugin-for-aws", "plugins/velero-plugin-for-aws"), ("cp-plugin", "bin/cp-plugin")],
               config={"Env": ["PATH=/bin"], "User": "65532:65532",
                       "Entrypoint": ["cp-plugin", "/plugins/velero-plugin-for-aws", "/target/velero-plugin-for-aws"]}),
    ]
