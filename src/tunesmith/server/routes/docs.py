"""``GET /openapi.json`` and ``GET /docs``: the schema, and a page of it that needs no script and no network."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from tunesmith.server.auth import needs

router = APIRouter(dependencies=[needs("read")])
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid #8886; padding-top: 1rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow: auto; padding: .75rem; background: #8881; border-radius: 6px; }
td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
.method { color: #2563eb; } @media (prefers-color-scheme: dark) { .method { color: #93c5fd; } }
"""


@router.get("/openapi.json", summary="The schema", response_class=JSONResponse)
async def openapi(request: Request) -> Response:
    """What is asked and answered, as OpenAPI."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", summary="The schema, for people", response_class=HTMLResponse)
async def page(request: Request) -> Response:
    """The schema as one page of plain HTML."""
    return HTMLResponse(_page(request.app.openapi()))


def _page(schema: dict[str, Any]) -> str:
    info = schema["info"]
    title = html.escape(f"{info['title']} {info['version']}")
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>",
        f"<h1>{title}</h1><p>{html.escape(info.get('description', ''))}</p>",
        "<p>Send your key with every request but the health checks: <code>Authorization: Bearer KEY</code>.</p>",
    ]
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            parts.append(_operation(path, method, told))
    parts.append("<h2>Types</h2>")
    for name, one in schema.get("components", {}).get("schemas", {}).items():
        parts.append(f"<h3 id={html.escape(name)}>{html.escape(name)}</h3>{_json(one)}")
    return "\n".join(parts) + "</html>"


def _operation(path: str, method: str, told: dict[str, Any]) -> str:
    parts = [
        f"<h2><span class=method>{method.upper()}</span> <code>{html.escape(path)}</code></h2>",
        f"<p>{html.escape(told.get('description', told.get('summary', '')))}</p>",
    ]
    if "requestBody" in told:
        [asked] = told["requestBody"]["content"].values()
        parts.append(f"<h4>Body</h4>{_json(asked['schema'])}")
    rows = "".join(
        f"<tr><td><code>{status}</code><td>{html.escape(one.get('description', ''))}"
        for status, one in sorted(told["responses"].items())
    )
    return "\n".join([*parts, f"<h4>Answers</h4><table>{rows}</table>"])


def _json(value: Any) -> str:
    return f"<pre>{html.escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
