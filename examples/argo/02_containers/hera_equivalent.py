"""The same by hand with Hera. The awkward text has to be escaped by whoever writes it: Argo reads {{, Kubernetes $(."""

from hera.workflows import DAG, Container, Env, Parameter, Script, Task, Workflow

with Workflow(
    generate_name="greetings-",
    namespace="team",
    entrypoint="main",
    service_account_name="workflow",
    arguments=[
        Parameter(name="name", value="Ada"),
        Parameter(name="awkward", value="$(LB){workflow.name}} $$(HOME) \"quoted\" 'too' --flag\non two lines"),
    ],
) as w:
    greet = Container(
        name="greet",
        image="busybox:1.36",
        command=["sh", "-c", 'echo "$GREETING, $0!"'],
        args=["{{inputs.parameters.name}}"],
        env=[Env(name="GREETING", value="Hello")],
        inputs=[Parameter(name="name")],
    )
    echo = Container(
        name="echo",
        image="busybox:1.36",
        command=["printf", "%s"],
        args=["{{inputs.parameters.text}}"],
        env=[Env(name="LB", value="{")],
        inputs=[Parameter(name="text")],
    )
    measure = Script(
        name="measure",
        image="python:3.11-slim",
        command=["python"],
        env=[Env(name="UNIT", value="characters")],
        inputs=[Parameter(name="text")],
        source="""
import os
text = '''{{inputs.parameters.text}}'''
print(len(text), os.environ["UNIT"])
""",
    )
    with DAG(name="main"):
        heard = Task(
            name="greet",
            template=greet,
            arguments=[Parameter(name="name", value="{{workflow.parameters.name}}")],
        )
        measured = Task(
            name="measure",
            template=measure,
            arguments=[Parameter(name="text", value="{{tasks.greet.outputs.result}}")],
        )
        Task(
            name="echo",
            template=echo,
            arguments=[Parameter(name="text", value="{{workflow.parameters.awkward}}")],
        )
        heard >> measured

MANIFEST = w.to_dict()

if __name__ == "__main__":
    w.create()
