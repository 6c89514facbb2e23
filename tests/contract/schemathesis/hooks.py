"""What Schemathesis checks on top of its own, and whom it leaves alone."""

import os
import re

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import is_unexpected_http_status_case


# What no schema can say: faults of valid data, as "path: fault", that are none of the description's.
BEYOND_SCHEMAS = re.compile(
    r"""
    .*: \ (
        There\ is\ no\ such\ variant\ of\ this\ product\.
      | is\ one\ of\ the\ commonest\ passwords;\ choose\ another
      | must\ be\ (after\ starts_at | in\ the\ future)
      | must\ not\ be\ after\ to
      | there\ is\ no\ such\ (category | product | variant)
    )
    # Of a coupon, an order, an import: what it is already, and how its fields go together.
    | value: \ must\ be\ given\ together\ with\ kind
    | code: \ can't\ be\ changed;\ make\ another\ coupon
    | lines: \ (the\ order\ has\ no\ line\ \d+ | line\ \d+\ has\ \d+\ units\ that\ are\ not\ refunded)
    | dry_run: \ does\ not\ go\ with\ resume
    # An import's file is text to the description, and rows to the shop.
    | file: .*
    # Which gateways there are is configured.
    | provider: \ must\ be\ one\ of:\ test
    # A product's prices, options and variants must fit one another.
    | (variants\.\d+\.)?compare_at_price: \ must\ not\ be\ below\ the\ price
    | variants\.\d+\.price: \ is\ required,\ here\ or\ on\ the\ product
    | variants\.\d+\.options\..*: \ is\ not\ an\ option\ of\ this\ product
    | \w+: \ stands\ on\ the\ variants\ of\ a\ product\ that\ has\ options.*
    | variants\.\d+\.options: \ (must\ name\ each\ of\ the\ product's\ options,\ and\ no\ other | are\ those\ of\ another\ variant\ too)
    | variants\.\d+\.id: \ is\ given\ twice
    | options(\.\d+\.(name | values))?: \ (is\ given\ twice | has\ a\ value\ twice | must\ have\ at\ most\ 5\ items)
    | category: \ must\ have\ a\ letter\ or\ a\ digit
    """,
    re.VERBOSE | re.DOTALL,
)


# An id that nothing in the shop has.
NOBODY = 987654321


@schemathesis.serializer("application/jsonl", "application/x-ndjson")
def json_lines(ctx, value):
    """Lines of JSON are text to the description."""
    return str(value).encode()


@schemathesis.check
def valid_data_is_not_called_invalid(ctx, response, case):
    """A request that fits its description is never a `validation_error`."""
    if case.meta is None or not case.meta.generation.mode.is_positive or is_unexpected_http_status_case(case):
        return
    problem = response.json() if response.status_code == 422 else {}
    if problem.get("code") != "validation_error":
        return
    errors = problem["errors"]
    if not all(BEYOND_SCHEMAS.fullmatch(f"{path}: {fault}") for path, faults in errors.items() for fault in faults):
        raise Failure(operation=case.operation.label, title="Valid data is called invalid", message=str(errors))


@schemathesis.hook
def filter_case(context, case):
    """An empty query parameter is one that is not given."""
    return "" not in (case.query or {}).values()


@schemathesis.hook
def before_call(context, case, kwargs):
    """The run's own account, token and session must outlive the run. Examples don't go through `filter_case`."""
    own = {"/api/admin/users/{": os.environ.get("OWN_USER"), "/api/admin/tokens/{": os.environ.get("OWN_TOKEN")}
    for path, id in own.items():
        if case.path.startswith(path) and case.method != "GET" and str((case.path_parameters or {}).get("id")) == id:
            case.path_parameters["id"] = NOBODY
    if case.path == "/api/admin/keys/rotate/" and isinstance(case.body, dict) and case.body.get("revoke") is True:
        case.body["revoke"] = False
