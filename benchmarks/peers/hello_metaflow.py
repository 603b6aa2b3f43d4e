#!/usr/bin/env python3
"""One task on Metaflow, which needs two steps, as a whole program."""

from metaflow import FlowSpec, step


class HelloFlow(FlowSpec):
    """Start greets, end shows it."""

    @step
    def start(self) -> None:
        """Greet."""
        self.greeting = "hello world"
        self.next(self.end)

    @step
    def end(self) -> None:
        """Show it."""
        print(self.greeting)


if __name__ == "__main__":
    HelloFlow()
