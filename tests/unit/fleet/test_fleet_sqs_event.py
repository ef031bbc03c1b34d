import orjson

from fleet.queues.sqs_event import event_of, message_of

RECEIVED = {
    "MessageId": "m1",
    "ReceiptHandle": "h1",
    "MD5OfBody": "d41d8",
    "Body": "hello",
    "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
    "MessageAttributes": {
        "trace": {"DataType": "String", "StringValue": "t1"},
        "blob": {"DataType": "Binary", "BinaryValue": "AAE="},
    },
    "MD5OfMessageAttributes": "abc",
}


def test_a_record_looks_as_lambda_makes_it():
    """Names, spelling and nesting are those of AWS's example event."""
    message = message_of(RECEIVED, queue_arn="arn:aws:sqs:eu-west-1:1:q", region="eu-west-1", now=5.0)
    assert orjson.loads(event_of([message])) == {
        "Records": [
            {
                "messageId": "m1",
                "receiptHandle": "h1",
                "body": "hello",
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
                "messageAttributes": {
                    "trace": {
                        "dataType": "String",
                        "stringValue": "t1",
                        "stringListValues": [],
                        "binaryListValues": [],
                    },
                    "blob": {
                        "dataType": "Binary",
                        "binaryValue": "AAE=",
                        "stringListValues": [],
                        "binaryListValues": [],
                    },
                },
                "md5OfBody": "d41d8",
                "md5OfMessageAttributes": "abc",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q",
                "awsRegion": "eu-west-1",
            }
        ]
    }


def test_a_message_without_attributes_has_empty_ones():
    """The keys are always there."""
    bare = {key: RECEIVED[key] for key in ("MessageId", "ReceiptHandle", "MD5OfBody", "Body")}
    message = message_of(bare, queue_arn="arn", region="eu-west-1", now=0.0)
    record = orjson.loads(message.record)
    assert (record["attributes"], record["messageAttributes"]) == ({}, {})
