"""What an error of boto3 means: whether trying again may help, and what to tell a person when it does not.

The codes are those of Amazon S3's "Error responses"; other stores use the same, and a few of their own.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pyflow.late import late
from pyflow.tls import fault_in

if TYPE_CHECKING:
    from botocore import exceptions, parsers
    from urllib3 import exceptions as urllib3
else:
    exceptions = late("botocore.exceptions")
    parsers = late("botocore.parsers")
    urllib3 = late("urllib3.exceptions")

MISSING: Final = frozenset({"NoSuchKey", "404"})
EXISTS: Final = frozenset({"PreconditionFailed", "412"})
BEYOND_END: Final = frozenset({"InvalidRange", "416"})


class Cure(Enum):
    """What helps against an error."""

    PATIENCE = "the store is busy or broken for a while"
    CONTACT = "nothing answers at all: it is away, or its address is wrong"
    RENEWAL = "the credentials are too old; new ones may be there already"
    NONE = "it will be so the next time, too"


class Verdict(NamedTuple):
    """What came of looking at an error."""

    cure: Cure
    what: str
    advice: str


class ShortBodyError(Exception):
    """The store sent fewer bytes than it said, or than there are."""


class DamagedError(Exception):
    """A small object came with other bytes than it was written with."""


class ReplacedError(Exception):
    """The object was replaced while parts of it were read."""


_ACCESS: Final = (
    "Give these credentials s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket there, "
    "or choose others (AWS_PROFILE)."
)
_KEYS: Final = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names."
_LOGIN: Final = "Log in again (for single sign-on: 'aws sso login'), or set AWS_PROFILE or AWS_ACCESS_KEY_ID anew."
_BUCKET: Final = "Check the bucket in the store's URL and AWS_ENDPOINT_URL, or make the bucket; pyflow makes none."
_REGION: Final = "Set AWS_DEFAULT_REGION to the bucket's region."
_ELSEWHERE: Final = (
    "The store sends on to another address: check AWS_ENDPOINT_URL (http or https?) and AWS_DEFAULT_REGION."
)
_LATER: Final = "Try again later; what was committed is kept."
_FULL: Final = "Free some space ('pyflow gc' shows what no run needs), raise the quota, or choose another store."

_ADVICE_BY_CODE: Final = {
    "AccessDenied": _ACCESS,
    "AllAccessDisabled": _ACCESS,
    "403": _ACCESS,
    "Forbidden": _ACCESS,
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _BUCKET,
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "InvalidToken": _LOGIN,
    "ExpiredToken": _LOGIN,
    "RequestTimeTooSkewed": "Set this machine's clock: it differs from the store's by more than the store allows.",
    "PermanentRedirect": _REGION,
    **dict.fromkeys(("301", "302", "307", "308"), _ELSEWHERE),
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "EntityTooLarge": "The store does not take objects of this size: choose another one.",
    "QuotaExceeded": _FULL,
    "InsufficientCapacity": _FULL,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "NotImplemented": "The store does not speak this part of S3: choose another one.",
}

_UNREADABLE: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_ADVICE_BY_FAULT: Final = {
    "out-of-date": "Whoever runs the store must renew its certificate; or this machine's clock is wrong.",
    "other-name": "Set AWS_ENDPOINT_URL to a name that the store's certificate is for.",
    "no-tls": "The store does not seem to speak TLS there: check AWS_ENDPOINT_URL (http or https?).",
}

_PATIENT_CODES: Final = frozenset(
    {
        "409", "SlowDown", "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "RequestTimeoutException",
        "InternalError", "ServiceUnavailable", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "Throttling",
        "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
        "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded",
    }
)  # fmt: skip
_OLD_CODES: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_FULL_CODES: Final = frozenset({"QuotaExceeded", "InsufficientCapacity", "XMinioStorageFull", "NotImplemented"})
_PATIENT_STATUSES: Final = frozenset({408, 429})


def code_of(error: exceptions.ClientError) -> str:
    """The store's own word for what went wrong: ``NoSuchKey``; the HTTP status where there was no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def reported() -> tuple[type[Exception], ...]:
    """The errors that a request may end with, and ``judge`` knows."""
    return (
        exceptions.ClientError,
        exceptions.BotoCoreError,
        parsers.ResponseParserError,
        urllib3.HTTPError,
        ShortBodyError,
        ReplacedError,
    )


