"""Containers of any image beside Python functions, each with its environment; text arrives as it was written."""

import os

from pyflow import container, pipeline, task


@container(image="busybox:1.36", stdout=True, env={"GREETING": "Hello"})
def greet(name: str):
    return ["sh", "-c", 'echo "$GREETING, $0!"', name]


@container(image="busybox:1.36", stdout=True)
def echo(text: str):
    return ["printf", "%s", text]


@task(env={"UNIT": "characters"})
def measure(text: str) -> str:
    return f"{len(text)} {os.environ['UNIT']}"


@pipeline
def greetings(name: str, awkward: str):
    heard = greet(name)
    return heard, measure(heard), echo(awkward)


if __name__ == "__main__":
    for value in greetings("Ada", "{{workflow.name}} $(HOME) \"quoted\" 'too' --flag\non two lines"):
        print(value)
