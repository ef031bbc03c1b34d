"""A module that cannot be imported: what an error of the init phase looks like."""

raise RuntimeError("no settings")
