"""What commands share: output, exit codes, options, messages."""
