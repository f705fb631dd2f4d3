"""The pages, built before and served here."""
