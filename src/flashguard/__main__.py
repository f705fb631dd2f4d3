"""`python -m flashguard` is the `flashguard` command."""

from flashguard.cli import main

if __name__ == "__main__":
    main()
