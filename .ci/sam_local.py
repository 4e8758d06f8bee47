"""What `sam local invoke` does but for the container: drives the built function with AWS's own runtime interface emulator.

Arguments: the program `devstack`, and the `bootstrap` that was built. `devstack serve --sam` prepares the function as
docs/how-to/try-it-locally.md says; the emulator is the one that SAM puts into its containers. Every event of events/ must be answered.
"""

import json
import os
import pathlib
import platform
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import samcli

# A loopback address on which the stack does not listen.
BRIDGE = "127.0.0.2"


def free_port():
    # Below the ephemeral ports, so that no other program gets the port between this check and its use.
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_for(what, is_there, process, log):
    # The limit ends a call that hangs.
    for _ in range(3000):
        if is_there():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"{what} does not start: {pathlib.Path(log).read_text()}")


def listens(address, port):
    with socket.socket() as caller:
        return caller.connect_ex((address, port)) == 0


def main():
    devstack, bootstrap = (os.path.abspath(path) for path in sys.argv[1:])
    # The upload first.
    events = sorted(pathlib.Path("events").resolve().glob("*.json"), key=lambda path: (path.stem != "s3-object-created", path))
    architecture = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    emulator = pathlib.Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{architecture}"
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        built = pathlib.Path(".aws-sam/build/Loader")
        built.mkdir(parents=True)
        shutil.copy(bootstrap, built / "bootstrap")
        rie = pathlib.Path("aws-lambda-rie").resolve()
        shutil.copy(emulator, rie)
        rie.chmod(0o755)
        processes = []
        try:
            ports = ["--s3-port", str(free_port()), "--redshift-port", str(free_port()), "--page-port", "0"]
            with open("devstack.log", "w") as log:
                serve = [devstack, "serve", "--function", "none", "--sam", "--bridge", BRIDGE, *ports]
                processes.append(subprocess.Popen(serve, stdout=log, stderr=log))
            wait_for("devstack", lambda: "$ aws s3 cp" in pathlib.Path("devstack.log").read_text(), processes[0], "devstack.log")

            with open("devstack.sam/template.json") as file:
                function = json.load(file)["Resources"]["Loader"]["Properties"]
            with open("devstack.sam/variables.json") as file:
                variables = json.load(file)["Loader"]
            if set(variables) != set(function["Environment"]["Variables"]):
                sys.exit("the template and the file of variables name different ones")
            # The directory of the code in a container.
            variables = {name: value.replace("/var/task", function["CodeUri"]) for name, value in variables.items()}
            port, api = free_port(), free_port()
            command = [rie, "--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{api}", "./bootstrap"]
            with open("rie.log", "w") as log:
                limits = {"AWS_LAMBDA_FUNCTION_TIMEOUT": str(function["Timeout"]), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["MemorySize"])}
                processes.append(subprocess.Popen(command, cwd=function["CodeUri"], env={**variables, **limits}, stdout=log, stderr=log))
            wait_for("the emulator", lambda: listens("127.0.0.1", port), processes[1], "rie.log")
            good = 0
            for event in events:
                url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
                with urllib.request.urlopen(urllib.request.Request(url, event.read_bytes()), timeout=60) as response:
                    answer = json.load(response)
                if "errorType" in answer:
                    sys.exit(f"{event.name}: {answer}\n{pathlib.Path('rie.log').read_text()}")
                if answer.get("batchItemFailures"):
                    sys.exit(f"{event.name}: a message was not done: {answer}\n{pathlib.Path('rie.log').read_text()}")
                # The answer to a batch of SQS has nothing else.
                good += sum(report["objects_good"] for report in answer.get("reports", []))
            # "again" loads it once more; with "accept_shrink" it is found loaded.
            if good != 3:
                sys.exit(f"the sample was to be loaded, loaded once more, and found loaded; it ended as good {good} times")
            print(f"{len(events)} events answered in AWS's runtime interface emulator, the sample loaded")
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


if __name__ == "__main__":
    main()
