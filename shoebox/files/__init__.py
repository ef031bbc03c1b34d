"""The files service: model, rules, stores."""
