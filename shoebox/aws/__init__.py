"""AWS for the whole project: one signer, one HTTP transport, one retry policy; aiobotocore for the rest."""
