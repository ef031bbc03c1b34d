"""What API Gateway calls: the authorizer, and the HTTP API."""
