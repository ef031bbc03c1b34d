"""Creates what stack.yaml describes in any AWS-like place, and brings it up to date; twice is no fault."""

from fleet.provision.credentials import RoleSource
from fleet.provision.provisioner import provision
from fleet.provision.report import Change, Outcome, Problem, Report

__all__ = ["Change", "Outcome", "Problem", "Report", "RoleSource", "provision"]
