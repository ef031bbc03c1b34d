"""Between functions and an emulator: keeps DynamoDB's and S3's limits, which no emulator does, and answers as AWS.

app        the ASGI middleware: whose request is it?
dynamodb   DynamoDB calls: let through, in part, or refused
batches    what of a batch passes, and what comes back
writes     what a write wants of which partition, and what its answer tells
reads      the same of a read
schemas    keys and indexes of tables, asked of the emulator
memory     what is known of items: their size and where the indexes have them
updates    what expressions set, remove and look for
exchange   one request and its answer
answers    refusals as DynamoDB and S3 write them
s3         S3 requests: bucket and key
tally      how many requests passed
uses       how much of each limit is used, and what was counted, over HTTP
proxy      the same in front of an emulator that another process runs
"""
