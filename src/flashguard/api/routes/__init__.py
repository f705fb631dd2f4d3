"""The framework's routes: one noun, one file."""
