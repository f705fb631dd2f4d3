"""Bodies and views: what calls take and answer."""
