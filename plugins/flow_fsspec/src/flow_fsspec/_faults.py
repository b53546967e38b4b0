"""What the exceptions of the SDKs mean, as Flow's classes. Their own texts are not passed on: they may hold signatures."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Iterator, Mapping

from flow_core import (
    AuthError,
    ConfigError,
    ConflictError,
    FlowError,
    NotFoundError,
    ProviderError,
    QuotaError,
    TransientError,
    UnavailableError,
)

_LOGIN = "check the credentials of the result store"
_CLOCK = "set this machine's clock: signatures hold only while it is within 15 minutes of the service's"
_WORDS: dict[type[FlowError], str] = {
    AuthError: """AccessDenied AllAccessDisabled AuthorizationFailure AuthenticationFailed ExpiredToken InvalidAccessKeyId
        InvalidAuthenticationInfo InvalidToken SignatureDoesNotMatch TokenRefreshRequired RequestTimeTooSkewed
        AuthorizationPermissionMismatch InsufficientAccountPermissions""",
    NotFoundError: "NoSuchBucket NoSuchKey ContainerNotFound BlobNotFound ResourceNotFound",
    QuotaError: """QuotaExceeded InsufficientStorage StorageFull XMinioStorageFull ServiceQuotaExceededException
        EntityTooLarge BucketQuotaExceeded RequestBodyTooLarge""",
    ConfigError: "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException InvalidBucketName",
    TransientError: """SlowDown InternalError RequestTimeout ServiceUnavailable ConditionalRequestConflict BadDigest
        OperationAborted ServerBusy OperationTimedOut XAmzContentSHA256Mismatch IncompleteBody""",
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_HINTS: dict[type[FlowError], str] = {
    AuthError: _LOGIN,
    QuotaError: "free space, or raise the limit",
    ConfigError: "check `url`, `region` and `endpoint_url` of the result store",
}
_SKEW_SECONDS = 900.0
_UNREACHABLE = "check `endpoint_url` and the network"
_ABSENT = "it was removed, or never stored: run the task again"
_GONE = {errno.ENOSPC: "it is full", errno.EDQUOT: "its quota is used up", errno.EFBIG: "the file is too large for it"}


def answered(status: int, code: str, what: str, bucket: str, headers: Mapping[str, str]) -> FlowError:
    """Return the error for an answer of the service: by its code, else by its HTTP status."""
    kind = _KINDS.get(code) or _by_status(status)
    said = code if code and not code.isdigit() else f"HTTP {status}"
    if kind is TransientError:
        return TransientError(f"cannot {what}: {bucket} answered {said}", "try again later", _seconds(headers))
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return NotFoundError(f"cannot {what}: {bucket} does not exist", "create it, or mend `url` of the result store")
    if kind is NotFoundError:
        return NotFoundError(f"cannot {what}: {bucket} does not have it", _ABSENT)
    if kind is ConflictError:
        return ConflictError(
            f"cannot {what}: {bucket} answered {said}", "it is there with other content: choose another name"
        )
    hint = (
        _CLOCK if kind is AuthError and (code == "RequestTimeTooSkewed" or _skewed(headers)) else _HINTS.get(kind, "")
    )
    return kind(f"cannot {what}: {bucket} answered {said}", hint)


def _by_status(status: int) -> type[FlowError]:
    if status in (408, 429) or (status >= 500 and status != 507):
        return TransientError
    kinds: dict[int, type[FlowError]] = {
        301: ConfigError,
        307: ConfigError,
        401: AuthError,
        403: AuthError,
        404: NotFoundError,
        409: ConflictError,
        412: ConflictError,
        413: QuotaError,
        507: QuotaError,
    }
    return kinds.get(status, ProviderError)


def unreachable(error: BaseException, what: str, where: str) -> FlowError:
    """Return the error for a connection that did not come about or broke."""
    if any(isinstance(cause, socket.gaierror) for cause in causes(error)):
        return UnavailableError(f"cannot {what}: the host of {where} is not known", _UNREACHABLE)
    if any(isinstance(cause, ssl.SSLError) for cause in causes(error)):
        return UnavailableError(f"cannot {what}: {where} shows no certificate that is trusted here", _UNREACHABLE)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes(error)):
        return TransientError(f"cannot {what}: {where} takes no connections", _UNREACHABLE)
    return TransientError(f"cannot {what}: the connection to {where} broke off ({type(error).__name__})", _UNREACHABLE)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what is behind it, also where a library hides that in its arguments."""
    seen: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead and len(seen) < 20:
        one = ahead.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        yield one
        inner = [getattr(one, name, None) for name in ("__cause__", "__context__", "reason", "inner_exception")]
        inner += [getattr(one, "kwargs", {}).get("error"), *one.args]
        ahead += [cause for cause in inner if isinstance(cause, BaseException)]


