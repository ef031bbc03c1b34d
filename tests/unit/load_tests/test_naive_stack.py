"""The naive stack differs from stack.yaml in what its design is about, and in nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from load_tests.naive.stack import naive_stack
from shoebox.stack.model import StackError, load_stack

STACK_FILE = Path(__file__).parents[3] / "stack.yaml"


def differences(one: Any, other: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Return what differs between two descriptions, by its place."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return {} if one == other else {place: (one, other)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in one.keys() | other.keys():
        found |= differences(one.get(key), other.get(key), f"{place}.{key}".lstrip("."))
    return found


def test_all_but_the_way_to_ingest_is_as_in_stack_yaml(tmp_path: Path):
    """Notification, handler, trigger and one permission: the model sees no other difference."""
    path = tmp_path / "naive.yaml"
    path.write_text(naive_stack(STACK_FILE), encoding="utf-8")
    plain, naive = load_stack(STACK_FILE), load_stack(path)

    [(place, (before, after))] = differences(plain.model_dump()["buckets"], naive.model_dump()["buckets"]).items()
    assert place == "personal.notifications"
    assert after == [{**n, "queue": None, "function": "ingest"} for n in before]
    rest = differences(plain.model_dump(exclude={"buckets"}), naive.model_dump(exclude={"buckets"}))
    assert rest.pop("functions.ingest.queue")[1] is None
    assert rest == {
        "functions.ingest.handler": ("workers.ingest.handler", "load_tests.naive.handler.handler"),
        "functions.ingest.permissions.queue/uploads": (["consume"], None),
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content["functions"]["ingest"].pop("queue"), id="no trigger"),
        pytest.param(lambda content: content["buckets"]["personal"].pop("notifications"), id="no notification"),
    ],
)
def test_a_stack_of_another_shape_is_refused(change: Any, tmp_path: Path):
    """Rather than a comparison of a stack with itself."""
    content = yaml.safe_load(STACK_FILE.read_text(encoding="utf-8"))
    change(content)
    path = tmp_path / "stack.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(StackError, match="no bucket notifies a queue uploads"):
        naive_stack(path)
