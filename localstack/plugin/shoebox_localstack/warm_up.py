"""The first call to every service, made before LocalStack says that it is ready.

LocalStack 4.14 loads a service at its first call, and takes it for loaded before its operations can be found: of two
first calls at once, one is told 501. It is also slow, about a second for all of them.
"""

from __future__ import annotations

from localstack.aws.connect import connect_to
from localstack.runtime.hooks import on_infra_ready


@on_infra_ready(priority=1)  # before the stage READY is complete, which is what the health check asks for
def call_every_service() -> None:
    """Call each service of the image once; an error ends the start, so the container never becomes healthy."""
    services = connect_to()
    services.s3.list_buckets()
    services.sqs.list_queues()
    services.sns.list_topics()
    services.dynamodb.list_tables()
    services.dynamodbstreams.list_streams()
    services.iam.list_roles()
    services.sts.get_caller_identity()
