import re

import pytest

from fleet.http.trace import new_trace_id, trace_id_of


def test_a_new_root_has_x_rays_form():
    """Version, time, 24 hexadecimal digits."""
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", new_trace_id())
    assert new_trace_id() != new_trace_id()


@pytest.mark.parametrize("header", ["", "Root=1-x", "a" * 300, "Root=1-67891233-abcdef012345678912345678\r\nx: y"])
def test_a_header_that_names_no_root_is_replaced(header: str):
    """Whatever a client sends, the trace id is one."""
    assert trace_id_of(header) != header


def test_a_callers_trace_goes_on():
    """With its parent and sampling."""
    header = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"
    assert trace_id_of(header) == header
