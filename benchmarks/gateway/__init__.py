"""The gateway under load: a fleet of no-op functions, a load generator, and a peer."""
