"""API Gateway's REST flavour: routes, authorizer with its cache, proxy events, shaped errors."""
