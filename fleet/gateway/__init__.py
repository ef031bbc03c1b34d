"""API Gateway in both its flavours, REST and HTTP.

app                one request, from its limits to its answer
request            what came in; sizes and ids
routes             which function answers: each flavour's precedence
authorizer         asks Lambda authorizers; authorizer_rules, authorizer_event, authorizer_policy, authorizer_cache,
                   identity: what they are asked, what their answer means, and how long it is kept
proxy_event        events of payload format 1.0; proxy_event_2 of 2.0; binary: which bodies are Base64
responses          functions' answers of format 1.0, and the gateway's own; response_2 of 2.0; response_headers
refusal, faults    why a request does not pass, and what AWS answers then
cors               an HTTP API's CORS
"""
