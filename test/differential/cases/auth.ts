/** Auth: its 17 calls, and what the others answer once it is on. These come last: they leave it on. */
import { Permission_Type as Permit } from '#gen/authpb/auth_pb.js';
import { Auth } from '#gen/etcdserverpb/auth_pb.js';
import { atLeast } from '../../support/etcd.ts';
import { type Case, calls, script } from '../case.ts';
import { at, b, rpc, under } from '../rpc.ts';
import type { Script } from '../script.ts';

const auth = Auth.method;

/** The password of a user. */
const passwordOf = (name: string): string => `password of ${name}`;

/** The metadata that makes a call one of a user's. */
export async function as(
  script: Script,
  name: string,
): Promise<{ readonly metadata: { readonly token: string } }> {
  const { token } = await script.ask(auth.authenticate, { name, password: passwordOf(name) });
  return { metadata: { token } };
}

const addUser = (name: string) => rpc(auth.userAdd, { name, password: passwordOf(name) });
const grant = (name: string, permType: Permit, range: ReturnType<typeof under>) =>
  rpc(auth.roleGrantPermission, { name, perm: { permType, ...range } });

const users: readonly Case[] = [
  calls(
    'auth: off',
    rpc(auth.authStatus),
    rpc(auth.authDisable),
    rpc(auth.authEnable),
    rpc(auth.authenticate, { name: 'root', password: 'x' }),
    rpc(auth.authenticate),
  ),
  calls(
    'auth: users',
    addUser('root'),
    addUser('reader'),
    addUser('writer'),
    addUser('leaving'),
    addUser('reader'),
    rpc(auth.userAdd),
    rpc(auth.userAdd, { name: 'nobody', options: { noPassword: true } }),
    rpc(auth.userAdd, { name: 'both', password: 'x', options: { noPassword: true } }),
    rpc(auth.userAdd, { name: 'without' }),
    rpc(auth.userList),
    rpc(auth.userGet, { name: 'reader' }),
    rpc(auth.userGet, { name: 'missing' }),
    rpc(auth.userGet),
    rpc(auth.userDelete, { name: 'missing' }),
    rpc(auth.userDelete, { name: 'leaving' }),
    rpc(auth.userList),
  ),
  calls('auth: root without its role', rpc(auth.authEnable)),
  calls(
    'auth: roles',
    ...['root', 'r', 'w', 'leaving', 'r', ''].map((name) => rpc(auth.roleAdd, { name })),
    rpc(auth.roleList),
    rpc(auth.roleGet, { role: 'r' }),
    rpc(auth.roleGet, { role: 'missing' }),
    rpc(auth.roleDelete, { role: 'missing' }),
    rpc(auth.roleDelete, { role: 'leaving' }),
  ),
  calls(
    'auth: permissions',
    grant('r', Permit.READ, under('auth/r/')),
    grant('w', Permit.WRITE, under('auth/w/')),
    grant('w', Permit.READWRITE, under('auth/rw/')),
    grant('missing', Permit.READ, under('a')),
    rpc(auth.roleGrantPermission, { name: 'w', perm: at('auth/one') }),
    rpc(auth.roleGrantPermission, { name: 'w', perm: { ...at('b'), rangeEnd: b('a') } }),
    rpc(auth.roleGet, { role: 'w' }),
    rpc(auth.roleRevokePermission, { role: 'w', ...at('auth/one') }),
    rpc(auth.roleRevokePermission, { role: 'w', ...at('auth/one') }),
    rpc(auth.roleRevokePermission, { role: 'missing', ...at('auth/one') }),
    rpc(auth.roleGet, { role: 'w' }),
  ),
  {
    ...calls('auth: a permission that is none', rpc(auth.roleGrantPermission, { name: 'r' })),
    skip: (install) => !atLeast(install, 3, 5) && 'etcd ends by it before 3.5',
  },
  calls(
    'auth: roles of users',
    ...[
      ['root', 'root'],
      ['reader', 'r'],
      ['writer', 'w'],
      ['missing', 'r'],
      ['reader', 'missing'],
      ['reader', 'r'],
    ].map(([user = '', role = '']) => rpc(auth.userGrantRole, { user, role })),
    rpc(auth.userGet, { name: 'writer' }),
    rpc(auth.userRevokeRole, { name: 'reader', role: 'w' }),
    rpc(auth.userRevokeRole, { name: 'missing', role: 'w' }),
    rpc(auth.userRevokeRole, { name: 'reader', role: 'missing' }),
  ),
  calls(
    'auth: passwords',
    rpc(auth.userChangePassword, { name: 'reader', password: 'other' }),
    rpc(auth.userChangePassword, { name: 'reader', password: passwordOf('reader') }),
    rpc(auth.userChangePassword, { name: 'missing', password: 'x' }),
    rpc(auth.userChangePassword),
    rpc(auth.userChangePassword, { name: 'nobody', password: 'x' }),
  ),
  calls('auth: on', rpc(auth.authEnable), rpc(auth.authEnable)),
];

