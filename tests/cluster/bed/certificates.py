"""The cluster's certificate authority, its certificates and kubeconfigs. Made once and kept until a reset."""

import base64
import os
from pathlib import Path

from .commands import run
from .settings import API, API_SERVICE, DNS_DOMAIN, KUBECONFIG, NODE, NODE_ADDRESS, PKI

DAYS = "3650"
API_NAMES = (f"IP:127.0.0.1,IP:{NODE_ADDRESS},IP:{API_SERVICE},DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,"
             f"DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.{DNS_DOMAIN}")

# Name of the file: subject, usage, alternative names.
CERTIFICATES = {
    "kube-apiserver": ("/CN=kube-apiserver", "serverAuth", API_NAMES),
    "kubelet-server": (f"/CN={NODE}", "serverAuth", f"IP:{NODE_ADDRESS},IP:127.0.0.1,DNS:{NODE}"),
    "apiserver-kubelet-client": ("/O=system:masters/CN=apiserver-kubelet-client", "clientAuth", ""),
    "admin": ("/O=system:masters/CN=admin", "clientAuth", ""),
    "kube-controller-manager": ("/CN=system:kube-controller-manager", "clientAuth", ""),
    "kube-scheduler": ("/CN=system:kube-scheduler", "clientAuth", ""),
    "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", "clientAuth", ""),
    "kube-proxy": ("/CN=system:kube-proxy", "clientAuth", ""),
    "coredns": ("/CN=system:coredns", "clientAuth", ""),
}


def certificate(name: str) -> Path:
    return PKI / f"{name}.crt"


def key(name: str) -> Path:
    return PKI / f"{name}.key"


def kubeconfig(name: str) -> Path:
    return PKI / f"{name}.kubeconfig"


def _extensions(usage: str, names: str) -> str:
    """A whole configuration of openssl, since its own would add extensions of a certificate authority."""
    lines = ["[req]", "distinguished_name = name", "x509_extensions = extensions", "[name]", "[extensions]"]
    if usage == "authority":
        lines += ["basicConstraints = critical, CA:TRUE", "keyUsage = critical, keyCertSign, cRLSign"]
    else:
        lines += ["basicConstraints = critical, CA:FALSE", "keyUsage = critical, digitalSignature",
                  f"extendedKeyUsage = {usage}"]
    lines += ["subjectKeyIdentifier = hash", "authorityKeyIdentifier = keyid"]
    if names:
        lines.append(f"subjectAltName = {names}")
    return "\n".join(lines) + "\n"


def _sign(name: str, subject: str, usage: str, names: str) -> None:
    signer = [] if usage == "authority" else ["-CA", certificate("ca"), "-CAkey", key("ca")]
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
        key(name), "-out", certificate(name), "-subj", subject, "-days", DAYS, "-config", "/dev/stdin", *signer,
        input=_extensions(usage, names))


def _service_account_key() -> None:
    run("openssl", "genrsa", "-out", key("service-account"), "2048")
    run("openssl", "rsa", "-in", key("service-account"), "-pubout", "-out", PKI / "service-account.pub")


def _kubeconfig(user: str) -> str:
    """The file has everything in it, so that it can be copied anywhere."""
    authority, own, secret = (base64.b64encode(path.read_bytes()).decode()
                              for path in (certificate("ca"), certificate(user), key(user)))
    return f"""apiVersion: v1
kind: Config
current-context: salvor
clusters:
- name: salvor
  cluster: {{server: "{API}", certificate-authority-data: {authority}}}
users:
- name: {user}
  user: {{client-certificate-data: {own}, client-key-data: {secret}}}
contexts:
- name: salvor
  context: {{cluster: salvor, user: {user}}}
"""


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def make() -> None:
    """Makes all of it once; a set that was interrupted is made anew, for one authority must have signed it all."""
    done = PKI / "complete"
    if not done.exists():
        PKI.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = os.umask(0o077)
        try:
            _sign("ca", "/CN=salvor-cluster", "authority", "")
            _service_account_key()
            for name, (subject, usage, names) in CERTIFICATES.items():
                _sign(name, subject, usage, names)
                if usage == "clientAuth":
                    _write_secret(kubeconfig(name), _kubeconfig(name))
        finally:
            os.umask(before)
        done.touch()
    if not KUBECONFIG.exists():
        _write_secret(KUBECONFIG, _kubeconfig("admin"))
