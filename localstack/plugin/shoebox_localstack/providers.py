"""Services that LocalStack gets from here: DynamoDB and its streams on moto's models, and an S3 without a race.

LocalStack's own DynamoDB downloads Amazon's DynamoDB Local, whose licence lets nobody pass it on. moto's models need
none, but are not thread-safe: of two conditional writes at once both could find their condition true. Hence the lock.
"""

from __future__ import annotations

import threading
from typing import Any

from localstack.aws.api import RequestContext, ServiceRequest, ServiceResponse
from localstack.aws.api.dynamodb import DynamodbApi
from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi
from localstack.aws.api.s3 import CompleteMultipartUploadOutput
from localstack.aws.forwarder import ForwardingFallbackDispatcher
from localstack.aws.skeleton import DispatchTable
from localstack.services.moto import call_moto
from localstack.services.plugins import Service, aws_provider
from localstack.services.s3.provider import S3Provider

_moto = threading.Lock()  # one for both services: streams read what tables write


class DynamoDB(DynamodbApi):
    """Implements no operation itself, so that moto gets them all."""


class DynamoDBStreams(DynamodbstreamsApi):
    """Implements no operation itself, so that moto gets them all."""


class S3(S3Provider):
    """LocalStack's S3, but a multipart upload is completed once.

    LocalStack 4.14 lets two calls at once through; the second empties the object, then finds the parts gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._completing = threading.Lock()

    def complete_multipart_upload(self, **request: Any) -> CompleteMultipartUploadOutput:
        """As S3's; of calls at once the first does the work, the others get NoSuchUpload."""
        with self._completing:
            return super().complete_multipart_upload(**request)


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """LocalStack's service `dynamodb`; PROVIDER_OVERRIDE_DYNAMODB=moto chooses it."""
    from shoebox_localstack.transactions import copy_what_is_touched  # here: it loads moto's models

    copy_what_is_touched()
    return Service.for_provider(DynamoDB(), dispatch_table_factory=_on_moto)


@aws_provider(api="dynamodbstreams", name="moto")
def dynamodbstreams() -> Service:
    """LocalStack's service `dynamodbstreams`; PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto chooses it."""
    return Service.for_provider(DynamoDBStreams(), dispatch_table_factory=_on_moto)


@aws_provider(api="s3", name="shoebox")
def s3() -> Service:
    """LocalStack's service `s3`; PROVIDER_OVERRIDE_S3=shoebox chooses it."""
    return Service.for_provider(S3())


def _on_moto(provider: object) -> DispatchTable:
    return ForwardingFallbackDispatcher(provider, _call_moto)


def _call_moto(context: RequestContext, _: ServiceRequest) -> ServiceResponse:
    with _moto:
        return call_moto(context)
