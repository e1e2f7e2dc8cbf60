/**
 * A page's own etcd client, with nothing but what a browser has: Connect JSON and gRPC-Web by hand over fetch, and Google's
 * client, in its default form. The test calls the functions at the end.
 */

const text = new TextDecoder();
const bytesOf = (string) => new TextEncoder().encode(string);
const base64 = (string) => btoa(string);

/** The frames of a streamed body: a byte of flags, four of length, then the message. */
async function* frames(body) {
  let rest = new Uint8Array();
  for await (const chunk of body) {
    const joined = new Uint8Array(rest.length + chunk.length);
    joined.set(rest);
    joined.set(chunk, rest.length);
    rest = joined;
    while (rest.length >= 5) {
      const end = 5 + new DataView(rest.buffer, rest.byteOffset).getUint32(1);
      if (rest.length < end) break;
      yield { flags: rest[0], message: rest.slice(5, end) };
      rest = rest.slice(end);
    }
  }
}

function frame(message) {
  const framed = new Uint8Array(5 + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, 5);
  return framed;
}

async function post(url, type, body) {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return response;
}

/** Field number and contents of a protobuf message's fields; numbers stay numbers. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 2) {
      yield [tag >> 3, message.subarray(at, at + value)];
      at += value;
    } else yield [tag >> 3, value];
  }
}

/** A protobuf message of short strings. */
const message = (strings) =>
  Uint8Array.from(
    Object.entries(strings).flatMap(([field, value]) => [
      (Number(field) << 3) | 2,
      value.length,
      ...bytesOf(value),
    ]),
  );

/** The field of the one who asks for it, if it is there. */
const field = (from, number) => [...fields(from)].find(([found]) => found === number)?.[1];

/** Reads a watch, writes when it is there, and hangs up, by reading no further, at the event. */
async function watchUntilEvent(responses, put) {
  const seen = [];
  for await (const { created, value } of responses) {
    if (created) {
      seen.push('created');
      await put();
    }
    if (value === undefined) continue;
    seen.push(value);
    return seen;
  }
  return seen;
}

async function connectJson(base, key) {
  const unary = async (method, request) =>
    (await post(`${base}/etcdserverpb.KV/${method}`, 'application/json', JSON.stringify(request))).json();
  const put = (value) => unary('Put', { key: base64(key), value: base64(value) });
  await put('one');
  const range = await unary('Range', { key: base64(key) });
  async function* responses() {
    const body = frame(bytesOf(JSON.stringify({ key: base64(key) })));
    const url = `${base}/etcdconnect.v1.Browser/Watch`;
    const response = await post(url, 'application/connect+json', body);
    for await (const { message: json } of frames(response.body)) {
      const { created, events } = JSON.parse(text.decode(json));
      yield { created, value: events && atob(events[0].kv.value) };
    }
  }
  const watched = await watchUntilEvent(responses(), () => put('two'));
  const refused = await fetch(`${base}/etcdserverpb.KV/Range`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  const { code, message: why } = await refused.json();
  return { got: atob(range.kvs[0].value), watched, refusal: `${code}: ${why}` };
}

async function grpcWeb(base, key) {
  const type = 'application/grpc-web+proto';
  const unary = async (method, request) => {
    const response = await post(`${base}/etcdserverpb.KV/${method}`, type, frame(request));
    const found = { status: response.headers.get('grpc-status'), why: response.headers.get('grpc-message') };
    for await (const { flags, message: part } of frames(response.body)) {
      if (flags & 128) {
        found.status = /grpc-status: ?(\d+)/i.exec(text.decode(part))?.[1];
        found.why = /grpc-message: ?([^\r\n]*)/i.exec(text.decode(part))?.[1];
      } else found.reply = part;
    }
    return found;
  };
  const put = (value) => unary('Put', message({ 1: key, 2: value }));
  await put('one');
  const range = await unary('Range', message({ 1: key }));
  async function* responses() {
    const url = `${base}/etcdconnect.v1.Browser/Watch`;
    const response = await post(url, type, frame(message({ 1: key })));
    for await (const { flags, message: part } of frames(response.body)) {
      if (flags & 128) return;
      const event = field(part, 11);
      yield {
        created: field(part, 3) === 1,
        value: event && text.decode(field(field(event, 2), 5)),
      };
    }
  }
  const watched = await watchUntilEvent(responses(), () => put('two'));
  const { status, why } = await unary('Range', new Uint8Array());
  const got = text.decode(field(field(range.reply, 2), 5));
  return { got, watched, refusal: `${status}: ${decodeURIComponent(why)}` };
}

async function googlesClient(base, key) {
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = globalThis.library;
  const client = new GrpcWebClientBase({});
  const same = (bytes) => bytes;
  const method = (path, type) => new MethodDescriptor(path, type, Uint8Array, Uint8Array, same, same);
  const unary = (name, request) => {
    const path = `/etcdserverpb.KV/${name}`;
    return client.unaryCall(base + path, request, {}, method(path, MethodType.UNARY));
  };
  const put = (value) => unary('Put', message({ 1: key, 2: value }));
  await put('one');
  const range = await unary('Range', message({ 1: key }));
  const watched = await new Promise((resolve, reject) => {
    const path = '/etcdconnect.v1.Browser/Watch';
    const watch = method(path, MethodType.SERVER_STREAMING);
    const stream = client.serverStreaming(base + path, message({ 1: key }), {}, watch);
    const seen = [];
    stream.on('error', reject);
    stream.on('data', (reply) => {
      if (field(reply, 3) === 1) {
        seen.push('created');
        put('two').catch(reject);
      }
      const event = field(reply, 11);
      if (event === undefined) return;
      seen.push(text.decode(field(field(event, 2), 5)));
      stream.cancel();
      resolve(seen);
    });
  });
  const refusal = await unary('Range', new Uint8Array()).catch((error) => `${error.code}: ${error.message}`);
  const got = text.decode(field(field(range, 2), 5));
  return { got, watched, refusal };
}

globalThis.flows = { connectJson, grpcWeb, googlesClient };
