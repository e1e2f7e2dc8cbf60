/** The interface is what the table of etcd's API says, and gen/ is what buf makes of proto/. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DescFile, fromBinary } from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorSetSchema, MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import { file_authpb_auth } from '#gen/authpb/auth_pb.js';
import { file_etcdconnect_v1_browser } from '#gen/etcdconnect/v1/browser_pb.js';
import { file_etcdserverpb_auth } from '#gen/etcdserverpb/auth_pb.js';
import { file_etcdserverpb_cluster } from '#gen/etcdserverpb/cluster_pb.js';
import { file_etcdserverpb_header } from '#gen/etcdserverpb/header_pb.js';
import { file_etcdserverpb_kv } from '#gen/etcdserverpb/kv_pb.js';
import { file_etcdserverpb_lease } from '#gen/etcdserverpb/lease_pb.js';
import { file_etcdserverpb_maintenance } from '#gen/etcdserverpb/maintenance_pb.js';
import { file_etcdserverpb_watch } from '#gen/etcdserverpb/watch_pb.js';
import { file_grpc_health_v1_health } from '#gen/grpc/health/v1/health_pb.js';
import { file_mvccpb_kv } from '#gen/mvccpb/kv_pb.js';
import { file_v3electionpb_election } from '#gen/v3electionpb/election_pb.js';
import { file_v3lockpb_lock } from '#gen/v3lockpb/lock_pb.js';
import { commentsOf, linesOfFiles, linesOfTable, parseApiTable } from './support/descriptors.ts';
import { tempDir } from './support/process.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const table = parseApiTable(readFileSync(join(root, 'test/data/etcd-api.tsv'), 'utf8'));

const etcdFiles: DescFile[] = [
  file_authpb_auth,
  file_etcdserverpb_auth,
  file_etcdserverpb_cluster,
  file_etcdserverpb_header,
  file_etcdserverpb_kv,
  file_etcdserverpb_lease,
  file_etcdserverpb_maintenance,
  file_etcdserverpb_watch,
  file_mvccpb_kv,
  file_v3electionpb_election,
  file_v3lockpb_lock,
];
const allFiles: DescFile[] = [...etcdFiles, file_etcdconnect_v1_browser, file_grpc_health_v1_health];

/** Runs buf with the tools of this project; nothing of it may need the network. */
function buf(...args: string[]): Buffer {
  const bin = join(root, 'node_modules/.bin');
  const path = [bin, dirname(process.execPath), process.env.PATH].join(delimiter);
  const run = spawnSync(join(bin, 'buf'), args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    maxBuffer: 64 << 20,
  });
  assert.equal(run.status, 0, `buf ${args.join(' ')}: ${run.error ?? `${run.stdout}${run.stderr}`}`);
  return run.stdout;
}

/** All files below a folder: contents by path. */
function tree(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const paths = files.map((file) => join(file.parentPath, file.name)).sort();
  return new Map(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]));
}

describe("etcd's API", () => {
  test('the files compared are all there are', () => {
    const sources = readdirSync(join(root, 'proto'), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      allFiles.map((file) => `${file.name}.proto`).sort(),
      sources.filter((path) => path.endsWith('.proto')).sort(),
    );
  });

  const wanted = linesOfTable(table);
  const compiled = linesOfFiles(etcdFiles);

  test('every row of the table has its descriptor', () => {
    assert.deepEqual(
      [...wanted].filter((line) => !compiled.has(line)),
      [],
    );
  });

  test('every descriptor has its row in the table', () => {
    assert.deepEqual(
      [...compiled].filter((line) => !wanted.has(line)),
      [],
    );
  });

  test('no row stands twice, and none is lost in the comparison', () => {
    const rows = table.filter((row) => row.kind !== 'since').length;
    assert.equal([...wanted].filter((line) => !line.startsWith('type ')).length, rows);
  });

  const comments = commentsOf(fromBinary(FileDescriptorSetSchema, buf('build', '-o', '-')).file);

  test('comments tell since when there is something, and only where the table does', () => {
    const told = new Map<string, string>();
    const noted = new Map<string, string>();
    const rpcs = new Set<string>();
    for (const row of table) {
      const name = row.name === '' ? row.in : `${row.in}.${row.name}`;
      if (row.kind === 'rpc') rpcs.add(name);
      // 3.0 goes without saying.
      else if (row.sinceOrHttp !== '' && row.sinceOrHttp !== '3.0') told.set(name, row.sinceOrHttp);
    }
    for (const [name, comment] of comments) {
      const since = /^ Since etcd (.*)\.$/m.exec(comment)?.[1];
      if (since !== undefined && !rpcs.has(name)) noted.set(name, since);
    }
    assert.ok(told.size > 0);
    assert.deepEqual(noted, told);
  });

  test('comments tell the JSON paths of every RPC that has any', () => {
    for (const row of table) {
      if (row.kind !== 'rpc') continue;
      const paths = comments.get(`${row.in}.${row.name}`)?.match(/POST [\w/-]+/g) ?? [];
      assert.equal(paths.join(' '), row.sinceOrHttp, `${row.in}.${row.name}`);
    }
  });
});

