# The stack of the template, in moto. Arguments: the template, and parameters as NAME=VALUE. Prints what moto could not make.
import io, zipfile
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

STACK = "cmslite-loader"

with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file.read())
# What `sam deploy` does first: the code goes to a bucket.
template["Resources"]["Loader"]["Properties"]["CodeUri"] = "s3://artifacts/bootstrap.zip"
parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
known = {name: parameter.get("Default", "") for name, parameter in template["Parameters"].items()}
session = boto3.Session(region_name="ca-central-1")
translated = Translator({}, Parser(), boto_session=session).translate(template, {**known, **parameters})
# CloudFormation hands numbers on as text, moto as numbers.
for parameter in translated["Parameters"].values():
    parameter["Type"] = parameter["Type"].replace("Number", "String")
    parameter.pop("MinValue", None), parameter.pop("MaxValue", None)
    if "Default" in parameter:
        parameter["Default"] = str(parameter["Default"])
# moto's CloudFormation does not know these.
unknown = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::SNS::Subscription", "AWS::Lambda::EventInvokeConfig")
left_out = {name: body for name, body in translated["Resources"].items() if body["Type"] in unknown}
for name in left_out:
    del translated["Resources"][name]
del translated["Outputs"]["DashboardName"]

program = io.BytesIO()
with zipfile.ZipFile(program, "w") as archive:
    archive.writestr("bootstrap", "")
boto("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "ca-central-1"})
boto("s3").put_object(Bucket="artifacts", Key="bootstrap.zip", Body=program.getvalue())
given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
formation = boto("cloudformation")
formation.create_stack(StackName=STACK, TemplateBody=json.dumps(translated), Parameters=given, Capabilities=["CAPABILITY_IAM"])
stack = formation.describe_stacks(StackName=STACK)["Stacks"][0]
assert stack["StackStatus"] == "CREATE_COMPLETE", stack
made = formation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
print(json.dumps({
    "outputs": {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
    "made": {resource["LogicalResourceId"]: resource.get("PhysicalResourceId") for resource in made},
    "left_out": sorted(left_out),
    # moto's CloudFormation makes no policies of queues.
    "queue_policies": {name: body["Properties"]["PolicyDocument"]["Statement"]
                       for name, body in translated["Resources"].items() if body["Type"] == "AWS::SQS::QueuePolicy"},
    "alarms": [body["Properties"]["AlarmName"]["Fn::Sub"].replace("${AWS::StackName}", STACK)
               for body in left_out.values() if body["Type"] == "AWS::CloudWatch::Alarm"],
}))
