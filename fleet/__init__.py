"""Lambda and API Gateway on one machine, the AWS emulator beside them, and what provisions it."""
