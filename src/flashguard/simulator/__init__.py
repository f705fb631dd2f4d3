"""The concurrency simulator: real HTTP buyers who all buy at the same moment, against real strategies."""
