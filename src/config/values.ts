/**
 * The types a flag's value can have: how text becomes a value, and what is wrong with text that does not.
 */

import { type Endpoint, parseEndpoint, parseListener } from '../net/endpoint.ts';
import type { TlsVersion } from '../tls/settings.ts';

/** Values by the name of their type. Durations are milliseconds, sizes bytes. */
export interface Values {
  string: string;
  boolean: boolean;
  switch: boolean;
  integer: number;
  bytes: number;
  duration: number;
  list: readonly string[];
  level: LogLevel;
  /** To listen on: with a port. */
  address: Endpoint;
  endpoints: readonly Endpoint[];
  addresses: readonly Endpoint[];
  /** To listen on: each with a port. */
  listeners: readonly Endpoint[];
  peers: readonly Endpoint[];
  namespaces: readonly NamespaceListener[];
  isolation: Isolation;
  /** Undefined where none is given, which is as `readwrite`. */
  mode: ProxyMode | undefined;
  fallback: Fallback;
  pick: Pick;
  /** Undefined where none is given. */
  version: TlsVersion | undefined;
}
/** The types of values that flags have. */
export type ValueType = keyof Values;
/** The types whose values are numbers; every other value is none. */
export type NumberType = { [T in ValueType]: Values[T] extends number ? T : never }[ValueType];
/** Where clients come in that see nothing but the keys with a prefix. */
export interface NamespaceListener {
  readonly address: Endpoint;
  /** Never empty. */
  readonly prefix: string;
}
/** What a namespace keeps its clients from: keys of elsewhere, or all that there is elsewhere. */
export type Isolation = 'keys' | 'strict';
/** What clients may do; `off`: nothing of etcd's v2 API. */
export type ProxyMode = 'readwrite' | 'readonly' | 'off';
/** Which of several endpoints is used. */
export type Pick = 'random' | 'nearest';
/** What becomes of a process for which there is no place left in the cluster that it was to be a member of. */
export type Fallback = 'proxy' | 'exit';
/** The levels of the log. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Text that is not a value of the flag's type. The message is for the user. */
export class ValueError extends Error {}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * The longest time that is told from a longer one, 12 days: half of what a timer of Node.js takes, which fires at once
 * when it is given more.
 */
export const LONGEST_MS = 2 ** 30;

/** The longest duration that Go has. */
const GO_LONGEST_MS = 2 ** 63 / 1e6;

const AMOUNT = String.raw`(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)`;

/** Go's duration notation: `300ms`, `1.5h`, `2h45m`. */
function parseDuration(text: string): number {
  if (/^\+?0$/.test(text)) return 0;
  if (!new RegExp(`^\\+?(${AMOUNT})+$`).test(text))
    throw new ValueError('want a duration such as 300ms, 5s or 2h');
  let total = 0;
  for (const [, amount, unit] of text.matchAll(new RegExp(AMOUNT, 'g'))) {
    total += Number(amount) * (UNIT_MS[unit as string] as number);
  }
  if (total >= GO_LONGEST_MS) throw new ValueError('want a duration below 292 years');
  return Math.min(total, LONGEST_MS);
}

/** Whole numbers as Go writes them: `1500`, `-1`, `0x5dc`, `0b11`, `0o17` and, for the same, `017`. */
function parseInteger(text: string): number {
  const octal = /^\+?0[0-7]+$/.test(text);
  if (!octal && !/^\+?(0|[1-9]\d*|-[1-9]\d*|0x[\da-f]+|0b[01]+|0o[0-7]+)$/i.test(text))
    throw new ValueError('want a whole number');
  const digits = text.replace('+', '');
  const value = octal ? Number.parseInt(digits, 8) : Number(digits.toLowerCase());
  if (!Number.isSafeInteger(value)) throw new ValueError('want a smaller number');
  return value;
}

/** The spellings Go's flag package takes. */
function parseBoolean(text: string): boolean {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new ValueError('want true or false');
}

