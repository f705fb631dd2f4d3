"""HTTP: the contract of FlashGuard, on top of `flashguard.guard` and nothing else."""
