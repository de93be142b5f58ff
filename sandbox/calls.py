"""The operation of a request (protocol section 5), and the targets of faults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import parse_qs, unquote

from sandbox import refusals
from sandbox.wire import MalformedDocumentError, OrderForm, Reply, Request, parse_form, refuse


class Operation(StrEnum):
    """The operations of the wire."""

    TOKEN = "token"  # noqa: S105 - a path, not a password
    PING = "ping"
    ACCOUNT = "account"
    PRODUCTS = "products"
    INQUIRY = "inquiry"
    CHECKOUT = "checkout"
    STATUS = "status"


API_OPERATIONS = tuple(operation for operation in Operation if operation is not Operation.TOKEN)

_METHODS = {
    "/token": {"POST": Operation.TOKEN},
    "/api/ping": {"GET": Operation.PING},
    "/api/v2/account": {"GET": Operation.ACCOUNT},
    "/api/v2/product-list": {"GET": Operation.PRODUCTS},
    "/api/v2/inquiry": {"POST": Operation.INQUIRY},
    "/api/v2/order": {"POST": Operation.CHECKOUT},
}
_ORDER_PREFIX = "/api/v2/order/"


@dataclass(frozen=True, slots=True)
class Target:
    """What a rule is drawn for. Occasions are counted by ``subject``."""

    operation: Operation
    subject: str
    request_id: str = ""
    client_number: str = ""
    product: str = ""

    def about(self, subject: str) -> Target:
        """The same target, counted by another subject."""
        return replace(self, subject=subject)


@dataclass(frozen=True, slots=True)
class Call:
    """A recognised request. ``form`` or ``problem`` is set for inquiry and checkout."""

    operation: Operation
    request: Request
    request_id: str = ""
    form: OrderForm | None = None
    problem: str = ""

    @property
    def target(self) -> Target:
        """The target of faults: the request id, else the client number, else the operation."""
        number = self.form.client_number if self.form else ""
        product = self.form.product_code if self.form else ""
        return Target(
            self.operation,
            self.request_id or number or self.operation.value,
            self.request_id,
            number,
            product,
        )


def recognise(request: Request) -> Call | Reply:
    """The call, or the reply to an unknown path or method. A trailing slash is ignored."""
    path = request.path.rstrip("/")
    methods = _METHODS.get(path)
    if methods is None:
        segment = path.removeprefix(_ORDER_PREFIX)
        if segment == path or "/" in segment:
            return refuse(refusals.NO_ROUTE)
        if request.method != "GET":
            return refuse(refusals.BAD_METHOD).with_headers(allow="GET")
        return Call(Operation.STATUS, request, request_id=unquote(segment))
    operation = methods.get(request.method)
    if operation is None:
        return refuse(refusals.BAD_METHOD).with_headers(allow=", ".join(methods))
    if operation not in (Operation.INQUIRY, Operation.CHECKOUT):
        return Call(operation, request)
    kind = "inquiry" if operation is Operation.INQUIRY else "order"
    try:
        form = parse_form(request.body, kind)
    except MalformedDocumentError as error:
        return Call(operation, request, problem=str(error))
    if operation is Operation.INQUIRY:
        return Call(operation, request, form=form)
    if form.identifier is None:
        return Call(operation, request, form=form, problem="the member id is missing")
    return Call(operation, request, request_id=form.identifier, form=form)


def query_values(query: str, name: str) -> list[str]:
    """The decoded values of a query parameter, empty ones left out (``product_code=`` of the Go SDK)."""
    return parse_qs(query).get(name, [])
