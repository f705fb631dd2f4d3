"""The framework's routes: one file per noun."""
