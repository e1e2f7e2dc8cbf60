/** Brings the table of etcd's API and the compiled descriptors to one form, so that they can be compared. */
import {
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  ScalarType,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import type { DescriptorProto, EnumDescriptorProto, FileDescriptorProto } from '@bufbuild/protobuf/wkt';

/** One row of the table: a field, an enum value, an RPC, or since when there is a message or enum. */
export interface ApiRow {
  readonly kind: 'field' | 'enum' | 'rpc' | 'since';
  /** Full name of the message, enum or service. */
  readonly in: string;
  readonly name: string;
  readonly number: string;
  /** Type of the field, as written in its message; or the request. */
  readonly type: string;
  /** Oneof of the field; or the response. */
  readonly oneofOrResponse: string;
  /** First release that had it; or the HTTP paths of the RPC. */
  readonly sinceOrHttp: string;
}

const kinds = ['field', 'enum', 'rpc', 'since'] as const;
const columns = '#kind\tin\tname\tnumber\ttype_or_request\toneof_or_response\tsince_or_http';

/**
 * Reads the table.
 * @throws Error for a table of another make
 */
export function parseApiTable(text: string): ApiRow[] {
  const [head, ...lines] = text.split('\n').filter((line) => line !== '');
  if (head !== columns) throw new Error(`unexpected columns: ${head}`);
  return lines.map((line) => {
    const cells = line.split('\t');
    const kind = kinds.find((known) => known === cells[0]);
    if (kind === undefined || cells.length !== 7) throw new Error(`unexpected row: ${line}`);
    const [, inside = '', name = '', number = '', type = '', oneofOrResponse = '', sinceOrHttp = ''] = cells;
    return { kind, in: inside, name, number, type, oneofOrResponse, sinceOrHttp };
  });
}

/** The interface as a set of lines: types, fields, enum values and RPCs, all names in full. */
export function linesOfTable(rows: readonly ApiRow[]): Set<string> {
  const types = typesOfTable(rows);
  const lines = new Set([...types].map(typeLine));
  for (const row of rows) {
    if (row.kind === 'enum') {
      lines.add(enumLine(row.in, row.name, row.number));
    } else if (row.kind === 'field') {
      lines.add(
        fieldLine(row.in, row.name, row.number, inFull(row.type, row.in, types), row.oneofOrResponse),
      );
    } else if (row.kind === 'rpc') {
      const request = inFull(row.type, row.in, types);
      const response = inFull(row.oneofOrResponse, row.in, types);
      lines.add(rpcLine(row.in, row.name, request, response));
    }
  }
  return lines;
}

/** The same lines from descriptors. */
export function linesOfFiles(files: readonly DescFile[]): Set<string> {
  const lines = new Set<string>();
  for (const file of files) {
    for (const desc of nestedTypes(file)) {
      if (desc.kind === 'message') {
        lines.add(typeLine(desc.typeName));
        for (const field of desc.fields) lines.add(fieldLineOf(desc, field));
      } else if (desc.kind === 'enum') {
        lines.add(typeLine(desc.typeName));
        for (const value of desc.values) lines.add(enumLine(desc.typeName, value.name, `${value.number}`));
      } else if (desc.kind === 'service') {
        for (const rpc of desc.methods) lines.add(rpcLineOf(rpc));
      } else {
        lines.add(`extension ${desc.typeName}`);
      }
    }
  }
  return lines;
}

const typeLine = (name: string) => `type ${name}`;
const enumLine = (type: string, name: string, number: string) => `enum ${type} ${name} = ${number}`;
const rpcLine = (service: string, name: string, request: string, response: string) =>
  `rpc ${service} ${name}(${request}) returns (${response})`;
const fieldLine = (message: string, name: string, number: string, type: string, oneof: string) =>
  `field ${message} ${oneof === '' ? '' : `oneof ${oneof}: `}${type} ${name} = ${number}`;

function fieldLineOf(message: DescMessage, field: DescField): string {
  const oneof = field.oneof?.name ?? '';
  return fieldLine(message.typeName, field.name, `${field.number}`, typeOf(field), oneof);
}

function rpcLineOf(rpc: DescMethod): string {
  const clientStreams = rpc.methodKind === 'client_streaming' || rpc.methodKind === 'bidi_streaming';
  const serverStreams = rpc.methodKind === 'server_streaming' || rpc.methodKind === 'bidi_streaming';
  const request = `${clientStreams ? 'stream ' : ''}${rpc.input.typeName}`;
  const response = `${serverStreams ? 'stream ' : ''}${rpc.output.typeName}`;
  return rpcLine(rpc.parent.typeName, rpc.name, request, response);
}

function typeOf(field: DescField): string {
  // The table has neither maps nor `optional`: they come out as something that matches no row.
  if (field.fieldKind === 'map') return 'map';
  const optional = field.proto.proto3Optional ? 'optional ' : '';
  const repeated = field.fieldKind === 'list' ? 'repeated ' : '';
  const type = field.message ?? field.enum;
  return `${optional}${repeated}${type?.typeName ?? ScalarType[field.scalar ?? 0]?.toLowerCase()}`;
}

/** Messages and enums: those with a row of their own and those that other rows are about. */
function typesOfTable(rows: readonly ApiRow[]): Set<string> {
  const types = new Set<string>();
  for (const row of rows) {
    if (row.kind === 'rpc') continue;
    types.add(row.in);
    // A message may have no row except for those of an enum inside.
    const parent = row.in.slice(0, row.in.lastIndexOf('.'));
    if (parent.includes('.')) types.add(parent);
  }
  return types;
}

/** Finds the type that a name means at a place: the innermost one, as in protobuf. */
function inFull(written: string, place: string, types: ReadonlySet<string>): string {
  const at = written.lastIndexOf(' ') + 1;
  const name = written.slice(at);
  for (let scope = place; scope !== ''; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
    if (types.has(`${scope}.${name}`)) return `${written.slice(0, at)}${scope}.${name}`;
  }
  return written;
}

/**
 * The comments above messages, enums, fields, enum values and RPCs.
 * @returns comments by full name, such as `etcdserverpb.KV.Range`; enum values stand in their enum
 */
export function commentsOf(files: readonly FileDescriptorProto[]): Map<string, string> {
  const comments = new Map<string, string>();
  for (const file of files) {
    const byPath = new Map<string, string>();
    for (const at of file.sourceCodeInfo?.location ?? []) byPath.set(at.path.join(), at.leadingComments);
    // The numbers in paths are those of the fields of descriptor.proto.
    const note = (name: string, path: number[]) => comments.set(name, byPath.get(path.join()) ?? '');
    const visitEnum = (desc: EnumDescriptorProto, scope: string, path: number[]) => {
      const name = `${scope}.${desc.name}`;
      note(name, path);
      for (const [i, value] of desc.value.entries()) note(`${name}.${value.name}`, [...path, 2, i]);
    };
    const visitMessage = (desc: DescriptorProto, scope: string, path: number[]) => {
      const name = `${scope}.${desc.name}`;
      note(name, path);
      for (const [i, field] of desc.field.entries()) note(`${name}.${field.name}`, [...path, 2, i]);
      for (const [i, nested] of desc.nestedType.entries()) visitMessage(nested, name, [...path, 3, i]);
      for (const [i, nested] of desc.enumType.entries()) visitEnum(nested, name, [...path, 4, i]);
    };
    for (const [i, desc] of file.messageType.entries()) visitMessage(desc, file.package, [4, i]);
    for (const [i, desc] of file.enumType.entries()) visitEnum(desc, file.package, [5, i]);
    for (const [i, service] of file.service.entries()) {
      for (const [j, rpc] of service.method.entries()) {
        note(`${file.package}.${service.name}.${rpc.name}`, [6, i, 2, j]);
      }
    }
  }
  return comments;
}
