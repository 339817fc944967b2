"""Short makers of Kubernetes objects for the tests of the network policies."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `bed` is found however the tests are started

Json = dict[str, Any]


def namespace(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def pod(name: str, address: str, space: str = "shop", ports: dict[str, int] | None = None, **labels: str) -> Json:
    listed = [{"name": each, "containerPort": number} for each, number in (ports or {}).items()]
    return {"metadata": {"name": name, "namespace": space, "uid": f"{space}-{name}", "labels": labels},
            "spec": {"containers": [{"name": "main", "ports": listed}]},
            "status": {"phase": "Running", "podIP": address}}


def policy(name: str = "policy", space: str = "shop", select: Json | None = None, **spec: Any) -> Json:
    """Isolates for the directions that are given: policy(ingress=[]) is a default deny for ingress."""
    types = [direction.capitalize() for direction in ("ingress", "egress") if direction in spec]
    return {"metadata": {"name": name, "namespace": space, "uid": f"{space}-{name}"},
            "spec": {"podSelector": select or {}, "policyTypes": types, **spec}}


def labelled(**labels: str) -> Json:
    return {"matchLabels": labels}


def tcp(port: int | str | None = None, end: int | None = None, protocol: str = "TCP") -> Json:
    return {"protocol": protocol} | ({"port": port} if port else {}) | ({"endPort": end} if end else {})
