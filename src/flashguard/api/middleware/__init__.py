"""What surrounds every call: limits, request ids, traces, headers, failures."""
