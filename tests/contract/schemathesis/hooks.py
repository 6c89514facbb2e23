"""What Schemathesis checks on top of its own, and whom it leaves alone."""

import os

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi.checks import is_unexpected_http_status_case


# What no schema can say: faults of valid data that are none of the description's.
BEYOND_SCHEMAS = {
    "There is no such variant of this product.",
    "can't be changed; make another coupon",
    "does not go with resume",
    "must be after starts_at",
    "must be in the future",
    "there is no such product",
    "there is no such variant",
    "is one of the commonest passwords; choose another",
}


@schemathesis.check
def valid_data_is_not_called_invalid(ctx, response, case):
    """A request that fits its description is never a `validation_error`."""
    if case.meta is None or not case.meta.generation.mode.is_positive or is_unexpected_http_status_case(case):
        return
    problem = response.json() if response.status_code == 422 else {}
    if problem.get("code") != "validation_error":
        return
    errors = problem["errors"]
    if not {fault for faults in errors.values() for fault in faults} <= BEYOND_SCHEMAS:
        raise Failure(operation=case.operation.label, title="Valid data is called invalid", message=str(errors))


@schemathesis.hook
def filter_case(context, case):
    """An empty query parameter is one that is not given, and the run's own account and token must outlive the run."""
    if "" in (case.query or {}).values():
        return False
    own = {"/api/admin/users/{": os.environ.get("OWN_USER"), "/api/admin/tokens/{": os.environ.get("OWN_TOKEN")}
    for path, id in own.items():
        if case.path.startswith(path) and case.method != "GET" and str((case.path_parameters or {}).get("id")) == id:
            return False
    return True
