"""edgec-serve with one connection to it, over which a client in C sends the same request again and again."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np

from benchmarks.overhead.timed_adapter import TimedAdapter, by_program
from targets.runtime.embedded_frame import EmbeddedFrame
from tests.targets.runtime.serve.frame_request import bytes_of, parameters_of


@dataclass(frozen=True)
class TimedService:
    """The programs of service and client, the bundle, and the variables that both get."""

    service: Path
    client: Path
    bundle: Path
    environment: Mapping[str, str] | None = None

    @contextmanager
    def by_http(self, body: bytes, headers: Mapping[str, str], region: bytes = b"") -> Iterator[TimedAdapter]:
        """Start both. region: what registers the shared memory that the body names."""
        command = [self.service, self.bundle, "--port", "0", "--workers", "1", "--shared-memory", ""]
        with (
            subprocess.Popen(
                [str(one) for one in command], stdout=subprocess.PIPE, text=True, env=self.environment
            ) as process,
            ExitStack() as held,
        ):
            held.callback(process.terminate)
            url = (process.stdout.readline() if process.stdout else "").strip()
            address, path = url.split("/")[2], "/" + url.split("/", 3)[3]
            port = address.split(":")[1]
            if region:
                register(address, region)
            told = {"Host": address, "Content-Length": str(len(body)), **headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
            file = held.enter_context(tempfile.NamedTemporaryFile())
            file.write(f"POST {path}/infer HTTP/1.1\r\n{lines}\r\n".encode() + body)
            file.flush()
            client = held.enter_context(by_program([self.client, port, file.name], self.environment))
            yield TimedAdapter(client.take, (process.pid, *client.processes))

    @contextmanager
    def by_shared_memory(self, frame: EmbeddedFrame) -> Iterator[TimedAdapter]:
        """Start both, with a region that the frame lies in: requests name it."""
        memory = shared_memory.SharedMemory(create=True, size=len(bytes_of(frame)))
        try:
            about = json.dumps({"key": memory.name, "byte_size": memory.size}).encode()
            with self.by_http(memory_request(memory, frame), {}, about) as timed:
                yield timed
        finally:
            memory.close()
            memory.unlink()


def memory_request(memory: shared_memory.SharedMemory, frame: EmbeddedFrame) -> bytes:
    """Put the frame into the memory, and return a body that asks for its logits in the region "frame"."""
    data = np.frombuffer(bytes_of(frame), np.uint8)
    size = len(data)
    np.ndarray(size, np.uint8, memory.buf)[:] = data
    where = {"shared_memory_region": "frame", "shared_memory_byte_size": size}
    form = {"name": "frame", "datatype": "UINT8", "shape": [size], "parameters": where}
    parameters = {**parameters_of(frame), "binary_data_output": True}
    return json.dumps({"inputs": [form], "parameters": parameters}).encode()


def register(address: str, region: bytes) -> None:
    """Name a region "frame". Raises RuntimeError if the service refuses it."""
    connection = HTTPConnection(address)
    connection.request("POST", "/v2/systemsharedmemory/region/frame/register", region)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode(errors="replace"))
    connection.close()
