"""A route whose endpoint reads the request itself: FastAPI has no values to find for it, and is not asked to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from tunesmith.server.auth import Needs


class DirectRoute(APIRoute):
    """Asks for its rights, then calls ``endpoint(request)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request.

        Raises: TypeError where the route depends on anything but rights, which would not be asked here.
        """
        needed = [one.dependency for one in self.dependencies]
        rights = [one for one in needed if isinstance(one, Needs)]
        if len(rights) != len(needed) or not rights:
            raise TypeError(f"{self.path} depends on more than rights, or on none: use a plain route")

        async def answer(request: Request) -> Response:
            for right in rights:
                await right(request)
            told: Response = await self.endpoint(request)
            return told

        return answer
