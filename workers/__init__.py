"""Functions that consume queues, and what runs any function."""
