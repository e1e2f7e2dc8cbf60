"""A client on grpcio (gRPC's C core), which has its own HTTP/2: bytes in, bytes out, so that it needs no stubs.

Usage: peer.py HOST:PORT. Prints one JSON object with what it saw.
"""

import json
import sys
import threading

import grpc


def field(number, payload):
    """A length-delimited protobuf field of less than 128 * 128 bytes, or of any size up to 2 MiB."""
    length, head = len(payload), bytes([number << 3 | 2])
    while length >= 128:
        head += bytes([length & 127 | 128])
        length >>= 7
    return head + bytes([length]) + payload


def method(channel, kind, path):
    same = bytes
    return getattr(channel, kind)(path, request_serializer=same, response_deserializer=same)


def unary(channel, seen):
    put = method(channel, "unary_unary", "/etcdserverpb.KV/Put")
    get = method(channel, "unary_unary", "/etcdserverpb.KV/Range")
    put(field(1, b"grpcio") + field(2, b"v" * 100_000))
    seen["value"] = get(field(1, b"grpcio")).count(b"v" * 100_000)
    try:
        put(b"")
    except grpc.RpcError as error:
        seen["error"] = [error.code().value[0], error.details()]
    try:
        method(channel, "unary_unary", "/v3lockpb.Lock/Nothing")(b"")
    except grpc.RpcError as error:
        seen["unknown"] = error.code().value[0]


def parallel(channel, seen):
    get = method(channel, "unary_unary", "/etcdserverpb.KV/Range")
    calls = [get.future(field(1, b"grpcio")) for _ in range(2000)]
    seen["parallel"] = sum(b"v" * 100 in call.result() for call in calls)


def watch(channel, seen):
    go_on = threading.Event()

    def requests():
        yield field(1, field(1, b"watched"))
        go_on.wait()

    responses = method(channel, "stream_stream", "/etcdserverpb.Watch/Watch")(requests())
    next(responses)
    put = method(channel, "unary_unary", "/etcdserverpb.KV/Put")
    put(field(1, b"watched") + field(2, b"seen"))
    seen["event"] = b"seen" in next(responses)
    responses.cancel()
    go_on.set()


def main():
    seen = {"grpcio": grpc.__version__}
    with grpc.insecure_channel(sys.argv[1], [("grpc.max_receive_message_length", -1)]) as channel:
        for check in (unary, parallel, watch):
            check(channel, seen)
    print(json.dumps(seen))


main()
