"""What browsers see live: changes, fanned out to Server-Sent Events."""
