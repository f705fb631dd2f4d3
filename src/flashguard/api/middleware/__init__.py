"""What stands around every call: limits, names, traces, headers, failures."""