/** `on` and `off`, which read better than truth values where a feature is meant. */
function parseSwitch(text: string): boolean {
  return oneOf(['on', 'off'])(text) === 'on';
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** Reads one of some words. */
function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((each) => each === text);
    if (word !== undefined) return word;
    throw new ValueError(`want ${words.slice(0, -1).join(', ')} or ${words.at(-1)}`);
  };
}

function parseAddress(text: string, parse = parseEndpoint): Endpoint {
  try {
    return parse(text);
  } catch (error) {
    throw new ValueError((error as Error).message);
  }
}

function parseAddresses(text: string): readonly Endpoint[] {
  return parseList(text).map((item) => parseAddress(item));
}

function parseListening(text: string): Endpoint {
  return parseAddress(text, parseListener);
}

/** `NAME=peerURL` of each member; a name may come several times. */
function parsePeers(text: string): readonly Endpoint[] {
  return parseList(text).map((item) => {
    const url = /^[^=]+=(https?:.+)$/i.exec(item)?.[1];
    if (url === undefined || !/:\d+\/?$/.test(url))
      throw new ValueError('want NAME=http://host:port, or https');
    return parseAddress(url);
  });
}

/** `ADDR=prefix/`, the prefix being all behind the first `=`, spaces too. */
function parseNamespace(text: string): NamespaceListener {
  const [address = '', ...rest] = text.split('=');
  const prefix = rest.join('=');
  // Without a prefix the listener would serve every key, which is not what this flag is for.
  if (prefix === '') throw new ValueError('want ADDR=prefix/, and a prefix that is not empty');
  return { address: parseListening(address.trim()), prefix };
}

function parseNamespaces(text: string): readonly NamespaceListener[] {
  return text
    .split(',')
    .filter((item) => item.trim() !== '')
    .map(parseNamespace);
}

/** The v2 proxy's words, of which `on` is another name. */
function parseMode(text: string): ProxyMode | undefined {
  if (text === '' || text === 'on') return text === '' ? undefined : 'readwrite';
  return oneOf<ProxyMode>(['readwrite', 'readonly', 'off'])(text);
}

/** Also as the truth value whether there is one. */
function parseFallback(text: string): Fallback {
  if (text === 'on' || text === 'true') return 'proxy';
  if (text === 'off' || text === 'false') return 'exit';
  return oneOf<Fallback>(['proxy', 'exit'])(text);
}

/** The names that etcd gives to versions of TLS. */
function parseVersion(text: string): TlsVersion | undefined {
  if (text === '') return undefined;
  if (text === 'TLS1.2' || text === 'TLS1.3') return `TLSv${text === 'TLS1.2' ? '1.2' : '1.3'}`;
  throw new ValueError('want TLS1.2 or TLS1.3');
}

function parseEndpoints(text: string): readonly Endpoint[] {
  const endpoints = parseAddresses(text);
  if (endpoints.length === 0) throw new ValueError('want at least one endpoint');
  return endpoints;
}

/** The types whose flags may be given more than once; the values add up, as in Go. */
export const REPEATABLE: ReadonlySet<ValueType> = new Set([
  'list',
  'endpoints',
  'addresses',
  'listeners',
  'peers',
  'namespaces',
]);

/** For each type, the function that reads it. Each throws {@link ValueError}. */
export const PARSERS: { readonly [T in ValueType]: (text: string) => Values[T] } = {
  string: (text) => text,
  boolean: parseBoolean,
  switch: parseSwitch,
  integer: parseInteger,
  bytes: parseInteger,
  duration: parseDuration,
  list: parseList,
  level: oneOf<LogLevel>(['debug', 'info', 'warn', 'error']),
  address: parseListening,
  endpoints: parseEndpoints,
  addresses: parseAddresses,
  listeners: (text) => parseList(text).map(parseListening),
  peers: parsePeers,
  namespaces: parseNamespaces,
  isolation: oneOf<Isolation>(['keys', 'strict']),
  mode: parseMode,
  fallback: parseFallback,
  pick: oneOf<Pick>(['random', 'nearest']),
  version: parseVersion,
};
