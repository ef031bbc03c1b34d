"""An asyncio-native AWS Lambda runtime: `python -m workers.runtime module.handler`.

Many invocations share one process and one warm loop; each is cancelled before its deadline. It knows nothing of what
the functions do, and imports only the standard library, and uvloop and orjson where they are installed.

Modules, from the wire upwards:
http1       bytes to HTTP/1.1 responses           slots       the poll loops: an invocation from `next` to its post
transport   one connection, kept and re-made      drain       the request to end the process
protocol    the Runtime API's messages            serve       from settings to exit code
streaming   responses in parts, as handlers make  supervisor  several processes, kept alive
client      one slot's calls to the Runtime API   worker      one of them, as it sees itself
context     AWS's context object                  lifespan    resources opened once a process
marshal     events and responses as JSON          asgi        web applications behind API Gateway
handlers    the handler loaded, and called        gateway     API Gateway's events
main_thread where the only sync handler runs      testing     the Runtime API as an in-process fake
settings, logs, errors
"""