test('the health check of gRPC', () => {
  const health = 'grpc.health.v1';
  assert.deepEqual([...linesOfFiles([file_grpc_health_v1_health])].sort(), [
    `enum ${health}.HealthCheckResponse.ServingStatus NOT_SERVING = 2`,
    `enum ${health}.HealthCheckResponse.ServingStatus SERVICE_UNKNOWN = 3`,
    `enum ${health}.HealthCheckResponse.ServingStatus SERVING = 1`,
    `enum ${health}.HealthCheckResponse.ServingStatus UNKNOWN = 0`,
    `field ${health}.HealthCheckRequest string service = 1`,
    `field ${health}.HealthCheckResponse ${health}.HealthCheckResponse.ServingStatus status = 1`,
    `rpc ${health}.Health Check(${health}.HealthCheckRequest) returns (${health}.HealthCheckResponse)`,
    `rpc ${health}.Health Watch(${health}.HealthCheckRequest) returns (stream ${health}.HealthCheckResponse)`,
    `type ${health}.HealthCheckRequest`,
    `type ${health}.HealthCheckResponse`,
    `type ${health}.HealthCheckResponse.ServingStatus`,
  ]);
});

test('the API for browsers', () => {
  const [keepAlive, watch, ...more] = [...linesOfFiles([file_etcdconnect_v1_browser])].sort();
  assert.equal(
    keepAlive,
    'rpc etcdconnect.v1.Browser LeaseKeepAliveOnce(etcdserverpb.LeaseKeepAliveRequest) ' +
      'returns (etcdserverpb.LeaseKeepAliveResponse)',
  );
  assert.equal(
    watch,
    'rpc etcdconnect.v1.Browser Watch(etcdserverpb.WatchCreateRequest) ' +
      'returns (stream etcdserverpb.WatchResponse)',
  );
  assert.deepEqual(more, []);
});

test('only reads are marked as free of side effects', () => {
  // Connect sends these as GET requests, which browsers repeat and pages of others may cause.
  const marked = allFiles
    .flatMap((file) => [...nestedTypes(file)])
    .flatMap((desc) => (desc.kind === 'service' ? desc.methods : []))
    .filter((rpc) => rpc.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS)
    .map((rpc) => `${rpc.parent.typeName}/${rpc.name}`);
  assert.deepEqual(marked.sort(), [
    'etcdserverpb.Auth/AuthStatus',
    'etcdserverpb.Auth/RoleGet',
    'etcdserverpb.Auth/RoleList',
    'etcdserverpb.Auth/UserGet',
    'etcdserverpb.Auth/UserList',
    'etcdserverpb.Cluster/MemberList',
    'etcdserverpb.KV/Range',
    'etcdserverpb.Lease/LeaseLeases',
    'etcdserverpb.Lease/LeaseTimeToLive',
    'etcdserverpb.Maintenance/Hash',
    'etcdserverpb.Maintenance/HashKV',
    'etcdserverpb.Maintenance/Status',
    'grpc.health.v1.Health/Check',
    'v3electionpb.Election/Leader',
  ]);
});

describe('buf', () => {
  test('lint finds nothing', () => {
    buf('lint');
  });

  test('format would change nothing', () => {
    buf('format', '--diff', '--exit-code');
  });

  test('generate makes exactly what is in gen/', async () => {
    const folder = await tempDir('gen');
    buf('generate', '-o', folder);
    const fresh = tree(join(folder, 'gen'));
    const present = tree(join(root, 'gen'));
    assert.deepEqual([...present.keys()], [...fresh.keys()]);
    const changed = [...fresh].filter(([path, text]) => present.get(path) !== text);
    assert.deepEqual(
      changed.map(([path]) => path),
      [],
      'run: npm run generate',
    );
  });
});
