"""The same by hand with Hera: one template, and a step or a group for each call."""

from hera.workflows import Parameter, Script, Step, Steps, Workflow

with Workflow(
    generate_name="acquire-",
    namespace="team",
    entrypoint="main",
    service_account_name="workflow",
    arguments=[Parameter(name="tile", value="31UFU")],
) as w:
    say = Script(
        name="say",
        image="python:3.11-slim",
        command=["python"],
        inputs=[Parameter(name="what")],
        source="print('''{{inputs.parameters.what}}''')",
    )
    with Steps(name="main") as s:
        Step(
            name="order",
            template=say,
            arguments=[Parameter(name="what", value="order {{workflow.parameters.tile}}")],
        )
        with s.parallel():
            Step(name="red", template=say, arguments=[Parameter(name="what", value="download red")])
            Step(name="nir", template=say, arguments=[Parameter(name="what", value="download near infrared")])
        Step(name="merge", template=say, arguments=[Parameter(name="what", value="merge the bands")])
        Step(name="tell", template=say, arguments=[Parameter(name="what", value="tell the others")])

MANIFEST = w.to_dict()

if __name__ == "__main__":
    w.create()
