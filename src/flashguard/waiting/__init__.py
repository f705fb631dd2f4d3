"""Fairness before and after the sale: the waiting room and the waiting list."""
