"""Uploads in parts that were begun and not ended: nobody sees them, and AWS bills them until somebody ends them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyflow.store.protocol import BlobInfo
from pyflow.store.s3.address import Address
from pyflow.store.s3.client import Client, Response
from pyflow.store.s3.requests import Requests

_GONE = frozenset({"NoSuchUpload", "NoSuchKey", "404"})


def list_uploads(requests: Requests, address: Address) -> Iterator[BlobInfo]:
    """The uploads below the store's prefix. Their names are made of key and upload; their sizes are not told."""
    wanted: dict[str, Any] = {"Bucket": address.bucket, "Prefix": address.prefix}

    def ask(s3: Client) -> Response:
        return s3.list_multipart_uploads(**wanted)

    while True:
        page = requests.ask("list unfinished uploads", ask)
        for found in page.get("Uploads", ()):
            # Some stores list by folder, and so others' uploads, too.
            if found["Key"].startswith(address.prefix):
                key = found["Key"][len(address.prefix) :]
                yield BlobInfo(f"{key} {found['UploadId']}", 0, found["Initiated"])
        if not page.get("IsTruncated") or not page.get("NextKeyMarker"):
            return
        wanted["KeyMarker"] = page["NextKeyMarker"]
        wanted["UploadIdMarker"] = page.get("NextUploadIdMarker", "")


def abort_upload(requests: Requests, address: Address, name: str) -> None:
    """End an upload that ``list_uploads`` has named; one that has ended meanwhile is no error."""
    key, _, upload = name.partition(" ")
    this = {"Bucket": address.bucket, "Key": address.prefix + key, "UploadId": upload}
    requests.ask_or_none(f"end the upload of {key!r}", _GONE, lambda s3: s3.abort_multipart_upload(**this))
