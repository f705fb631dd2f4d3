"""AWS Lambda: `handler.handler` answers HTTP, `recorder_handler.handler` records on a schedule."""
