"""SQS queues and the functions that consume them.

event_source      an event source mapping: receive, filter, batch, invoke, delete; the loop is in this one module
mapping_settings  what a mapping is told, and its statistics; mapping_errors: what keeps it from its work
batches           messages, batches and events; batch_outcome: which messages of a batch are done
filters           which messages a function gets
source_queue      the calls to SQS; limited_queue: within the limit of messages in flight, and monitored
mappings          the mappings of a stack, put together; s3_delivery: S3's part, where a bucket invokes a function
queue_monitor     the age of a queue's oldest message, redeliveries and calls; depths: how full the queues are
operations        what operators do with queues: look at them, and redrive dead letters
"""
