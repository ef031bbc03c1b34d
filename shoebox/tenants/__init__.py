"""The tenants: their public keys and the tokens that they sign."""
