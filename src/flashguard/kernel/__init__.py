"""The atomic layer: Lua scripts in Valkey/Redis that decide, and the Python that calls them."""