def system_fault(error: OSError, what: str, where: str) -> FlowError | None:
    """Return the error for what the operating system, or a file system that speaks like it, refused."""
    if error.errno in _GONE:
        return QuotaError(f"cannot {what}: {where}: {_GONE[error.errno]}", "free space, or raise the limit")
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"cannot {what}: {where} does not have it", _ABSENT)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        reason = "is read-only" if error.errno == errno.EROFS else "does not let this user"
        return AuthError(f"cannot {what}: {where} {reason}", "check its permissions")
    if isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
        why = f"cannot {what}: a file and a folder of one name cannot be in {where}"
        return ConflictError(why, "choose another name")
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror)):
        return unreachable(error, what, where)
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"cannot {what}: {where} keeps no name that long", "parts of keys have at most 255 bytes")
    return TransientError(f"cannot {what}: {where}: {error.strerror}", "try again") if error.strerror else None


def s3_fault(error: Exception, what: str, bucket: str) -> FlowError | None:
    """Return what an exception of botocore means."""
    from botocore import exceptions as boto

    where = f"the bucket {bucket}"
    if isinstance(error, boto.ClientError):
        meta = error.response.get("ResponseMetadata", {})
        code = str(error.response.get("Error", {}).get("Code", ""))
        return answered(meta.get("HTTPStatusCode", 0), code, what, where, meta.get("HTTPHeaders", {}))
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        mend = "set access_key and secret_key of the result store, or log in with the SDK's own tools"
        return AuthError(f"cannot {what}: there are no credentials for {where}", mend)
    if isinstance(error, (boto.NoRegionError, boto.InvalidRegionError, boto.ParamValidationError)):
        return ConfigError(f"cannot {what}: {where}: {type(error).__name__}", _HINTS[ConfigError])
    if isinstance(error, (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError)):
        return unreachable(error, what, where)
    return (
        AuthError(f"cannot {what}: {type(error).__name__}", _LOGIN) if isinstance(error, boto.BotoCoreError) else None
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = str(headers.get("retry-after", ""))
    return float(value) if value.isdigit() else None


def _skewed(headers: Mapping[str, str]) -> bool:
    """True when the service's clock is far from ours; an answer to HEAD has no text that would say so."""
    from email.utils import parsedate_to_datetime

    try:
        there = parsedate_to_datetime(str(headers.get("date", ""))).timestamp()
    except ValueError:
        return False
    return abs(there - time.time()) > _SKEW_SECONDS


def gcs_fault(error: Exception, what: str, bucket: str) -> FlowError | None:
    """Return what an exception of Google's SDK means."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    where = f"the bucket {bucket}"
    if isinstance(error, api.RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, api.GoogleAPICallError):
        missing = error.code == 404 and "bucket" in str(error.message).lower()
        headers = getattr(error.response, "headers", None)
        return answered(error.code or 0, "NoSuchBucket" if missing else "", what, where, headers or {})
    if isinstance(error, auth.TransportError):
        return unreachable(error, what, "Google's login service")
    if isinstance(error, auth.GoogleAuthError):
        return AuthError(f"cannot {what}: there are no credentials that {where} takes", _LOGIN)
    if isinstance(error, (requests.RequestException, ConnectionError, TimeoutError)):
        return unreachable(error, what, where)
    return None


def azure_fault(error: Exception, what: str, container: str) -> FlowError | None:
    """Return what an exception of Azure's SDK means."""
    from azure.core import exceptions as azure

    where = f"the container {container}"
    if isinstance(error, azure.ClientAuthenticationError) and error.status_code is None:
        return AuthError(f"cannot {what}: there are no credentials for {where}", _LOGIN)
    if isinstance(error, azure.HttpResponseError) and error.status_code:
        code = str(getattr(error.error_code, "value", None) or getattr(error, "error_code", None) or "")
        return answered(error.status_code, code, what, where, error.response.headers)
    return unreachable(error, what, where) if isinstance(error, azure.AzureError) else None
