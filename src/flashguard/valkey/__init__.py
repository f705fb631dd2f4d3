"""The client of Valkey/Redis: one server, a primary under Sentinels, or a cluster."""
