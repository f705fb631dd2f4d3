"""The OpenAPI document: what every call may answer, described, with examples."""
