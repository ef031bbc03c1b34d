"""/docs: the OpenAPI document as one HTML page, without scripts and without anything from another origin."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.openapi import describe

router = APIRouter(include_in_schema=False)
_INLINE_CODE = re.compile(r"`([^`]+)`")
_EMPHASIS = re.compile(r"(?<![\w*])\*(\w[^*<>]*)\*(?![\w*])")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
section { border-top: 1px solid #8886; margin-top: 2rem; }
h3 code { font-size: 1.05em; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    """Show the description as a page."""
    page = _page(orjson.dumps(describe(request.app)))
    headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@lru_cache(maxsize=1)
def _page(text: bytes) -> bytes:
    document = orjson.loads(text)
    operations = [
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(document["info"]["title"])}: HTTP API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><h1>{escape(document["info"]["title"])}: HTTP API</h1>
{_paragraphs(document["info"]["description"])}
<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI {escape(document["openapi"])}).</p>
<h2>Routes</h2>{"".join(operations)}
<h2>Documents</h2>{"".join(schemas)}
</body></html>""".encode()


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    scopes = [scope for need in operation.get("security", []) for names in need.values() for scope in names]
    needs = f"<p>Needs a token with {_code(', '.join(scopes))}.</p>" if scopes else "<p>Needs no token.</p>"
    parameters = [
        (_code(each["name"]), escape(each["in"]), _type(each["schema"]), _words(each.get("description", "")))
        for each in operation.get("parameters", [])
    ]
    bodies = "".join(
        f"<p>Body: {_code(media_type)} {_type(content['schema'])}</p>"
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    responses = []
    for status, response in sorted(operation["responses"].items()):
        documents = [_type(content.get("schema", {})) for content in response.get("content", {}).values()]
        responses.append((_code(status), _words(response["description"]), ", ".join(documents)))
    return f"""<section id="{escape(operation["operationId"])}">
<h3><span class="method">{escape(method.upper())}</span> {_code(path)}</h3>
{_paragraphs(operation.get("description") or operation.get("summary", ""))}{needs}
{_table(("Parameter", "In", "Type", ""), parameters)}{bodies}
{_table(("Status", "Meaning", "Document"), responses)}</section>"""


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        (_code(key), _type(value), "" if key in required else "optional", _words(value.get("description", "")))
        for key, value in schema.get("properties", {}).items()
    ]
    return f"""<section id="schema-{escape(name)}"><h3>{_code(name)}</h3>
{_paragraphs(schema.get("description", ""))}{_table(("Key", "Type", "", ""), rows)}</section>"""


def _type(schema: dict[str, Any]) -> str:
    """Return a schema in a few words, with links to the documents that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "enum" in schema or "const" in schema:
        return " or ".join(_code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    name = schema.get("title", "object") if "properties" in schema else schema.get("type", "any JSON")
    parts = [str(name)]
    if "format" in schema:
        parts.append(f"({schema['format']})")
    words = {"minimum": "from", "maximum": "to", "maxLength": "up to", "pattern": "like", "default": "default"}
    parts += [f"{word} {schema[key]}" for key, word in words.items() if schema.get(key) is not None]
    return escape(" ".join(parts))


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_words(part)}</p>" for part in text.strip().split("\n\n") if part)


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _words(text: str) -> str:
    """Return text as HTML, with Markdown's `code` and *emphasis*: descriptions use nothing else."""
    return _EMPHASIS.sub(r"<em>\1</em>", _INLINE_CODE.sub(r"<code>\1</code>", escape(text)))
