"""stack.yaml: model, validation, deployment (names, ARNs, URLs), policies."""
