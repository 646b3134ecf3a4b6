"""Something that speaks Pub/Sub's gRPC on a loopback port, for Google's unmodified client to talk to.

Two of them: a server of this module, which keeps what is published and can be told to fail; and, where the gcloud CLI
has brought it along, Google's own emulator, which holds names and messages to Pub/Sub's rules.
Source: ``google/pubsub/v1/pubsub.proto``, service ``Publisher``.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.api_core.exceptions import DeadlineExceeded, ServiceUnavailable
from google.pubsub_v1 import PublisherClient, PublishRequest, PublishResponse, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport


@dataclass(frozen=True)
class Received:
    """A message as a subscriber sees it."""

    data: str
    attributes: dict[str, str]


class PubSub(Protocol):
    """What a test asks of a Pub/Sub that is up."""

    host: str

    def received(self, topic: str) -> list[Received]:
        """What was published to *topic* until now."""
        ...


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """The service ``Publisher`` of Pub/Sub, with its one method that matters here.

    Attributes
    ----------
    fail
        Called with a request's number, from 1: the status that it ends with, after its messages have been kept or
        before, or ``None`` for success.
    """

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.requests: list[Any] = []
        self.fail: Callable[[int], tuple[grpc.StatusCode, bool] | None] = lambda number: None
        self._kept: list[tuple[str, Received]] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        publish = grpc.unary_unary_rpc_method_handler(
            self._publish,
            request_deserializer=PublishRequest.deserialize,
            response_serializer=PublishResponse.serialize,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": publish}),)
        )
        assert self._server.add_insecure_port(self.host) == port
        self._server.start()

    def _publish(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        failure = self.fail(len(self.requests))
        if failure is None or failure[1]:
            self._kept += [(request.topic, Received(m.data.decode(), dict(m.attributes))) for m in request.messages]
        if failure is not None:
            context.abort(failure[0], "as the test wants it")
        return PublishResponse(message_ids=[str(n) for n in range(len(request.messages))])

    def received(self, topic: str) -> list[Received]:
        """What was published to *topic* until now."""
        return [message for name, message in self._kept if name == topic]

    def close(self) -> None:
        """Stop listening, at once."""
        self._server.stop(None).wait()


@contextmanager
def own_server(port: int, topics: list[str]) -> Iterator[PubSub]:
    """A :class:`Server`; it knows every topic."""
    server = Server(port)
    try:
        yield server
    finally:
        server.close()


class _Emulator:
    def __init__(self, host: str, topics: list[str]) -> None:
        self.host = host
        self._found: dict[str, list[Received]] = {topic: [] for topic in topics}
        self._channel = grpc.insecure_channel(host)
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
        self._subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))
        until = time.monotonic() + 60
        for topic in topics:
            while True:
                try:
                    publisher.create_topic(name=topic, retry=None, timeout=5)
                    break
                except ServiceUnavailable:
                    assert time.monotonic() < until
                    time.sleep(0.2)
            self._subscriber.create_subscription(name=self._subscription(topic), topic=topic)

    @staticmethod
    def _subscription(topic: str) -> str:
        return topic.replace("/topics/", "/subscriptions/")

    def received(self, topic: str) -> list[Received]:
        while True:
            name = self._subscription(topic)
            try:
                answer = self._subscriber.pull(subscription=name, max_messages=100, retry=None, timeout=1)
            except DeadlineExceeded:
                return self._found[topic]
            if not answer.received_messages:
                return self._found[topic]
            for item in answer.received_messages:
                self._found[topic].append(Received(item.message.data.decode(), dict(item.message.attributes)))
            self._subscriber.acknowledge(subscription=name, ack_ids=[i.ack_id for i in answer.received_messages])

    def close(self) -> None:
        self._channel.close()


@contextmanager
def emulator(port: int, topics: list[str]) -> Iterator[PubSub]:
    """Google's emulator with *topics*, each with a subscription."""
    program = _emulator_program()
    assert program is not None
    with subprocess.Popen(
        [program, "--host=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            made = _Emulator(f"127.0.0.1:{port}", topics)
            try:
                yield made
            finally:
                made.close()
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the shell script and the Java process that it has started


def _emulator_program() -> Path | None:
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    root = Path(gcloud).resolve().parent.parent
    program = root / "platform" / "pubsub-emulator" / "bin" / "cloud-pubsub-emulator"
    return program if program.is_file() else None


STARTERS: list[Callable[[int, list[str]], Any]] = [own_server, *([emulator] if _emulator_program() else [])]
"""Every Pub/Sub that this machine has."""
