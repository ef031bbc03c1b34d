"""The scenarios, a module each. docs/reference/scenarios.md has them with their figures."""

from load_tests.scenarios import christmas, day, naive, one_owner, smoke, soak
from load_tests.scenarios.model import Plan, Scenario, make_plan

SCENARIOS: dict[str, Scenario] = {
    module.SCENARIO.name: module.SCENARIO for module in (smoke, day, christmas, one_owner, soak, naive)
}

__all__ = ["SCENARIOS", "Plan", "Scenario", "make_plan"]
