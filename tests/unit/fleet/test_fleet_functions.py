from dataclasses import replace

import pytest

from fleet.errors import FunctionNotFound
from fleet.functions import Functions, FunctionSpec

SPEC = FunctionSpec("api", "shoebox-api", "arn:aws:lambda:eu-west-1:1:function:shoebox-api", "a.b", 128, 3)


@pytest.mark.parametrize(
    "name",
    ["shoebox-api", "shoebox-api:$LATEST", "1:function:shoebox-api", SPEC.arn, SPEC.arn + ":$LATEST"],
)
def test_a_function_is_found_by_every_form_that_invoke_takes(name: str):
    """Name, partial ARN and full ARN, with or without the version."""
    assert Functions([SPEC]).by_name(name) is SPEC


@pytest.mark.parametrize("name", ["api", "shoebox", "shoebox-api:7", "", "arn:aws:lambda:eu-west-1:1:function:other"])
def test_other_names_are_not_found(name: str):
    """404, and nothing is guessed."""
    with pytest.raises(FunctionNotFound):
        Functions([SPEC]).by_name(name)


def test_several_slots_have_the_init_time_of_managed_instances():
    """130 seconds or the function's timeout, where one slot has the classic limit."""
    assert SPEC.init_limit(10.0) == 10.0
    assert replace(SPEC, slots=2).init_limit(10.0) == 130.0
    assert replace(SPEC, slots=2, timeout=900).init_limit(10.0) == 900
