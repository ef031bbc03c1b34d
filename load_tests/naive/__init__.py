"""Shoebox as one would build it first: S3 invokes `ingest` for each photo, and there is no queue.

Made for one comparison: under a peak such a design takes the account's whole concurrency, and the API is throttled by
its own uploads. `stack` makes the stack's description from stack.yaml, `handler` is what `ingest` runs.
"""
