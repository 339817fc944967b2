"""Asking: whether a component is ready, and the API server for objects."""

import http.client
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from . import certificates as pki
from .settings import NODE_ADDRESS

SECONDS = 2


def _context() -> ssl.SSLContext:
    """Components on loopback sign their certificates themselves."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=SECONDS, context=_context())
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=SECONDS)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        try:
            client.connect(path)
            return True
        except OSError:
            return False


def is_ready(probe: str) -> bool:
    if not probe:
        return True
    if probe.startswith("socket "):
        return _listens(probe.removeprefix("socket "))
    return _answers(probe)


def get(path: str) -> dict[str, Any] | None:
    """An object of the API by its path; None if it is not there or the server does not answer."""
    context = ssl.create_default_context(cafile=str(pki.certificate("ca")))
    context.load_cert_chain(pki.certificate("admin"), pki.key("admin"))
    connection = http.client.HTTPSConnection(NODE_ADDRESS, 6443, timeout=5, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def condition(thing: dict[str, Any] | None, kind: str) -> str:
    """The status of a condition of an object: True, False, Unknown; empty if it has none."""
    conditions = (thing or {}).get("status", {}).get("conditions")
    return next((each["status"] for each in conditions or [] if each["type"] == kind), "")
