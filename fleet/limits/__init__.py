"""AWS's limits as pure objects: the caller passes the time, so the live fleet and the day simulator share them.

quotas        how much of everything: AWS's defaults, a fraction of them, none, or a file
bucket        token buckets, also one for each of millions of keys, and what is counted by the second
rate_limit    a bucket with what it let pass and what it refused
use           how much of a limit is used, and how often it refused
concurrency   Lambda: who may run now
event_source  Lambda: how many batches an SQS event source mapping has at work
in_flight     SQS: messages of a queue that are received and not yet deleted
async_events  Lambda: when an asynchronous event is tried again, and when it is given up
gateway       API Gateway: requests a second
dynamodb      DynamoDB: reads and writes a second, of a partition and of a table
capacity      DynamoDB: sizes of items, and what they cost
s3            S3: requests a second, of a prefix
plan          what a planned load needs of each limit
"""