def judge(error: Exception) -> Verdict:
    """What helps against an error that a request ended with, and how to say it."""
    if isinstance(error, exceptions.ClientError):
        return _judge_answer(error)
    if isinstance(error, exceptions.SSLError) and (found := _judge_tls(error)) is not None:
        return found
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ProxyConnectionError)):
        return Verdict(Cure.CONTACT, str(error), "Check AWS_ENDPOINT_URL and the network, and that the store runs.")
    if isinstance(error, (exceptions.CredentialRetrievalError, exceptions.MetadataRetrievalError)):
        return Verdict(Cure.CONTACT, str(error), _LOGIN)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return Verdict(
            Cure.NONE,
            str(error).rstrip("."),
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in ('aws configure').",
        )
    if isinstance(error, _away()):
        return Verdict(Cure.PATIENCE, str(error) or type(error).__name__, _LATER)
    return Verdict(
        Cure.NONE, f"{type(error).__name__}: {error}".rstrip("."), "Check the settings of AWS that hold here."
    )


def _judge_tls(error: exceptions.SSLError) -> Verdict | None:
    """Why there is no safe way to the store; None for what may heal by itself."""
    inner = error.kwargs.get("error")  # the whole names the address as well, which may hold any word
    cause = next(iter(getattr(inner, "args", ())), None)
    fault = "no-certificates" if isinstance(cause, _UNREADABLE) else fault_in(str(inner))
    if fault is None:
        return None
    if fault == "no-certificates":
        advice = _no_certificates_advice()
    else:
        advice = _authority_advice() if fault == "unknown-authority" else _ADVICE_BY_FAULT[fault]
    return Verdict(Cure.CONTACT if fault == "no-tls" else Cure.NONE, str(error), advice)


def _no_certificates_advice() -> str:
    named = os.environ.get("AWS_CA_BUNDLE")
    if named:
        return f"Let AWS_CA_BUNDLE, now {named}, name a file with certificates, or unset it."
    return "Let ca_bundle in AWS's configuration name a file with certificates, or take it out."


def _authority_advice() -> str:
    if os.environ.get("PYFLOW_POD"):
        return "Name the Secret with the certificate of the store's authority: argo={'s3_ca_secret': ...}."
    named = os.environ.get("AWS_CA_BUNDLE")
    return f"Set AWS_CA_BUNDLE{f', now {named},' if named else ''} to the file of the authority that the store's uses."


def _away() -> tuple[type[Exception], ...]:
    return (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
        exceptions.ChecksumError,
        parsers.ResponseParserError,
        # botocore lets these through when a connection breaks within the body of an error.
        urllib3.HTTPError,
        ShortBodyError,
        ReplacedError,
    )


def _judge_answer(error: exceptions.ClientError) -> Verdict:
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = str(error.response.get("Error", {}).get("Message") or "no reason given").rstrip(".")
    what = f"{code or status}: {message}"
    if code in _OLD_CODES:
        return Verdict(Cure.RENEWAL, what, _LOGIN)
    is_busy = status >= 500 or status in _PATIENT_STATUSES or code in _PATIENT_CODES
    if is_busy and code not in _FULL_CODES and status != 501:
        return Verdict(Cure.PATIENCE, what, _LATER)
    return Verdict(
        Cure.NONE, what, _ADVICE_BY_CODE.get(code or str(status), "Check the store's URL, and what its policies allow.")
    )
