"""The decision: Lua scripts in Valkey/Redis, and the Python that calls them."""
