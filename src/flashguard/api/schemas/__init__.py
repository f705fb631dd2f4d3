"""Bodies and views: what calls accept and return."""
