"""Event source mappings: from an SQS queue, batch by batch, into a function."""
