"""Looks for circular dependencies in a SAM template, which neither `sam validate` nor its linter finds.

The template is translated as CloudFormation would get it; then every Ref, Fn::GetAtt, Fn::Sub and DependsOn between
resources is an edge, and a depth-first walk must meet no resource on its own path.
"""

import re
import sys

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.translator import Translator
from samtranslator.parser.parser import Parser


def references(node):
    """The logical names that a part of a template refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("Ref", "DependsOn", "Condition") and isinstance(value, str):
                yield value
            elif key == "DependsOn":
                yield from value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.split(".")[0]
            elif key == "Fn::Sub":
                text = value[0] if isinstance(value, list) else value
                yield from (name.split(".")[0] for name in re.findall(r"\$\{([^!}][^}]*)\}", text))
                if isinstance(value, list):
                    yield from references(value[1])
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def cycle(resources):
    """A circle of resources, if there is one."""
    edges = {name: sorted(set(references(body)) & set(resources)) for name, body in resources.items()}
    done, path = set(), []

    def walk(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for other in edges[name]:
            found = walk(other)
            if found:
                return found
        path.pop()
        done.add(name)
        return None

    for name in sorted(edges):
        found = walk(name)
        if found:
            return found
    return None


def translated(path):
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    policies = {}
    session = boto3.Session(region_name="ca-central-1")
    translator = Translator(policies, Parser(), boto_session=session)
    parameters = {name: str(body.get("Default", "value")) for name, body in template.get("Parameters", {}).items()}
    return translator.translate(template, parameters)


def main():
    circular = {
        "Bucket": {"DependsOn": "Permission"},
        "Permission": {"Properties": {"FunctionName": {"Ref": "Function"}, "SourceArn": {"Fn::Sub": "${Bucket.Arn}"}}},
        "Function": {},
    }
    if cycle(circular) is None or cycle({"A": {"Properties": {"Fn::GetAtt": ["B", "Arn"]}}, "B": {}}) is not None:
        sys.exit("circular.py does not find what it is for")
    resources = translated(sys.argv[1])["Resources"]
    found = cycle(resources)
    if found:
        sys.exit("circular dependency: " + " -> ".join(found))
    print(f"no circular dependency among {len(resources)} resources: {', '.join(sorted(resources))}")


if __name__ == "__main__":
    main()
