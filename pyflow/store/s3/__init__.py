"""A store in a bucket, ``s3://``: on AWS and whatever else speaks S3.

The files from the bottom up: ``address`` (the URL), ``failure`` (what errors mean), ``client`` (boto3's),
``requests`` (trying again), ``body``, ``upload`` and ``download`` (bytes on their way), ``bucket`` (objects),
``marker``, ``logs`` and ``blobs`` (what the store's protocol means in objects). boto3 is loaded by the first request.
"""

from pyflow.store.s3.blobs import S3Blobs, open_s3
from pyflow.store.s3.requests import Patience

__all__ = ["Patience", "S3Blobs", "open_s3"]
