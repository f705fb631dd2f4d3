"""Whether the service in this container answers: exit code 0 or 1. `healthcheck.py [PORT]`

Without a port it asks the API's. It imports next to nothing: an orchestrator runs it every few seconds.
"""

import http.client
import os
import sys

TIMEOUT_SECONDS = 3.0


def main() -> int:
    """Asks `/healthz` once."""
    port = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FLASHGUARD_PORT", "8000")
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"port {port} does not answer: {error}", file=sys.stderr)
        return 1
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
