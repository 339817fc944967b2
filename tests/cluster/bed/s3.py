"""Just enough of S3 to make a bucket: a signed PUT (AWS signature, version 4)."""

import hashlib
import hmac
import http.client
import time
from urllib.parse import urlsplit

from .console import Trouble


def _sign(secret: str, scope: list[str], text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def request(access: dict[str, str], method: str, path: str, body: bytes = b"",
            headers: dict[str, str] | None = None, query: str = "") -> tuple[int, bytes]:
    """Gives status and body. The query's parameters must be sorted and encoded already, as 'versioning='."""
    host = urlsplit(access["endpoint"]).netloc
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    signed = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed.update({name.lower(): value for name, value in (headers or {}).items()})
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = "\n".join([method, path, query, lines, names, digest])
    scope = [stamp[:8], access["region"], "s3", "aws4_request"]
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    signature = _sign(access["secret_key"], scope, text)
    signed["authorization"] = (f"AWS4-HMAC-SHA256 Credential={access['access_key']}/{'/'.join(scope)}, "
                               f"SignedHeaders={names}, Signature={signature}")
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, f"{path}?{query}" if query else path, body, signed)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def make_bucket(access: dict[str, str], name: str, object_lock: bool = False) -> None:
    """Makes it if it is not there. With object lock it is versioned too."""
    if request(access, "HEAD", f"/{name}")[0] == 200:
        return
    headers = {"x-amz-bucket-object-lock-enabled": "true"} if object_lock else {}
    status, answer = request(access, "PUT", f"/{name}", headers=headers)
    if status != 200:
        raise Trouble(f"the object store did not make the bucket {name}: {status} {answer.decode()[:300]}")
