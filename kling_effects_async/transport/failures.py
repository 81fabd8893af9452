"""What went wrong on the way to the service, in our words.

``sent`` is False only where nothing can have arrived. No text of the HTTP library is repeated: it
can hold what was sent.
"""

from __future__ import annotations

import aiohttp
from attrs import frozen

from kling_effects_async.errors import (
    NetworkError,
    ProxyError,
    RequestTimeoutError,
    TlsError,
    TransportError,
)
from kling_effects_async.protocol.services import Service
from kling_effects_async.transport.auth import BY_A_PROXY
from kling_effects_async.transport.proxies import Proxy
from kling_effects_async.transport.unforeseen import class_and_position

__all__ = ["Failures"]


@frozen
class Failures:
    """Makes the errors of one way to one service."""

    service: Service
    proxy: Proxy | None

    def of(
        self, error: Exception, timeout_s: float, *, has_body: bool, has_started: bool
    ) -> TransportError:
        """The error for whatever ended a request.

        Args:
            has_started: bytes of the body were handed over.
        """
        was_sent = has_started or not has_body
        # Subclasses first: a proxy's or TLS error is a ClientConnectorError, a timeout an OSError.
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return self.rejected_by_proxy(error.status)
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return ProxyError(f"no connection to {self._way}", sent=False, retryable=True)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return TlsError(
                f"the TLS certificate of {self._where} is not to be trusted", sent=False
            )
        if isinstance(error, aiohttp.ClientSSLError):
            message = f"no TLS connection to {self._where}: is it an https server?"
            return TlsError(message, sent=False)
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            return self._not_connected(getattr(error, "os_error", error))
        if isinstance(error, TimeoutError):
            message = f"no answer from {self._where} within {timeout_s:g} s"
            return RequestTimeoutError(message, sent=was_sent)
        if isinstance(error, (aiohttp.ClientError, OSError)):
            return self._broke(error, was_sent)
        return self._unforeseen(error, has_started)

    def rejected_by_proxy(self, status: int) -> ProxyError:
        """The error for a proxy that does not let us through.

        The word of one that nobody named, somewhere on the way, may be gone at the next try.
        """
        wants = " (it wants a user name and a password)" if status == 407 else ""
        return ProxyError(
            f"no way through {self._way}: HTTP {status}{wants}",
            sent=False,
            retryable=status >= 500 or self.proxy is None,
        )

    def _broke(self, error: Exception, was_sent: bool) -> TransportError:
        """The connection ended before the answer; whoever uses a proxy has one to it alone."""
        what = type(error).__name__
        if BY_A_PROXY in getattr(error, "__notes__", ()):
            message = f"the connection to {self._way} broke: {what}"
            return ProxyError(message, sent=was_sent, retryable=True)
        return NetworkError(f"the connection to {self._where} broke: {what}", sent=was_sent)

    def _unforeseen(self, error: Exception, was_sent: bool) -> TransportError:
        """A fault of this package, of aiohttp, or of what a borrowed session brings."""
        fault = class_and_position(error)
        message = f"a fault that nobody foresaw on the way to {self._where}: {fault}"
        return TransportError(message, sent=was_sent)

    def _not_connected(self, reason: BaseException) -> NetworkError:
        name = type(reason).__name__
        message = f"no connection to {self._where} ({name}): check the address and the network"
        return NetworkError(message, sent=False)

    @property
    def _where(self) -> str:
        return f"{self.service.name} ({self.service.base_url})"

    @property
    def _way(self) -> str:
        proxy = "the proxy" if self.proxy is None else f"the proxy {self.proxy}"
        return f"{proxy} on the way to {self._where}"
