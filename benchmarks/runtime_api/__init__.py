"""What benchmarks/runtime.py measures against: a fast stub of the Runtime API, events, handlers for both runtimes."""
