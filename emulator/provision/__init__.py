"""Creates what stack.yaml describes in an emulator or AWS, and updates what differs; running it twice does no harm."""

from emulator.provision.provisioner import provision
from emulator.provision.resources import Change, Outcome, ProvisionError, Report
from emulator.provision.roles import RoleSource

__all__ = ["Change", "Outcome", "ProvisionError", "Report", "RoleSource", "provision"]
