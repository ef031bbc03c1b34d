"""Services that LocalStack gets from here: DynamoDB and its streams on moto's models, and S3 with bodies on disk.

LocalStack's own DynamoDB downloads Amazon's DynamoDB Local, whose licence lets nobody pass it on. moto's models need
none, but are not thread-safe: of two conditional writes at once both could find their condition true. Hence the lock.
"""

from __future__ import annotations

import threading
from typing import Any

from localstack.aws.api import RequestContext, ServiceRequest, ServiceResponse
from localstack.aws.api.dynamodb import DynamodbApi
from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi
from localstack.aws.api.s3 import (
    CompleteMultipartUploadOutput,
    PutObjectOutput,
    PutObjectRequest,
    UploadPartOutput,
    UploadPartRequest,
)
from localstack.aws.forwarder import ForwardingFallbackDispatcher
from localstack.aws.skeleton import DispatchTable
from localstack.services.moto import call_moto
from localstack.services.plugins import Service, aws_provider
from localstack.services.s3.provider import S3Provider

from shoebox_localstack.bodies import store_on_disk
from shoebox_localstack.memory import refuse_uploads_when_almost_full

_moto = threading.Lock()  # one for both services: streams read what tables write


class DynamoDB(DynamodbApi):
    """Implements no operation itself, so that moto gets them all."""


class DynamoDBStreams(DynamodbstreamsApi):
    """Implements no operation itself, so that moto gets them all."""


class S3(S3Provider):
    """LocalStack's S3: bodies on disk, no uploads when memory is almost full, a multipart upload completed once.

    LocalStack 4.14 lets two completions at once through; the second empties the object, then finds the parts gone.
    """

    def __init__(self) -> None:
        super().__init__(store_on_disk())
        self._completing = threading.Lock()

    def complete_multipart_upload(self, **request: Any) -> CompleteMultipartUploadOutput:
        """As S3's; of calls at once the first does the work, the others get NoSuchUpload."""
        with self._completing:
            return super().complete_multipart_upload(**request)

    def put_object(self, context: RequestContext, request: PutObjectRequest) -> PutObjectOutput:
        """As S3's; 507 when memory is almost full."""
        refuse_uploads_when_almost_full(context)
        return super().put_object(context, request)

    def upload_part(self, context: RequestContext, request: UploadPartRequest) -> UploadPartOutput:
        """As S3's; 507 when memory is almost full."""
        refuse_uploads_when_almost_full(context)
        return super().upload_part(context, request)


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """LocalStack's service `dynamodb`; PROVIDER_OVERRIDE_DYNAMODB=moto chooses it."""
    from shoebox_localstack.transactions import list_no_instances, undo_instead_of_copying  # here: loads moto's models

    list_no_instances()
    undo_instead_of_copying()
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
