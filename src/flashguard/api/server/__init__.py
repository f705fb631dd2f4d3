"""From bytes to requests: the server's protocol, its bounds, and the lane."""
