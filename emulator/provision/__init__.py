"""Creates what stack.yaml describes in any AWS-like place, and brings it up to date; twice is no fault."""

from emulator.provision.credentials import RoleSource
from emulator.provision.provisioner import provision
from emulator.provision.report import Change, Outcome, ProvisionError, Report

__all__ = ["Change", "Outcome", "ProvisionError", "Report", "RoleSource", "provision"]
