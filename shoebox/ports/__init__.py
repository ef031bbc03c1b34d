"""Ports: what the domain asks of DynamoDB, S3, SQS and SNS, in the domain's words."""
