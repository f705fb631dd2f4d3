"""AWS Lambda: `handler.handler` answers HTTP, `recorder_handler.handler` runs the recorder on a schedule."""
