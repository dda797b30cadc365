"""Compiles `library.proto` into `library.binpb`, a descriptor set with all that it imports.

python tests/differential/files/grpc/make.py
"""

from pathlib import Path

import google.api.http_pb2
import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent


def main() -> None:
    apis = Path(google.api.http_pb2.__file__).parents[2]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    code = protoc.main(
        ["protoc", "--include_imports", f"--descriptor_set_out={HERE / 'library.binpb'}"]
        + [f"-I{folder}" for folder in (HERE, apis, well_known)]
        + ["library.proto"]
    )
    raise SystemExit(code)


if __name__ == "__main__":
    main()
