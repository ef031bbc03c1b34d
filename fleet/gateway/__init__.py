"""API Gateway in both its flavours, REST and HTTP.

factory             makes the gateway of a stack
app                 one request, from its limits to its response
request, routes     what came in, with its size limits and ids; which function serves it
authorizer          asks a Lambda authorizer and caches its authorization; authorizer_rules: what it is asked;
                    authorizer_policy: what its output means
events, binary      events for functions, of payload format 1.0 and 2.0; which bodies are Base64
responses           functions' responses, of payload format 1.0 and 2.0
refusals            why a request does not pass, and the gateway's own responses
cors                an HTTP API's CORS
"""
