/** Unary methods within a namespace. */
import type { KeyFields } from '../etcd/key-fields.ts';
import type { Call, UnaryHandler } from '../rpc/contract.ts';
import { RpcError } from '../rpc/status.ts';
import type { Translated } from './shared-replies.ts';
import { SHARED_FROM, type Translator } from './translator.ts';

/** What is translated of a method; nothing where it has no keys. */
export interface Translation {
  readonly request: KeyFields | undefined;
  readonly reply: KeyFields | undefined;
  readonly translator: Translator;
}

/** The handler of a method whose keys are within the namespace, on top of one of full keys. */
export function namespacedUnary(
  below: UnaryHandler,
  { request, reply, translator }: Translation,
): UnaryHandler {
  let handler = below;
  if (reply !== undefined)
    handler = withReplies(handler, (message) =>
      translator.reply(message, reply, message.length >= SHARED_FROM),
    );
  if (request !== undefined) handler = withRequests(handler, request, translator);
  return handler;
}

/** A handler whose replies go through a function. */
export function withReplies(below: UnaryHandler, translate: (reply: Uint8Array) => Translated): UnaryHandler {
  return (request, call) => {
    const reply = below(request, call);
    return reply instanceof Promise ? reply.then(translate) : translate(reply);
  };
}

function withRequests(below: UnaryHandler, fields: KeyFields, translator: Translator): UnaryHandler {
  return (request, call) => {
    const translated = translator.request(request, fields);
    return translated instanceof Promise ? later(translated, below, call) : below(translated, call);
  };
}

async function later(translated: Promise<Uint8Array>, below: UnaryHandler, call: Call): Promise<Uint8Array> {
  const request = await translated;
  // Nobody would be told what comes of it.
  if (call.cancelled) throw RpcError.cancelled();
  return below(request, call);
}
