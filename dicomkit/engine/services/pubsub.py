"""The way to Google Pub/Sub, or to its emulator: the only module that knows Google's client.

Source: google-cloud-pubsub 2, ``google.pubsub_v1.PublisherClient`` (one request, whose answer is waited for: what is
to be kept until it has arrived gains nothing from the batches in memory of ``google.cloud.pubsub_v1``); Pub/Sub API v1,
``projects.topics.publish``, "Quotas and limits".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from dicomkit.errors import SetupError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["EMULATOR", "MAX_MESSAGES", "Outgoing", "PublishFailed", "Sender", "check_installed", "sender"]

EMULATOR = "PUBSUB_EMULATOR_HOST"
"""Environment variable with ``host:port`` of an emulator, which Google's own clients obey, too."""

MAX_MESSAGES = 1_000
"""Most messages of a request; its other limit, 10 MB, is far away."""

MAX_ATTRIBUTE_BYTES = 1_024
"""Longest value of an attribute."""


class PublishFailed(Exception):
    """A request to Pub/Sub failed; the text says why."""


class Outgoing(NamedTuple):
    """A message as Pub/Sub takes it."""

    data: bytes
    attributes: dict[str, str]


class Sender:
    """A connection to Pub/Sub.

    Parameters
    ----------
    host
        ``host:port`` of an emulator; ``None`` for Google's own service.
    credentials
        For the latter.

    Raises
    ------
    SetupError
        The extra is not installed.
    """

    def __init__(self, host: str | None, credentials: Credentials | None) -> None:
        check_installed()
        from google.pubsub_v1 import PublisherClient

        if host is None:
            self._client: Any = PublisherClient(credentials=credentials)
            return
        import grpc
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

        channel = grpc.insecure_channel(host)  # type: ignore[no-untyped-call]
        self._client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))

    def publish(self, topic: str, messages: Sequence[Outgoing], timeout_s: float) -> None:
        """Publish *messages*, of which there are at most :data:`MAX_MESSAGES`, in their order.

        Raises
        ------
        PublishFailed
            It is not known whether they have arrived; or they have not.
        """
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError

        wire = [{"data": message.data, "attributes": _allowed(message.attributes)} for message in messages]
        try:
            # Whoever calls tries again, and later each time.
            self._client.publish(request={"topic": topic, "messages": wire}, retry=None, timeout=timeout_s)
        except GoogleAPICallError as exc:
            code = exc.grpc_status_code.name if exc.grpc_status_code is not None else "UNKNOWN"
            raise PublishFailed(f"Pub/Sub does not take the messages: {code}: {exc.message!s:.200}") from exc
        except GoogleAuthError as exc:
            raise PublishFailed(
                f"the credentials for Pub/Sub were not accepted ({type(exc).__name__}); "
                "run `gcloud auth application-default login`"
            ) from exc

    def close(self) -> None:
        """Close the connection."""
        self._client.transport.close()


def sender(credentials: Credentials | None) -> partial[Sender] | None:
    """What makes a sender; ``None`` where there is neither an emulator nor somebody who gave credentials."""
    host = os.environ.get(EMULATOR) or None
    return partial(Sender, host, credentials) if host or credentials is not None else None


def check_installed() -> None:
    """Raise ``SetupError`` where Google's client is missing."""
    try:
        is_there = find_spec("google.pubsub_v1") is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise SetupError(
            "notifications go to Pub/Sub here, whose client is missing; run: pip install 'dicomkit[pubsub]'"
        )


def _allowed(attributes: dict[str, str]) -> dict[str, str]:
    """The attributes that Pub/Sub takes: one long value must not hold up a topic for ever; ``data`` says the name."""
    return {key: value for key, value in attributes.items() if len(value.encode()) <= MAX_ATTRIBUTE_BYTES}
