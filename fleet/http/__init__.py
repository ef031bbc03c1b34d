"""What serves HTTP here: uvicorn on our own loop, small ASGI helpers, ports, trace ids."""
