/**
 * What a row of etcdctl commands showed, step by step, in a form in which two such rows can be compared: what
 * differs between any two etcds or any two moments (addresses, ids, times) gives way to a placeholder, and an id
 * that comes back gets the placeholder it had before.
 */
import assert from 'node:assert/strict';
import type { Exit } from '../../support/process.ts';

/** One command and what came of it. */
export interface Step extends Exit {
  readonly command: string;
  readonly stdout: string;
  readonly stderr: string;
}

const VOLATILE: readonly (readonly [pattern: RegExp, placeholder: string])[] = [
  [/"ts":("[^"]*"|[\d.]+)/g, '"ts":<time>'],
  [/(etcd-endpoints:\/\/)0x[0-9a-f]+/g, '$1<pointer>'],
  [/(LocalAddr: ')[^']*/g, '$1<address>'],
  [/client-[0-9a-f]{8}-[0-9a-f-]{27}/g, 'client-<uuid>'],
  [/(\btook\W+)[\d.]+(ns|us|µs|ms|s)\b/g, '$1<duration>'],
  [/("took":)("[^"]*"|[\d.]+)/g, '$1<duration>'],
  [/(\bTook" : |\| +true \| +|│ +true │ +)[\d.]+(ns|us|µs|ms|s)\b *([|│])?/g, '$1<duration>$3'],
  [/^([┌├└+].*)$/gm, '<rule>'],
  [/^(([|│]).*TOOK.*)$/gm, '<head>'],
  [/(ETCD_INITIAL_CLUSTER=).*/g, '$1<members in no order>'],
  [/remaining\(\d+s\)/g, 'remaining(<seconds>)'],
];

const ADDRESS = /127\.0\.0\.1:\d+/g;
// With the spaces that etcdctl puts in front of an id that is a digit short.
const ID = /( ?) *\b([0-9a-f]{14,16}|\d{17,20})\b/g;

/** Replaces what differs between two etcds. */
class Normalizer {
  readonly #ids = new Map<string, string>();

  text(text: string): string {
    return text
      .replace(ADDRESS, '<address>')
      .replace(ID, (_, space: string, id: string) => space + this.#id(id));
  }

  #id(id: string): string {
    const known = this.#ids.get(id) ?? `<id ${this.#ids.size + 1}>`;
    this.#ids.set(id, known);
    return known;
  }
}

/** Replaces what differs between two moments. */
function timeless(text: string): string {
  let result = text;
  for (const [pattern, placeholder] of VOLATILE) result = result.replace(pattern, placeholder);
  return result;
}

/** Log lines in front and sorted: etcdctl writes them from several threads. */
function sortedLog(text: string): string {
  const lines = text.split('\n');
  const isLog = (line: string) => line.startsWith('{"level":');
  return [...lines.filter(isLog).sort(), ...lines.filter((line) => !isLog(line))].join('\n');
}

function normalStep({ command, code, signal, stdout, stderr }: Step, text: (text: string) => string): Step {
  return {
    command: text(command),
    code,
    signal,
    stdout: text(timeless(stdout)),
    stderr: text(sortedLog(timeless(stderr))),
  };
}

/** The commands of one client at one address. */
export interface Transcript {
  readonly address: string;
  readonly steps: readonly Step[];
}

/**
 * Fails where two transcripts differ in more than what is volatile.
 * @param sameEtcd whether both had the same etcd, so that all but the address of the proxy must be equal
 */
export function assertSame(direct: Transcript, proxied: Transcript, sameEtcd: boolean): void {
  const [ofDirect, ofProxied] = [new Normalizer(), new Normalizer()];
  const directText = (text: string) => (sameEtcd ? text : ofDirect.text(text));
  const proxiedText = (text: string) =>
    sameEtcd ? text.replaceAll(proxied.address, direct.address) : ofProxied.text(text);
  for (const [at, step] of direct.steps.entries()) {
    const other = proxied.steps[at];
    assert.ok(other, `through the proxy nothing came of: ${step.command}`);
    const expected = normalStep(step, directText);
    assert.deepEqual(normalStep(other, proxiedText), expected, `etcdctl ${step.command}`);
  }
  assert.equal(proxied.steps.length, direct.steps.length);
}
