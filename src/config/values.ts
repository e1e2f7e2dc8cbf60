/**
 * The types a flag's value can have: how text becomes a value, and what is wrong with text that does not.
 */
import type { TlsVersion } from '../tls/settings.ts';
import { type Endpoint, parseEndpoint } from '../upstream/endpoint.ts';

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
  address: Endpoint;
  endpoints: readonly Endpoint[];
  addresses: readonly Endpoint[];
  /** Undefined where none is given. */
  version: TlsVersion | undefined;
}
export type ValueType = keyof Values;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Text that is not a value of the flag's type. The message is for the user. */
export class ValueError extends Error {}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's duration notation: `300ms`, `1.5h`, `2h45m`. */
function parseDuration(text: string): number {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text))
    throw new ValueError('want a duration such as 300ms, 5s or 2h');
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (UNIT_MS[unit as string] as number);
  }
  return total;
}

function parseInteger(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new ValueError('want a whole number');
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
  if (text === 'on') return true;
  if (text === 'off') return false;
  throw new ValueError('want on or off');
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function parseLevel(text: string): LogLevel {
  if (text === 'debug' || text === 'info' || text === 'warn' || text === 'error') return text;
  throw new ValueError('want debug, info, warn or error');
}

function parseAddress(text: string): Endpoint {
  try {
    return parseEndpoint(text);
  } catch (error) {
    throw new ValueError((error as Error).message);
  }
}

function parseAddresses(text: string): readonly Endpoint[] {
  return parseList(text).map(parseAddress);
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
export const REPEATABLE: ReadonlySet<ValueType> = new Set(['list', 'endpoints', 'addresses']);

/** For each type, the function that reads it. Each throws {@link ValueError}. */
export const PARSERS: { readonly [T in ValueType]: (text: string) => Values[T] } = {
  string: (text) => text,
  boolean: parseBoolean,
  switch: parseSwitch,
  integer: parseInteger,
  bytes: parseInteger,
  duration: parseDuration,
  list: parseList,
  level: parseLevel,
  address: parseAddress,
  endpoints: parseEndpoints,
  addresses: parseAddresses,
  version: parseVersion,
};
