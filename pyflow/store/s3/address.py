"""Where an S3 store lies: bucket and prefix, from its URL."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pyflow.errors import StoreError
from pyflow.store.keys import check_segment

# Buckets of before 2018 in us-east-1, and those of other stores, may hold capitals and underscores
# (Amazon S3 User Guide, "Bucket naming rules"); the store itself judges the rest.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")

# A key has up to 768 characters, and S3 takes 1024 bytes for both.
_MAX_PREFIX_LENGTH: Final = 200


class Address(NamedTuple):
    """A bucket, and the prefix in it under which the store's keys lie."""

    bucket: str
    prefix: str
    """Empty, or segments that each end in a slash."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address in ``s3://bucket`` or ``s3://bucket/a/prefix``.

        Raises:
            StoreError: It names no bucket, or the prefix has characters that keys cannot have.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        if scheme.lower() != "s3" or not _BUCKET.fullmatch(bucket):
            raise StoreError(
                f"{url!r} does not name a bucket. Write s3://BUCKET or s3://BUCKET/PREFIX, with the bucket's plain name: "
                "3 to 255 letters, digits, dots, dashes and underscores."
            )
        if len(prefix) > _MAX_PREFIX_LENGTH:
            raise StoreError(
                f"The prefix in {url[:100]!r}… has {len(prefix)} characters; it may have {_MAX_PREFIX_LENGTH}."
            )
        for segment in prefix.split("/") if prefix else ():
            check_segment(segment, what=f"prefix in {url!r}, of which a part is")
        return cls(bucket, f"{prefix}/" if prefix else "")

    @property
    def url(self) -> str:
        """The one way in which pyflow writes this address."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")
