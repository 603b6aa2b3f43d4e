"""What is wrong with a connection that was to be safe, by the words of OpenSSL, urllib3 and Python."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Fault: TypeAlias = Literal["no-certificates", "out-of-date", "other-name", "unknown-authority", "no-tls"]
"""The file of trusted certificates holds none; the server's is out of date, for another name, or vouched for by nobody who is
trusted; the server does not speak TLS at all."""

# In this order: whatever is wrong with a certificate, OpenSSL also says that its verification failed.
_FAULT_BY_WORDS: Final[dict[str, Fault]] = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "no-certificates",
    "PEM lib": "no-certificates",  # the file is cut off
    "certificate has expired": "out-of-date",
    "certificate is not yet valid": "out-of-date",
    "doesn't match": "other-name",
    "Hostname mismatch": "other-name",
    "IP address mismatch": "other-name",
    "CERTIFICATE_VERIFY_FAILED": "unknown-authority",
    "certificate verify failed": "unknown-authority",
    # An answer in plain text, in one version of OpenSSL or another.
    "WRONG_VERSION_NUMBER": "no-tls",
    "wrong version number": "no-tls",
    "RECORD_LAYER_FAILURE": "no-tls",
    "PACKET_LENGTH_TOO_LONG": "no-tls",
    "UNKNOWN_PROTOCOL": "no-tls",
    "HTTP_REQUEST": "no-tls",
}


def fault_in(text: str) -> Fault | None:
    """What an error's text says is wrong; None for what may heal by itself."""
    return next((fault for words, fault in _FAULT_BY_WORDS.items() if words in text), None)
