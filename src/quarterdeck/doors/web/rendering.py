"""Pages from templates: everything escaped, nothing loaded from elsewhere."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response

from quarterdeck.core.status import human

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer the Origin of our own forms is null, and they are refused
    "Cache-Control": "no-store",
}

_TEMPLATES = Environment(
    loader=PackageLoader("quarterdeck.doors.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_TEMPLATES.filters["human"] = human


def page(template: str, /, status: int = 200, **values: object) -> Response[str]:
    """A rendered page."""
    html = _TEMPLATES.get_template(template).render(**values)
    return Response(html, status_code=status, media_type="text/html", headers=HEADERS)