/** Every call of the service, made by somebody. */
const everyAuthCall = (metadata: Readonly<Record<string, string>>) =>
  [
    rpc(auth.authStatus, {}, { metadata }),
    rpc(auth.authEnable, {}, { metadata }),
    rpc(auth.userAdd, { name: 'x', password: 'x' }, { metadata }),
    rpc(auth.userGet, { name: 'reader' }, { metadata }),
    rpc(auth.userGet, { name: 'root' }, { metadata }),
    rpc(auth.userList, {}, { metadata }),
    rpc(auth.userDelete, { name: 'missing' }, { metadata }),
    rpc(auth.userChangePassword, { name: 'missing', password: 'x' }, { metadata }),
    rpc(auth.userGrantRole, { user: 'missing', role: 'r' }, { metadata }),
    rpc(auth.userRevokeRole, { name: 'missing', role: 'r' }, { metadata }),
    rpc(auth.roleAdd, { name: 'r' }, { metadata }),
    rpc(auth.roleGet, { role: 'r' }, { metadata }),
    rpc(auth.roleGet, { role: 'w' }, { metadata }),
    rpc(auth.roleList, {}, { metadata }),
    rpc(auth.roleDelete, { role: 'missing' }, { metadata }),
    rpc(auth.roleGrantPermission, { name: 'missing', perm: at('x') }, { metadata }),
    rpc(auth.roleRevokePermission, { role: 'missing', ...at('x') }, { metadata }),
  ] as const;

const administration: readonly Case[] = [
  calls('auth: managed by nobody', ...everyAuthCall({})),
  calls('auth: managed with a wrong token', ...everyAuthCall({ token: 'wrong.1' })),
  script('auth: managed by root', async (script) => {
    await script.runAll(everyAuthCall((await as(script, 'root')).metadata));
  }),
  script('auth: managed by a reader', async (script) => {
    await script.runAll(everyAuthCall((await as(script, 'reader')).metadata));
  }),
  script('auth: what must not be done to root', async (script) => {
    const root = await as(script, 'root');
    await script.runAll([
      rpc(auth.userDelete, { name: 'root' }, root),
      rpc(auth.userRevokeRole, { name: 'root', role: 'root' }, root),
      rpc(auth.roleDelete, { role: 'root' }, root),
    ]);
  }),
  calls(
    'auth: wrong passwords',
    rpc(auth.authenticate, { name: 'reader', password: 'wrong' }),
    rpc(auth.authenticate, { name: 'missing', password: 'x' }),
    rpc(auth.authenticate, { name: 'nobody' }),
    rpc(auth.authenticate),
  ),
];

const end: readonly Case[] = [
  script('auth: off again', async (script) => {
    const root = await as(script, 'root');
    await script.runAll([rpc(auth.authDisable, {}, root), rpc(auth.authStatus), rpc(auth.authDisable)]);
  }),
];

/** Users, roles, and auth turned on. */
export const authCases: readonly Case[] = [...users, ...administration];
/** Auth turned off. */
export const authEndCases: readonly Case[] = end;
