"""`flashguard` without rests between calls and groups: what the pace is compared with. See load_curve.py."""

from flashguard.cli import main
from flashguard.kernel import pace

if __name__ == "__main__":
    pace.REST_MOST_SECONDS = 0.0  # type: ignore[misc]
    main()
