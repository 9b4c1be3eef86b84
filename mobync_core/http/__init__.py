"""Serving a sync over HTTP: one endpoint, and thin faces of it for web frameworks.

`mobync_core.http.asgi` is for Starlette, FastAPI and ASGI servers, `mobync_core.http.flask` for Flask. What neither
covers needs only `Endpoint`: bytes in, a status, headers and bytes out.
"""

from mobync_core.http.endpoint import Endpoint, OwnerOf, Response

__all__ = ["Endpoint", "OwnerOf", "Response"]
