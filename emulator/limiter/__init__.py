"""DynamoDB's and S3's limits, which no emulator keeps: a layer between functions and an emulator that responds as AWS.

middleware        ASGI middleware that keeps the limits; what else passes is only counted
dynamodb          DynamoDB calls: let through, in part, or refused
reads, writes     capacity units that a call needs of each partition, and what its response shows that it used
tables            keys and indexes of tables, asked of the emulator; sizes and index keys of the items used last
s3                S3 requests: bucket and key
forwarding        a request passed on to the emulator, and its response as it was seen
error_responses   refusals as DynamoDB and S3 write them
usage             how much of each limit is used, and how many requests passed, over HTTP
proxy             the same middleware in front of an emulator that another process runs
"""
