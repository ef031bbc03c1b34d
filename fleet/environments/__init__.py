"""Execution environments: processes that poll the Runtime API, and the pool that starts and ends them."""
