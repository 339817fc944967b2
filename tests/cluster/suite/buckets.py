"""Buckets of the bed's object store for Salvor's own repositories: beside Velero's, never in it."""

import re

from support import RUN

from bed import s3
from bed.configuration import s3_access


def make_bucket(name: str) -> str:
    """Of this run; to be removed by remove_bucket."""
    bucket = f"{name}-{RUN}"
    s3.make_bucket(s3_access(), bucket)
    return bucket


def repository_in(bucket: str) -> str:
    """As restic and a Location call it."""
    return f"s3:{s3_access()['endpoint']}/{bucket}/salvor"


def credentials() -> str:
    """As a Location's environmentFile has them."""
    access = s3_access()
    return f"AWS_ACCESS_KEY_ID={access['access_key']}\nAWS_SECRET_ACCESS_KEY={access['secret_key']}\n"


def objects_in(bucket: str) -> list[str]:
    """At most a thousand keys; none where there is no such bucket."""
    status, body = s3.request(s3_access(), "GET", f"/{bucket}", query="list-type=2")
    return re.findall(r"<Key>([^<]*)</Key>", body.decode()) if status == 200 else []


def remove_bucket(bucket: str) -> None:
    for key in objects_in(bucket):
        s3.request(s3_access(), "DELETE", f"/{bucket}/{key}")
    s3.request(s3_access(), "DELETE", f"/{bucket}")
