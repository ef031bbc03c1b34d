"""An asyncio-native AWS Lambda runtime: `python -m workers.runtime module.handler`.

Many invocations share one process and one warm loop; each is cancelled before its deadline. It knows nothing of what
the functions do, and imports only the standard library, and uvloop and orjson where they are installed.

Modules, from the wire upwards:
http1       bytes to HTTP/1.1 responses          lifespan    resources opened once a process
transport   one connection, kept and re-made     asgi        web applications behind API Gateway
protocol    the Runtime API's messages           slots       the poll loops
client      one slot's calls to the Runtime API  drain       how a process ends
streaming   answers in parts, as handlers make   serve       from settings to exit code
main_thread where a lone sync handler runs
callers     sync and async handlers              supervisor  several processes, kept alive
execution   one handler call and its deadline    testing     the Runtime API as an in-process fake
"""
