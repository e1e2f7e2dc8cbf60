/**
 * The texts made from the table of flags: `--help` and `docs/flags.md`.
 */
import { environmentName, FLAGS, type Flag, GROUPS } from './flags.ts';

/** The text of `--help`. */
export function helpText(): string {
  const lines = [
    'etcd-connect-proxy: a stateless layer-7 proxy for etcd v3',
    '',
    'Usage:',
    '  etcd-connect-proxy start [flags]',
    '  etcd-connect-proxy grpc-proxy start [flags]',
    '  etcd-connect-proxy [flags]',
    '  etcd-connect-proxy --version | --help',
    '',
    'Every flag can also be set in the environment: --listen-addr is ETCD_PROXY_LISTEN_ADDR.',
  ];
  for (const group of GROUPS) {
    lines.push('', `${group}:`);
    for (const flag of FLAGS) if (flag.group === group) lines.push(...helpEntry(flag));
  }
  return `${lines.join('\n')}\n`;
}

function helpEntry(flag: Flag): string[] {
  return [
    `  --${flag.name} ${flag.type} (default ${flag.default || 'none'})`,
    `      ${flag.help}${pendingNote(flag)}`,
  ];
}

function pendingNote(flag: Flag): string {
  return flag.pending === 'ignored' ? ' [accepted, has no effect yet]' : '';
}

/** How values are written, by type. */
const VALUES: readonly string[] = [
  '| type | is written |',
  '| --- | --- |',
  '| `boolean` | `true` or `false`, as Go takes them; the flag alone is `true`. `--debug=false`, not `--debug false` |',
  '| `switch` | `on` or `off` |',
  '| `integer`, `bytes` | a whole number, `1500` or `0x5dc`; bytes have no unit |',
  '| `duration` | `300ms`, `5s`, `2h45m`; more than 12 days is 12 days |',
  '| `list`, and all types in the plural | with commas, or the flag several times |',
  '| `level`, `pick`, `mode` and other words | one of those that the meaning names |',
];

/** The contents of `docs/flags.md`. */
export function flagsDocument(): string {
  const lines = [
    '# Flags',
    '',
    'This page is generated from the table in `src/config/flags.ts` by `npm run generate`.',
    'Precedence: flag, then environment variable, then default.',
    '',
    ...VALUES,
  ];
  for (const group of GROUPS) {
    lines.push(
      '',
      `## ${group}`,
      '',
      '| flag | type | default | environment | meaning |',
      '| --- | --- | --- | --- | --- |',
    );
    for (const flag of FLAGS) if (flag.group === group) lines.push(tableRow(flag));
  }
  return `${lines.join('\n')}\n`;
}

function tableRow(flag: Flag): string {
  const value = flag.default === '' ? '' : `\`${flag.default}\``;
  return `| \`--${flag.name}\` | ${flag.type} | ${value} | \`${environmentName(flag.name)}\` | ${flag.help}${pendingNote(flag)} |`;
}
